//! `branch`: sends each record one of several ways.

use std::sync::Arc;

use super::{Cx, DropReason, Out, Push, Signal};
use crate::record::Record;

/// Sends each record the way whose number `choose` gives. A number without a way: dropped and counted as `no_branch`.
pub struct Branch<K, V, F, const N: usize> {
    choose: Arc<F>,
    ways: [Way<K, V>; N],
}

/// The records that have taken a way, and where it leads.
struct Way<K, V> {
    taken: Vec<Record<K, V>>,
    out: Out<K, V>,
}

impl<K, V, F, const N: usize> Branch<K, V, F, N> {
    /// Branches into `ways`.
    pub fn new(choose: Arc<F>, ways: [Out<K, V>; N]) -> Self {
        Self { choose, ways: ways.map(|out| Way { taken: Vec::new(), out }) }
    }
}

impl<K, V, F, const N: usize> Push<K, V> for Branch<K, V, F, N>
where
    K: Clone + Send,
    V: Clone + Send,
    F: Fn(&K, &V) -> usize + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            match self.ways.get_mut((self.choose)(&record.key, &record.value)) {
                Some(way) => way.taken.push(record),
                None => cx.drop_record(DropReason::NoBranch, None, (record.input, record.timestamp)),
            }
        }
        for Way { taken, out } in &mut self.ways {
            out.push(taken, cx);
        }
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        for Way { out, .. } in &mut self.ways {
            out.signal(signal, cx);
        }
    }
}
