//! The versions of a table's rows, in a store, and how long they are kept.
//!
//! What was deleted is deleted from the oldest on, so whatever is found is what was valid. An answer does not depend on how
//! much has been deleted yet: what lies before the history is only looked for in the version that is valid at its beginning.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::row::{Kept, Slot, due_range, past_range};
use crate::codec::{Data, Key};
use crate::error::{Error, ErrorKind, Result};
use crate::operators::Cx;
use crate::operators::changelog::Changelog;
use crate::operators::stores::SharedStore;
use crate::operators::view::Derived;
use crate::record::InputNumber;
use crate::state::{Origin, Row, Store};
use crate::time::Timestamp;
use crate::window::millis;

type Rows<K, V> = Store<Slot<K>, Kept<V>>;

/// What became of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put<V> {
    /// It is the newest of its key; what that was before.
    Latest(Option<V>),
    /// There is a newer one.
    Past,
    /// It lies before the history, and is not kept.
    TooOld,
}

/// One that time is counted by: the table, or a join that looks it up.
#[derive(Clone, Copy, Debug)]
struct Clock {
    at: Timestamp,
    /// Time goes on without it.
    idle: bool,
}

/// The versions of a table.
pub struct History<K: Key, V: Data> {
    store: SharedStore<Slot<K>, Kept<V>>,
    keep: Duration,
    clocks: Vec<Clock>,
    /// Where the history begins.
    begins: Timestamp,
    /// No version is due earlier. It is only a hint: a new task begins with a look at the store.
    next: Timestamp,
}

impl<K: Key, V: Data> History<K, V> {
    /// The clock of the table itself.
    pub const TABLE: usize = 0;

    /// The versions in `store`, each kept for `keep` after it was replaced.
    #[must_use]
    pub fn new(store: SharedStore<Slot<K>, Kept<V>>, keep: Duration) -> Self {
        let clocks = vec![Clock { at: Timestamp::MIN, idle: false }];
        Self { store, keep, clocks, begins: Timestamp::MIN, next: Timestamp::MIN }
    }

    /// How long versions are kept, in milliseconds.
    #[must_use]
    pub fn keep_millis(&self) -> u64 {
        millis(self.keep).unsigned_abs()
    }

    /// One more that looks versions up, by the number of its clock.
    pub fn reader(&mut self) -> usize {
        self.clocks.push(Clock { at: Timestamp::MIN, idle: false });
        self.clocks.len() - 1
    }

    /// A clock has come to `time`.
    pub fn advance(&mut self, clock: usize, time: Timestamp) {
        let clock = &mut self.clocks[clock];
        *clock = Clock { at: clock.at.max(time), idle: false };
        self.look();
    }

    /// Time goes on without a clock until it moves again.
    pub fn leave_out(&mut self, clock: usize) {
        self.clocks[clock].idle = true;
        self.look();
    }

    /// While all clocks are left out, time stands still.
    fn look(&mut self) {
        let least = self.clocks.iter().filter(|clock| !clock.idle).map(|clock| clock.at).min();
        if let Some(least) = least {
            self.begins = self.begins.max(least.minus(self.keep));
        }
    }

    /// Keeps a version; `None` is a deletion.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn put(&mut self, key: &K, value: Option<V>, origin: &Origin) -> Result<Put<V>> {
        let time = origin.timestamp;
        if time < self.begins {
            return Ok(Put::TooOld);
        }
        let mut store = self.store.lock();
        let slot = Slot::Latest(key.clone());
        let newest = store.get(&slot)?.map(|row| row.timestamp);
        let put = if newest.is_some_and(|newest| newest > time) {
            set(&mut store, &Slot::Past(key.clone(), time), Some(Kept::Version(value)), origin)?;
            Put::Past
        } else {
            let version = Some(Row { value: Kept::Version(value), timestamp: time });
            let row = store.touch(&slot)?;
            let before = std::mem::replace(store.row_mut(row), version).map(|row| (row.timestamp, row.value));
            *store.origin_mut(row) = origin.clone();
            let old = before.as_ref().and_then(|(_, before)| before.value().cloned());
            if let Some((at, before)) = before.filter(|(at, _)| *at < time) {
                set(&mut store, &Slot::Past(key.clone(), at), Some(before), origin)?;
            }
            Put::Latest(old)
        };
        set(&mut store, &Slot::Due(time, key.clone()), Some(Kept::Due), origin)?;
        self.next = self.next.min(time);
        Ok(put)
    }

    /// Hands `found` what was valid at `time`: `None` where there was no row, where it was deleted, and where the history
    /// does not reach back so far.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn at<R>(&mut self, key: &K, time: Timestamp, found: impl FnOnce(Option<&V>) -> R) -> Result<R> {
        let from = time.max(self.begins);
        let mut store = self.store.lock();
        match store.get(&Slot::Latest(key.clone()))? {
            None => return Ok(found(None)),
            Some(row) if row.timestamp <= from => {
                return Ok(found(row.value.value().filter(|_| row.timestamp <= time)));
            }
            Some(_) => {}
        }
        let mut scan = scan_past(&store, key, from)?;
        let version = store.next_row(&mut scan)?.and_then(|(slot, row)| match slot {
            Slot::Past(_, at) if *at <= time => row.value.value(),
            _ => None,
        });
        Ok(found(version))
    }

    /// Deletes versions that lie before the history, in order of time; at most `budget`. Gives whether that was all.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn forget(&mut self, budget: &mut usize) -> Result<bool> {
        if self.begins < self.next || self.begins == Timestamp::MIN {
            return Ok(true);
        }
        let mut store = self.store.lock();
        let (from, to) = due_range(self.next);
        let mut scan = store.scan(&from, Some(&to));
        loop {
            let Some((Slot::Due(at, key), _)) = store.next_row(&mut scan)? else {
                self.next = Timestamp::MAX;
                return Ok(true);
            };
            let (at, key) = (*at, key.clone());
            if at > self.begins || *budget == 0 {
                self.next = at;
                return Ok(at > self.begins);
            }
            *budget -= 1;
            forget_before(&mut store, &key, at)?;
        }
    }

    /// Writes what has changed.
    pub fn flush(&mut self, changelog: &Changelog, cx: &mut Cx) {
        changelog.flush(&mut self.store.lock(), cx, |_| ());
    }
}

