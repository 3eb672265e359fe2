//! `map`, `map_values`, `rekey` and their `try_` forms: one record out for each that comes in, at its time and with its
//! headers. They differ in what the user's function sees and gives; the operator is the same.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Cx, Out, Push, Reject, Signal};
use crate::record::Record;

/// Gives every record the key and value that `f` makes of its own.
pub struct Map<K, V, K2, V2, F> {
    name: Arc<str>,
    f: Arc<F>,
    made: Vec<Record<K2, V2>>,
    out: Out<K2, V2>,
    of: PhantomData<fn(K, V)>,
}

impl<K, V, K2, V2, F> Map<K, V, K2, V2, F> {
    /// A map called `name`.
    pub const fn new(name: Arc<str>, f: Arc<F>, out: Out<K2, V2>) -> Self {
        Self { name, f, made: Vec::new(), out, of: PhantomData }
    }
}

impl<K, V, K2, V2, F> Push<K, V> for Map<K, V, K2, V2, F>
where
    K2: Clone + Send,
    V2: Clone + Send,
    F: Fn(K, V) -> Result<(K2, V2), Reject> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            let input = record.input;
            match record.try_map(&*self.f) {
                Ok(record) => self.made.push(record),
                Err(reject) => return cx.refuse(input, reject, &self.name),
            }
        }
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
