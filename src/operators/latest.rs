//! `table`, `to_table`, `materialized`: the newest value of each key, kept in a store.
//!
//! - The newest is the last to come, whatever its time: the order of a partition decides, as in Kafka Streams. The row has
//!   the time of that record, which may so go back.
//! - A null deletes the row. Where every update goes out by itself, so does the deletion of a row that is not there.
//! - Updates go out once before each commit, the newest of each key, unless every one is asked for.

use std::marker::PhantomData;
use std::sync::Arc;

use super::table_out::TableOut;
use super::{Cx, Push, Signal};
use crate::codec::{Data, Key};
use crate::record::Record;
use crate::state::Origin;

/// Keeps what `of` finds in the newest record of each key; `None` deletes.
pub struct Latest<K: Key, I, V: Data, F> {
    table: TableOut<K, V>,
    of: Arc<F>,
    from: PhantomData<fn(I)>,
}

impl<K: Key, I, V: Data, F: Fn(I) -> Option<V>> Latest<K, I, V, F> {
    /// Keeps the newest in `table`.
    #[must_use]
    pub const fn new(table: TableOut<K, V>, of: Arc<F>) -> Self {
        Self { table, of, from: PhantomData }
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
        let of = &self.of;
        self.table.each_record(batch, cx, |table, record, store, cx| {
            let Some(row) = table.touch(&record, store, cx) else { return };
            let Record { key, value, timestamp, behind, watermark, input, headers } = record;
            let new = of(value).filter(|value| !value.is_null());
            table.put(row, key, new, Origin { timestamp, behind, watermark, input, headers }, store, cx);
        });
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.table.signal(signal, cx);
    }
}
