//! A store as the operators of a task share it: its owner, what reads it, and the runtime, which looks at its figures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::codec::{Data, Key};
use crate::state::{Store, StoreStats};

/// A store as the runtime sees it. It is flushed by the operator that owns it, on
/// [`Signal::Flush`](super::Signal::Flush).
pub trait StorePort: Send {
    /// The store's name.
    fn name(&self) -> &str;
    /// The actual name of its changelog.
    fn changelog(&self) -> &str;
    /// Its figures: hits and misses, bytes held, bytes changed since the last flush.
    fn stats(&self) -> StoreStats;
}

/// A store with several users in one task. Never contended: a task runs on one thread.
pub struct SharedStore<K: Key, V: Data>(Arc<Mutex<Store<K, V>>>);

impl<K: Key, V: Data> SharedStore<K, V> {
    /// Shares `store`.
    #[must_use]
    pub fn new(store: Store<K, V>) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// The store, for one batch. Must be let go before anything is pushed downstream, where the same store may be read.
    pub fn lock(&self) -> MutexGuard<'_, Store<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key, V: Data> Clone for SharedStore<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What the runtime holds of a [`SharedStore`].
pub struct StoreHandle<K: Key, V: Data> {
    name: Arc<str>,
    changelog: Arc<str>,
    store: SharedStore<K, V>,
}

impl<K: Key, V: Data> StoreHandle<K, V> {
    /// The runtime's hold on `store`.
    #[must_use]
    pub fn new(name: Arc<str>, changelog: Arc<str>, store: SharedStore<K, V>) -> Self {
        Self { name, changelog, store }
    }
}

impl<K: Key, V: Data> StorePort for StoreHandle<K, V> {
    fn name(&self) -> &str {
        &self.name
    }

    fn changelog(&self) -> &str {
        &self.changelog
    }

    fn stats(&self) -> StoreStats {
        self.store.lock().stats()
    }
}
