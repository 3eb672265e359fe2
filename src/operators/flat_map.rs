//! `flat_map`, `flat_map_values` and their `try_` forms: any number of records for each that comes in, in the order in
//! which the function gives them, each at its record's time and with its headers.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Cx, Out, Push, Reject, Signal};
use crate::record::Record;

/// Gives the records that `f` makes of each.
pub struct FlatMap<K, V, K2, V2, F> {
    name: Arc<str>,
    f: Arc<F>,
    made: Vec<Record<K2, V2>>,
    out: Out<K2, V2>,
    of: PhantomData<fn(K, V)>,
}

impl<K, V, K2, V2, F> FlatMap<K, V, K2, V2, F> {
    /// A flat map called `name`.
    pub const fn new(name: Arc<str>, f: Arc<F>, out: Out<K2, V2>) -> Self {
        Self { name, f, made: Vec::new(), out, of: PhantomData }
    }
}

impl<K, V, K2, V2, F, I> Push<K, V> for FlatMap<K, V, K2, V2, F>
where
    K2: Clone + Send,
    V2: Clone + Send,
    F: Fn(K, V) -> Result<I, Reject> + Send + Sync,
    I: IntoIterator<Item = (K2, V2)>,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            let Record { key, value, timestamp, behind, watermark, input, headers } = record;
            match (self.f)(key, value) {
                Ok(made) => self.made.extend(made.into_iter().map(|(key, value)| {
                    let headers = headers.clone();
                    Record { key, value, timestamp, behind, watermark, input, headers }
                })),
                Err(reject) => return cx.refuse(input, reject, &self.name),
            }
        }
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}
