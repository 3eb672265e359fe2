//! `to_stream`: a table's updates as a stream of values, where `None` is a deleted row.

use super::{Change, Cx, Out, Push, Signal};
use crate::record::Record;

/// Turns changes into values.
pub struct ToStream<K, V> {
    made: Vec<Record<K, Option<V>>>,
    out: Out<K, Option<V>>,
}

impl<K, V> ToStream<K, V> {
    /// Hands values to `out`.
    pub const fn new(out: Out<K, Option<V>>) -> Self {
        Self { made: Vec::new(), out }
    }
}

impl<K: Clone + Send, V: Clone + Send> Push<K, Change<V>> for ToStream<K, V> {
    fn push(&mut self, batch: &mut Vec<Record<K, Change<V>>>, cx: &mut Cx) {
        self.made.extend(batch.drain(..).map(|record| record.map(|key, change| (key, change.new))));
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
