//! Positions, delays and watermarks of a source.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::frame_source::FrameDecoder;
use super::queue::{Pace, TypedSource};
use super::source::{BadInput, Inputs, SourcePort, SourceTime};
use super::topic_source::{FromRecord, TopicDecoder};
use super::{Cx, DropReason, Edge, Push, Signal};
use crate::broker::{Batch, RawRecord};
use crate::codec::Text;
use crate::codec::frame::{FrameEncoder, FrameRecord};
use crate::record::{Headers, Record};
use crate::time::Timestamp;

type Seen = Arc<Mutex<Vec<Vec<Record<String, String>>>>>;

/// Remembers the batches that reach it.
struct Memory(Seen);

impl Push<String, String> for Memory {
    fn push(&mut self, batch: &mut Vec<Record<String, String>>, _: &mut Cx) {
        self.0.lock().unwrap().push(std::mem::take(batch));
    }

    fn signal(&mut self, _: Signal, _: &mut Cx) {}
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn topic_source(bound: u64, one_by_one: bool) -> (Box<dyn SourcePort>, Seen) {
    let (seen, edge) = (Seen::default(), Edge::new());
    edge.join(Box::new(Memory(Arc::clone(&seen))));
    let decode = TopicDecoder::new(Text, Text, Arc::new(FromRecord));
    let bound = Duration::from_millis(bound);
    (
        Box::new(TypedSource::new(
            (3, one_by_one),
            BadInput::Fail,
            Pace { bound, ..Pace::default() },
            decode,
            edge.take(),
        )),
        seen,
    )
}

fn frame_source() -> (Box<dyn SourcePort>, Seen) {
    let (seen, edge) = (Seen::default(), Edge::new());
    edge.join(Box::new(Memory(Arc::clone(&seen))));
    let decode = FrameDecoder::<String, String>::default();
    (Box::new(TypedSource::new((0, false), BadInput::Skip, Pace::default(), decode, edge.take())), seen)
}

fn batch(messages: &[(i64, i64, &[u8])]) -> Batch {
    let mut batch = Batch::default();
    for (offset, time, value) in messages {
        let headers = &Headers::NONE;
        batch.push(&RawRecord {
            offset: *offset,
            timestamp: Some(at(*time)),
            key: Some(b"k"),
            value: Some(value),
            headers,
        });
    }
    batch
}

fn frame(times: std::ops::Range<i64>) -> Vec<u8> {
    let mut encoder = FrameEncoder::default();
    for time in times {
        let value = time.to_string();
        let value = Some(value.as_bytes());
        encoder.push(&FrameRecord { timestamp: at(time), behind: 0, key: Some(b"k"), value, headers: Headers::NONE });
    }
    let mut out = Vec::new();
    encoder.finish(&[], &mut out);
    out
}

fn values(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap().iter().flatten().map(|record| record.value.clone()).collect()
}

#[test]
fn records_go_up_to_a_time_and_no_further_and_remember_where_they_came_from() {
    let (mut source, seen) = topic_source(0, false);
    source.fill(&batch(&[(10, 1, b"a"), (12, 5, b"b"), (13, 2, b"c")]), at(0), &|_, _| None);
    let (mut inputs, mut cx) = (Inputs::default(), Cx::default());
    assert_eq!(source.advance(at(4), 10, &mut inputs, &mut cx), 1);
    assert_eq!((source.head(), source.position(), source.watermark()), (Some(at(5)), (11, 0), at(1)));
    assert_eq!(source.advance(at(5), 10, &mut inputs, &mut cx), 2);
    assert_eq!((source.head(), source.position(), source.watermark()), (None, (14, 0), at(5)));
    assert_eq!((source.queued(), source.queued_bytes()), (0, 0));
    let input = seen.lock().unwrap()[1][1].input;
    let place = inputs.get(input).unwrap();
    assert_eq!((place.source, place.offset, place.index), (3, 13, 0));
}

#[test]
fn a_record_says_how_far_it_lies_behind_its_own_partition() {
    let (mut source, seen) = topic_source(3, false);
    source.start(10, 0, SourceTime { watermark: at(20), ..SourceTime::default() });
    source.fill(&batch(&[(10, 30, b""), (11, 28, b""), (12, 20, b""), (13, 10, b"")]), at(0), &|_, _| None);
    source.advance(Timestamp::MAX, 10, &mut Inputs::default(), &mut Cx::default());
    let seen = seen.lock().unwrap();
    let behind: Vec<u64> = seen[0].iter().map(|record| record.behind).collect();
    assert_eq!(behind, [0, 0, 7, 17]);
    assert!(seen[0].iter().all(|record| record.watermark == at(27)));
}

#[test]
fn records_go_one_by_one_where_ways_meet() {
    let (mut source, seen) = topic_source(0, true);
    source.fill(&batch(&[(0, 1, b"a"), (1, 2, b"b")]), at(0), &|_, _| None);
    assert_eq!(source.advance(Timestamp::MAX, 10, &mut Inputs::default(), &mut Cx::default()), 2);
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn bad_input_stops_the_way_until_it_is_taken() {
    let (mut source, seen) = topic_source(0, false);
    source.fill(&batch(&[(0, 1, b"a"), (1, 9, &[0xff]), (2, 2, b"c")]), at(0), &|_, _| None);
    let (mut inputs, mut cx) = (Inputs::default(), Cx::default());
    assert_eq!(source.advance(Timestamp::MAX, 10, &mut inputs, &mut cx), 1);
    assert_eq!((source.head(), source.position()), (Some(Timestamp::MIN), (1, 0)));
    assert!(source.advance(Timestamp::MAX, 10, &mut inputs, &mut cx) == 0);
    let bad = source.take_bad().unwrap();
    assert_eq!((bad.reason, bad.offset), (DropReason::Unreadable, 1));
    assert_eq!((source.take_bad(), source.position()), (None, (2, 0)));
    source.advance(Timestamp::MAX, 10, &mut inputs, &mut cx);
    assert_eq!(values(&seen), ["a", "c"]);
    assert_eq!(source.watermark(), at(2), "a record that is left out moves no time");
}

#[test]
fn a_commit_may_fall_inside_a_frame() {
    let frames = [frame(0..5), frame(5..7)];
    let messages = batch(&[(100, 0, &frames[0]), (101, 0, &frames[1])]);
    for stop in 0..=7 {
        let (mut source, seen) = frame_source();
        source.start(100, 0, SourceTime::default());
        source.fill(&messages, at(0), &|_, _| None);
        source.advance(Timestamp::MAX, stop, &mut Inputs::default(), &mut Cx::default());
        let (offset, index) = source.position();
        let expected = [(100, 0), (100, 1), (100, 2), (100, 3), (100, 4), (101, 0), (101, 1), (102, 0)];
        assert_eq!((offset, index), expected[stop]);

        let (mut again, rest) = frame_source();
        again.start(offset, index, source.time());
        let from = usize::try_from(offset - 100).unwrap();
        let left: Vec<(i64, i64, &[u8])> =
            (from..2).map(|place| (100 + i64::try_from(place).unwrap(), 0, frames[place].as_slice())).collect();
        again.fill(&batch(&left), at(0), &|_, _| None);
        again.advance(Timestamp::MAX, 10, &mut Inputs::default(), &mut Cx::default());
        let all: Vec<String> = values(&seen).into_iter().chain(values(&rest)).collect();
        assert_eq!(all, ["0", "1", "2", "3", "4", "5", "6"], "stopped after {stop}");
    }
}

#[test]
fn what_is_done_of_a_frame_counts_for_that_frame_alone() {
    let (mut source, seen) = frame_source();
    source.start(5, 2, SourceTime::default());
    source.fill(&batch(&[(6, 0, &frame(0..3))]), at(0), &|_, _| None);
    source.advance(Timestamp::MAX, 10, &mut Inputs::default(), &mut Cx::default());
    assert_eq!(values(&seen), ["0", "1", "2"], "the frame at 5 has been purged");
}

#[test]
fn a_frame_of_markers_alone_is_passed_over() {
    let (mut source, _) = frame_source();
    source.start(7, 0, SourceTime::default());
    source.fill(&batch(&[(7, 0, &frame(0..0)), (8, 0, &frame(0..1)), (9, 0, &frame(0..0))]), at(0), &|_, _| None);
    assert_eq!((source.position(), source.head()), ((8, 0), Some(at(0))));
    source.advance(Timestamp::MAX, 1, &mut Inputs::default(), &mut Cx::default());
    assert_eq!((source.position(), source.head()), ((10, 0), None));
}

#[test]
fn one_record_of_a_frame_may_be_poisoned() {
    let (mut source, seen) = frame_source();
    let poisoned = |offset, index| ((offset, index) == (5, 2)).then(|| (DropReason::Panicked, "boom".to_owned()));
    source.fill(&batch(&[(5, 0, &frame(0..4))]), at(0), &poisoned);
    let (mut inputs, mut cx) = (Inputs::default(), Cx::default());
    source.advance(Timestamp::MAX, 10, &mut inputs, &mut cx);
    let bad = source.take_bad().unwrap();
    assert_eq!((bad.offset, bad.index, bad.value.as_deref()), (5, 2, Some(b"2".as_slice())));
    assert_eq!(source.position(), (5, 3));
    source.advance(Timestamp::MAX, 10, &mut inputs, &mut cx);
    assert_eq!(values(&seen), ["0", "1", "3"]);
}

#[test]
fn a_message_that_is_no_frame_is_fatal_and_never_skipped() {
    let (mut source, seen) = frame_source();
    let mut cut = frame(0..4);
    cut.truncate(cut.len() - 9);
    source.fill(&batch(&[(5, 0, b"\x09later"), (6, 0, &cut)]), at(0), &|_, _| None);
    let bad = source.take_bad().unwrap();
    assert!(bad.fatal && bad.message.contains("layout 9"), "{}", bad.message);
    assert!(source.take_bad().unwrap().fatal);
    assert!(seen.lock().unwrap().is_empty());
}
