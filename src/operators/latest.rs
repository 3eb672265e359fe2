//! `table`, `to_table`, `materialized`: the newest value of each key, kept in a store.
//!
//! - The newest is the last to come, whatever its time: the order of a partition decides, as in Kafka Streams. The row has
//!   the time of that record, which may so go back.
//! - A null deletes the row. Where every update goes out by itself, so does the deletion of a row that is not there.
//! - Updates go out once before each commit, the newest of each key, unless every one is asked for.

use std::marker::PhantomData;
use std::sync::Arc;

use super::expiry::Expiry;
use super::table_out::{Standing, TableOut};
use super::{Change, Cx, Out, Push, Signal};
use crate::codec::{Data, Key};
use crate::record::Record;
use crate::state::{Origin, Row, Store};

/// Keeps what `of` finds in the newest record of each key; `None` deletes.
pub struct Latest<K: Key, I, V: Data, F> {
    table: TableOut<K, V>,
    of: Arc<F>,
    from: PhantomData<fn(I)>,
}

impl<K: Key, I, V: Data, F: Fn(I) -> Option<V>> Latest<K, I, V, F> {
    /// A table that stands `at`.
    #[must_use]
    pub const fn new(at: Standing<K, V>, of: Arc<F>, out: Out<K, Change<V>>) -> Self {
        Self { table: TableOut::new(at, out), of, from: PhantomData }
    }

    /// The rows end as `expiry` says.
    #[must_use]
    pub fn expiring(mut self, expiry: Option<Expiry<K>>) -> Self {
        self.table = self.table.expiring(expiry);
        self
    }

    fn update(&mut self, record: Record<K, I>, store: &mut Store<K, V>, cx: &mut Cx) {
        let Some(row) = self.table.touch(&record, store, cx) else { return };
        let Record { key, value, timestamp, behind, watermark, input, headers } = record;
        let new = (self.of)(value).filter(|value| !value.is_null());
        let told = if self.table.each() { new.clone() } else { None };
        let before = std::mem::replace(store.row_mut(row), new.map(|value| Row { value, timestamp }));
        self.table.arm(&key, row, input, store, cx);
        let origin = Origin { timestamp, behind, watermark, input, headers };
        if self.table.each() {
            let old = before.filter(|_| self.table.tells_before()).map(|row| row.value);
            self.table.update(key, Change { old, new: told }, &origin);
        }
        *store.origin_mut(row) = origin;
    }
}

impl<K, I, V, F> Push<K, I> for Latest<K, I, V, F>
where
    K: Key,
    I: Send,
    V: Data,
    F: Fn(I) -> Option<V> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, I>>, cx: &mut Cx) {
        let shared = self.table.store();
        let mut store = shared.lock();
        for record in batch.drain(..) {
            self.table.saw(record.watermark);
            self.update(record, &mut store, cx);
            self.table.expire(&mut store, cx);
            if cx.failed() {
                return;
            }
        }
        drop(store);
        self.table.push(cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.table.signal(signal, cx);
    }
}
