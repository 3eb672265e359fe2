//! Joins against a naive reference: random records in several partitions a side, with disorder, late ones and null values, in
//! random batches, with commits and aborts in between.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{LeftPort, Ports, RightPort, Rows, Side, StreamJoin};
use crate::operators::changelog::Changelog;
use crate::operators::stores::SharedStore;
use crate::operators::window::window_tests;
use crate::operators::{Cx, DropReason, Drops, Edge, Push, Signal};
use crate::record::{Headers, InputNumber, Record};
use crate::state::{Stand, Store, StoreOptions, TaskState};
use crate::time::Timestamp;
use crate::window::{JoinWindow, Reach};

const SEEDS: u64 = 1000;

type Value = Option<i64>;
type Input = Record<String, Value>;
type Both = (Value, Value);

/// A result: key, values, time.
type Line = (String, Value, Value, i64);

#[derive(Clone, Debug, Default, PartialEq)]
struct Output {
    results: Vec<Line>,
    told: Option<i64>,
}

struct Results(Arc<Mutex<Output>>);

impl Push<String, Both> for Results {
    fn push(&mut self, batch: &mut Vec<Record<String, Both>>, _: &mut Cx) {
        let mut seen = self.0.lock().unwrap();
        for record in batch.drain(..) {
            let (key, time, (left, right)) = (record.key, record.timestamp.millis(), record.value);
            assert!(seen.told.is_none_or(|told| time >= told), "{key:?} at {time} comes after {:?}", seen.told);
            assert_eq!(record.behind, 0, "time is held back so far that no result is late");
            assert!(record.watermark <= record.timestamp, "{:?} is passed by {:?}", record.timestamp, record.watermark);
            seen.results.push((key, left, right, time));
        }
    }

    fn signal(&mut self, signal: Signal, _: &mut Cx) {
        if let Signal::Watermark(watermark) = signal {
            let mut seen = self.0.lock().unwrap();
            assert!(seen.told.is_none_or(|told| told < watermark.millis()), "time goes back");
            seen.told = Some(watermark.millis());
        }
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Clone, Copy, Debug)]
struct Kind {
    before: u64,
    after: u64,
    grace: u64,
    pads: [bool; 2],
}

impl Kind {
    fn window(self) -> JoinWindow {
        JoinWindow::of(ms(self.before)).after(ms(self.after)).grace(ms(self.grace))
    }
}

const KINDS: [[bool; 2]; 3] = [[false, false], [true, false], [true, true]];

type F = fn(&String, Option<&Value>, Option<&Value>) -> Option<Both>;

/// The operator, with its state and what came out.
struct Bench {
    kind: Kind,
    portion: usize,
    state: TaskState,
    cx: Cx,
    seen: Arc<Mutex<Output>>,
    left: LeftPort<String, Value, Value, Both, F>,
    right: RightPort<String, Value, Value, Both, F>,
}

impl Bench {
    fn new(kind: Kind, portion: usize) -> Self {
        let (state, seen) = (TaskState::in_memory("t"), Arc::default());
        let (left, right) = operator(kind, portion, &state, &seen);
        Self { kind, portion, state, cx: Cx::default(), seen, left, right }
    }

    fn push(&mut self, right: bool, records: &[Input]) {
        let mut batch = records.to_vec();
        if right {
            self.right.push(&mut batch, &mut self.cx);
        } else {
            self.left.push(&mut batch, &mut self.cx);
        }
        assert!(!self.cx.failed());
    }

    fn signal(&mut self, right: bool, signal: Signal) {
        if right {
            self.right.signal(signal, &mut self.cx);
        } else {
            self.left.signal(signal, &mut self.cx);
        }
        assert!(!self.cx.failed());
    }

    fn commit(&mut self, sequence: u64) {
        self.signal(false, Signal::Flush);
        self.signal(true, Signal::Flush);
        self.state.commit(Stand { sequence, ..Stand::default() });
    }

    /// A new task, on what was committed.
    fn restart(&mut self, output: Output, drops: Drops) {
        self.state.abort();
        // Time is told anew by a new task.
        self.seen = Arc::new(Mutex::new(Output { told: None, ..output }));
        self.cx = Cx { drops, ..Cx::default() };
        (self.left, self.right) = operator(self.kind, self.portion, &self.state, &self.seen);
    }

