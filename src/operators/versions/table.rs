//! The table itself: keeps every change as a version, and hands on those that are the newest of their key.

use std::sync::Arc;

use std::marker::PhantomData;

use super::history::{History, Put, SharedHistory};
use crate::codec::{Data, Key};
use crate::operators::changelog::Changelog;
use crate::operators::{Change, Cx, DropReason, Out, Push, Signal};
use crate::record::Record;
use crate::state::Origin;
use crate::time::Timestamp;

/// How many versions are forgotten at once.
const PORTION: usize = 4096;

/// Keeps what `of` finds in each record as a version of its key; `None` is a deletion.
pub struct Versions<K: Key, I, V: Data, F> {
    name: Arc<str>,
    history: SharedHistory<K, V>,
    changelog: Changelog,
    of: Arc<F>,
    tells_before: bool,
    seen: Timestamp,
    told: Timestamp,
    change: Vec<Record<K, Change<V>>>,
    out: Out<K, Change<V>>,
    from: PhantomData<fn(I)>,
}

impl<K: Key, I, V: Data, F: Fn(I) -> Option<V>> Versions<K, I, V, F> {
    /// A table that keeps its versions in `history`.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        (history, changelog): (SharedHistory<K, V>, Changelog),
        of: Arc<F>,
        tells_before: bool,
        out: Out<K, Change<V>>,
    ) -> Self {
        let (seen, told) = (Timestamp::MIN, Timestamp::MIN);
        Self { name, history, changelog, of, tells_before, seen, told, change: Vec::new(), out, from: PhantomData }
    }

    /// Keeps a version, and queues the change if it is one of the newest.
    fn put(&mut self, record: Record<K, I>, cx: &mut Cx) {
        let Record { key, value, timestamp, behind, watermark, input, headers } = record;
        let mut history = self.history.lock();
        if behind > history.keep_millis() {
            return cx.count_late(&self.name, DropReason::Late, (input, timestamp));
        }
        let new = (self.of)(value).filter(|value| !value.is_null());
        let origin = Origin { timestamp, behind, watermark, input, headers: headers.clone() };
        match history.put(&key, new.clone(), &origin) {
            Ok(Put::Latest(old)) => {
                let value = Change { old: old.filter(|_| self.tells_before), new };
                self.change.push(Record { key, value, timestamp, behind, watermark, input, headers });
            }
            Ok(Put::Past) => {}
            Ok(Put::TooOld) => cx.count_late(&self.name, DropReason::Expired, (input, timestamp)),
            Err(error) => cx.stop(error),
        }
    }

    fn saw(&mut self, watermark: Timestamp) {
        self.seen = self.seen.max(watermark);
        self.history.lock().advance(History::<K, V>::TABLE, self.seen);
    }

    fn tell(&mut self, cx: &mut Cx) {
        if self.seen > self.told {
            self.told = self.seen;
            self.out.signal(Signal::Watermark(self.told), cx);
        }
    }

    fn forget(&mut self, cx: &mut Cx) {
        let mut budget = PORTION;
        let forgotten = self.history.lock().forget(&mut budget);
        match forgotten {
            Ok(true) => {}
            Ok(false) => cx.more_to_do(),
            Err(error) => cx.stop(error),
        }
    }
}

impl<K, I, V, F> Push<K, I> for Versions<K, I, V, F>
where
    K: Key,
    I: Send,
    V: Data,
    F: Fn(I) -> Option<V> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, I>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            let watermark = record.watermark;
            self.put(record, cx);
            if cx.failed() {
                return;
            }
            self.saw(watermark);
            // One by one: who waits for the table's time must see the versions that are there by then, and no later ones.
            if self.change.is_empty() {
                self.tell(cx);
            } else {
                self.out.push(&mut self.change, cx);
            }
        }
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        match signal {
            Signal::Watermark(watermark) => {
                self.saw(watermark);
                // Also where it is not new: who has more to do than fitted in a step waits to be told again.
                self.told = self.seen;
                self.out.signal(Signal::Watermark(self.told), cx);
            }
            Signal::Idle => {
                self.history.lock().leave_out(History::<K, V>::TABLE);
                self.out.signal(signal, cx);
            }
            Signal::Flush => {
                self.forget(cx);
                self.history.lock().flush(&self.changelog, cx);
                if !cx.failed() {
                    self.out.signal(signal, cx);
                }
            }
        }
    }
}
