//! The right table's side: keeps who subscribes to which right row, and makes the results.
//!
//! - A left row gets its result at once, with the right row as it was handed on: a newer one whose update is still held back
//!   might be gone again before anything is said of it, and then nobody would be told. A change of a right row goes to all its subscribers,
//!   a portion of them at a time, in the order of their keys' bytes.
//! - What is still to be told is in the store ([`Round`]): commits fall in between, a task that starts again goes on with
//!   it, and several right rows take turns. Each subscriber is told of the right row as it was handed on when its turn comes.
//! - A result's time is the larger of both rows'. Those that a change of a right row leads to have no headers.
//! - While rounds are under way the watermark stays where it was when the first of them began.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::Answer;
use super::ask::{Ask, What};
use super::encoded;
use super::rows::{Kept, ROUNDS, Round, Slot, subscribers};
use crate::codec::{Codec, CodecError, Data, Key};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::operators::changelog::Changelog;
use crate::operators::merged_time::MergedTime;
use crate::operators::stores::SharedStore;
use crate::operators::view::View;
use crate::operators::{Change, ClockPort, Cx, Out, Push, Signal};
use crate::record::{Headers, InputNumber, Record};
use crate::state::{Origin, Row, Store};
use crate::time::Timestamp;

const ASKS: usize = 0;
const RIGHT: usize = 1;

/// The store of subscribers and rounds.
type Rows<K, V> = (SharedStore<Slot<K>, Kept<V>>, Changelog);

/// Serves the rows of a right table to a left one's.
pub struct Serve<K: Key, V: Data, FK: Key, V2: Data, O, F> {
    name: Arc<str>,
    right: View<FK, V2>,
    rows: Rows<K, V>,
    /// Makes the result; `None` where there is none.
    f: Arc<F>,
    /// True where a left row has a result without a right one.
    alone: bool,
    /// How many subscribers are told at once.
    portion: usize,
    /// The rounds in the store; `None` before the first look at it.
    rounds: Option<BTreeMap<Vec<u8>, Round>>,
    /// The foreign key whose round had the last turn.
    last: Vec<u8>,
    /// Time must not get beyond this while rounds are under way.
    hold: Timestamp,
    time: MergedTime,
    told: Timestamp,
    made: Vec<Record<K, Answer<O>>>,
    out: Out<K, Answer<O>>,
}

/// What every answer of one step has in common.
struct Told<'a, V2> {
    foreign: &'a [u8],
    row: Option<&'a V2>,
    timestamp: Timestamp,
    behind: u64,
    input: InputNumber,
    watermark: Timestamp,
}