    fn output(&self) -> Output {
        self.seen.lock().unwrap().clone()
    }

    /// Takes both streams to a time, in as many portions as it takes.
    fn take_to(&mut self, millis: i64) {
        for _ in 0..1000 {
            self.signal(false, Signal::Watermark(Timestamp::from_millis(millis)));
            self.signal(true, Signal::Watermark(Timestamp::from_millis(millis)));
            self.commit(0);
            if !self.cx.take_more_to_do() {
                return;
            }
        }
        panic!("it never comes to an end");
    }

    /// Lets time end: nothing may be left.
    fn end(mut self) -> (Vec<Line>, Drops) {
        self.take_to(1_000_000);
        assert!(self.state.is_empty().unwrap(), "rows of records that are over are left");
        (self.output().results, self.cx.drops.clone())
    }
}

fn operator(
    kind: Kind,
    portion: usize,
    state: &TaskState,
    seen: &Arc<Mutex<Output>>,
) -> Ports<String, Value, Value, Both, F> {
    let side = |name: &str, reach: Reach, pads| -> Side<String, Value> {
        let options = StoreOptions { name: name.into(), keep_before: false, cache_bytes: 2000 };
        let rows: Rows<String, Value> = SharedStore::new(Store::new(options, state.clone()));
        Side::new(rows, Changelog::new(name.into(), 0), reach, pads)
    };
    let window = kind.window();
    let [pads_left, pads_right] = kind.pads;
    let sides = (side("left", window.left(), pads_left), side("right", window.right(), pads_right));
    let edge = Edge::new();
    edge.join(Box::new(Results(Arc::clone(seen))));
    let join: F = |_, left, right| Some((left.copied().flatten(), right.copied().flatten()));
    let hold = window.hold(pads_left || pads_right);
    let [inner, left] = [[false, false], [true, false]].map(|pads| pads == kind.pads);
    let join: F = match (inner, left) {
        (true, _) => |_, left, right| Some((*left?, *right?)),
        (_, true) => |_, left, right| Some((*left?, right.copied().flatten())),
        _ => join,
    };
    StreamJoin::new("j".into(), Arc::new(join), sides, hold, edge.take()).portion(portion).ports()
}

/// The records of both sides, each from several partitions, mixed by `order`: true where they go to the right.
fn inputs(seed: u64, order: u64, bound: i64) -> Vec<(bool, Input)> {
    let side = |number: u64| {
        let records = window_tests::inputs(2 * seed + number, order, bound, 0.25);
        let nullable = |record: Record<String, i64>| {
            // By the value, and not by chance: it is the same in any order.
            let value = (record.value % 9 != 4).then_some(record.value);
            let (key, value) = (record.key.clone(), value);
            record.with(key, value)
        };
        let mut records: Vec<Input> = records.into_iter().map(nullable).collect();
        records.reverse();
        records
    };
    let (mut left, mut right) = (side(0), side(1));
    let mut random = ChaCha8Rng::seed_from_u64(order);
    let mut mixed = Vec::new();
    loop {
        let to_right = random.random_bool(0.5);
        let next = if to_right { right.pop() } else { left.pop() };
        match next {
            Some(record) => mixed.push((to_right, record)),
            None if left.is_empty() && right.is_empty() => return mixed,
            None => {}
        }
    }
}

/// Runs records through the operator in batches, commits and aborts by chance, then lets time end.
fn run(kind: Kind, inputs: &[(bool, Input)], chance: u64) -> (Vec<Line>, Drops) {
    let mut random = ChaCha8Rng::seed_from_u64(chance);
    let mut bench = Bench::new(kind, 3);
    let mut committed = (Output::default(), Drops::default(), 0);
    let (mut at, mut sequence) = (0, 0);
    while at < inputs.len() {
        let right = inputs[at].0;
        let to = (at + random.random_range(1..6)).min(inputs.len());
        let to = (at..to).find(|place| inputs[*place].0 != right).unwrap_or(to);
        let batch: Vec<Input> = inputs[at..to].iter().map(|(_, record)| record.clone()).collect();
        bench.push(right, &batch);
        at = to;
        match random.random_range(0..6) {
            0 | 1 => bench.signal(right, Signal::Watermark(inputs[at - 1].1.watermark)),
            2 => {
                sequence += 1;
                bench.commit(sequence);
                committed = (bench.output(), bench.cx.drops.clone(), at);
            }
            3 => {
                bench.restart(committed.0.clone(), committed.1.clone());
                at = committed.2;
            }
            _ => {}
        }
    }
    bench.end()
}

