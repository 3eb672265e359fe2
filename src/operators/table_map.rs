//! A table's `map_values`: the same rows with other values.
//!
//! - The function never sees a deleted row. A null that it gives (`Option` as the value's type) deletes the row.
//! - Where something downstream asks for the value before, the function makes that again of the one that it was made of.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Change, Cx, Out, Push, Signal};
use crate::codec::Data;
use crate::record::Record;

/// Gives each row the value that `f` makes of its own.
pub struct TableMap<K, V, V2, F> {
    f: Arc<F>,
    made: Vec<Record<K, Change<V2>>>,
    out: Out<K, Change<V2>>,
    of: PhantomData<fn(V)>,
}

impl<K, V, V2, F> TableMap<K, V, V2, F> {
    /// A map by `f`.
    pub const fn new(f: Arc<F>, out: Out<K, Change<V2>>) -> Self {
        Self { f, made: Vec::new(), out, of: PhantomData }
    }
}

impl<K, V, V2, F> Push<K, Change<V>> for TableMap<K, V, V2, F>
where
    K: Clone + Send,
    V: Clone + Send,
    V2: Data,
    F: Fn(&K, &V) -> V2 + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, Change<V>>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            self.made.push(record.map(|key, Change { old, new }| {
                let map = |value: V| Some((self.f)(&key, &value)).filter(|value| !value.is_null());
                let (old, new) = (old.and_then(map), new.and_then(map));
                (key, Change { old, new })
            }));
        }
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
