//! How a table that has a store lets its updates go: each by itself, or the newest of each key once before a commit.
//!
//! - Every change is written to the changelog before each commit, in the same transaction.
//! - What is held back holds time back as well: the watermark goes on after the updates that it could make late.
//! - Where rows end by themselves, that is looked at after each record, in portions; time does not pass before it is done.

use std::sync::Arc;

use super::expiry::Expiry;
use super::repartition::broker_timestamp;
use super::stores::SharedStore;
use super::{Change, Cx, Emission, Out, Signal};
use crate::broker::{OutgoingRecord, Partitioning};
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::record::{Headers, InputNumber, Record};
use crate::state::{Origin, Row, RowId, Store};
use crate::time::Timestamp;

/// Where a table stands: its store, and how it lets updates go.
pub struct Standing<K: Key, A: Data> {
    /// The operator's and the store's name.
    pub name: Arc<str>,
    /// The store.
    pub store: SharedStore<K, A>,
    /// The actual name of the store's changelog.
    pub changelog: Arc<str>,
    /// The task's partition, which is the changelog's as well.
    pub partition: u32,
    /// When updates go out.
    pub emission: Emission,
    /// True where something downstream needs the value before.
    pub keeps_before: bool,
}

impl<K: Key, A: Data> Clone for Standing<K, A> {
    fn clone(&self) -> Self {
        let Self { name, store, changelog, partition, emission, keeps_before } = self;
        Self {
            name: Arc::clone(name),
            store: store.clone(),
            changelog: Arc::clone(changelog),
            partition: *partition,
            emission: *emission,
            keeps_before: *keeps_before,
        }
    }
}

/// How many rows end at once.
const PORTION: usize = 4096;

/// A table's updates on their way out.
pub struct TableOut<K: Key, A: Data> {
    at: Standing<K, A>,
    updates: Vec<Record<K, Change<A>>>,
    /// The watermark that has come, and what it was before the newest record.
    seen: Timestamp,
    before: Timestamp,
    /// The watermark as far as all is done that it leads to.
    done: Timestamp,
    told: Timestamp,
    /// The updates before the newest record.
    mark: usize,
    expiry: Option<Expiry<K>>,
    budget: usize,
    out: Out<K, Change<A>>,
}

impl<K: Key, A: Data> TableOut<K, A> {
    /// The updates of the table that stands `at`.
    #[must_use]
    pub const fn new(at: Standing<K, A>, out: Out<K, Change<A>>) -> Self {
        let never = Timestamp::MIN;
        Self {
            at,
            updates: Vec::new(),
            seen: never,
            before: never,
            done: never,
            told: never,
            mark: 0,
            expiry: None,
            budget: PORTION,
            out,
        }
    }

    /// The rows end as `expiry` says.
    #[must_use]
    pub fn expiring(mut self, expiry: Option<Expiry<K>>) -> Self {
        self.expiry = expiry;
        self
    }

    /// The watermark that has come.
    #[must_use]
    pub const fn seen(&self) -> Timestamp {
        self.seen
    }

    /// The table's store. Must be let go before [`push`](Self::push): what is downstream may read it.
    #[must_use]
    pub fn store(&self) -> SharedStore<K, A> {
        self.at.store.clone()
    }

