//! `reduce`, `count` and `aggregate` of a grouped table: one value a group, made of the rows that are in it now.
//!
//! - A row that changes is taken back as it was, then added as it is.
//! - What is to be taken back from a group that has no value is left out and counted as `nothing_to_take_back`: as when
//!   the user's function has deleted the group (a null result) although rows were left in it.
//! - A count that has come to 0 stays; a null result deletes.
//! - The result's time is the largest that went into it. It goes out as other tables' updates do.

use std::marker::PhantomData;
use std::sync::Arc;

use super::aggregate::{Count, Fold};
use super::delta::Delta;
use super::table_out::TableOut;
use super::{Change, Cx, DropReason, Push, Reject, Signal};
use crate::codec::{Data, Key};
use crate::record::Record;
use crate::state::{Origin, Row, Store};

/// A [`Fold`] that can also take a value back.
pub trait Unfold<K, V, A>: Fold<K, V, A> {
    /// Takes back what was added before. Gives whether there was something to take it from.
    ///
    /// # Errors
    /// When the user's function refuses the record.
    fn back(&self, key: &K, so_far: &mut A, value: V) -> Result<bool, Reject>;
}

/// A fold, and a function that takes values back.
pub struct TakingBack<F, G>(pub F, pub G);

impl<K, V, A, F, G> Fold<K, V, A> for TakingBack<F, G>
where
    F: Fold<K, V, A>,
    G: Send + Sync + 'static,
{
    fn first(&self, key: &K, value: V) -> Result<A, Reject> {
        self.0.first(key, value)
    }

    fn next(&self, key: &K, so_far: &mut A, value: V) -> Result<(), Reject> {
        self.0.next(key, so_far, value)
    }
}

impl<K, V, A, F, G> Unfold<K, V, A> for TakingBack<F, G>
where
    F: Fold<K, V, A>,
    G: Fn(&K, &mut A, V) -> Result<(), Reject> + Send + Sync + 'static,
{
    fn back(&self, key: &K, so_far: &mut A, value: V) -> Result<bool, Reject> {
        (self.1)(key, so_far, value).map(|()| true)
    }
}

impl<K, V> Unfold<K, V, u64> for Count {
    fn back(&self, _: &K, so_far: &mut u64, _: V) -> Result<bool, Reject> {
        let less = so_far.checked_sub(1);
        *so_far = less.unwrap_or(0);
        Ok(less.is_some())
    }
}

/// Keeps one value a group.
pub struct TableFold<K: Key, V, A: Data, F> {
    table: TableOut<K, A>,
    fold: Arc<F>,
    of: PhantomData<fn(V)>,
}

impl<K: Key, V: Data, A: Data, F: Unfold<K, V, A>> TableFold<K, V, A, F> {
    /// An aggregation by `fold` in `table`.
    #[must_use]
    pub const fn new(table: TableOut<K, A>, fold: Arc<F>) -> Self {
        Self { table, fold, of: PhantomData }
    }
}

/// Changes the group that a record is about.
fn update<K: Key, V: Data, A: Data>(
    table: &mut TableOut<K, A>,
    fold: &impl Unfold<K, V, A>,
    record: Record<K, Delta<V>>,
    store: &mut Store<K, A>,
    cx: &mut Cx,
) {
    let Some(row) = table.touch(&record, store, cx) else { return };
    let Record { key, value, timestamp, behind, watermark, input, headers } = record;
    let slot = store.row_mut(row);
    let old = slot.as_ref().filter(|_| table.tells_before()).map(|row| row.value.clone());
    let (was, newest) = (slot.is_some(), slot.as_ref().map_or(timestamp, |row| row.timestamp.max(timestamp)));
    match apply(fold, &key, slot, value) {
        Ok(true) => {}
        Ok(false) => cx.drop_record(DropReason::NothingToTakeBack, Some(table.shared_name()), (input, timestamp)),
        Err(reject) => return cx.refuse(input, reject, table.name()),
    }
    if let Some(row) = slot {
        row.timestamp = newest;
    }
    let told = table.each() && (was || slot.is_some());
    let update = told.then(|| Change { old, new: slot.as_ref().map(|row| row.value.clone()) });
    // The result is later than its record, and so less far behind.
    let behind = behind.saturating_sub(newest.millis_since(timestamp));
    table.changed(row, key, update, Origin { timestamp: newest, behind, watermark, input, headers }, store, cx);
}

/// Takes back, then adds. Gives whether there was something to take from where it had to be.
fn apply<K, V, A: Data>(
    fold: &impl Unfold<K, V, A>,
    key: &K,
    slot: &mut Option<Row<A>>,
    delta: Delta<V>,
) -> Result<bool, Reject> {
    let (out, new) = delta.parts();
    let mut found = true;
    if let Some(value) = out {
        found = match slot {
            Some(row) => fold.back(key, &mut row.value, value)?,
            None => false,
        };
        slot.take_if(|row| row.value.is_null());
    }
    if let Some(value) = new {
        match slot {
            Some(row) => fold.next(key, &mut row.value, value)?,
            None => *slot = Some(Row { value: fold.first(key, value)?, timestamp: crate::time::Timestamp::MIN }),
        }
        slot.take_if(|row| row.value.is_null());
    }
    Ok(found)
}

impl<K: Key, V: Data, A: Data, F: Unfold<K, V, A>> Push<K, Delta<V>> for TableFold<K, V, A, F> {
    fn push(&mut self, batch: &mut Vec<Record<K, Delta<V>>>, cx: &mut Cx) {
        let fold = &*self.fold;
        self.table.each_record(batch, cx, |table, record, store, cx| update(table, fold, record, store, cx));
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.table.signal(signal, cx);
    }
}
