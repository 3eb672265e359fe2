//! Operators whose rows fall due, against naive references: random records of several partitions, in random batches, with
//! commits and aborts in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::changelog::Changelog;
use super::dedup::Dedup;
use super::process::{Asked, Owned, Process};
use super::processor::{Context, Processor, Schedule, Stored, Timer, TimerKind};
use super::stores::SharedStore;
use super::suppress::Suppress;
use super::timed::Timed;
use super::window::window_tests::{Input, inputs};
use super::{Change, Cx, DropReason, Edge, Out, Push, Reject, Signal};
use crate::codec::{Data, Key};
use crate::record::{InputNumber, Record};
use crate::state::{Stand, Store, StoreOptions, TaskState};
use crate::time::Timestamp;

const SEEDS: u64 = 200;

/// What came out: key, value, time.
type Seen = Arc<Mutex<Vec<(String, i64, i64)>>>;

struct End<F>(Seen, F);

impl<V: Send, F: Fn(V) -> i64 + Send> Push<String, V> for End<F> {
    fn push(&mut self, batch: &mut Vec<Record<String, V>>, _: &mut Cx) {
        let mut seen = self.0.lock().unwrap();
        for record in batch.drain(..) {
            seen.push((record.key, (self.1)(record.value), record.timestamp.millis()));
        }
    }

    fn signal(&mut self, _: Signal, _: &mut Cx) {}
}

fn end<V: Clone + Send + 'static>(seen: &Seen, number: fn(V) -> i64) -> Out<String, V> {
    let edge = Edge::new();
    edge.join(Box::new(End(Arc::clone(seen), number)));
    edge.take()
}

fn store<K: Key, V: Data>(state: &TaskState, name: &str) -> SharedStore<K, V> {
    let options = StoreOptions { name: name.into(), keep_before: false, cache_bytes: 1 << 20 };
    SharedStore::new(Store::new(options, state.clone()))
}

fn log() -> Changelog {
    Changelog::new("log".into(), 0)
}

/// Runs records through an operator in batches, commits and aborts by chance. Gives what came out, and what was dropped.
fn run<V: Clone>(
    inputs: &[Record<String, V>],
    chance: u64,
    make: impl Fn(&TaskState, &Seen) -> Box<dyn Push<String, V>>,
) -> (Vec<(String, i64, i64)>, Cx, TaskState) {
    let mut random = ChaCha8Rng::seed_from_u64(chance);
    let (state, mut cx) = (TaskState::in_memory("t"), Cx::default());
    let (mut seen, mut at, mut sequence) = (Seen::default(), 0, 0);
    let mut committed = (Vec::new(), 0, cx.drops.clone());
    let mut op = make(&state, &seen);
    while at < inputs.len() || cx.take_more_to_do() {
        let to = (at + random.random_range(1..8)).min(inputs.len());
        op.push(&mut inputs[at..to].to_vec(), &mut cx);
        at = to;
        match random.random_range(0..5) {
            0 => op.signal(Signal::Watermark(inputs[at - 1].watermark), &mut cx),
            1 => {
                op.signal(Signal::Flush, &mut cx);
                sequence += 1;
                state.commit(Stand { sequence, ..Stand::default() });
                committed = (seen.lock().unwrap().clone(), at, cx.drops.clone());
            }
            2 => {
                state.abort();
                (seen, at) = (Arc::new(Mutex::new(committed.0.clone())), committed.1);
                cx.drops = committed.2.clone();
                op = make(&state, &seen);
            }
            _ => {}
        }
        assert!(!cx.failed());
    }
    op.signal(Signal::Watermark(Timestamp::from_millis(1_000_000)), &mut cx);
    op.signal(Signal::Flush, &mut cx);
    state.commit(Stand::default());
    drop(op);
    let output = seen.lock().unwrap().clone();
    (output, cx, state)
}

fn changes(inputs: Vec<Input>) -> Vec<Record<String, Change<i64>>> {
    let change = |key, value| (key, Change { old: None, new: (value % 7 != 0).then_some(value) });
    inputs.into_iter().map(|record| record.map(change)).collect()
}

#[test]
fn suppressed_updates_are_those_of_a_naive_buffer() {
    for seed in 0..SEEDS {
        let limit = ChaCha8Rng::seed_from_u64(seed).random_range(0..20_i64);
        let inputs = changes(inputs(seed, seed, 4, 0.2));
        let mut buffer: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
        let mut expected = Vec::new();
        let release = |buffer: &mut BTreeMap<String, (i64, i64, i64)>, watermark: i64, expected: &mut Vec<_>| {
            let mut due: Vec<_> =
                buffer.iter().filter(|(_, of)| of.0 <= watermark).map(|(key, of)| (of.0, key.clone())).collect();
            due.sort();
            for (_, key) in due {
                let (_, value, time) = buffer.remove(&key).unwrap();
                expected.push((key, value, time));
            }
        };
        for record in &inputs {
            let (time, value) = (record.timestamp.millis(), record.value.new.unwrap_or(-1));
            let waits = buffer.entry(record.key.clone()).or_insert((time + limit, value, time));
            (waits.1, waits.2) = (value, time);
            if record.watermark > Timestamp::MIN {
                release(&mut buffer, record.watermark.millis(), &mut expected);
            }
        }
        release(&mut buffer, 1_000_000, &mut expected);
        let limit = Duration::from_millis(u64::try_from(limit).unwrap());
        let (output, _, state) = run(&inputs, seed, |state, seen| {
            let out = end(seen, |change: Change<i64>| change.new.unwrap_or(-1));
            let due = move |_: &String, time: Timestamp| time.plus(limit);
            Box::new(Suppress::new(Timed::new(store(state, "s"), log()), due, true, limit, out))
        });
        assert_eq!(output, expected, "seed {seed}");
        assert!(state.is_empty().unwrap(), "seed {seed}: rows are left");
    }
}

