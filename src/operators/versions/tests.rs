//! Versioned tables and joins as of a time, against naive references: random changes and records of several partitions, in
//! random interleavings and batches, with commits and aborts in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Held, History, JoinAsOf, Kept, Place, SharedHistory, Slot, Versions, Wait};
use crate::codec::{Data, Key};
use crate::operators::changelog::Changelog;
use crate::operators::stores::SharedStore;
use crate::operators::{Change, Cx, DropReason, Edge, Out, Push, Signal};
use crate::record::{Headers, InputNumber, Record};
use crate::state::{Stand, Store, StoreOptions, TaskState};
use crate::time::Timestamp;

const SEEDS: u64 = 1_000;

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// What came out: the record's number, what it met, its time.
type Met = (i64, Option<i64>, i64);

#[derive(Clone, Default)]
struct Seen {
    met: Vec<Met>,
    /// The newest changes that were handed on: key, value, time.
    latest: Vec<(String, Option<i64>, i64)>,
    /// A result that was behind the watermark which had been told.
    behind: Vec<Met>,
    told: Option<Timestamp>,
}

struct Results(Arc<Mutex<Seen>>);

impl Push<String, (i64, Option<i64>)> for Results {
    fn push(&mut self, batch: &mut Vec<Record<String, (i64, Option<i64>)>>, _: &mut Cx) {
        let mut seen = self.0.lock().unwrap();
        for record in batch.drain(..) {
            let (number, met) = record.value;
            let result = (number, met, record.timestamp.millis());
            if record.behind == 0 && seen.told.is_some_and(|told| told > record.timestamp) {
                seen.behind.push(result);
            }
            seen.met.push(result);
        }
    }

    fn signal(&mut self, signal: Signal, _: &mut Cx) {
        if let Signal::Watermark(watermark) = signal {
            self.0.lock().unwrap().told = Some(watermark);
        }
    }
}

struct Told(Arc<Mutex<Seen>>);

impl Push<String, Change<i64>> for Told {
    fn push(&mut self, batch: &mut Vec<Record<String, Change<i64>>>, _: &mut Cx) {
        let change = |record: Record<String, Change<i64>>| (record.key, record.value.new, record.timestamp.millis());
        self.0.lock().unwrap().latest.extend(batch.drain(..).map(change));
    }

    fn signal(&mut self, _: Signal, _: &mut Cx) {}
}

fn store<K: Key, V: Data>(state: &TaskState, name: &str) -> SharedStore<K, V> {
    let options = StoreOptions { name: name.into(), keep_before: false, cache_bytes: 1 << 10 };
    SharedStore::new(Store::new(options, state.clone()))
}

/// A record of one of the sides; a null is a deletion there, and nothing to be joined here.
#[derive(Clone, Debug)]
enum Event {
    Change(Record<String, Option<i64>>),
    Record(Record<String, Option<i64>>),
}

impl Event {
    fn of(&self) -> &Record<String, Option<i64>> {
        match self {
            Self::Change(record) | Self::Record(record) => record,
        }
    }
}

/// What a join is to do.
#[derive(Clone, Copy, Debug)]
struct Rules {
    history: i64,
    /// `None`: records do not wait.
    grace: Option<i64>,
    left: bool,
    portion: usize,
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

/// The operators of a task, and where their state is.
struct Task {
    changes: Box<dyn Push<String, Option<i64>>>,
    records: Box<dyn Push<String, Option<i64>>>,
}

fn out<V: Clone + 'static>(end: impl Push<String, V> + 'static) -> Out<String, V> {
    let edge = Edge::new();
    edge.join(Box::new(end));
    edge.take()
}

