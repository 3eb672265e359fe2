//! `on_change`: hands on only those updates of a table that change its value.
//!
//! - An update whose new value equals the one before is left out; so is the deletion of a row that is not there.
//! - It must be told what each row was before. What is looked up in the table is the same with and without it; the time of
//!   a row may there be later than that of its last update.

use super::{Change, Cx, Out, Push, Signal};
use crate::record::Record;

/// Leaves out what changes nothing.
pub struct OnChange<K, V> {
    out: Out<K, Change<V>>,
}

impl<K, V> OnChange<K, V> {
    /// Hands changes to `out`.
    pub const fn new(out: Out<K, Change<V>>) -> Self {
        Self { out }
    }
}

impl<K: Clone + Send, V: Clone + Send + PartialEq> Push<K, Change<V>> for OnChange<K, V> {
    fn push(&mut self, batch: &mut Vec<Record<K, Change<V>>>, cx: &mut Cx) {
        batch.retain(|record| record.value.old != record.value.new);
        self.out.push(batch, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