#[test]
fn records_pass_once_as_in_a_naive_list() {
    for seed in 0..SEEDS {
        let within = ChaCha8Rng::seed_from_u64(seed).random_range(0..15_u64);
        let inputs = inputs(seed, seed, 5, 0.2);
        // What passes, by identity: the key and a third of the values.
        let identity = |key: &String, value: &i64| format!("{key}{}", value % 3);
        let mut passed: Vec<(String, i64)> = Vec::new();
        let (mut expected, mut late, mut twins) = (Vec::new(), 0, 0);
        for record in &inputs {
            let (own, time) = (identity(&record.key, &record.value), record.timestamp.millis());
            if record.behind > within {
                late += 1;
            } else if passed.iter().any(|(other, at)| *other == own && at.abs_diff(time) <= within) {
                twins += 1;
            } else {
                passed.push((own, time));
                expected.push((record.key.clone(), record.value, time));
            }
        }
        let (output, cx, state) = run(&inputs, seed, |state, seen| {
            let rows = Timed::new(store(state, "d"), log());
            let within = Duration::from_millis(within);
            Box::new(Dedup::new("d".into(), Arc::new(identity), within, rows, end(seen, |value| value)))
        });
        assert_eq!(output, expected, "seed {seed}");
        assert_eq!(cx.drops.get(DropReason::Late), late, "seed {seed}");
        assert_eq!(cx.drops.get(DropReason::Duplicate), twins, "seed {seed}");
        assert!(state.is_empty().unwrap(), "seed {seed}: rows are left");
    }
}

/// Sums values in its store and tells the sum when its timer goes off.
struct Summing(Stored<u32, i64>);

impl Processor<String, i64> for Summing {
    type Key = String;
    type Value = i64;

    fn process(&self, record: Record<String, i64>, cx: &mut Context<'_, String, i64>) -> Result<(), Reject> {
        cx.update(&self.0, &0, |sum| *sum.get_or_insert(0) += record.value);
        Ok(())
    }

    fn punctuate(&self, _: Timer, at: Timestamp, cx: &mut Context<'_, String, i64>) -> Result<(), Reject> {
        let sum = cx.get(&self.0, &0).unwrap_or(0);
        cx.forward_at("sum".into(), sum, at);
        Ok(())
    }
}

fn summing(state: &TaskState, seen: &Seen, kind: TimerKind, every: u64) -> Asking {
    let own: SharedStore<u32, i64> = store(state, "sums");
    let stores: Vec<Box<dyn Owned>> = vec![Box::new((own.clone(), log()))];
    let timers = vec![Schedule { kind, every: Duration::from_millis(every) }];
    let asked = Asked { timers, due: Some((store(state, "timers"), log())), stores, hold: Duration::ZERO };
    Process::ports("sums".into(), Summing(Stored(Some(own))), asked, end(seen, |value| value))
}

type Asking = (super::process::ProcessPort<String, i64, Summing>, Option<Box<dyn super::ClockPort>>);

#[test]
fn timers_by_event_time_go_off_at_the_same_records_whatever_the_batches() {
    for seed in 0..SEEDS {
        let every = ChaCha8Rng::seed_from_u64(seed).random_range(1..20_i64);
        let inputs = inputs(seed, seed, 0, 0.2);
        let (mut sum, mut due, mut expected) = (0, i64::MIN, Vec::new());
        for record in &inputs {
            sum += record.value;
            let watermark = record.watermark.millis();
            if watermark > i64::MIN && watermark >= due {
                expected.push(("sum".to_owned(), sum, watermark));
                due = (watermark / every + 1) * every;
            }
        }
        expected.push(("sum".to_owned(), sum, 1_000_000));
        let every = u64::try_from(every).unwrap();
        let (output, _, _) =
            run(&inputs, seed, |state, seen| Box::new(summing(state, seen, TimerKind::EventTime, every).0));
        assert_eq!(output, expected, "seed {seed}");
    }
}

#[test]
fn a_timer_by_the_clock_works_in_silence_and_counts_what_it_missed_as_one() {
    let (state, seen) = (TaskState::in_memory("t"), Seen::default());
    let (mut port, clock) = summing(&state, &seen, TimerKind::WallClock, 10);
    let mut clock = clock.unwrap();
    let mut cx = Cx::default();
    assert_eq!(clock.due(), None);
    assert!(!clock.tick(&mut cx));
    assert_eq!(clock.due(), Some(Timestamp::from_millis(10)));
    let mut record = inputs(1, 1, 0, 0.0).remove(0);
    (record.value, record.input) = (5, InputNumber(0));
    port.push(&mut vec![record], &mut cx);
    cx.wall = Timestamp::from_millis(10);
    assert!(clock.tick(&mut cx));
    cx.wall = Timestamp::from_millis(47);
    assert!(clock.tick(&mut cx));
    assert!(!clock.tick(&mut cx));
    assert_eq!(clock.due(), Some(Timestamp::from_millis(50)));
    assert_eq!(*seen.lock().unwrap(), [("sum".into(), 5, 10), ("sum".into(), 5, 47)]);
}
