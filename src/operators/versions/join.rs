//! `join_as_of` and `left_join_as_of`: each record of a stream with the row as it was at the record's own time.
//!
//! - Only the stream makes results. They have the record's time and headers.
//! - A record with a null value is dropped and counted as `null_value`; one without a row is dropped by an inner join, and
//!   counted as `join_miss`. One from before the table's history has no row.
//! - A change that comes after a record concerns it no more, whatever its time: [`Wait`](super::Wait) waits for it.

use std::marker::PhantomData;
use std::sync::Arc;

use super::history::SharedHistory;
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::operators::{Cx, DropReason, Out, Push, Signal};
use crate::record::Record;

/// Gives every record what `f` makes of it and the row that was valid at its time; nothing where `f` makes nothing of it.
pub struct JoinAsOf<K: Key, V, T: Data, O, F> {
    table: Lookup<K, T>,
    f: Arc<F>,
    made: Vec<Record<K, O>>,
    out: Out<K, O>,
    of: PhantomData<fn(V)>,
}

/// A table that is looked up, with the clock of the one who does it.
pub(super) struct Lookup<K: Key, T: Data> {
    pub(super) history: SharedHistory<K, T>,
    pub(super) clock: usize,
}

impl<K: Key, T: Data> Lookup<K, T> {
    pub(super) fn new(history: SharedHistory<K, T>) -> Self {
        let clock = history.lock().reader();
        Self { history, clock }
    }

    /// What `f` makes of a record and the row that was valid at its time, added to `made`.
    pub(super) fn join<V, O>(
        &self,
        record: Record<K, V>,
        f: &impl Fn(&K, V, Option<&T>) -> Option<O>,
        made: &mut Vec<Record<K, O>>,
        cx: &mut Cx,
    ) -> Result<()> {
        let Record { key, value, timestamp, behind, watermark, input, headers } = record;
        match self.history.lock().at(&key, timestamp, |row| f(&key, value, row))? {
            Some(value) => made.push(Record { key, value, timestamp, behind, watermark, input, headers }),
            None => cx.drop_record(DropReason::JoinMiss, None, (input, timestamp)),
        }
        Ok(())
    }
}

impl<K: Key, V, T: Data, O, F> JoinAsOf<K, V, T, O, F> {
    /// A join with the table that keeps its versions in `history`.
    #[must_use]
    pub fn new(history: SharedHistory<K, T>, f: Arc<F>, out: Out<K, O>) -> Self {
        Self { table: Lookup::new(history), f, made: Vec::new(), out, of: PhantomData }
    }
}

impl<K, V, T, O, F> Push<K, V> for JoinAsOf<K, V, T, O, F>
where
    K: Key,
    V: Data,
    T: Data,
    O: Clone + Send,
    F: Fn(&K, V, Option<&T>) -> Option<O> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            self.table.history.lock().advance(self.table.clock, record.watermark);
            if record.value.is_null() {
                cx.drop_record(DropReason::NullValue, None, (record.input, record.timestamp));
            } else if let Err(error) = self.table.join(record, &*self.f, &mut self.made, cx) {
                return cx.stop(error);
            }
        }
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        match signal {
            Signal::Watermark(watermark) => self.table.history.lock().advance(self.table.clock, watermark),
            Signal::Idle => self.table.history.lock().leave_out(self.table.clock),
            Signal::Flush => {}
        }
        self.out.signal(signal, cx);
    }
}
