//! `join_global`, `left_join_global`: looks up a row of a global table for each record.
//!
//! - The key of the row is what a function finds in the record. `None` is no key: an inner join drops the record, counted
//!   as `null_key`; a left join takes it as a record without a row.
//! - No row: an inner join drops the record, counted as `join_miss`; a left join hands `None` to its function.
//! - Key, time and headers stay. The record's nulls are its own type's affair: the functions see them.
//! - A batch sees one version of the table, the newest at its beginning. So which version a record sees is not repeatable:
//!   the table is not in time with the stream.

use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use super::global_table::GlobalView;
use super::{Cx, DropReason, Out, Push, Signal};
use crate::record::Record;

/// Looks up a row for each record. `S` finds the row's key, and `F` makes the value that comes out, or none where an inner
/// join has found no row.
pub struct GlobalJoin<K, V, GK, GV, O, S, F> {
    select: Arc<S>,
    f: F,
    table: GlobalView<GK, GV>,
    out: Out<K, O>,
    joined: Vec<Record<K, O>>,
    of: PhantomData<fn(V)>,
}

impl<K, V, GK, GV, O, S, F> GlobalJoin<K, V, GK, GV, O, S, F> {
    /// Looks into `table` for the key that `select` finds in a record.
    pub const fn new(select: Arc<S>, f: F, table: GlobalView<GK, GV>, out: Out<K, O>) -> Self {
        Self { select, f, table, out, joined: Vec::new(), of: PhantomData }
    }
}

impl<K, V, GK, GV, O, S, F> Push<K, V> for GlobalJoin<K, V, GK, GV, O, S, F>
where
    K: Clone + Send,
    GK: Eq + Hash + Send + Sync,
    GV: Send + Sync,
    O: Clone + Send,
    S: Fn(&K, &V) -> Option<GK> + Send + Sync,
    F: Fn(&K, V, Option<&GV>) -> Option<O> + Send,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        let rows = self.table.rows();
        for record in batch.drain(..) {
            let of = (record.input, record.timestamp);
            let wanted = (self.select)(&record.key, &record.value);
            let row = wanted.as_ref().and_then(|key| rows.get(key));
            let joined = record.try_map(|key, value| match (self.f)(&key, value, row) {
                Some(joined) => Ok((key, joined)),
                None => Err(if wanted.is_some() { DropReason::JoinMiss } else { DropReason::NullKey }),
            });
            match joined {
                Ok(record) => self.joined.push(record),
                Err(reason) => cx.drop_record(reason, None, of),
            }
        }
        // What lies downstream may take long, and a version that is held cannot be written again.
        drop(rows);
        self.out.push(&mut self.joined, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