fn reference(record: &Input) -> i64 {
    if record.behind == 0 { i64::MIN } else { record.timestamp.millis() + i64::try_from(record.behind).unwrap() }
}

/// Every record against every other.
fn naive(kind: Kind, inputs: &[(bool, Input)]) -> (Vec<Line>, [u64; 3]) {
    let [before, after, grace] = [kind.before, kind.after, kind.grace].map(|number| i64::try_from(number).unwrap());
    let of = |right: bool| -> Vec<&Input> {
        inputs.iter().filter(|(side, record)| *side == right && record.value.is_some()).map(|(_, r)| r).collect()
    };
    let late = |record: &&Input| reference(record) > record.timestamp.millis() + before + after + grace;
    let (left, right) = (of(false), of(true));
    let mut lines = Vec::new();
    let mut met: BTreeSet<(bool, Value)> = BTreeSet::new();
    for one in &left {
        for other in right.iter().filter(|other| other.key == one.key) {
            let (l, r) = (one.timestamp.millis(), other.timestamp.millis());
            let near = l - before <= r && r <= l + after;
            if near && reference(other) <= l + after + grace && reference(one) <= r + before + grace {
                assert!(!late(one) && !late(other));
                met.extend([(false, one.value), (true, other.value)]);
                lines.push((one.key.clone(), one.value, other.value, l.max(r)));
            }
        }
    }
    let mut misses = 0;
    for (side, records) in [(false, &left), (true, &right)] {
        let lonely = |record: &&&Input| !late(record) && !met.contains(&(side, record.value));
        if !kind.pads[usize::from(side)] {
            misses += records.iter().filter(lonely).count();
            continue;
        }
        for record in records.iter().filter(lonely) {
            let (one, other) = if side { (None, record.value) } else { (record.value, None) };
            lines.push((record.key.clone(), one, other, record.timestamp.millis()));
        }
    }
    lines.sort();
    let nulls = inputs.iter().filter(|(_, record)| record.value.is_none()).count();
    let late = left.iter().chain(&right).filter(|record| late(record)).count();
    (lines, [nulls, late, misses].map(|count| u64::try_from(count).unwrap()))
}

/// The first difference alone: whole outputs are too long to read.
fn assert_same(mut got: Vec<Line>, expected: &[Line], what: &str) {
    got.sort();
    let at = (0..got.len().max(expected.len())).find(|&at| got.get(at) != expected.get(at));
    let Some(at) = at else { return };
    panic!("{what}: {:?} came instead of {:?}, line {at}", got.get(at), expected.get(at));
}

fn kind(seed: u64, pads: [bool; 2]) -> Kind {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let [before, after, grace] = [12, 25, 10].map(|most| random.random_range(0..most));
    Kind { before, after: if seed.is_multiple_of(4) { before } else { after }, grace, pads }
}

#[test]
fn joins_are_those_of_a_naive_computation_whatever_the_batches_commits_and_aborts() {
    let (mut pairs, mut padded, mut late) = (0, 0, 0);
    for seed in 0..SEEDS {
        let pads = KINDS[usize::try_from(seed % 3).unwrap()];
        let (kind, bound) = (kind(seed, pads), i64::try_from(seed % 11).unwrap());
        let inputs = inputs(seed, seed, bound);
        let (expected, [nulls, too_late, alone]) = naive(kind, &inputs);
        let (got, drops) = run(kind, &inputs, seed);
        assert_same(got, &expected, &format!("seed {seed}, {kind:?}"));
        let reasons = [DropReason::NullValue, DropReason::Late, DropReason::JoinMiss, DropReason::Expired];
        assert_eq!(reasons.map(|reason| drops.get(reason)), [nulls, too_late, alone, 0], "seed {seed}, {kind:?}");
        let both = expected.iter().filter(|(_, left, right, _)| left.is_some() && right.is_some()).count();
        (pairs, padded, late) = (pairs + both, padded + expected.len() - both, late + too_late);
    }
    println!("{pairs} pairs, {padded} padded results, {late} late records");
    assert!(pairs > 30_000 && padded > 5_000 && late > 3_000, "{pairs}, {padded}, {late}: too few to say anything");
}

