//! The records of one side that may still meet others, in a store.
//!
//! An entry is found by its key and time. For its end there is a timer of its key at or before it, which many entries
//! share: when it goes off, the entries that are over are taken from the front, and a timer is set for the next. So both
//! looking up and expiring are short scans, however many records wait, and none walks over what was deleted before.

use super::rows::{Entry, Kept, Slot, TIMER, entry_bytes, timer_bytes};
use crate::codec::{CodecError, Data, Key};
use crate::error::{Error, ErrorKind, Result};
use crate::operators::Cx;
use crate::operators::changelog::Changelog;
use crate::operators::stores::SharedStore;
use crate::operators::window::{Arrival, reference};
use crate::record::{Headers, InputNumber};
use crate::state::{Origin, Row, Store};
use crate::time::Timestamp;
use crate::window::Reach;

/// The store of a side.
pub type Rows<K, V> = SharedStore<Slot<K>, Kept<V>>;

/// One side of a join.
pub struct Side<K: Key, V: Data> {
    store: Rows<K, V>,
    changelog: Changelog,
    /// How far its records reach.
    pub(super) reach: Reach,
    /// Whether a record that meets nobody has a result.
    pub(super) pads: bool,
    /// No timer is earlier than this. It is only a hint: a new task begins with a look at the store.
    next: Timestamp,
}

impl<K: Key, V: Data> Side<K, V> {
    /// A side with its entries in `store`.
    pub(crate) const fn new(store: Rows<K, V>, changelog: Changelog, reach: Reach, pads: bool) -> Self {
        Self { store, changelog, reach, pads, next: Timestamp::MIN }
    }

    /// Shows the entries that an arriving record of the other side meets to `each`, in order of time. Its reach is `from`.
    pub(super) fn meet(
        &mut self,
        key: &K,
        arrival: &Arrival,
        from: Reach,
        mut each: impl FnMut(Timestamp, &V),
    ) -> Result<()> {
        let (first, last) = from.around(arrival.timestamp);
        let arrival_over = from.over().at(arrival.timestamp);
        let first = first.max(self.first_open(arrival.watermark));
        let (low, high) = (bound(key, first)?, bound(key, after(last))?);
        let mut store = self.store.lock();
        let mut scan = store.scan(&low, Some(&high));
        while let Some((slot, row)) = store.next_row(&mut scan)? {
            let (Slot::Entry(_, time, _), Kept::Entry(entry)) = (slot, &row.value) else { continue };
            // Each by the other's window: which of them came first is chance.
            let missed = arrival.refused(self.reach.over(), *time).is_some();
            if missed || reference(*time, entry.behind) >= arrival_over {
                continue;
            }
            each(*time, &entry.value);
            if !entry.matched {
                let slot = slot.clone();
                let id = store.touch(&slot)?;
                if let Some(Row { value: Kept::Entry(entry), .. }) = store.row_mut(id) {
                    entry.matched = true;
                }
                *store.origin_mut(id) = origin(arrival.timestamp, arrival.input);
            }
        }
        Ok(())
    }

    /// Keeps a record for those that come after it.
    pub(super) fn keep(&mut self, key: K, value: V, arrival: &Arrival, matched: bool) -> Result<()> {
        let Arrival { timestamp: time, behind, input, .. } = *arrival;
        let shared = self.store.clone();
        let mut store = shared.lock();
        let mut entry = Some(Entry { behind, matched, more: 0, value });
        let first = Slot::Entry(key, time, 0);
        let id = store.touch(&first)?;
        *store.origin_mut(id) = origin(time, input);
        let Slot::Entry(key, ..) = first else { return Ok(()) };
        if let row @ None = store.row_mut(id) {
            *row = entry.take().map(|entry| Row { value: Kept::Entry(entry), timestamp: time });
        }
        let is_first = entry.is_none();
        while let Some(waiting) = entry.take() {
            let Some(Row { value: Kept::Entry(first), .. }) = store.row_mut(id) else { return Ok(()) };
            first.more = first.more.checked_add(1).ok_or_else(too_many)?;
            let number = first.more;
            let next = store.touch(&Slot::Entry(key.clone(), time, number))?;
            *store.origin_mut(next) = origin(time, input);
            match store.row_mut(next) {
                row @ None => *row = Some(Row { value: Kept::Entry(waiting), timestamp: time }),
                // It was left of others by a portion that ended in between.
                Some(_) => entry = Some(waiting),
            }
        }
        if is_first {
            let (over, shared) = (self.reach.over().at(time), self.reach.shared_timer(time));
            let at = if shared > arrival.watermark { shared } else { over };
            self.set_timer(&mut store, at, key, input)?;
        }
        Ok(())
    }

    /// True where something may be over at `watermark`.
    pub(super) fn is_due(&self, watermark: Timestamp) -> bool {
        watermark > Timestamp::MIN && watermark >= self.next
    }