fn task(state: &TaskState, rules: Rules, seen: &Arc<Mutex<Seen>>) -> Task {
    let log = |name: &str| Changelog::new(name.into(), 0);
    let versions: SharedStore<Slot<String>, Kept<i64>> = store(state, "versions");
    let history = SharedHistory::new(History::new(versions, millis(rules.history)));
    let left = rules.left;
    let f = Arc::new(move |_: &String, number: Option<i64>, row: Option<&i64>| {
        (left || row.is_some()).then(|| (number.unwrap_or(-1), row.copied()))
    });
    let results = out(Results(Arc::clone(seen)));
    let edge = Edge::new();
    let records: Box<dyn Push<String, Option<i64>>> = match rules.grace {
        None => Box::new(JoinAsOf::new(history.clone(), f, results)),
        Some(grace) => {
            let waiting: SharedStore<Place, Held<String, Option<i64>>> = store(state, "waiting");
            let waiting = (waiting, log("waiting"));
            let wait = Wait::new("wait".into(), waiting, history.clone(), (f, millis(grace)), results);
            let (records, changes) = wait.portion(rules.portion).ends();
            edge.join(Box::new(changes));
            Box::new(records)
        }
    };
    edge.join(Box::new(Told(Arc::clone(seen))));
    let of = Arc::new(|value: Option<i64>| value);
    let versions = Versions::new("versions".into(), (history, log("versions")), of, false, edge.take());
    Task { changes: Box::new(versions), records }
}

/// Runs events through the operators in batches, commits and aborts by chance, up to the end of time.
fn run(events: &[Event], rules: Rules, chance: u64) -> (Seen, Cx, TaskState) {
    let mut random = ChaCha8Rng::seed_from_u64(chance);
    let (state, mut cx) = (TaskState::in_memory("t"), Cx::default());
    let (mut seen, mut place, mut sequence) = (Arc::new(Mutex::new(Seen::default())), 0, 0);
    let mut clocks = [Timestamp::MIN; 2];
    let mut committed = (Seen::default(), 0, cx.drops.clone(), cx.late.clone(), clocks);
    let mut task = task(&state, rules, &seen);
    while place < events.len() {
        let most = (place + random.random_range(1..6)).min(events.len());
        let side = std::mem::discriminant(&events[place]);
        let many = events[place..most].iter().take_while(|event| std::mem::discriminant(*event) == side).count();
        let mut batch: Vec<_> = events[place..place + many].iter().map(|event| event.of().clone()).collect();
        let watermark = batch[many - 1].watermark;
        if matches!(events[place], Event::Change(_)) {
            task.changes.push(&mut batch, &mut cx);
            clocks[0] = watermark;
        } else {
            task.records.push(&mut batch, &mut cx);
            clocks[1] = watermark;
        }
        place += many;
        go_on(&mut task, clocks, &mut cx);
        match random.random_range(0..6) {
            0 => task.changes.signal(Signal::Watermark(clocks[0]), &mut cx),
            1 => task.records.signal(Signal::Watermark(clocks[1]), &mut cx),
            2 => {
                flush(&mut task, clocks, &mut cx);
                sequence += 1;
                state.commit(Stand { sequence, ..Stand::default() });
                committed = (seen.lock().unwrap().clone(), place, cx.drops.clone(), cx.late.clone(), clocks);
            }
            3 => {
                state.abort();
                seen = Arc::new(Mutex::new(committed.0.clone()));
                (place, cx.drops, cx.late, clocks) =
                    (committed.1, committed.2.clone(), committed.3.clone(), committed.4);
                task = self::task(&state, rules, &seen);
                // What was committed of time is told before anything else.
                task.changes.signal(Signal::Watermark(clocks[0]), &mut cx);
                task.records.signal(Signal::Watermark(clocks[1]), &mut cx);
            }
            _ => {}
        }
        go_on(&mut task, clocks, &mut cx);
        assert!(!cx.failed());
    }
    flush(&mut task, [Timestamp::MAX; 2], &mut cx);
    state.commit(Stand { sequence: sequence + 1, ..Stand::default() });
    let output = seen.lock().unwrap().clone();
    (output, cx, state)
}