#[test]
fn joins_do_not_depend_on_how_partitions_and_sides_interleave() {
    for (seed, pads) in (0..SEEDS / 5).flat_map(|seed| KINDS.map(|pads| (seed, pads))) {
        let kind = kind(seed, pads);
        let [one, other] = [1, 2].map(|order| run(kind, &inputs(seed, order, 4), seed + order));
        let mut expected = one.0;
        expected.sort();
        assert_same(other.0, &expected, &format!("seed {seed}, {kind:?}"));
        assert_eq!(one.1, other.1, "seed {seed}, {kind:?}");
    }
}

#[test]
fn batches_of_one_of_three_and_of_all_give_the_same_in_the_same_order() {
    for (seed, pads) in (0..SEEDS / 5).flat_map(|seed| KINDS.map(|pads| (seed, pads))) {
        let (kind, inputs) = (kind(seed, pads), inputs(seed, seed, 3));
        let [one, three, all] = [1, 3, usize::MAX].map(|size| {
            let mut bench = Bench::new(kind, usize::MAX);
            for of_a_side in inputs.chunk_by(|one, other| one.0 == other.0) {
                for batch in of_a_side.chunks(size) {
                    let records: Vec<Input> = batch.iter().map(|(_, record)| record.clone()).collect();
                    bench.push(batch[0].0, &records);
                }
            }
            bench.end()
        });
        assert!(one == three && one == all, "seed {seed}, {kind:?}");
    }
}

fn record(key: &str, value: i64, time: i64, behind: u64, watermark: i64) -> Input {
    let (timestamp, watermark) = (Timestamp::from_millis(time), Timestamp::from_millis(watermark));
    let (input, headers) = (InputNumber(0), Headers::NONE);
    Record { key: key.into(), value: Some(value), timestamp, behind, watermark, input, headers }
}

/// In order: its time is the watermark.
fn at(key: &str, value: i64, time: i64) -> Input {
    record(key, value, time, 0, time)
}

fn line(key: &str, left: Value, right: Value, time: i64) -> Line {
    (key.into(), left, right, time)
}

const OUTER: Kind = Kind { before: 10, after: 20, grace: 5, pads: [true, true] };

#[test]
fn lateness_is_the_same_for_both_sides() {
    // Windows: left ones end 20 after, right ones 10 after; five of grace. A record is late 35 behind.
    for right in [false, true] {
        for behind in 30..=40 {
            let mut bench = Bench::new(Kind { pads: [false, false], ..OUTER }, 100);
            let time = 100 - i64::try_from(behind).unwrap();
            // A partner as far on as it can be.
            let furthest = time + if right { 10 } else { 20 };
            bench.push(!right, &[at("k", 1, furthest)]);
            bench.push(right, &[record("k", 2, time, behind, 0)]);
            let (results, drops) = bench.end();
            assert_eq!(results.len(), usize::from(behind <= 35), "{behind} behind, to the right: {right}");
            assert_eq!(drops.get(DropReason::Late), u64::from(behind > 35), "{behind} behind, to the right: {right}");
        }
    }
}

#[test]
fn a_record_that_is_late_for_some_windows_joins_those_that_are_open() {
    let mut bench = Bench::new(Kind { pads: [true, false], ..OUTER }, 100);
    // The first window is over at 126, the second at 131.
    bench.push(false, &[at("k", 1, 100), at("k", 2, 105)]);
    bench.push(true, &[record("k", 3, 101, 27, 100)]);
    let (results, drops) = bench.end();
    assert_eq!(results, [line("k", Some(2), Some(3), 105), line("k", Some(1), None, 100)]);
    assert_eq!(drops, Drops::default());
}