fn scan_past<K: Key, V: Data>(
    store: &Rows<K, V>,
    key: &K,
    from: Timestamp,
) -> Result<crate::state::Scan<Slot<K>, Kept<V>>> {
    let (from, to) = past_range(key, from).map_err(|error| {
        Error::new(
            ErrorKind::State,
            format!("the key {key:?} of the store {} cannot be written: {error}", store.name()),
        )
    })?;
    Ok(store.scan(&from, Some(&to)))
}

/// The history begins with the version at `at`, or later: what was before it is not needed, nor is the version itself where
/// it says that there was nothing.
fn forget_before<K: Key, V: Data>(store: &mut Rows<K, V>, key: &K, at: Timestamp) -> Result<()> {
    let origin = Origin { timestamp: at, input: InputNumber::UNKNOWN, ..Origin::default() };
    set(store, &Slot::Due(at, key.clone()), None, &origin)?;
    let mut older = Vec::new();
    let scan = scan_past(store, key, at)?;
    store.for_each(scan, |slot, row| {
        let deleted = row.value.value().is_none();
        if matches!(slot, Slot::Past(_, time) if *time < at || deleted) {
            older.push(slot.clone());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for slot in older {
        set(store, &slot, None, &origin)?;
    }
    let latest = Slot::Latest(key.clone());
    if store.get(&latest)?.is_some_and(|row| row.timestamp == at && row.value.value().is_none()) {
        set(store, &latest, None, &origin)?;
    }
    Ok(())
}

fn set<K: Key, V: Data>(store: &mut Rows<K, V>, slot: &Slot<K>, value: Option<Kept<V>>, origin: &Origin) -> Result<()> {
    let timestamp = origin.timestamp;
    let row = store.touch(slot)?;
    *store.row_mut(row) = value.map(|value| Row { value, timestamp });
    *store.origin_mut(row) = origin.clone();
    Ok(())
}

/// A [`History`] as the operators of a task share it. Never contended: a task runs on one thread.
pub struct SharedHistory<K: Key, V: Data>(Arc<Mutex<History<K, V>>>);

impl<K: Key, V: Data> SharedHistory<K, V> {
    /// Shares `history`.
    #[must_use]
    pub fn new(history: History<K, V>) -> Self {
        Self(Arc::new(Mutex::new(history)))
    }

    /// The history. Must be let go before anything is pushed downstream, where it may be looked up.
    pub fn lock(&self) -> MutexGuard<'_, History<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key, V: Data> Clone for SharedHistory<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The newest versions, as rows that others look up.
pub struct Latest<K: Key, V: Data>(pub SharedHistory<K, V>);

impl<K: Key, V: Data> Derived<K, V> for Latest<K, V> {
    fn get(&mut self, key: &K) -> Result<Option<Row<V>>> {
        let history = self.0.lock();
        let mut store = history.store.lock();
        let row = store.get(&Slot::Latest(key.clone()))?;
        Ok(row.and_then(|row| row.value.value().map(|value| Row { value: value.clone(), timestamp: row.timestamp })))
    }

    /// Every change is handed on by itself, at once.
    fn handed_on(&mut self, key: &K) -> Result<Option<Row<V>>> {
        self.get(key)
    }
}