/// As the engine does: tells time again until nobody has more to do.
fn go_on(task: &mut Task, clocks: [Timestamp; 2], cx: &mut Cx) {
    while cx.take_more_to_do() {
        task.changes.signal(Signal::Watermark(clocks[0]), cx);
        task.records.signal(Signal::Watermark(clocks[1]), cx);
    }
}

fn flush(task: &mut Task, clocks: [Timestamp; 2], cx: &mut Cx) {
    task.changes.signal(Signal::Watermark(clocks[0]), cx);
    task.records.signal(Signal::Watermark(clocks[1]), cx);
    go_on(task, clocks, cx);
    task.changes.signal(Signal::Flush, cx);
    task.records.signal(Signal::Flush, cx);
}

/// One side: records of several partitions, each at most `disorder` behind its own, as they come to the task. The watermark
/// is the least of the partitions'.
fn side(random: &mut ChaCha8Rng, disorder: i64, nulls: f64, first: i64) -> Vec<Record<String, Option<i64>>> {
    let many = random.random_range(1..=3);
    let speeds: Vec<i64> = (0..many).map(|_| random.random_range(1..8)).collect();
    let mut clocks = vec![Timestamp::MIN; many];
    let mut nows: Vec<i64> = (0..many).map(|_| random.random_range(0..20)).collect();
    let records = (0..random.random_range(10..40)).map(|number| {
        let place = random.random_range(0..many);
        nows[place] += random.random_range(0..=speeds[place]);
        let time = (nows[place] - random.random_range(0..=disorder)).max(0);
        let timestamp = at(time);
        let behind = clocks[place].millis_since(timestamp);
        clocks[place] = clocks[place].max(timestamp);
        let watermark = *clocks.iter().min().unwrap();
        let value = (!random.random_bool(nulls)).then_some(first + number);
        let key = ["a", "b", "ab"][random.random_range(0..3)].to_owned();
        Record { key, value, timestamp, behind, watermark, input: InputNumber(0), headers: Headers::NONE }
    });
    records.collect()
}

/// The two sides, one of them sooner by chance, up to one after the other.
fn interleaved(
    random: &mut ChaCha8Rng,
    changes: Vec<Record<String, Option<i64>>>,
    records: Vec<Record<String, Option<i64>>>,
) -> Vec<Event> {
    let table_first = [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)];
    let (mut changes, mut records) = (changes.into_iter().peekable(), records.into_iter().peekable());
    let mut events = Vec::new();
    loop {
        let change = match (changes.peek(), records.peek()) {
            (None, None) => return events,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(_), Some(_)) => random.random_bool(table_first),
        };
        events.extend(if change { changes.next().map(Event::Change) } else { records.next().map(Event::Record) });
    }
}

/// The naive reference: every version that was ever stored, and the records that wait in a list.
struct Naive {
    rules: Rules,
    versions: BTreeMap<(String, i64), Option<i64>>,
    waiting: Vec<(i64, usize, Record<String, Option<i64>>)>,
    clocks: [Timestamp; 2],
    begins: i64,
    met: Vec<Met>,
    latest: Vec<(String, Option<i64>, i64)>,
    misses: u64,
    nulls: u64,
    too_old: u64,
    expired: u64,
    late: u64,
}

impl Naive {
    fn of(rules: Rules, events: &[Event]) -> Self {
        let mut naive = Self {
            rules,
            versions: BTreeMap::new(),
            waiting: Vec::new(),
            clocks: [Timestamp::MIN; 2],
            begins: i64::MIN,
            met: Vec::new(),
            latest: Vec::new(),
            misses: 0,
            nulls: 0,
            too_old: 0,
            expired: 0,
            late: 0,
        };
        let (mut table, mut stream) = (Timestamp::MIN, Timestamp::MIN);
        for (arrival, event) in events.iter().enumerate() {
            match event {
                Event::Change(change) => {
                    naive.change(change);
                    table = table.max(change.watermark);
                }
                Event::Record(record) => {
                    if rules.grace.is_none() {
                        naive.tick(table, record.watermark.max(stream));
                    }
                    naive.record(record, arrival);
                    stream = stream.max(record.watermark);
                }
            }
            naive.time(table, stream);
        }
        naive.time(Timestamp::MAX, Timestamp::MAX);
        naive
    }

