//! `join` and `left_join` of a stream with a table: each record with the row of its key.
//!
//! - Only the stream makes results: a change of the table makes none, and concerns the records that are processed after
//!   it. Which that are is decided by event time as far as the task can tell: of its inputs the earliest record goes first.
//! - The result has the record's time and headers.
//! - A record with a null value is dropped and counted as `null_value`; one without a row is dropped by an inner join, and
//!   counted as `join_miss`.

use std::marker::PhantomData;
use std::sync::Arc;

use super::view::View;
use super::{Cx, DropReason, Out, Push, Signal};
use crate::codec::{Data, Key};
use crate::record::Record;

/// Gives every record what `f` makes of it and the row of its key; nothing where `f` makes nothing of it.
pub struct TableJoin<K: Key, V, T: Data, O, F> {
    table: View<K, T>,
    f: Arc<F>,
    made: Vec<Record<K, O>>,
    out: Out<K, O>,
    of: PhantomData<fn(V)>,
}

impl<K: Key, V, T: Data, O, F> TableJoin<K, V, T, O, F> {
    /// A join with `table`.
    pub const fn new(table: View<K, T>, f: Arc<F>, out: Out<K, O>) -> Self {
        Self { table, f, made: Vec::new(), out, of: PhantomData }
    }
}

impl<K, V, T, O, F> Push<K, V> for TableJoin<K, V, T, O, F>
where
    K: Key,
    V: Data,
    T: Data,
    O: Clone + Send,
    F: Fn(&K, V, Option<&T>) -> Option<O> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        let mut table = self.table.look();
        for record in batch.drain(..) {
            let of = (record.input, record.timestamp);
            if record.value.is_null() {
                cx.drop_record(DropReason::NullValue, None, of);
                continue;
            }
            let row = match table.get(&record.key) {
                Ok(row) => row.map(|row| &row.value),
                Err(error) => return cx.stop(error),
            };
            let made = record.try_map(|key, value| match (self.f)(&key, value, row) {
                Some(made) => Ok((key, made)),
                None => Err(DropReason::JoinMiss),
            });
            match made {
                Ok(record) => self.made.push(record),
                Err(reason) => cx.drop_record(reason, None, of),
            }
        }
        drop(table);
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
