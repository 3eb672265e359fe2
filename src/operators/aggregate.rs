//! `reduce`, `count`, `aggregate` and their `try_` forms: one value a key, kept in a store, made of all records so far.
//!
//! - A record whose value is null is dropped and counted as `null_value`: it takes nothing back.
//! - The result's time is the largest of its records'.
//! - A result that is null (`Option` as the result's type) deletes the row; the next record begins anew.
//! - Updates go out once before each commit, the newest of each key, unless every one is asked for. What is held back holds
//!   time back as well: the watermark goes on after the updates that it could make late.
//! - Every change is written to the changelog before each commit, in the same transaction.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::repartition::broker_timestamp;
use super::stores::SharedStore;
use super::{Change, Cx, DropReason, Out, Push, Reject, Signal};
use crate::broker::{OutgoingRecord, Partitioning};
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::record::{Headers, Record};
use crate::state::{Origin, Row, Store};
use crate::time::Timestamp;

/// When a table hands its updates on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Emission {
    /// The newest value of each changed key, once before each commit.
    #[default]
    EachCommit,
    /// Every update by itself.
    EachUpdate,
}

/// How records become one value.
pub trait Fold<K, V, A>: Send + Sync + 'static {
    /// The value after the first record of a key.
    ///
    /// # Errors
    /// When the user's function refuses the record.
    fn first(&self, key: &K, value: V) -> Result<A, Reject>;

    /// Adds another record.
    ///
    /// # Errors
    /// When the user's function refuses the record.
    fn next(&self, key: &K, so_far: &mut A, value: V) -> Result<(), Reject>;
}

/// The first value as it is, every other by a function.
pub struct Reduce<F>(pub F);

impl<K, V, F: Fn(&mut V, V) -> Result<(), Reject> + Send + Sync + 'static> Fold<K, V, V> for Reduce<F> {
    fn first(&self, _: &K, value: V) -> Result<V, Reject> {
        Ok(value)
    }

    fn next(&self, _: &K, so_far: &mut V, value: V) -> Result<(), Reject> {
        (self.0)(so_far, value)
    }
}

/// How many there are.
pub struct Count;

impl<K, V> Fold<K, V, u64> for Count {
    fn first(&self, _: &K, _: V) -> Result<u64, Reject> {
        Ok(1)
    }

    fn next(&self, _: &K, so_far: &mut u64, _: V) -> Result<(), Reject> {
        *so_far += 1;
        Ok(())
    }
}

/// The sum of counts.
pub struct Sum;

impl<K> Fold<K, u64, u64> for Sum {
    fn first(&self, _: &K, value: u64) -> Result<u64, Reject> {
        Ok(value)
    }

    fn next(&self, _: &K, so_far: &mut u64, value: u64) -> Result<(), Reject> {
        *so_far += value;
        Ok(())
    }
}

/// Every value by a function, onto one that another function begins with.
pub struct FromInitial<I, F>(pub I, pub F);

impl<K, V, A, I, F> Fold<K, V, A> for FromInitial<I, F>
where
    I: Fn() -> A + Send + Sync + 'static,
    F: Fn(&K, &mut A, V) -> Result<(), Reject> + Send + Sync + 'static,
{
    fn first(&self, key: &K, value: V) -> Result<A, Reject> {
        let mut first = (self.0)();
        (self.1)(key, &mut first, value)?;
        Ok(first)
    }

    fn next(&self, key: &K, so_far: &mut A, value: V) -> Result<(), Reject> {
        (self.1)(key, so_far, value)
    }
}

/// Where an [`Aggregate`] stands: its store, and how it lets updates go.
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

/// Keeps one value a key.
pub struct Aggregate<K: Key, V, A: Data, F> {
    at: Standing<K, A>,
    fold: Arc<F>,
    updates: Vec<Record<K, Change<A>>>,
    seen: Timestamp,
    told: Timestamp,
    out: Out<K, Change<A>>,
    of: PhantomData<fn(V)>,
}

impl<K: Key, V: Data, A: Data, F: Fold<K, V, A>> Aggregate<K, V, A, F> {
    /// An aggregation by `fold`.
    #[must_use]
    pub const fn new(at: Standing<K, A>, fold: Arc<F>, out: Out<K, Change<A>>) -> Self {
        Self { at, fold, updates: Vec::new(), seen: Timestamp::MIN, told: Timestamp::MIN, out, of: PhantomData }
    }

    /// Adds one record to its row.
    fn update(&mut self, record: Record<K, V>, store: &mut Store<K, A>, cx: &mut Cx) {
        let Record { key, value, timestamp, behind, watermark, input, headers } = record;
        let row = match store.touch(&key) {
            Ok(row) => row,
            Err(error) => return cx.stop(error),
        };
        let each = self.at.emission == Emission::EachUpdate;
        let slot = store.row_mut(row);
        let old = if each && self.at.keeps_before { slot.as_ref().map(|row| row.value.clone()) } else { None };
        let newest = slot.as_ref().map_or(timestamp, |row| row.timestamp.max(timestamp));
        let folded = match slot {
            Some(row) => self.fold.next(&key, &mut row.value, value).map(|()| row.timestamp = newest),
            None => self.fold.first(&key, value).map(|value| *slot = Some(Row { value, timestamp: newest })),
        };
        if let Err(reject) = folded {
            return cx.refuse(input, reject, &self.at.name);
        }
        slot.take_if(|row| row.value.is_null());
        let new = if each { slot.as_ref().map(|row| row.value.clone()) } else { None };
        // The result is later than its record, and so less far behind.
        let behind = behind.saturating_sub(newest.millis_since(timestamp));
        if each {
            let (value, headers) = (Change { old, new }, headers.clone());
            self.updates.push(Record { key, value, timestamp: newest, behind, watermark, input, headers });
        }
        *store.origin_mut(row) = Origin { timestamp: newest, behind, watermark, input, headers };
    }

    /// Writes the changelog, and lets go of what was held back.
    fn flush(&mut self, cx: &mut Cx) -> Result<()> {
        let topic = cx.out.topic(&self.at.changelog);
        let each_commit = self.at.emission == Emission::EachCommit;
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

impl<K: Key, V: Data, A: Data, F: Fold<K, V, A>> Push<K, V> for Aggregate<K, V, A, F> {
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        // Let go of before anything goes downstream, where the same store may be read.
        let shared = self.at.store.clone();
        let mut store = shared.lock();
        for record in batch.drain(..) {
            self.seen = self.seen.max(record.watermark);
            if record.value.is_null() {
                cx.drops.count(DropReason::NullValue);
                continue;
            }
            self.update(record, &mut store, cx);
            if cx.failed() {
                return;
            }
        }
        drop(store);
        self.out.push(&mut self.updates, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        let flush = signal == Signal::Flush;
        match signal {
            Signal::Watermark(watermark) => self.seen = self.seen.max(watermark),
            Signal::Idle => return self.out.signal(signal, cx),
            Signal::Flush => {
                if let Err(error) = self.flush(cx) {
                    return cx.stop(error);
                }
                self.out.push(&mut self.updates, cx);
            }
        }
        if (flush || self.at.emission == Emission::EachUpdate) && self.seen > self.told {
            self.told = self.seen;
            self.out.signal(Signal::Watermark(self.told), cx);
        }
        if flush {
            self.out.signal(Signal::Flush, cx);
        }
    }
}
