//! `filter`, `filter_not`, `try_filter`: keeps some records, as they are.
//!
//! The function sees nulls where the types have them. Key, time and headers stay.

use std::sync::Arc;

use super::{Cx, Out, Push, Reject, Signal};
use crate::record::Record;

/// Keeps the records of which `keep` says so.
pub struct Filter<K, V, F> {
    name: Arc<str>,
    keep: Arc<F>,
    out: Out<K, V>,
}

impl<K, V, F> Filter<K, V, F> {
    /// A filter called `name`.
    pub const fn new(name: Arc<str>, keep: Arc<F>, out: Out<K, V>) -> Self {
        Self { name, keep, out }
    }
}

impl<K, V, F> Push<K, V> for Filter<K, V, F>
where
    K: Clone + Send,
    V: Clone + Send,
    F: Fn(&K, &V) -> Result<bool, Reject> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        batch.retain(|record| {
            if cx.failed() {
                return false;
            }
            (self.keep)(&record.key, &record.value).unwrap_or_else(|reject| {
                cx.refuse(record.input, reject, &self.name);
                false
            })
        });
        if !cx.failed() {
            self.out.push(batch, cx);
        }
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
