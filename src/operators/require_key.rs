//! `require_key`: drops records with a null key, and counts them; what remains has a key that can be grouped by.

use super::{Cx, DropReason, Out, Push, Signal};
use crate::record::Record;

/// Takes the key out of its `Option`. The key's bytes stay what they were, so the partition does too.
pub struct RequireKey<K, V> {
    kept: Vec<Record<K, V>>,
    out: Out<K, V>,
}

impl<K, V> RequireKey<K, V> {
    /// Drops what has no key.
    pub const fn new(out: Out<K, V>) -> Self {
        Self { kept: Vec::new(), out }
    }
}

impl<K: Clone + Send, V: Clone + Send> Push<Option<K>, V> for RequireKey<K, V> {
    fn push(&mut self, batch: &mut Vec<Record<Option<K>, V>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            let of = (record.input, record.timestamp);
            match record.try_map(|key, value| key.map(|key| (key, value)).ok_or(DropReason::NullKey)) {
                Ok(record) => self.kept.push(record),
                Err(reason) => cx.drop_record(reason, None, of),
            }
        }
        self.out.push(&mut self.kept, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
