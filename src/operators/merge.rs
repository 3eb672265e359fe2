//! `merge`: several streams become one. Records keep the order they have in each; between streams there is none.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Cx, Out, Push, Signal};
use crate::record::Record;
use crate::time::Timestamp;

/// What the inputs of one merge share. Records go through one at a time in a task, so the lock is never waited for; it is
/// held while they go on downstream, which is safe because no way leads back up.
pub struct Merge<K, V> {
    watermarks: Vec<Timestamp>,
    idle: Vec<bool>,
    flushed: Vec<bool>,
    told: Timestamp,
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
        let watermarks = vec![Timestamp::MIN; inputs];
        let (idle, flushed) = (vec![false; inputs], vec![false; inputs]);
        let merge = Self { watermarks, idle, flushed, told: Timestamp::MIN, out };
        let merge = Arc::new(Mutex::new(merge));
        (0..inputs).map(|input| MergePort { input, merge: Arc::clone(&merge) }).collect()
    }

    /// The minimum of all inputs' watermarks after `input` has come to `watermark`; idle inputs are left out.
    fn advance(&mut self, input: usize, watermark: Timestamp) -> Timestamp {
        let own = &mut self.watermarks[input];
        *own = watermark.max(*own);
        self.idle[input] = false;
        self.minimum()
    }

    fn minimum(&self) -> Timestamp {
        let active = self.watermarks.iter().zip(&self.idle).filter(|(_, idle)| !**idle);
        active.map(|(watermark, _)| *watermark).min().unwrap_or(self.told).max(self.told)
    }
}

impl<K: Clone, V: Clone> Merge<K, V> {
    fn tell(&mut self, watermark: Timestamp, cx: &mut Cx) {
        if watermark > self.told {
            self.told = watermark;
            self.out.signal(Signal::Watermark(watermark), cx);
        }
    }
}

impl<K: Clone + Send, V: Clone + Send> Push<K, V> for MergePort<K, V> {
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        let mut merge = self.merge.lock().unwrap_or_else(PoisonError::into_inner);
        for record in &mut *batch {
            record.watermark = merge.advance(self.input, record.watermark);
        }
        merge.out.push(batch, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        let mut merge = self.merge.lock().unwrap_or_else(PoisonError::into_inner);
        match signal {
            Signal::Watermark(watermark) => {
                let all = merge.advance(self.input, watermark);
                merge.tell(all, cx);
            }
            Signal::Idle => {
                merge.idle[self.input] = true;
                if merge.idle.iter().all(|idle| *idle) {
                    merge.out.signal(Signal::Idle, cx);
                } else {
                    let rest = merge.minimum();
                    merge.tell(rest, cx);
                }
            }
            // What is downstream holds until every input has let go of what it held.
            Signal::Flush => {
                merge.flushed[self.input] = true;
                if merge.flushed.iter().all(|flushed| *flushed) {
                    merge.flushed.fill(false);
                    merge.out.signal(Signal::Flush, cx);
                }
            }
        }
    }
}
