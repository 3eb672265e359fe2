//! `combine()`: reduces before the shuffle. Each task sums up what it has read since its last commit and sends one record a
//! key, where without it every record would travel.
//!
//! The function must be associative and commutative, since partial results of several tasks meet in any order; the user
//! says so by asking for it. A partial result has the largest event time that went into it and is never late. It leaves
//! before each commit, earlier once it holds very many keys; an abort forgets it together with the inputs it came from.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use super::aggregate::Fold;
use super::{Cx, DropReason, Out, Push, Reject, Signal};
use crate::codec::{Data, Key};
use crate::record::Record;
use crate::time::Timestamp;

/// Holds one partial result a key, in order of first touch: what goes out does not depend on a hash.
pub struct Combine<K: Key, V, A, F> {
    name: Arc<str>,
    fold: Arc<F>,
    most: usize,
    places: HashMap<K, usize>,
    held: Vec<Record<K, A>>,
    seen: Timestamp,
    told: Timestamp,
    out: Out<K, A>,
    of: PhantomData<fn(V)>,
}

impl<K: Key, V: Data, A: Data, F: Fold<K, V, A>> Combine<K, V, A, F> {
    /// Holds at most `most` keys.
    pub fn new(name: Arc<str>, fold: Arc<F>, most: usize, out: Out<K, A>) -> Self {
        let (places, held) = (HashMap::new(), Vec::new());
        Self { name, fold, most, places, held, seen: Timestamp::MIN, told: Timestamp::MIN, out, of: PhantomData }
    }

    fn add(&mut self, record: Record<K, V>) -> Result<(), Reject> {
        let Some(place) = self.places.get(&record.key) else {
            let Record { key, value, timestamp, input, headers, .. } = record;
            let value = self.fold.first(&key, value)?;
            self.places.insert(key.clone(), self.held.len());
            self.held.push(Record { key, value, timestamp, behind: 0, watermark: self.told, input, headers });
            return Ok(());
        };
        let held = &mut self.held[*place];
        self.fold.next(&record.key, &mut held.value, record.value)?;
        held.timestamp = held.timestamp.max(record.timestamp);
        (held.input, held.headers) = (record.input, record.headers);
        Ok(())
    }

    /// Partial results first, then the time that they were held back for.
    fn release(&mut self, cx: &mut Cx) {
        self.places.clear();
        self.out.push(&mut self.held, cx);
        if self.seen > self.told {
            self.told = self.seen;
            self.out.signal(Signal::Watermark(self.told), cx);
        }
    }
}

impl<K: Key, V: Data, A: Data, F: Fold<K, V, A>> Push<K, V> for Combine<K, V, A, F> {
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            self.seen = self.seen.max(record.watermark);
            if record.value.is_null() {
                cx.drop_record(DropReason::NullValue, None, (record.input, record.timestamp));
                continue;
            }
            let input = record.input;
            if let Err(reject) = self.add(record) {
                return cx.refuse(input, reject, &self.name);
            }
            if self.held.len() >= self.most {
                self.release(cx);
            }
        }
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        match signal {
            Signal::Watermark(watermark) => self.seen = self.seen.max(watermark),
            Signal::Idle => self.out.signal(signal, cx),
            Signal::Flush => {
                self.release(cx);
                self.out.signal(Signal::Flush, cx);
            }
        }
    }
}
