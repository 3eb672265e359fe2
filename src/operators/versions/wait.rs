//! `join_as_of` with grace: a record waits until changes of the table that come late have come, and is then joined with the
//! row as it was at its own time.
//!
//! - It waits until the watermark has passed its time and the grace: that of both sides, so a table that is behind is waited
//!   for, unless it has been silent for so long that it is left out.
//! - Records go in order of time, of equal times in order of arrival, and before the time that releases them, which is
//!   passed on late by the grace.
//! - A record that is further than the grace behind its own source partition does not wait: it is joined at once, and counted
//!   as late without being dropped.
//! - Records that wait are in a store with a changelog.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::held::{Held, Place, range};
use super::history::SharedHistory;
use super::join::Lookup;
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::operators::changelog::Changelog;
use crate::operators::clocks::Clocks;
use crate::operators::stores::SharedStore;
use crate::operators::{Change, Cx, DropReason, Out, Push, Signal};
use crate::record::{InputNumber, Record};
use crate::state::{Origin, Row};
use crate::time::Timestamp;
use crate::window::Closing;

/// How many records are released at once.
const PORTION: usize = 4096;

const STREAM: usize = 0;
const TABLE: usize = 1;

/// What the two inputs of the join share.
pub struct Wait<K: Key, V: Data, T: Data, O, F> {
    name: Arc<str>,
    store: SharedStore<Place, Held<K, V>>,
    changelog: Changelog,
    table: Lookup<K, T>,
    grace: Duration,
    f: Arc<F>,
    portion: usize,
    clocks: Clocks,
    told: Timestamp,
    /// No record that waits is earlier. It is only a hint: a new task begins with a look at the store.
    next: Timestamp,
    made: Vec<Record<K, O>>,
    out: Out<K, O>,
}

impl<K, V, T, O, F> Wait<K, V, T, O, F>
where
    K: Key,
    V: Data,
    T: Data,
    O: Clone + Send,
    F: Fn(&K, V, Option<&T>) -> Option<O> + Send + Sync,
{
    /// A join with the table that keeps its versions in `history`, whose records wait in `store`.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        (store, changelog): (SharedStore<Place, Held<K, V>>, Changelog),
        history: SharedHistory<K, T>,
        (f, grace): (Arc<F>, Duration),
        out: Out<K, O>,
    ) -> Self {
        Self {
            name,
            store,
            changelog,
            table: Lookup::new(history),
            grace,
            f,
            portion: PORTION,
            clocks: Clocks::of(2),
            told: Timestamp::MIN,
            next: Timestamp::MIN,
            made: Vec::new(),
            out,
        }
    }

    /// Releases so many records at once.
    #[must_use]
    pub const fn portion(mut self, portion: usize) -> Self {
        self.portion = portion;
        self
    }

    /// The ends that take the stream's records and the table's changes.
    #[must_use]
    #[expect(clippy::type_complexity, reason = "many type parameters, and a simple shape")]
    pub fn ends(self) -> (Records<K, V, T, O, F>, Changes<K, V, T, O, F>) {
        let shared = Shared(Arc::new(Mutex::new(self)));
        (Records(shared.clone()), Changes(shared))
    }

    /// The watermark at which a record goes.
    fn due(&self, time: Timestamp) -> Timestamp {
        Closing::after_last(self.grace).at(time)
    }

    fn record(&mut self, record: Record<K, V>, cx: &mut Cx) -> Result<()> {
        let watermark = record.watermark;
        let grace = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        if record.value.is_null() {
            cx.drop_record(DropReason::NullValue, Some(&self.name), (record.input, record.timestamp));
        } else if record.behind > grace {
            cx.came_late(&self.name);
            let behind = record.behind.saturating_sub(grace);
            let record = Record { behind, watermark: self.told, ..record };
            self.table.join(record, &*self.f, &mut self.made, cx)?;
        } else {
            self.hold(record)?;
        }
        self.clocks.advance(STREAM, watermark);
        Ok(())
    }

    fn hold(&mut self, record: Record<K, V>) -> Result<()> {
        let Record { key, value, timestamp, behind, watermark, input, headers } = record;
        let mut store = self.store.lock();
        let arrivals = store.touch(&Place::Arrivals)?;
        let arrival = match store.row(arrivals) {
            Some(Row { value: Held::Arrivals(count), .. }) => *count,
            _ => 0,
        };
        let origin = Origin { timestamp, behind, watermark, input, headers: headers.clone() };
        *store.row_mut(arrivals) = Some(Row { value: Held::Arrivals(arrival.wrapping_add(1)), timestamp });
        *store.origin_mut(arrivals) = origin.clone();
        let row = store.touch_absent(&Place::At(timestamp, arrival))?;
        *store.row_mut(row) = Some(Row { value: Held::Record { key, value, behind, headers }, timestamp });
        *store.origin_mut(row) = origin;
        self.next = self.next.min(timestamp);
        Ok(())
    }

    /// Joins the records that are due, in portions; gives whether that was all.
    fn release(&mut self, cx: &mut Cx) -> Result<bool> {
        let seen = self.clocks.seen();
        if seen > Timestamp::MIN && self.due(self.next) <= seen {
            let mut budget = self.portion;
            let (from, to) = range(self.next);
            let mut scan = self.store.lock().scan(&from, Some(&to));
            loop {
                let mut store = self.store.lock();
                let Some((Place::At(timestamp, arrival), _)) = store.next_row(&mut scan)? else {
                    self.next = Timestamp::MAX;
                    break;
                };
                let (timestamp, arrival) = (*timestamp, *arrival);
                self.next = timestamp;
                if self.due(timestamp) > seen {
                    break;
                }
                if budget == 0 {
                    return Ok(false);
                }
                budget -= 1;
                let row = store.touch(&Place::At(timestamp, arrival))?;
                *store.origin_mut(row) = Origin { timestamp, input: InputNumber::UNKNOWN, ..Origin::default() };
                let held = store.row_mut(row).take();
                drop(store);
                if let Some(Row { value: Held::Record { key, value, behind, headers }, .. }) = held {
                    let behind = behind.saturating_sub(u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX));
                    let (watermark, input) = (self.told, InputNumber::UNKNOWN);
                    let record = Record { key, value, timestamp, behind, watermark, input, headers };
                    self.table.join(record, &*self.f, &mut self.made, cx)?;
                }
            }
        }
        // Only now may the table forget what was valid at their times.
        self.table.history.lock().advance(self.table.clock, seen);
        Ok(true)
    }

    /// First the results, then the time that released them: all of it, or none.
    fn release_and_tell(&mut self, cx: &mut Cx) {
        let done = self.release(cx).unwrap_or_else(|error| {
            cx.stop(error);
            false
        });
        if cx.failed() {
            return;
        }
        self.out.push(&mut self.made, cx);
        let now = self.clocks.seen().minus(self.grace);
        if !done {
            cx.more_to_do();
        } else if now > self.told && !cx.failed() {
            self.told = now;
            self.out.signal(Signal::Watermark(now), cx);
        }
    }

    fn signal(&mut self, input: usize, signal: Signal, cx: &mut Cx) {
        match signal {
            Signal::Watermark(watermark) => {
                self.clocks.advance(input, watermark);
                self.release_and_tell(cx);
            }
            Signal::Idle => {
                let both = self.clocks.rest(input);
                self.release_and_tell(cx);
                if both {
                    self.out.signal(Signal::Idle, cx);
                }
            }
            Signal::Flush if !self.clocks.flush(input) => {}
            Signal::Flush => {
                self.release_and_tell(cx);
                self.changelog.flush(&mut self.store.lock(), cx, |_| ());
                if !cx.failed() {
                    self.out.signal(Signal::Flush, cx);
                }
            }
        }
    }
}

