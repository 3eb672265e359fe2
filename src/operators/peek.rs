//! `peek` and `for_each`: shows records to a function and changes nothing.
//!
//! The function runs inside the transaction: after an abort it sees records again. What it does outside is done at least
//! once, never exactly once.

use std::sync::Arc;

use super::{Cx, Out, Push, Signal};
use crate::record::Record;

/// Shows every record to `f` and hands it on. At the end of a stream nothing is downstream.
pub struct Peek<K, V, F> {
    f: Arc<F>,
    out: Out<K, V>,
}

impl<K, V, F> Peek<K, V, F> {
    /// Shows records to `f`.
    pub const fn new(f: Arc<F>, out: Out<K, V>) -> Self {
        Self { f, out }
    }
}

impl<K, V, F> Push<K, V> for Peek<K, V, F>
where
    K: Clone + Send,
    V: Clone + Send,
    F: Fn(&K, &V) + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        for record in &*batch {
            (self.f)(&record.key, &record.value);
        }
        self.out.push(batch, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