    /// Deletes what is over at `watermark`, at most `budget` rows, and shows what met nobody to `each`, by key and time;
    /// gives whether that was all.
    pub(super) fn expire(
        &mut self,
        watermark: Timestamp,
        budget: &mut usize,
        mut each: impl FnMut(&K, Timestamp, Entry<V>),
    ) -> Result<bool> {
        if !self.is_due(watermark) {
            return Ok(true);
        }
        let shared = self.store.clone();
        let mut store = shared.lock();
        let mut timers = store.scan(&timer_bytes(self.next), Some(&[TIMER + 1]));
        loop {
            let Some((Slot::Timer(at, key), _)) = store.next_row(&mut timers)? else {
                self.next = Timestamp::MAX;
                return Ok(true);
            };
            let (at, key) = (*at, key.clone());
            self.next = at;
            if at > watermark {
                return Ok(true);
            }
            if *budget == 0 {
                return Ok(false);
            }
            // A timer counts as well: it may have nothing left to do.
            *budget -= 1;
            delete(&mut store, &Slot::Timer(at, key.clone()), at)?;
            if let Some(next) = self.take_over(&mut store, &key, (at, watermark), budget, &mut each)? {
                let next = self.reach.over().at(next);
                self.set_timer(&mut store, next, key, InputNumber::UNKNOWN)?;
                if next <= watermark {
                    // The budget ended within the key. Its timer may lie behind the scan, and others before it.
                    return Ok(false);
                }
            }
        }
    }

    /// Takes the entries of a key that are over, of which none ends before `at`; gives the time of the first that is left.
    fn take_over(
        &self,
        store: &mut Store<Slot<K>, Kept<V>>,
        key: &K,
        (at, watermark): (Timestamp, Timestamp),
        budget: &mut usize,
        each: &mut impl FnMut(&K, Timestamp, Entry<V>),
    ) -> Result<Option<Timestamp>> {
        let over = self.reach.over();
        // Where a window is so long that its end is that of time, nothing is known of its beginning.
        let first = over.last_closed(at).filter(|_| at < Timestamp::MAX).unwrap_or(Timestamp::MIN);
        let mut scan = store.scan(&bound(key, first)?, Some(&bound(key, Timestamp::MAX)?));
        while let Some((slot, _)) = store.next_row(&mut scan)? {
            let slot = slot.clone();
            let Slot::Entry(_, time, _) = slot else { continue };
            if *budget == 0 || over.at(time) > watermark {
                return Ok(Some(time));
            }
            *budget -= 1;
            if let Some(Kept::Entry(entry)) = delete(store, &slot, time)?
                && !entry.matched
            {
                each(key, time, entry);
            }
        }
        Ok(None)
    }

    /// The time of the first record whose window is not over.
    fn first_open(&self, watermark: Timestamp) -> Timestamp {
        self.reach.over().last_closed(watermark).map_or(Timestamp::MIN, after)
    }

    fn set_timer(
        &mut self,
        store: &mut Store<Slot<K>, Kept<V>>,
        at: Timestamp,
        key: K,
        input: InputNumber,
    ) -> Result<()> {
        self.next = self.next.min(at);
        let timer = Slot::Timer(at, key);
        if store.get(&timer)?.is_some() {
            return Ok(());
        }
        let id = store.touch(&timer)?;
        *store.row_mut(id) = Some(Row { value: Kept::Timer, timestamp: at });
        *store.origin_mut(id) = origin(at, input);
        Ok(())
    }

    /// Writes what has changed to the changelog.
    pub(super) fn flush(&self, cx: &mut Cx) {
        self.changelog.flush(&mut self.store.lock(), cx, |_| ());
    }
}

fn delete<K: Key, V: Data>(
    store: &mut Store<Slot<K>, Kept<V>>,
    slot: &Slot<K>,
    at: Timestamp,
) -> Result<Option<Kept<V>>> {
    let id = store.touch(slot)?;
    let row = store.row_mut(id).take();
    *store.origin_mut(id) = origin(at, InputNumber::UNKNOWN);
    Ok(row.map(|row| row.value))
}

fn origin(timestamp: Timestamp, input: InputNumber) -> Origin {
    Origin { timestamp, behind: 0, watermark: Timestamp::MIN, input, headers: Headers::NONE }
}

fn after(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.millis().saturating_add(1))
}

fn bound<K: Key>(key: &K, time: Timestamp) -> Result<Vec<u8>> {
    entry_bytes(key, time).map_err(|error| unwritable(key, &error))
}

fn unwritable<K: Key>(key: &K, error: &CodecError) -> Error {
    Error::new(ErrorKind::State, format!("the key {key:?} of a join cannot be written: {error}"))
}

fn too_many() -> Error {
    Error::new(ErrorKind::State, format!("more than {} records of a join have one key and one time", u32::MAX))
        .remedy("give its source a finer event time, or the records finer keys")
}
