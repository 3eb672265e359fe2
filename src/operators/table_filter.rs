//! A table's `filter`: the rows that a condition holds for.
//!
//! - The function never sees a deleted row.
//! - A row that the condition no longer holds for is deleted downstream. One that it never held for is not told at all,
//!   where Kafka Streams sends a tombstone for each of its updates.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Change, Cx, Out, Push, Signal};
use crate::record::Record;

/// Keeps the rows of which `keep` says so. It must be told what each row was before.
pub struct TableFilter<K, V, F> {
    keep: Arc<F>,
    out: Out<K, Change<V>>,
    of: PhantomData<fn(K, V)>,
}

impl<K, V, F> TableFilter<K, V, F> {
    /// A filter by `keep`.
    pub const fn new(keep: Arc<F>, out: Out<K, Change<V>>) -> Self {
        Self { keep, out, of: PhantomData }
    }
}

impl<K, V, F> Push<K, Change<V>> for TableFilter<K, V, F>
where
    K: Clone + Send,
    V: Clone + Send,
    F: Fn(&K, &V) -> bool + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, Change<V>>>, cx: &mut Cx) {
        batch.retain_mut(|record| {
            let Record { key, value: Change { old, new }, .. } = record;
            old.take_if(|value| !(self.keep)(key, value));
            new.take_if(|value| !(self.keep)(key, value));
            old.is_some() || new.is_some()
        });
        self.out.push(batch, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
