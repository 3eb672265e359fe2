//! How time and flushes go through the operators that hold them back.

use std::sync::{Arc, Mutex};

use super::aggregate::{Aggregate, Emission, Reduce};
use super::combine::Combine;
use super::merge::Merge;
use super::stores::SharedStore;
use super::table_out::{Standing, TableOut};
use super::{Change, Cx, Edge, Out, Push, Signal};
use crate::record::{Headers, InputNumber, Record};
use crate::state::{Store, StoreOptions, TaskState};
use crate::time::Timestamp;

/// What reached the end, in order: `value@watermark time-behind` and signals.
type Seen = Arc<Mutex<Vec<String>>>;

struct Memory(Seen);

impl<V: std::fmt::Debug + Send> Push<String, V> for Memory {
    fn push(&mut self, batch: &mut Vec<Record<String, V>>, _: &mut Cx) {
        let mut seen = self.0.lock().unwrap();
        seen.extend(batch.drain(..).map(|record| {
            let (watermark, time) = (millis(record.watermark), record.timestamp.millis());
            format!("{:?}@{watermark} {time}-{}", record.value, record.behind)
        }));
    }

    fn signal(&mut self, signal: Signal, _: &mut Cx) {
        self.0.lock().unwrap().push(match signal {
            Signal::Watermark(watermark) => format!("to {}", millis(watermark)),
            Signal::Idle => "idle".into(),
            Signal::Flush => "flush".into(),
        });
    }
}

fn millis(watermark: Timestamp) -> String {
    if watermark == Timestamp::MIN { "never".into() } else { watermark.millis().to_string() }
}

fn end<V: std::fmt::Debug + Send + 'static>() -> (Out<String, V>, Seen) {
    let (edge, seen) = (Edge::new(), Seen::default());
    edge.join(Box::new(Memory(Arc::clone(&seen))));
    (edge.take(), seen)
}

fn record(key: &str, value: i64, time: i64) -> Record<String, i64> {
    let timestamp = Timestamp::from_millis(time);
    let (behind, input, headers) = (3, InputNumber(0), Headers::NONE);
    Record { key: key.into(), value, timestamp, behind, watermark: timestamp, input, headers }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature that a fold asks for")]
fn sum(so_far: &mut i64, more: i64) -> Result<(), super::Reject> {
    *so_far += more;
    Ok(())
}

fn watermark(time: i64) -> Signal {
    Signal::Watermark(Timestamp::from_millis(time))
}

fn aggregate(emission: Emission) -> (impl Push<String, i64>, Seen) {
    let options = StoreOptions { name: "sums".into(), keep_before: true, cache_bytes: 1 << 20 };
    let store = SharedStore::new(Store::new(options, TaskState::in_memory("test")));
    let (name, changelog) = ("sums".into(), "sums-changelog".into());
    let at = Standing { name, store, changelog, partition: 0, emission, keeps_before: true };
    let (out, seen) = end::<Change<i64>>();
    (Aggregate::new(TableOut::new(at, out), Arc::new(Reduce(sum))), seen)
}

#[test]
fn what_is_held_until_the_commit_holds_time_back_as_well() {
    let (mut sums, seen) = aggregate(Emission::EachCommit);
    let mut cx = Cx::default();
    for round in [10, 20] {
        sums.push(&mut vec![record("a", 1, round), record("a", 1, round + 1)], &mut cx);
        sums.signal(watermark(round + 2), &mut cx);
        sums.signal(Signal::Flush, &mut cx);
    }
    let change = |old: &str, new: i64, at: &str| format!("Change {{ old: {old}, new: Some({new}) }}@{at}");
    let first = [change("None", 2, "never 11-3"), "to 12".into(), "flush".into()];
    let second = [change("Some(2)", 4, "12 21-3"), "to 22".into(), "flush".into()];
    assert_eq!(*seen.lock().unwrap(), [first, second].concat());
}

#[test]
fn an_update_that_is_not_held_lets_time_through() {
    let (mut sums, seen) = aggregate(Emission::EachUpdate);
    let mut cx = Cx::default();
    sums.push(&mut vec![record("a", 1, 10), record("a", 1, 8)], &mut cx);
    sums.signal(watermark(12), &mut cx);
    sums.signal(Signal::Flush, &mut cx);
    let expected = [
        "Change { old: None, new: Some(1) }@10 10-3",
        "Change { old: Some(1), new: Some(2) }@8 10-1",
        "to 12",
        "flush",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn partial_results_leave_before_the_time_they_were_held_for() {
    let (out, seen) = end::<i64>();
    let mut sums = Combine::new("sums".into(), Arc::new(Reduce(sum)), 3, out);
    let mut cx = Cx::default();
    sums.push(&mut vec![record("b", 1, 10), record("a", 2, 9), record("b", 3, 8)], &mut cx);
    sums.signal(watermark(11), &mut cx);
    assert!(seen.lock().unwrap().is_empty());
    sums.signal(Signal::Flush, &mut cx);
    sums.push(&mut vec![record("x", 1, 20), record("y", 1, 21), record("z", 1, 22), record("x", 1, 23)], &mut cx);
    let early = ["1@11 20-0", "1@11 21-0", "1@11 22-0", "to 22"];
    assert_eq!(*seen.lock().unwrap(), [["4@never 10-0", "2@never 9-0", "to 11", "flush"], early].concat());
}

#[test]
fn a_merge_waits_for_the_slower_input_and_for_the_flush_of_both() {
    let (out, seen) = end::<i64>();
    let mut ports = Merge::ports(2, out);
    let mut cx = Cx::default();
    ports[0].push(&mut vec![record("a", 1, 10)], &mut cx);
    ports[0].signal(watermark(20), &mut cx);
    ports[0].signal(Signal::Flush, &mut cx);
    ports[1].push(&mut vec![record("a", 2, 15)], &mut cx);
    ports[1].signal(watermark(16), &mut cx);
    ports[1].signal(Signal::Flush, &mut cx);
    ports[1].signal(watermark(30), &mut cx);
    ports[1].signal(Signal::Flush, &mut cx);
    assert_eq!(*seen.lock().unwrap(), ["1@never 10-3", "2@15 15-3", "to 16", "flush", "to 20"]);
    ports[0].signal(Signal::Flush, &mut cx);
    assert_eq!(seen.lock().unwrap().last().unwrap(), "flush");
}