impl<K, V, FK, V2, O, F> Serve<K, V, FK, V2, O, F>
where
    K: Key,
    V: Data,
    FK: Key,
    V2: Data,
    O: Data,
    F: Fn(&K, &V, Option<&V2>) -> Option<O>,
{
    /// Serves `right` to those in `rows`, at most `portion` of them at once. `alone`: also to left rows without a right one.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        right: View<FK, V2>,
        rows: Rows<K, V>,
        f: Arc<F>,
        (alone, portion): (bool, usize),
        out: Out<K, Answer<O>>,
    ) -> Self {
        let (rounds, last, made) = (None, Vec::new(), Vec::new());
        let (hold, told, time) = (Timestamp::MAX, Timestamp::MIN, MergedTime::of(2));
        Self { name, right, rows, f, alone, portion, rounds, last, hold, time, told, made, out }
    }

    /// The ends that take asks, changes of the right table, and a look at the store when a task starts.
    #[must_use]
    pub fn ports(self) -> (AskPort<Self>, RightPort<Self>, LookPort<Self>) {
        let shared = Arc::new(Mutex::new(self));
        (AskPort(Arc::clone(&shared)), RightPort(Arc::clone(&shared)), LookPort(shared))
    }

    /// How far time may go downstream.
    fn now(&self) -> Timestamp {
        self.time.minimum().min(self.hold).max(self.told)
    }

    /// The rounds, with those that an earlier life of the task has left.
    fn load(&mut self) -> Result<()> {
        if self.rounds.is_some() {
            return Ok(());
        }
        let mut store = self.rows.0.lock();
        let mut rounds = BTreeMap::new();
        let mut scan = store.scan_prefix(&ROUNDS);
        while let Some((slot, row)) = store.next_row(&mut scan)? {
            if let (Slot::Round(foreign), Kept::Round(round)) = (slot, &row.value) {
                rounds.insert(foreign.clone(), round.clone());
            }
        }
        self.hold = held(&rounds);
        self.rounds = Some(rounds);
        Ok(())
    }

    /// A change of a left row.
    fn ask(&mut self, record: Record<Vec<u8>, Ask<K, V>>) -> Result<()> {
        self.time.advance(ASKS, record.watermark);
        let watermark = self.now();
        let Record { key: foreign, value: ask, timestamp, behind, input, headers, .. } = record;
        let Ask { key, version, keyed, what } = ask;
        let origin = Origin { timestamp, behind, watermark, input, headers: headers.clone() };
        let mut time = timestamp;
        let value = match what {
            What::Row { value, moved } => {
                let right = if keyed { self.right_row(&foreign)? } else { None };
                let made = (self.f)(&key, &value, right.as_ref().map(|row| &row.value));
                time = right.as_ref().map_or(time, |row| row.timestamp.max(time));
                if keyed {
                    let row = Row { value: Kept::Subscriber(version, value), timestamp };
                    set(&mut self.rows.0.lock(), &Slot::Subscriber(foreign, key.clone()), Some(row), origin)?;
                }
                if right.is_none() && !moved && !self.alone {
                    // It had no result before either, or is told that the right row is gone by that one's change.
                    return Ok(());
                }
                Answer::Row { version, moved, value: made }
            }
            gone => {
                if keyed {
                    set(&mut self.rows.0.lock(), &Slot::Subscriber(foreign, key.clone()), None, origin)?;
                }
                match gone {
                    What::Moved => Answer::Left { version },
                    _ => Answer::Row { version, moved: false, value: None },
                }
            }
        };
        let behind = behind.saturating_sub(time.millis_since(timestamp));
        self.made.push(Record { key, value, timestamp: time, behind, watermark, input, headers });
        Ok(())
    }

    /// The right row as it was handed on, by the bytes of its key.
    fn right_row(&mut self, foreign: &[u8]) -> Result<Option<Row<V2>>> {
        let foreign = FK::Codec::default().decode(foreign).map_err(|error| self.unusable("read", &error))?;
        Ok(self.right.look().handed_on(&foreign)?.cloned())
    }

    fn unusable(&self, what: &str, error: &CodecError) -> Error {
        let place = Place { operator: Some(self.name.to_string()), ..Place::default() };
        Error::new(ErrorKind::State, format!("a foreign key cannot be {what}: {error}")).at(place)
    }

    /// A change of a right row. `budget` is how many subscribers may still be told in this step.
    fn change(&mut self, record: &Record<FK, Change<V2>>, budget: &mut usize) -> Result<()> {
        let since = self.now();
        self.time.advance(RIGHT, record.watermark);
        let foreign = encoded(&record.key).map_err(|error| self.unusable("written", &error))?;
        let (timestamp, behind, input) = (record.timestamp, record.behind, record.input);
        let under_way = self.rounds.as_ref().and_then(|rounds| rounds.get(&foreign)).cloned();
        let round = if let Some(mut round) = under_way {
            round.begin_again(since, timestamp, behind);
            Some(round)
        } else {
            let (row, watermark) = (record.value.new.as_ref(), self.now());
            let told = Told { foreign: &foreign, row, timestamp, behind, input, watermark };
            let rest = self.tell((&[], None), &told, budget)?;
            rest.map(|at| Round { at, to: None, then: None, since, timestamp, behind })
        };
        if let Some(round) = round {
            self.hold = self.hold.min(since);
            self.keep(foreign, Some(round))?;
        }
        Ok(())
    }

    /// Tells the subscribers of a right row from one left key on and before another, by their bytes. Gives where to go on,
    /// where the budget was not enough.
    fn tell(
        &mut self,
        (from, to): (&[u8], Option<&[u8]>),
        told: &Told<'_, V2>,
        budget: &mut usize,
    ) -> Result<Option<Vec<u8>>> {
        let prefix = subscribers(told.foreign);
        let mut store = self.rows.0.lock();
        let first = [&prefix[..], from].concat();
        let mut scan = match to {
            Some(to) => store.scan(&first, Some(&[&prefix[..], to].concat())),
            None => store.scan(&first, Some(&after(prefix))),
        };
        while let Some((slot, row)) = store.next_row(&mut scan)? {
            let (Slot::Subscriber(_, key), Row { value: Kept::Subscriber(version, value), timestamp }) = (slot, row)
            else {
                continue;
            };
            if *budget == 0 {
                let next = encoded(key);
                drop(store);
                return next.map(Some).map_err(|error| self.unusable("written", &error));
            }
            *budget -= 1;
            let timestamp = told.timestamp.max(*timestamp);
            let answer = Answer::Row { version: *version, moved: false, value: (self.f)(key, value, told.row) };
            self.made.push(Record {
                key: key.clone(),
                value: answer,
                timestamp,
                behind: told.behind.saturating_sub(timestamp.millis_since(told.timestamp)),
                watermark: told.watermark,
                input: told.input,
                headers: Headers::NONE,
            });
        }
        Ok(None)
    }

    /// Goes on with the rounds, in turn, as far as the budget allows.
    fn go_round(&mut self, budget: &mut usize) -> Result<()> {
        while *budget > 0
            && let Some((foreign, mut round)) = self.next_round()
        {
            let row = self.right_row(&foreign)?;
            let timestamp = row.as_ref().map_or(round.timestamp, |row| row.timestamp);
            let (row, watermark, input) = (row.as_ref().map(|row| &row.value), self.now(), InputNumber::UNKNOWN);
            let told = Told { foreign: &foreign, row, timestamp, behind: round.behind, input, watermark };
            let next = self.tell((&round.at, round.to.as_deref()), &told, budget)?;
            self.last.clone_from(&foreign);
            let more = round.got_to(next);
            self.keep(foreign, more.then_some(round))?;
        }
        self.hold = self.rounds.as_ref().map_or(Timestamp::MAX, held);
        Ok(())
    }

    /// The round after the one that had the last turn.
    fn next_round(&self) -> Option<(Vec<u8>, Round)> {
        let rounds = self.rounds.as_ref()?;
        let mut after = rounds.range::<[u8], _>((Bound::Excluded(&self.last[..]), Bound::Unbounded));
        let next = after.next().or_else(|| rounds.first_key_value());
        next.map(|(foreign, round)| (foreign.clone(), round.clone()))
    }

    fn keep(&mut self, foreign: Vec<u8>, round: Option<Round>) -> Result<()> {
        let rounds = self.rounds.get_or_insert_default();
        match &round {
            Some(round) => rounds.insert(foreign.clone(), round.clone()),
            None => rounds.remove(&foreign),
        };
        let timestamp = round.as_ref().map_or(Timestamp::MIN, |round| round.since);
        let row = round.map(|round| Row { value: Kept::Round(round), timestamp });
        let origin = Origin { timestamp, input: InputNumber::UNKNOWN, ..Origin::default() };
        set(&mut self.rows.0.lock(), &Slot::Round(foreign), row, origin)
    }

    /// First what was made, then the time that it leaves free.
    fn pass_on(&mut self, done: Result<()>, cx: &mut Cx) {
        if let Err(error) = done {
            return cx.stop(error);
        }
        self.out.push(&mut self.made, cx);
        if self.rounds.as_ref().is_some_and(|rounds| !rounds.is_empty()) {
            cx.more_to_do();
        }
    }

    fn signal(&mut self, port: usize, signal: Signal, cx: &mut Cx) {
        let passed = self.time.signal(port, signal);
        let mut budget = if matches!(signal, Signal::Watermark(_)) { self.portion } else { 0 };
        let done = self.load().and_then(|()| self.go_round(&mut budget));
        self.pass_on(done, cx);
        if cx.failed() {
            return;
        }
        let now = self.now();
        if now > self.told {
            self.told = now;
            self.out.signal(Signal::Watermark(now), cx);
        }
        match passed {
            Some(Signal::Flush) => {
                self.rows.1.flush(&mut self.rows.0.lock(), cx, |_| ());
                self.out.signal(Signal::Flush, cx);
            }
            Some(Signal::Idle) => self.out.signal(Signal::Idle, cx),
            Some(Signal::Watermark(_)) | None => {}
        }
    }
}

