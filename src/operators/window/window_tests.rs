//! Windows against a naive reference: random records in several partitions, with disorder and late ones, in random
//! batches, with commits and aborts in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Aligned, Emit, Hopping, Late, Merge, Order, Port, Session, Shell, Sliding, Spans, Windows};
use crate::operators::aggregate::Reduce;
use crate::operators::changelog::Changelog;
use crate::operators::stores::SharedStore;
use crate::operators::timed::{Kept, Slot, Timed};
use crate::operators::{Change, Cx, DropReason, Edge, Push, Reject, Signal};
use crate::record::{Headers, InputNumber, Record};
use crate::state::{Stand, Store, StoreOptions, TaskState};
use crate::time::Timestamp;
use crate::window::{HoppingWindows, SessionWindows, SlidingWindows, Window, Windowed};

const SEEDS: u64 = 200;

/// What came out, in order.
#[derive(Clone, Debug, Default, PartialEq)]
struct Output {
    results: Vec<(String, Window, Option<i64>, i64)>,
    late: Vec<(String, i64, Window)>,
    told: Option<i64>,
}

type Seen = Arc<Mutex<Output>>;

struct Results(Seen);

impl Push<Windowed<String>, Change<i64>> for Results {
    fn push(&mut self, batch: &mut Vec<Record<Windowed<String>, Change<i64>>>, _: &mut Cx) {
        let mut seen = self.0.lock().unwrap();
        for record in batch.drain(..) {
            let (key, time) = (record.key, record.timestamp.millis());
            let reference = time.saturating_add(i64::try_from(record.behind).unwrap());
            assert!(seen.told.is_none_or(|told| reference >= told), "{key:?} at {time} comes after {:?}", seen.told);
            seen.results.push((key.key, key.window, record.value.new, time));
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

struct Missed(Seen);

impl Push<String, Late<i64>> for Missed {
    fn push(&mut self, batch: &mut Vec<Record<String, Late<i64>>>, _: &mut Cx) {
        let mut seen = self.0.lock().unwrap();
        seen.late.extend(batch.drain(..).map(|record| (record.key, record.value.value, record.value.window)));
    }

    fn signal(&mut self, _: Signal, _: &mut Cx) {}
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Hopping(HoppingWindows),
    Sliding(SlidingWindows, Order),
    Session(SessionWindows, Order),
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[expect(clippy::unnecessary_wraps, reason = "the signature that a fold asks for")]
fn sum(so_far: &mut i64, more: i64) -> Result<(), Reject> {
    *so_far += more;
    Ok(())
}

fn timed(state: &TaskState, emit: Emit) -> Timed<String, Spans<i64>> {
    let options = StoreOptions { name: "w".into(), keep_before: emit == Emit::EachCommit, cache_bytes: 1 << 20 };
    let store: SharedStore<Slot<String>, Kept<Spans<i64>>> = SharedStore::new(Store::new(options, state.clone()));
    Timed::new(store, Changelog::new("log".into(), 0))
}

fn operator(kind: Kind, emit: Emit, state: &TaskState, seen: &Seen) -> Box<dyn Push<String, i64>> {
    let (made, hold): (Box<dyn Windows<String, Windowed<String>, i64>>, Duration) = match kind {
        Kind::Hopping(windows) => {
            let options = StoreOptions { name: "w".into(), keep_before: false, cache_bytes: 1 << 20 };
            let store = SharedStore::new(Store::new(options, state.clone()));
            let made = Aligned::new(Hopping(windows), store, Changelog::new("log".into(), 0), emit, false);
            (Box::new(made), windows.hold())
        }
        Kind::Sliding(windows, order) => {
            (Box::new(Sliding::new((windows, order), timed(state, emit), emit, false)), windows.hold())
        }
        Kind::Session(windows, order) => {
            let merge: Merge<String, i64> = Arc::new(|_, one, other| sum(one, other));
            (Box::new(Session::new((windows, order), merge, timed(state, emit), emit, false)), windows.hold())
        }
    };
    let hold = match (emit, kind) {
        (Emit::OnClose, _) => hold,
        (_, Kind::Session(windows, _)) => windows.gap(),
        _ => Duration::ZERO,
    };
    let (results, missed) = (Edge::new(), Edge::new());
    results.join(Box::new(Results(Arc::clone(seen))));
    missed.join(Box::new(Missed(Arc::clone(seen))));
    let shell = Shell::new("w".into(), made, 1, emit, hold, results.take()).portion(3);
    Box::new(Port::new(0, Arc::new(Mutex::new(shell)), Arc::new(Reduce(sum)), missed.take()))
}

/// A record as its source hands it on.
pub(in crate::operators) type Input = Record<String, i64>;

/// Records of several partitions, each in its own order, mixed by chance. Some lie beyond the bound.
pub(in crate::operators) fn inputs(seed: u64, order: u64, bound: i64, wild: f64) -> Vec<Input> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut partitions: Vec<Vec<Input>> = Vec::new();
    for partition in 0..3 {
        let (mut now, mut watermark) = (random.random_range(0..30), Timestamp::MIN);
        let mut records = Vec::new();
        for number in 0..random.random_range(5..25) {
            now += random.random_range(0..9);
            let back = if random.random_bool(wild) { 60 } else { bound + 1 };
            let time = Timestamp::from_millis((now - random.random_range(0..back)).max(0));
            let behind = watermark.millis_since(time) * u64::from(watermark > Timestamp::MIN);
            watermark = watermark.max(Timestamp::from_millis(time.millis() - bound));
            let key = ["a", "b", "c"][random.random_range(0..3)].to_owned();
            let (input, headers) = (InputNumber(0), Headers::NONE);
            let value = 1 + 100 * number + partition;
            records.push(Record { key, value, timestamp: time, behind, watermark, input, headers });
        }
        records.reverse();
        partitions.push(records);
    }
    let mut random = ChaCha8Rng::seed_from_u64(order);
    let mut marks = vec![Timestamp::MIN; partitions.len()];
    let mut mixed = Vec::new();
    while partitions.iter().any(|records| !records.is_empty()) {
        let from = random.random_range(0..partitions.len());
        if let Some(mut record) = partitions[from].pop() {
            marks[from] = record.watermark;
            // What a merge does: the least of all partitions; one that is at its end holds nothing up.
            let open = (0..marks.len()).filter(|at| *at == from || !partitions[*at].is_empty());
            let least = open.map(|at| marks[at]).min().unwrap();
            record.watermark = least.max(mixed.last().map_or(Timestamp::MIN, |last: &Input| last.watermark));
            mixed.push(record);
        }
    }
    mixed
}

/// Runs records through the operator in batches, commits and aborts by chance, then lets time end.
fn run(kind: Kind, emit: Emit, inputs: &[Input], chance: u64) -> Output {
    let mut random = ChaCha8Rng::seed_from_u64(chance);
    let state = TaskState::in_memory("t");
    let mut cx = Cx::default();
    let mut committed = (Output::default(), 0);
    let mut seen = Seen::default();
    let mut op = operator(kind, emit, &state, &seen);
    let (mut at, mut sequence) = (0, 0);
    while at < inputs.len() {
        let to = (at + random.random_range(1..8)).min(inputs.len());
        op.push(&mut inputs[at..to].to_vec(), &mut cx);
        at = to;
        match random.random_range(0..5) {
            0 => op.signal(Signal::Watermark(inputs[at - 1].watermark), &mut cx),
            1 => {
                op.signal(Signal::Flush, &mut cx);
                sequence += 1;
                state.commit(Stand { sequence, ..Stand::default() });
                committed = (seen.lock().unwrap().clone(), at);
            }
            2 => {
                // Aborted: everything that was not committed is gone, and read again.
                state.abort();
                let mut output = committed.0.clone();
                // Time is told anew by a new task.
                output.told = None;
                (seen, at) = (Arc::new(Mutex::new(output)), committed.1);
                op = operator(kind, emit, &state, &seen);
            }
            _ => {}
        }
        assert!(!cx.failed());
    }
    end(&mut *op, &mut cx);
    state.commit(Stand::default());
    assert!(state.is_empty().unwrap(), "rows of closed windows are left");
    drop(op);
    Arc::try_unwrap(seen).unwrap().into_inner().unwrap()
}

/// Closes everything, in as many portions as it takes.
fn end(op: &mut dyn Push<String, i64>, cx: &mut Cx) {
    cx.take_more_to_do();
    for _ in 0..1000 {
        op.signal(Signal::Watermark(Timestamp::from_millis(1_000_000)), cx);
        op.signal(Signal::Flush, cx);
        if !cx.take_more_to_do() {
            return;
        }
    }
    panic!("it never comes to an end");
}

fn reference(record: &Input) -> i64 {
    if record.behind == 0 { i64::MIN } else { record.timestamp.millis() + i64::try_from(record.behind).unwrap() }
}

/// The sum and the newest time of each key and window.
type Sums = BTreeMap<(String, Window), (i64, i64)>;

/// The last result of each window; `None` took it back.
fn last(output: &Output) -> Sums {
    let mut sums = Sums::new();
    for (key, window, sum, time) in &output.results {
        match sum {
            Some(sum) => sums.insert((key.clone(), *window), (*sum, *time)),
            None => sums.remove(&(key.clone(), *window)),
        };
    }
    sums
}

/// The first difference alone: whole outputs are too long to read.
fn assert_same(one: &Sums, other: &Sums, what: &str) {
    let differs = |(key, sum): &(&(String, Window), &(i64, i64)), of: &Sums| of.get(*key) != Some(sum);
    let more: Vec<_> = one.iter().filter(|of| differs(of, other)).take(2).collect();
    let less: Vec<_> = other.iter().filter(|of| differs(of, one)).take(2).collect();
    assert!(more.is_empty() && less.is_empty(), "{what}: {more:?} came instead of {less:?}");
}

fn naive_hopping(inputs: &[Input], size: i64, advance: i64, grace: i64) -> (Sums, BTreeSet<(String, i64, Window)>) {
    let (mut sums, mut late) = (Sums::new(), BTreeSet::new());
    for record in inputs {
        let time = record.timestamp.millis();
        for start in (0..=time).filter(|start| start % advance == 0 && start + size > time) {
            let window = Window::of_millis(start, start + size);
            if reference(record) >= start + size + grace {
                late.insert((record.key.clone(), record.value, window));
                continue;
            }
            let sum = sums.entry((record.key.clone(), window)).or_insert((0, 0));
            *sum = (sum.0 + record.value, sum.1.max(time));
        }
    }
    (sums, late)
}

#[test]
fn hopping_windows_are_those_of_a_naive_computation_in_every_emission() {
    for seed in 0..SEEDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let advance = random.random_range(1..10);
        let size = advance * random.random_range(1..4) + random.random_range(0..3);
        let (grace, bound) = (random.random_range(0..12), random.random_range(0..10));
        let windows = HoppingWindows::of(ms(size), ms(advance)).grace(ms(grace));
        let inputs = inputs(seed, seed, bound, 0.2);
        let [size, advance, grace] = [size, advance, grace].map(|number| i64::try_from(number).unwrap());
        let (sums, late) = naive_hopping(&inputs, size, advance, grace);
        for emit in [Emit::OnClose, Emit::EachCommit, Emit::EachUpdate] {
            let output = run(Kind::Hopping(windows), emit, &inputs, seed);
            assert_same(&last(&output), &sums, &format!("seed {seed}, {emit:?}"));
            assert_eq!(output.late.len(), late.len(), "seed {seed}, {emit:?}");
            assert_eq!(output.late.iter().cloned().collect::<BTreeSet<_>>(), late, "seed {seed}, {emit:?}");
            if emit == Emit::OnClose {
                let order = |(key, window, _, _): &(String, Window, Option<i64>, i64)| (window.end, key.clone());
                assert_eq!(output.results.len(), sums.len(), "seed {seed}: each window once");
                assert!(output.results.is_sorted_by_key(order), "seed {seed}: in order of their ends");
            }
        }
    }
}

#[test]
fn closed_windows_do_not_depend_on_how_partitions_batches_and_commits_interleave() {
    for seed in 0..SEEDS {
        let windows = [
            Kind::Hopping(HoppingWindows::of(ms(20), ms(10)).grace(ms(7))),
            Kind::Sliding(SlidingWindows::of(ms(9)).grace(ms(2)), Order::Any),
            Kind::Session(SessionWindows::of(ms(6)).grace(ms(2)), Order::Any),
        ];
        for kind in windows {
            let one = run(kind, Emit::OnClose, &inputs(seed, 1, 5, 0.3), seed);
            let other = run(kind, Emit::OnClose, &inputs(seed, 2, 5, 0.3), seed + 1);
            assert_same(&last(&one), &last(&other), &format!("seed {seed}, {kind:?}"));
            assert!(one.results == other.results, "seed {seed}, {kind:?}: in another order");
            let set = |output: &Output| output.late.iter().cloned().collect::<BTreeSet<_>>();
            assert_eq!(set(&one), set(&other), "seed {seed}, {kind:?}");
        }
    }
}

/// By the order of the records, as of one partition; in any order it is the same but for what is late and what is over.
fn naive_sessions(inputs: &[Input], gap: i64, grace: i64, order: Order) -> (Sums, BTreeSet<(String, i64)>) {
    let mut sessions: BTreeMap<String, Vec<(i64, i64, i64)>> = BTreeMap::new();
    let mut late = BTreeSet::new();
    for record in inputs {
        let (time, limit) = (record.timestamp.millis(), reference(record).saturating_sub(gap + grace));
        let of = sessions.entry(record.key.clone()).or_default();
        let open = |end: i64| order == Order::Any || end >= limit;
        let joins = |(start, end, _): &(i64, i64, i64)| open(*end) && start - gap <= time && time <= end + gap;
        let (joined, mut others): (Vec<_>, Vec<_>) = of.iter().copied().partition(joins);
        let start = joined.iter().map(|of| of.0).fold(time, i64::min);
        let end = joined.iter().map(|of| of.1).fold(time, i64::max);
        if (if order == Order::Any { time } else { end }) < limit {
            late.insert((record.key.clone(), record.value));
            continue;
        }
        others.push((start, end, record.value + joined.iter().map(|of| of.2).sum::<i64>()));
        *of = others;
    }
    let windows = sessions.into_iter().flat_map(|(key, of)| {
        of.into_iter().map(move |(start, end, sum)| ((key.clone(), Window::of_millis(start, end)), (sum, end)))
    });
    (windows.collect(), late)
}

#[test]
fn sessions_are_those_of_a_naive_computation_in_every_emission() {
    for (seed, order) in (0..SEEDS).flat_map(|seed| [(seed, Order::Given), (seed, Order::Any)]) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (gap, grace, bound) = (random.random_range(1..10), random.random_range(0..12), random.random_range(0..10));
        let windows = SessionWindows::of(ms(gap)).grace(ms(grace));
        let inputs = inputs(seed, seed, bound, 0.2);
        let [gap, grace] = [gap, grace].map(|number| i64::try_from(number).unwrap());
        let (sums, late) = naive_sessions(&inputs, gap, grace, order);
        for emit in [Emit::OnClose, Emit::EachCommit, Emit::EachUpdate] {
            let output = run(Kind::Session(windows, order), emit, &inputs, seed);
            assert_same(&last(&output), &sums, &format!("seed {seed}, {order:?}, {emit:?}"));
            let missed: BTreeSet<_> = output.late.iter().map(|(key, value, _)| (key.clone(), *value)).collect();
            assert_eq!(missed, late, "seed {seed}, {order:?}, {emit:?}");
            assert!(emit != Emit::OnClose || output.results.len() == sums.len(), "seed {seed}: each session once");
        }
    }
}

/// Every window there is of the records that count: for each the one that ends at it, and the one right after it.
fn naive_sliding(inputs: &[Input], size: i64, grace: i64) -> (Sums, BTreeSet<(String, i64)>) {
    let (counted, missed): (Vec<&Input>, Vec<&Input>) =
        inputs.iter().partition(|record| reference(record) <= record.timestamp.millis() + size + grace);
    let mut sums = Sums::new();
    for record in &counted {
        let time = record.timestamp.millis();
        for start in [(time - size).max(0), time + 1] {
            let window = Window::of_millis(start, start + size);
            let of = |other: &&&Input| {
                let at = other.timestamp.millis();
                other.key == record.key && (start..=start + size).contains(&at)
            };
            let inside: Vec<&&Input> = counted.iter().filter(of).collect();
            if let Some(newest) = inside.iter().map(|other| other.timestamp.millis()).max() {
                let sum = inside.iter().map(|other| other.value).sum();
                sums.insert((record.key.clone(), window), (sum, newest));
            }
        }
    }
    (sums, missed.into_iter().map(|record| (record.key.clone(), record.value)).collect())
}

#[test]
fn sliding_windows_are_those_of_a_naive_computation_in_every_emission() {
    for (seed, order) in (0..SEEDS).flat_map(|seed| [(seed, Order::Given), (seed, Order::Any)]) {
        let size = ChaCha8Rng::seed_from_u64(seed).random_range(0..15);
        // In the order of one partition each window takes and refuses by itself: there nothing is to be late.
        let grace = if order == Order::Any { seed % 12 } else { 500 };
        let windows = SlidingWindows::of(ms(size)).grace(ms(grace));
        let inputs = inputs(seed, seed, 5, 0.2);
        let [size, grace] = [size, grace].map(|number| i64::try_from(number).unwrap());
        let (sums, late) = naive_sliding(&inputs, size, grace);
        for emit in [Emit::OnClose, Emit::EachCommit, Emit::EachUpdate] {
            let output = run(Kind::Sliding(windows, order), emit, &inputs, seed);
            assert_same(&last(&output), &sums, &format!("seed {seed}, {order:?}, {emit:?}"));
            let missed: BTreeSet<_> = output.late.iter().map(|(key, value, _)| (key.clone(), *value)).collect();
            assert_eq!(missed, late, "seed {seed}, {order:?}, {emit:?}");
            assert!(emit != Emit::OnClose || output.results.len() == sums.len(), "seed {seed}: each window once");
        }
    }
}

#[test]
fn late_records_leave_closed_sliding_windows_alone_in_any_batches() {
    for seed in 0..SEEDS {
        let windows = Kind::Sliding(SlidingWindows::of(ms(8)).grace(ms(3)), Order::Given);
        let inputs = inputs(seed, seed, 2, 0.3);
        let one = run(windows, Emit::OnClose, &inputs, 1);
        let other = run(windows, Emit::OnClose, &inputs, 2);
        let set = |output: &Output| output.late.iter().cloned().collect::<BTreeSet<_>>();
        assert!(one.results == other.results && set(&one) == set(&other), "seed {seed}");
        let updates = run(windows, Emit::EachUpdate, &inputs, seed);
        let closed: Sums = last(&one);
        assert_same(&last(&updates), &closed, &format!("seed {seed}: the last update of a window is its result"));
    }
}

#[test]
fn a_record_that_only_a_clock_has_closed_the_window_to_is_told_apart() {
    let (state, seen) = (TaskState::in_memory("t"), Seen::default());
    let windows = HoppingWindows::of(ms(10), ms(10));
    let mut op = operator(Kind::Hopping(windows), Emit::OnClose, &state, &seen);
    let mut cx = Cx::default();
    let mut record = inputs(1, 1, 0, 0.0).remove(0);
    (record.timestamp, record.behind) = (Timestamp::from_millis(5), 0);
    record.watermark = Timestamp::from_millis(10);
    op.push(&mut vec![record], &mut cx);
    assert_eq!(cx.drops.get(DropReason::Expired), 1);
    assert_eq!(cx.drops.get(DropReason::Late), 0);
    assert_eq!(seen.lock().unwrap().late.len(), 1);
}
