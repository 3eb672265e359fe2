//! What a user's own processor is, and what it may use.

use std::time::Duration;

use super::stores::SharedStore;
use super::{DropReason, Drops, Reject};
use crate::codec::{Data, Key};
use crate::error::Error;
use crate::record::{Headers, InputNumber, Record};
use crate::state::{Origin, Row};
use crate::time::Timestamp;

/// A user's own operator: it sees every record and forwards what it likes, with stores of its own and timers.
///
/// It is made once a task. Its methods take `&self`: what it remembers belongs in its stores, since an abort builds the
/// task anew from committed state.
pub trait Processor<K, V>: Send + 'static {
    /// The key of what it forwards.
    type Key: Clone + Send + 'static;
    /// The value of what it forwards.
    type Value: Clone + Send + 'static;

    /// Processes a record.
    ///
    /// # Errors
    /// When the record is refused: it goes by its source's policy, and leaves no trace.
    fn process(&self, record: Record<K, V>, cx: &mut Context<'_, Self::Key, Self::Value>) -> Result<(), Reject>;

    /// A timer has gone off, `at` the watermark or the time of day that it has come to.
    ///
    /// # Errors
    /// When it cannot do what it should: the task starts the transaction over, and in the end stops.
    fn punctuate(
        &self,
        timer: Timer,
        at: Timestamp,
        cx: &mut Context<'_, Self::Key, Self::Value>,
    ) -> Result<(), Reject> {
        let _ = (timer, at, cx);
        Ok(())
    }
}

/// One of a processor's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timer(pub(crate) u32);

/// What a timer goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// The watermark: a replay gives the same.
    EventTime,
    /// The time of day.
    WallClock,
}

/// How often a timer goes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// What it goes by.
    pub kind: TimerKind,
    /// How often.
    pub every: Duration,
}

/// One of a processor's stores.
pub struct Stored<K: Key, V: Data>(pub(crate) Option<SharedStore<K, V>>);

/// What a processor may use while it runs.
pub struct Context<'a, K, V> {
    pub(super) forwarded: &'a mut Vec<Record<K, V>>,
    pub(super) error: &'a mut Option<Error>,
    pub(super) drops: &'a mut Drops,
    /// Set where a timer has not done all that it has to do.
    pub(super) again: &'a mut bool,
    pub(super) timestamp: Timestamp,
    /// The watermark of the record's own source partition; before every time where it came in order.
    pub(super) reference: Timestamp,
    pub(super) seen: Timestamp,
    pub(super) stamp: Timestamp,
    pub(super) wall: Timestamp,
    pub(super) input: InputNumber,
    pub(super) headers: Headers,
}

impl<K, V> Context<'_, K, V> {
    /// The event time of the record, or the time at which the timer has gone off.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The watermark once the record has been seen.
    #[must_use]
    pub fn watermark(&self) -> Timestamp {
        self.seen
    }

    /// The time of day. What is made of it is not repeatable.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.wall
    }

    /// Hands a record on, at the event time of the one that is processed, or of the timer.
    pub fn forward(&mut self, key: K, value: V) {
        self.forward_at(key, value, self.timestamp);
    }

    /// Hands a record on, at a time of its own. One that lies further back than the processor has said it holds time back
    /// may be late to what is downstream.
    pub fn forward_at(&mut self, key: K, value: V, timestamp: Timestamp) {
        let behind = if self.reference == Timestamp::MIN { 0 } else { self.reference.millis_since(timestamp) };
        let (watermark, input, headers) = (self.stamp, self.input, self.headers.clone());
        self.forwarded.push(Record { key, value, timestamp, behind, watermark, input, headers });
    }

    /// Counts `count` times that something was left out for `reason`, as a record that came too late for what it was for:
    /// in `millstream_records_dropped_total`, once the transaction is committed.
    pub fn count_dropped(&mut self, reason: DropReason, count: u64) {
        self.drops.add(reason, count);
    }

    /// The timer that has gone off has more to do than should be done at once, as when very many records are due: it goes
    /// off again soon, and until it no longer asks for that, time stands still for what is downstream. Records may be
    /// processed in between, and what was done so far may be committed; after a restart the timer goes off again at once.
    /// While a record is processed it means nothing.
    pub fn again(&mut self) {
        *self.again = true;
    }

    /// The value of a key. Where the state cannot be read there is none, and the task stops after this step.
    pub fn get<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>, key: &SK) -> Option<SV> {
        let shared = store.0.as_ref()?;
        match shared.lock().get(key) {
            Ok(row) => row.map(|row| row.value.clone()),
            Err(error) => self.stop(error),
        }
    }

    /// Sets the value of a key.
    pub fn put<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>, key: &SK, value: SV) {
        self.update(store, key, |now| *now = Some(value));
    }

    /// Deletes the row of a key.
    pub fn remove<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>, key: &SK) {
        self.update(store, key, |now| *now = None);
    }

    /// Changes the value of a key in place: `None` is no row.
    pub fn update<SK: Key, SV: Data>(
        &mut self,
        store: &Stored<SK, SV>,
        key: &SK,
        change: impl FnOnce(&mut Option<SV>),
    ) {
        let Some(shared) = &store.0 else { return };
        let mut store = shared.lock();
        let row = match store.touch(key) {
            Ok(row) => row,
            Err(error) => {
                self.stop::<()>(error);
                return;
            }
        };
        let mut value = store.row_mut(row).take().map(|row| row.value);
        change(&mut value);
        let (timestamp, input) = (self.timestamp, self.input);
        value.take_if(|value| value.is_null());
        *store.row_mut(row) = value.map(|value| Row { value, timestamp });
        *store.origin_mut(row) = Origin { timestamp, watermark: self.stamp, input, ..Origin::default() };
    }

    /// All rows, in order of the keys' bytes: for stores that are small enough.
    pub fn rows<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>) -> Vec<(SK, SV)> {
        let mut rows = Vec::new();
        self.each_row(store, |key, value| rows.push((key.clone(), value.clone())));
        rows
    }

    /// Shows all rows to `see`, in order of the keys' bytes. Where the state cannot be read it ends early, and the task
    /// stops after this step.
    pub fn each_row<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>, mut see: impl FnMut(&SK, &SV)) {
        let Some(shared) = &store.0 else { return };
        let mut store = shared.lock();
        let scan = store.scan(&[], None);
        let read = store.for_each(scan, |key, row| {
            see(key, &row.value);
            Ok(std::ops::ControlFlow::Continue(()))
        });
        drop(store);
        if let Err(error) = read {
            self.stop::<()>(error);
        }
    }

    fn stop<T>(&mut self, error: Error) -> Option<T> {
        self.error.get_or_insert(error);
        None
    }
}
