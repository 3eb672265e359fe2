//! `merge`: several streams become one. Records keep the order they have in each; between streams there is none.

use std::sync::{Arc, Mutex, PoisonError};

use super::merged_time::MergedTime;
use super::{Cx, Out, Push, Signal};
use crate::record::Record;

/// What the inputs of one merge share. Records go through one at a time in a task, so the lock is never waited for; it is
/// held while they go on downstream, which is safe because no way leads back up.
pub struct Merge<K, V> {
    time: MergedTime,
    out: Out<K, V>,
}

/// One input of a merge.
pub struct MergePort<K, V> {
    input: usize,
    merge: Arc<Mutex<Merge<K, V>>>,
}

impl<K, V> Merge<K, V> {
    /// A merge of `inputs` streams, and a port for each.
    #[must_use]
    pub fn ports(inputs: usize, out: Out<K, V>) -> Vec<MergePort<K, V>> {
        let merge = Arc::new(Mutex::new(Self { time: MergedTime::of(inputs), out }));
        (0..inputs).map(|input| MergePort { input, merge: Arc::clone(&merge) }).collect()
    }
}

impl<K: Clone + Send, V: Clone + Send> Push<K, V> for MergePort<K, V> {
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        let mut merge = self.merge.lock().unwrap_or_else(PoisonError::into_inner);
        for record in &mut *batch {
            record.watermark = merge.time.advance(self.input, record.watermark);
        }
        merge.out.push(batch, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        let mut merge = self.merge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signal) = merge.time.signal(self.input, signal) {
            merge.out.signal(signal, cx);
        }
    }
}