    fn tick(&mut self, table: Timestamp, reader: Timestamp) {
        self.clocks = [table, reader];
        if let Some(least) = self.clocks.iter().min().filter(|least| **least > Timestamp::MIN) {
            self.begins = self.begins.max(least.millis().saturating_sub(self.rules.history));
        }
    }

    fn time(&mut self, table: Timestamp, stream: Timestamp) {
        let Some(grace) = self.rules.grace else { return self.tick(table, stream) };
        let now = table.min(stream);
        // The join's own clock stands still until everything has gone that was due.
        self.tick(table, self.clocks[1]);
        self.waiting.sort_by_key(|(time, arrival, _)| (*time, *arrival));
        while let Some((time, ..)) = self.waiting.first()
            && time.saturating_add(grace) < now.millis()
        {
            let (_, _, record) = self.waiting.remove(0);
            self.join(&record);
        }
        self.tick(table, now);
    }

    fn change(&mut self, change: &Record<String, Option<i64>>) {
        let time = change.timestamp.millis();
        if change.behind > self.rules.history.unsigned_abs() {
            self.too_old += 1;
        } else if time < self.begins {
            self.expired += 1;
        } else {
            self.versions.insert((change.key.clone(), time), change.value);
            let newest = self.versions.range((change.key.clone(), 0)..).take_while(|((key, _), _)| *key == change.key);
            if newest.last().is_some_and(|((_, newest), _)| *newest == time) {
                self.latest.push((change.key.clone(), change.value, time));
            }
        }
    }

    fn record(&mut self, record: &Record<String, Option<i64>>, arrival: usize) {
        if record.value.is_none() {
            self.nulls += 1;
            return;
        }
        match self.rules.grace {
            None => self.join(record),
            Some(grace) if record.behind > grace.unsigned_abs() => {
                self.late += 1;
                self.join(record);
            }
            Some(_) => self.waiting.push((record.timestamp.millis(), arrival, record.clone())),
        }
    }

    fn join(&mut self, record: &Record<String, Option<i64>>) {
        let time = record.timestamp.millis();
        let to = (record.key.clone(), time.max(self.begins));
        let version = self.versions.range((record.key.clone(), i64::MIN)..=to).next_back();
        let row = version.filter(|((_, at), _)| *at <= time).and_then(|(_, value)| *value);
        if row.is_none() && !self.rules.left {
            self.misses += 1;
        } else {
            self.met.push((record.value.unwrap_or(-1), row, time));
        }
    }
}

/// How many rows of the versions are left, and how many of them may be: the newest ones that are not deletions.
fn rows(state: &TaskState) -> usize {
    let versions: SharedStore<Slot<String>, Kept<i64>> = store(state, "versions");
    let mut store = versions.lock();
    let (mut scan, mut rows) = (store.scan(&[], None), 0);
    while let Some((slot, row)) = store.next_row(&mut scan).unwrap() {
        assert!(matches!(slot, Slot::Latest(_)) && row.value.value().is_some(), "{slot:?} was not forgotten");
        rows += 1;
    }
    rows
}