/// The first bytes after all that begin with `prefix`, which begins with a byte that can grow.
fn after(mut prefix: Vec<u8>) -> Vec<u8> {
    while prefix.last() == Some(&u8::MAX) {
        prefix.pop();
    }
    if let Some(last) = prefix.last_mut() {
        *last += 1;
    }
    prefix
}

fn held(rounds: &BTreeMap<Vec<u8>, Round>) -> Timestamp {
    rounds.values().map(|round| round.since).min().unwrap_or(Timestamp::MAX)
}

fn set<K: Key, V: Data>(
    store: &mut Store<Slot<K>, Kept<V>>,
    slot: &Slot<K>,
    row: Option<Row<Kept<V>>>,
    origin: Origin,
) -> Result<()> {
    let id = store.touch(slot)?;
    *store.row_mut(id) = row;
    *store.origin_mut(id) = origin;
    Ok(())
}

/// The end that takes what left rows ask. Never contended: a task runs on one thread.
pub struct AskPort<S>(Arc<Mutex<S>>);

/// The end that takes changes of the right table.
pub struct RightPort<S>(Arc<Mutex<S>>);

/// The end that looks, when a task starts, whether rounds are left to be gone on with: no record or time need come for it.
pub struct LookPort<S>(Arc<Mutex<S>>);