/// A [`Wait`] as its two ends share it. Never contended: a task runs on one thread.
#[expect(clippy::type_complexity, reason = "many type parameters, and a simple shape")]
struct Shared<K: Key, V: Data, T: Data, O, F>(Arc<Mutex<Wait<K, V, T, O, F>>>);

impl<K: Key, V: Data, T: Data, O, F> Shared<K, V, T, O, F> {
    fn lock(&self) -> MutexGuard<'_, Wait<K, V, T, O, F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key, V: Data, T: Data, O, F> Clone for Shared<K, V, T, O, F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The stream's end.
pub struct Records<K: Key, V: Data, T: Data, O, F>(Shared<K, V, T, O, F>);

/// The table's end: its changes are looked up where they are kept, and only move time.
pub struct Changes<K: Key, V: Data, T: Data, O, F>(Shared<K, V, T, O, F>);

impl<K, V, T, O, F> Push<K, V> for Records<K, V, T, O, F>
where
    K: Key,
    V: Data,
    T: Data,
    O: Clone + Send,
    F: Fn(&K, V, Option<&T>) -> Option<O> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        let mut wait = self.0.lock();
        for record in batch.drain(..) {
            if let Err(error) = wait.record(record, cx) {
                return cx.stop(error);
            }
            // After each record, not after the batch: a late one that follows is behind what is due by now.
            wait.release_and_tell(cx);
            if cx.failed() {
                return;
            }
        }
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.0.lock().signal(STREAM, signal, cx);
    }
}

impl<K, V, T, O, F> Push<K, Change<T>> for Changes<K, V, T, O, F>
where
    K: Key,
    V: Data,
    T: Data,
    O: Clone + Send,
    F: Fn(&K, V, Option<&T>) -> Option<O> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, Change<T>>>, cx: &mut Cx) {
        let mut wait = self.0.lock();
        for change in batch.drain(..) {
            wait.clocks.advance(TABLE, change.watermark);
            wait.release_and_tell(cx);
            if cx.failed() {
                return;
            }
        }
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.0.lock().signal(TABLE, signal, cx);
    }
}