    /// The operator's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.at.name
    }

    /// The operator's name, shared.
    #[must_use]
    pub const fn shared_name(&self) -> &Arc<str> {
        &self.at.name
    }

    /// True where every update goes out by itself: [`update`](Self::update) is then to be called for each.
    #[must_use]
    pub fn each(&self) -> bool {
        self.at.emission == Emission::EachUpdate
    }

    /// True where an update that goes out by itself must tell the value before.
    #[must_use]
    pub fn tells_before(&self) -> bool {
        self.each() && self.at.keeps_before
    }

    /// The watermark has come to this, with a record or by itself: to be told before anything else of each record.
    pub fn saw(&mut self, watermark: Timestamp) {
        (self.before, self.mark) = (self.seen, self.updates.len());
        self.seen = self.seen.max(watermark);
        if self.expiry.is_none() {
            self.done = self.seen;
        }
    }

    /// Finds the row that a record changes; a row that has come to its end by then ends first. `None` where the record must
    /// not change it, which is counted, or it cannot be read.
    pub fn touch<I>(&mut self, record: &Record<K, I>, store: &mut Store<K, A>, cx: &mut Cx) -> Option<RowId> {
        if let Some(reason) = self.expiry.as_ref().and_then(|expiry| expiry.refuses(record)) {
            cx.count_late(&self.at.name, reason, (record.input, record.timestamp));
            return None;
        }
        let row = match store.touch(&record.key) {
            Ok(row) => row,
            Err(error) => {
                cx.stop(error);
                return None;
            }
        };
        if let Some(expiry) = &self.expiry {
            let now = record.timestamp.max(self.before);
            let end = store.row(row).map(|row| expiry.end(row.timestamp)).filter(|end| *end <= now);
            if let Some(end) = end {
                let (each, tells) = (self.each(), self.tells_before());
                let ended = finish(store, row, &record.key, (end, self.done), tells);
                self.updates.extend(ended.filter(|_| each));
            }
        }
        Some(row)
    }

    /// Processes a batch: each record by `update`, and then what time has led to with it.
    pub fn each_record<I>(
        &mut self,
        batch: &mut Vec<Record<K, I>>,
        cx: &mut Cx,
        mut update: impl FnMut(&mut Self, Record<K, I>, &mut Store<K, A>, &mut Cx),
    ) {
        let shared = self.store();
        let mut store = shared.lock();
        for record in batch.drain(..) {
            self.saw(record.watermark);
            update(self, record, &mut store, cx);
            self.expire(&mut store, cx);
            if cx.failed() {
                return;
            }
        }
        drop(store);
        self.push(cx);
    }

    /// A row that [`touch`](Self::touch) has found gets its newest value; `None` deletes it.
    pub fn put(&mut self, row: RowId, key: K, new: Option<A>, origin: Origin, store: &mut Store<K, A>, cx: &mut Cx) {
        let told = if self.each() { new.clone() } else { None };
        let timestamp = origin.timestamp;
        let before = std::mem::replace(store.row_mut(row), new.map(|value| Row { value, timestamp }));
        let old = before.filter(|_| self.tells_before()).map(|row| row.value);
        let update = self.each().then_some(Change { old, new: told });
        self.changed(row, key, update, origin, store, cx);
    }

    /// A row that [`touch`](Self::touch) has found was changed: it ends in time, and the update goes out, if there is one
    /// that goes out by itself.
    pub fn changed(
        &mut self,
        row: RowId,
        key: K,
        update: Option<Change<A>>,
        origin: Origin,
        store: &mut Store<K, A>,
        cx: &mut Cx,
    ) {
        self.arm(&key, row, origin.input, store, cx);
        if let Some(value) = update {
            self.update(key, value, &origin);
        }
        *store.origin_mut(row) = origin;
    }

    /// A row has been changed by `input`: sees to it that it ends in time.
    fn arm(&mut self, key: &K, row: RowId, input: InputNumber, store: &mut Store<K, A>, cx: &mut Cx) {
        if let Some(expiry) = &mut self.expiry
            && let Some(updated) = store.row(row).map(|row| row.timestamp)
            && let Err(error) = expiry.arm(key, updated, input)
        {
            cx.stop(error);
        }
    }

    /// Ends the rows that have come to their end by the watermark. After a record they go out before what it led to, and
    /// the time that ended them with it.
    fn expire(&mut self, store: &mut Store<K, A>, cx: &mut Cx) {
        let (each, tells, watermark, seen) = (self.each(), self.tells_before(), self.done, self.seen);
        let Self { expiry: Some(expiry), updates, budget, mark, .. } = self else { return };
        if cx.failed() {
            return;
        }
        let own = updates.len();
        let fired = expiry.fire(store, seen, budget, |store, key, end| {
            let row = store.touch(key)?;
            updates.extend(finish(store, row, key, (end, watermark), tells).filter(|_| each));
            Ok(())
        });
        let ended = updates.len() - own;
        updates[*mark..].rotate_right(ended);
        match fired {
            Ok(true) => self.done = seen,
            Ok(false) => {
                for update in &mut updates[*mark + ended..] {
                    update.watermark = update.watermark.min(watermark);
                }
                cx.more_to_do();
            }
            Err(error) => cx.stop(error),
        }
    }

    /// An update that goes out by itself.
    pub fn update(&mut self, key: K, value: Change<A>, origin: &Origin) {
        let Origin { timestamp, behind, watermark, input, ref headers } = *origin;
        self.updates.push(Record { key, value, timestamp, behind, watermark, input, headers: headers.clone() });
    }

    /// Lets go of what goes out by itself, at the end of a batch.
    pub fn push(&mut self, cx: &mut Cx) {
        self.budget = PORTION;
        self.out.push(&mut self.updates, cx);
    }

    /// Passes a signal on, after what it releases.
    pub fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        let flush = signal == Signal::Flush;
        match signal {
            Signal::Watermark(watermark) => {
                self.saw(watermark);
                let shared = self.store();
                self.expire(&mut shared.lock(), cx);
                if cx.failed() {
                    return;
                }
                self.push(cx);
            }
            // Said again once there is nothing more to end: time must not go on without what that leads to.
            Signal::Idle if self.done < self.seen => return,
            Signal::Idle => return self.out.signal(signal, cx),
            Signal::Flush => {
                // What did not fit in a step goes on here: what lies above may not tell the same time twice.
                if self.done < self.seen {
                    (self.budget, self.mark) = (PORTION, self.updates.len());
                    let shared = self.store();
                    self.expire(&mut shared.lock(), cx);
                    if cx.failed() {
                        return;
                    }
                }
                if let Err(error) = self.flush(cx) {
                    return cx.stop(error);
                }
                self.out.push(&mut self.updates, cx);
            }
        }
        if (flush || self.each()) && self.done > self.told && !cx.failed() {
            self.told = self.done;
            self.out.signal(Signal::Watermark(self.told), cx);
        }
        if flush {
            self.out.signal(Signal::Flush, cx);
        }
    }

    /// Writes the changelog, and lets go of what was held back.
    fn flush(&mut self, cx: &mut Cx) -> Result<()> {
        if let Some(expiry) = &self.expiry {
            expiry.flush(cx);
        }
        let topic = cx.out.topic(&self.at.changelog);
        let each_commit = !self.each();
        let (partitioning, watermark) = (Partitioning::Fixed(self.at.partition), self.told);
        let updates = &mut self.updates;
        self.at.store.lock().flush(|changed| {
            let origin = changed.origin;
            cx.out.push(&OutgoingRecord {
                topic,
                partitioning,
                key: Some(changed.key_bytes),
                value: changed.row_bytes,
                timestamp: broker_timestamp(origin.timestamp, cx.wall),
                headers: &Headers::NONE,
                input: origin.input,
            });
            // A row that came and went between two commits was never there for anybody else.
            if each_commit && (changed.existed || changed.row.is_some()) {
                let old = changed.before.map(|row| row.value.clone());
                let value = Change { old, new: changed.row.map(|row| row.value.clone()) };
                let (key, headers) = (changed.key.clone(), origin.headers.clone());
                let (timestamp, behind, input) = (origin.timestamp, origin.behind, origin.input);
                updates.push(Record { key, value, timestamp, behind, watermark, input, headers });
            }
            Ok(())
        })
    }
}

/// Ends a row; gives the update that tells of it.
fn finish<K: Key, A: Data>(
    store: &mut Store<K, A>,
    row: RowId,
    key: &K,
    (end, watermark): (Timestamp, Timestamp),
    tells_before: bool,
) -> Option<Record<K, Change<A>>> {
    let ended = store.row_mut(row).take()?;
    let (input, headers) = (InputNumber::UNKNOWN, Headers::NONE);
    *store.origin_mut(row) = Origin { timestamp: end, behind: 0, watermark, input, headers: Headers::NONE };
    let value = Change { old: tells_before.then_some(ended.value), new: None };
    Some(Record { key: key.clone(), value, timestamp: end, behind: 0, watermark, input, headers })
}