fn lock<S>(shared: &Mutex<S>) -> MutexGuard<'_, S> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V, FK, V2, O, F> Push<Vec<u8>, Ask<K, V>> for AskPort<Serve<K, V, FK, V2, O, F>>
where
    K: Key,
    V: Data,
    FK: Key,
    V2: Data,
    O: Data,
    F: Fn(&K, &V, Option<&V2>) -> Option<O> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<Vec<u8>, Ask<K, V>>>, cx: &mut Cx) {
        let mut serve = lock(&self.0);
        let asked = serve.load().and_then(|()| batch.drain(..).try_for_each(|record| serve.ask(record)));
        serve.pass_on(asked, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        lock(&self.0).signal(ASKS, signal, cx);
    }
}

impl<K, V, FK, V2, O, F> Push<FK, Change<V2>> for RightPort<Serve<K, V, FK, V2, O, F>>
where
    K: Key,
    V: Data,
    FK: Key,
    V2: Data,
    O: Data,
    F: Fn(&K, &V, Option<&V2>) -> Option<O> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<FK, Change<V2>>>, cx: &mut Cx) {
        let mut serve = lock(&self.0);
        let mut budget = serve.portion;
        let changed =
            serve.load().and_then(|()| batch.drain(..).try_for_each(|record| serve.change(&record, &mut budget)));
        serve.pass_on(changed, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        lock(&self.0).signal(RIGHT, signal, cx);
    }
}

impl<K, V, FK, V2, O, F> ClockPort for LookPort<Serve<K, V, FK, V2, O, F>>
where
    K: Key,
    V: Data,
    FK: Key,
    V2: Data,
    O: Data,
    F: Fn(&K, &V, Option<&V2>) -> Option<O> + Send + Sync,
{
    fn due(&self) -> Option<Timestamp> {
        lock(&self.0).rounds.is_some().then_some(Timestamp::MAX)
    }

    fn tick(&mut self, cx: &mut Cx) -> bool {
        let mut serve = lock(&self.0);
        let loaded = serve.load();
        serve.pass_on(loaded, cx);
        serve.rounds.as_ref().is_some_and(|rounds| !rounds.is_empty())
    }
}
