//! A table's `group_by`: turns each update of a row into what it does to the groups that the row was in and is in now.
//!
//! - The function never sees a deleted row. A row that it gives a null value (`Option` as its type) is in no group.
//! - A row that stays in its group is one record, which takes the old value back and adds the new one. One that moves is
//!   two: it leaves its old group first. They go to different groups, so that others may see one before the other.
//! - It must be told what each row was before, and makes the old group of that again: the function must be pure.

use std::marker::PhantomData;
use std::sync::Arc;

use super::delta::Delta;
use super::{Change, Cx, Out, Push, Signal};
use crate::codec::{Data, Key};
use crate::record::Record;

/// Sends rows to the groups that `f` puts them in.
pub struct Regroup<K, V, K2, V2, F> {
    f: Arc<F>,
    made: Vec<Record<K2, Delta<V2>>>,
    out: Out<K2, Delta<V2>>,
    of: PhantomData<fn(K, V)>,
}

impl<K, V, K2, V2, F> Regroup<K, V, K2, V2, F> {
    /// Groups by `f`.
    pub const fn new(f: Arc<F>, out: Out<K2, Delta<V2>>) -> Self {
        Self { f, made: Vec::new(), out, of: PhantomData }
    }
}

impl<K, V, K2, V2, F> Push<K, Change<V>> for Regroup<K, V, K2, V2, F>
where
    K: Clone + Send,
    V: Clone + Send,
    K2: Key,
    V2: Data,
    F: Fn(&K, V) -> (K2, V2) + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, Change<V>>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            let place = |value: V| Some((self.f)(&record.key, value)).filter(|(_, value)| !value.is_null());
            let Change { old, new } = record.value;
            let (old, new) = (old.and_then(place), new.and_then(place));
            let Record { timestamp, behind, watermark, input, ref headers, .. } = record;
            let mut send = |key: K2, value: Delta<V2>| {
                let headers = headers.clone();
                self.made.push(Record { key, value, timestamp, behind, watermark, input, headers });
            };
            match (old, new) {
                (Some((before, out)), Some((key, new))) if before == key => send(key, Delta::Both { out, new }),
                (old, new) => {
                    if let Some((key, value)) = old {
                        send(key, Delta::Out(value));
                    }
                    if let Some((key, value)) = new {
                        send(key, Delta::In(value));
                    }
                }
            }
        }
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