#[test]
fn a_record_that_met_nobody_goes_out_when_the_watermark_of_both_says_so_and_not_before() {
    let mut bench = Bench::new(OUTER, 100);
    bench.push(false, &[at("k", 1, 100)]);
    bench.push(false, &[at("other", 2, 1_000)]);
    assert_eq!(bench.output().results, [], "the right stream may still have a partner");
    // The window ends at 120, the grace at 125: the last moment at which it may meet another.
    bench.signal(true, Signal::Watermark(Timestamp::from_millis(125)));
    assert_eq!(bench.output().results, []);
    bench.push(true, &[record("k", 3, 119, 6, 125)]);
    assert_eq!(bench.output().results, [line("k", Some(1), Some(3), 119)]);
    bench.signal(true, Signal::Watermark(Timestamp::from_millis(200)));
    assert_eq!(bench.output().results.len(), 1, "neither has met nobody");
    bench.push(true, &[at("late", 4, 990)]);
    bench.take_to(1_026);
    let padded = [line("late", None, Some(4), 990), line("other", Some(2), None, 1_000)];
    assert_eq!(bench.output().results[1..], padded);
    assert_eq!(bench.output().told, Some(1_026 - 35));
}

#[test]
fn a_restart_keeps_the_records_that_have_met_nobody_yet_and_those_that_have() {
    let mut bench = Bench::new(OUTER, 100);
    bench.push(false, &[at("alone", 1, 100), at("met", 2, 100)]);
    bench.push(true, &[at("met", 3, 100), at("alone-too", 4, 101)]);
    bench.commit(1);
    let (output, drops) = (bench.output(), bench.cx.drops.clone());
    assert_eq!(output.results, [line("met", Some(2), Some(3), 100)]);
    bench.push(true, &[at("alone", 5, 110)]);
    bench.restart(output, drops);
    bench.push(true, &[at("alone-too", 6, 500)]);
    bench.push(false, &[at("last", 7, 300)]);
    let padded = [line("alone", Some(1), None, 100), line("alone-too", None, Some(4), 101)];
    assert_eq!(bench.output().results[1..], padded, "what was aborted has left no trace");
}

#[test]
fn of_equal_keys_and_times_each_counts() {
    let mut bench = Bench::new(OUTER, 2);
    bench.push(false, &[at("k", 1, 100), at("k", 2, 100), at("k", 3, 100), at("kk", 4, 100)]);
    bench.commit(1);
    let (output, drops) = (bench.output(), bench.cx.drops.clone());
    bench.restart(output, drops);
    bench.push(false, &[at("k", 5, 100)]);
    bench.push(true, &[at("k", 6, 90), at("k", 6, 90)]);
    let (results, _) = bench.end();
    let pairs = [1, 2, 3, 5].map(|left| line("k", Some(left), Some(6), 100));
    assert_eq!(results, [&pairs[..], &pairs, &[line("kk", Some(4), None, 100)]].concat());
}

#[test]
fn an_idle_stream_holds_no_result_back_and_what_it_still_brings_is_expired() {
    let mut bench = Bench::new(OUTER, 100);
    bench.push(true, &[at("x", 1, 50)]);
    bench.push(false, &[at("k", 2, 100), at("k", 3, 400)]);
    assert_eq!(bench.output().results, []);
    bench.signal(true, Signal::Idle);
    let alone = [line("x", None, Some(1), 50), line("k", Some(2), None, 100)];
    assert_eq!(bench.output().results, alone);
    // In order by its own partition.
    bench.push(true, &[at("k", 4, 105)]);
    assert_eq!(bench.output().results, alone, "its partner has gone out alone");
    assert_eq!(bench.cx.drops.get(DropReason::Expired), 1);
}

#[test]
fn very_many_records_are_let_go_of_in_portions_and_time_waits_for_the_last() {
    let mut bench = Bench::new(Kind { pads: [true, false], ..OUTER }, 10);
    let records: Vec<Input> = (0..100).map(|number| at("k", number, 100 + number / 10)).collect();
    bench.push(false, &records);
    bench.signal(true, Signal::Watermark(Timestamp::from_millis(5_000)));
    bench.signal(false, Signal::Watermark(Timestamp::from_millis(5_000)));
    assert!(bench.cx.take_more_to_do());
    let some = bench.output();
    assert!(
        (1..=20).contains(&some.results.len()) && some.told < Some(110),
        "{} at {:?}",
        some.results.len(),
        some.told
    );
    bench.take_to(5_000);
    let all = bench.output();
    assert_eq!((all.results.len(), all.told), (100, Some(5_000 - 35)));
    assert!(all.results.is_sorted_by_key(|(_, left, ..)| *left), "in order");
    assert!(bench.state.is_empty().unwrap());
}
