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

use super::table_out::TableOut;
use super::{Change, Cx, DropReason, Push, Reject, Signal};
use crate::codec::{Data, Key};
use crate::record::Record;
use crate::state::{Origin, Row, Store};

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

/// Keeps one value a key.
pub struct Aggregate<K: Key, V, A: Data, F> {
    table: TableOut<K, A>,
    fold: Arc<F>,
    of: PhantomData<fn(V)>,
}

impl<K: Key, V: Data, A: Data, F: Fold<K, V, A>> Aggregate<K, V, A, F> {
    /// An aggregation by `fold` in `table`.
    #[must_use]
    pub const fn new(table: TableOut<K, A>, fold: Arc<F>) -> Self {
        Self { table, fold, of: PhantomData }
    }
}

/// Adds one record to its row.
fn update<K: Key, V: Data, A: Data>(
    table: &mut TableOut<K, A>,
    fold: &impl Fold<K, V, A>,
    record: Record<K, V>,
    store: &mut Store<K, A>,
    cx: &mut Cx,
) {
    let Some(row) = table.touch(&record, store, cx) else { return };
    let Record { key, value, timestamp, behind, watermark, input, headers } = record;
    let slot = store.row_mut(row);
    let old = slot.as_ref().filter(|_| table.tells_before()).map(|row| row.value.clone());
    let newest = slot.as_ref().map_or(timestamp, |row| row.timestamp.max(timestamp));
    let folded = match slot {
        Some(row) => fold.next(&key, &mut row.value, value).map(|()| row.timestamp = newest),
        None => fold.first(&key, value).map(|value| *slot = Some(Row { value, timestamp: newest })),
    };
    if let Err(reject) = folded {
        return cx.refuse(input, reject, table.name());
    }
    slot.take_if(|row| row.value.is_null());
    let update = table.each().then(|| Change { old, new: slot.as_ref().map(|row| row.value.clone()) });
    // The result is later than its record, and so less far behind.
    let behind = behind.saturating_sub(newest.millis_since(timestamp));
    table.changed(row, key, update, Origin { timestamp: newest, behind, watermark, input, headers }, store, cx);
}

impl<K: Key, V: Data, A: Data, F: Fold<K, V, A>> Push<K, V> for Aggregate<K, V, A, F> {
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        let fold = &*self.fold;
        self.table.each_record(batch, cx, |table, record, store, cx| {
            if record.value.is_null() {
                let of = (record.input, record.timestamp);
                cx.drop_record(DropReason::NullValue, Some(table.shared_name()), of);
            } else {
                update(table, fold, record, store, cx);
            }
        });
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.table.signal(signal, cx);
    }
}