fn compare(seed: u64, rules: Rules, events: &[Event]) -> Naive {
    let (output, cx, state) = run(events, rules, seed);
    let naive = Naive::of(rules, events);
    assert_eq!(output.met, naive.met, "seed {seed}, {rules:?}");
    assert_eq!(output.latest, naive.latest, "seed {seed}, {rules:?}");
    assert_eq!(output.behind, [], "seed {seed}, {rules:?}: behind the watermark that was told");
    let late: u64 = cx.late.iter().filter(|(of, _)| &**of == "wait").map(|(_, count)| count).sum();
    let counts = [DropReason::JoinMiss, DropReason::NullValue, DropReason::Late, DropReason::Expired]
        .map(|reason| cx.drops.get(reason));
    assert_eq!((counts, late), ([naive.misses, naive.nulls, naive.too_old, naive.expired], naive.late), "seed {seed}");
    let mut newest: BTreeMap<&str, Option<i64>> = BTreeMap::new();
    for ((key, _), value) in &naive.versions {
        newest.insert(key, *value);
    }
    assert_eq!(rows(&state), newest.values().flatten().count(), "seed {seed}, {rules:?}");
    naive
}

#[test]
fn a_join_as_of_is_that_of_a_naive_table_that_forgets_nothing() {
    let (mut met, mut misses, mut too_old) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let rules = Rules { history: random.random_range(0..30), grace: None, left: random.random(), portion: 1 };
        let (changes, records) = (side(&mut random, 25, 0.2, 0), side(&mut random, 25, 0.1, 1_000));
        let naive = compare(seed, rules, &interleaved(&mut random, changes, records));
        (met, misses, too_old) = (met + naive.met.len(), misses + naive.misses, too_old + naive.too_old);
    }
    println!("{met} results, {misses} misses, {too_old} changes too old");
    assert!(met > 0 && misses > 0 && too_old > 0);
}

#[test]
fn with_grace_every_record_meets_the_true_row_if_no_change_is_further_out_of_order() {
    let mut met = 0;
    for seed in 0..SEEDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let grace = random.random_range(0..20);
        let history = grace + random.random_range(0..3);
        let portion = [1, 2, 4096][random.random_range(0..3)];
        let rules = Rules { history, grace: Some(grace), left: random.random(), portion };
        let (changes, records) = (side(&mut random, grace, 0.2, 0), side(&mut random, grace, 0.1, 1_000));
        let mut expected: Vec<(usize, Met)> = Vec::new();
        for (arrival, record) in records.iter().enumerate() {
            let valid = |change: &&Record<String, Option<i64>>| {
                change.key == record.key && change.timestamp <= record.timestamp
            };
            // Of equal times the last to come.
            let row = changes.iter().filter(valid).max_by_key(|change| change.timestamp);
            let (row, Some(number)) = (row.and_then(|change| change.value), record.value) else { continue };
            if row.is_some() || rules.left {
                expected.push((arrival, (number, row, record.timestamp.millis())));
            }
        }
        expected.sort_by_key(|(arrival, (_, _, time))| (*time, *arrival));
        let expected: Vec<Met> = expected.into_iter().map(|(_, met)| met).collect();
        let (output, cx, state) = run(&interleaved(&mut random, changes, records), rules, seed);
        assert_eq!(output.met, expected, "seed {seed}, {rules:?}");
        assert_eq!(output.behind, [], "seed {seed}, {rules:?}: behind the watermark that was told");
        assert_eq!((cx.late.len(), cx.drops.get(DropReason::Late)), (0, 0), "seed {seed}: nothing is late");
        rows(&state);
        met += expected.len();
    }
    println!("{met} results");
    assert!(met > 0);
}

#[test]
fn with_grace_what_is_further_out_of_order_is_that_of_a_naive_buffer() {
    let (mut met, mut late, mut too_old) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let grace = random.random_range(0..15);
        let history = grace + random.random_range(0..10);
        let rules = Rules { history, grace: Some(grace), left: random.random(), portion: 4096 };
        let (changes, records) = (side(&mut random, 30, 0.2, 0), side(&mut random, 30, 0.1, 1_000));
        let naive = compare(seed, rules, &interleaved(&mut random, changes, records));
        (met, late, too_old) = (met + naive.met.len(), late + naive.late, too_old + naive.too_old);
    }
    println!("{met} results, {late} late, {too_old} changes too old");
    assert!(met > 0 && late > 0 && too_old > 0);
}
