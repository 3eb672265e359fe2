//! `map_with_state`: another value for each record, made with what its key has kept so far.
//!
//! - The function sees every record, a null value as well, and changes the state of the record's key in place.
//! - A state that is null (`Option` as its type) is deleted; the next record begins with the initial one.
//! - The result has the record's time and headers. Results go out at once, only the states' changes with the commit.

use std::marker::PhantomData;
use std::sync::Arc;

use super::changelog::Changelog;
use super::stores::SharedStore;
use super::{Cx, Out, Push, Reject, Signal};
use crate::codec::{Data, Key};
use crate::record::Record;
use crate::state::{Origin, Row, Store};

/// Makes a value of each record and its key's state.
pub struct MapWithState<K: Key, V, S: Data, O, I, F> {
    name: Arc<str>,
    states: (SharedStore<K, S>, Changelog),
    initial: Arc<I>,
    f: Arc<F>,
    made: Vec<Record<K, O>>,
    out: Out<K, O>,
    of: PhantomData<fn(V)>,
}

impl<K, V, S, O, I, F> MapWithState<K, V, S, O, I, F>
where
    K: Key,
    S: Data,
    I: Fn(&K) -> S,
    F: Fn(&K, &mut S, V) -> Result<O, Reject>,
{
    /// States in a store with its changelog, which begin as `initial` says.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        states: (SharedStore<K, S>, Changelog),
        (initial, f): (Arc<I>, Arc<F>),
        out: Out<K, O>,
    ) -> Self {
        Self { name, states, initial, f, made: Vec::new(), out, of: PhantomData }
    }

    fn map(&mut self, record: Record<K, V>, store: &mut Store<K, S>, cx: &mut Cx) {
        let row = match store.touch(&record.key) {
            Ok(row) => row,
            Err(error) => return cx.stop(error),
        };
        let before = store.row_mut(row).take();
        let newest = before.as_ref().map_or(record.timestamp, |row| row.timestamp.max(record.timestamp));
        let mut state = before.map_or_else(|| (self.initial)(&record.key), |row| row.value);
        let Record { timestamp, watermark, input, .. } = record;
        let made = record.try_map(|key, value| (self.f)(&key, &mut state, value).map(|made| (key, made)));
        match made {
            Ok(record) => self.made.push(record),
            Err(reject) => return cx.refuse(input, reject, &self.name),
        }
        *store.row_mut(row) = (!state.is_null()).then_some(Row { value: state, timestamp: newest });
        *store.origin_mut(row) = Origin { timestamp, watermark, input, ..Origin::default() };
    }
}

impl<K, V, S, O, I, F> Push<K, V> for MapWithState<K, V, S, O, I, F>
where
    K: Key,
    S: Data,
    O: Clone + Send,
    I: Fn(&K) -> S + Send + Sync,
    F: Fn(&K, &mut S, V) -> Result<O, Reject> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        let shared = self.states.0.clone();
        let mut store = shared.lock();
        for record in batch.drain(..) {
            self.map(record, &mut store, cx);
            if cx.failed() {
                return;
            }
        }
        drop(store);
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        if signal == Signal::Flush {
            self.states.1.flush(&mut self.states.0.lock(), cx, |_| ());
        }
        self.out.signal(signal, cx);
    }
}
