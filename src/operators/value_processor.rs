//! A user's own processor that leaves the key alone: what it forwards has the key of the record that it processes. The type
//! says so, so that what is grouped below it needs no shuffle.

use std::ops::{Deref, DerefMut};

use super::processor::{Context, Processor, Stored, Timer};
use super::{DropReason, Reject};
use crate::codec::{Data, Key};
use crate::record::Record;
use crate::time::Timestamp;

/// As [`Processor`], and it cannot change the key: it forwards values only, while it processes a record. Its timers may
/// change its stores, and forward nothing.
pub trait ValueProcessor<K, V>: Send + 'static {
    /// The value of what it forwards.
    type Value: Clone + Send + 'static;

    /// Processes a record.
    ///
    /// # Errors
    /// When the record is refused: it goes by its source's policy, and leaves no trace.
    fn process(&self, record: Record<K, V>, cx: &mut ValueContext<'_, '_, K, Self::Value>) -> Result<(), Reject>;

    /// A timer has gone off, `at` the watermark or the time of day that it has come to.
    ///
    /// # Errors
    /// When it cannot do what it should: the task starts the transaction over, and in the end stops.
    fn punctuate(
        &self,
        timer: Timer,
        at: Timestamp,
        cx: &mut StateContext<'_, '_, K, Self::Value>,
    ) -> Result<(), Reject> {
        let _ = (timer, at, cx);
        Ok(())
    }
}

/// What a [`ValueProcessor`] may use while it processes a record: its [state](StateContext), and it may forward.
pub struct ValueContext<'c, 'a, K, V> {
    state: StateContext<'c, 'a, K, V>,
    key: K,
}

impl<K: Clone, V> ValueContext<'_, '_, K, V> {
    /// Hands a value on, with the record's key and at its event time.
    pub fn forward(&mut self, value: V) {
        self.state.0.forward(self.key.clone(), value);
    }

    /// Hands a value on with the record's key, at a time of its own; as [`Context::forward_at`].
    pub fn forward_at(&mut self, value: V, timestamp: Timestamp) {
        self.state.0.forward_at(self.key.clone(), value, timestamp);
    }
}

impl<'c, 'a, K, V> Deref for ValueContext<'c, 'a, K, V> {
    type Target = StateContext<'c, 'a, K, V>;

    fn deref(&self) -> &Self::Target {
        &self.state
    }
}

impl<K, V> DerefMut for ValueContext<'_, '_, K, V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.state
    }
}

/// What a [`ValueProcessor`] may use at any time: all of [`Context`] but forwarding.
pub struct StateContext<'c, 'a, K, V>(&'c mut Context<'a, K, V>);

impl<K, V> StateContext<'_, '_, K, V> {
    /// As [`Context::timestamp`].
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.0.timestamp()
    }

    /// As [`Context::watermark`].
    #[must_use]
    pub fn watermark(&self) -> Timestamp {
        self.0.watermark()
    }

    /// As [`Context::wall`].
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.0.wall()
    }

    /// As [`Context::count_dropped`].
    pub fn count_dropped(&mut self, reason: DropReason, count: u64) {
        self.0.count_dropped(reason, count);
    }

    /// As [`Context::again`].
    pub fn again(&mut self) {
        self.0.again();
    }

    /// As [`Context::get`].
    pub fn get<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>, key: &SK) -> Option<SV> {
        self.0.get(store, key)
    }

    /// As [`Context::put`].
    pub fn put<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>, key: &SK, value: SV) {
        self.0.put(store, key, value);
    }

    /// As [`Context::remove`].
    pub fn remove<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>, key: &SK) {
        self.0.remove(store, key);
    }

    /// As [`Context::update`].
    pub fn update<SK: Key, SV: Data>(
        &mut self,
        store: &Stored<SK, SV>,
        key: &SK,
        change: impl FnOnce(&mut Option<SV>),
    ) {
        self.0.update(store, key, change);
    }

    /// As [`Context::rows`].
    pub fn rows<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>) -> Vec<(SK, SV)> {
        self.0.rows(store)
    }

    /// As [`Context::each_row`].
    pub fn each_row<SK: Key, SV: Data>(&mut self, store: &Stored<SK, SV>, see: impl FnMut(&SK, &SV)) {
        self.0.each_row(store, see);
    }
}

/// A [`ValueProcessor`] as the [`Processor`] that it is.
pub struct KeepingKey<P>(pub P);

impl<K: Clone + Send + 'static, V, P: ValueProcessor<K, V>> Processor<K, V> for KeepingKey<P> {
    type Key = K;
    type Value = P::Value;

    fn process(&self, record: Record<K, V>, cx: &mut Context<'_, K, P::Value>) -> Result<(), Reject> {
        let key = record.key.clone();
        self.0.process(record, &mut ValueContext { state: StateContext(cx), key })
    }

    fn punctuate(&self, timer: Timer, at: Timestamp, cx: &mut Context<'_, K, P::Value>) -> Result<(), Reject> {
        self.0.punctuate(timer, at, &mut StateContext(cx))
    }
}
