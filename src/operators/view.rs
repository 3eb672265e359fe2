//! What a table holds now, for other operators of its task: its store, or what is made of another table's rows as they are
//! looked up.

use std::sync::{Arc, MutexGuard};

use super::stores::SharedStore;
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::state::{Row, Store};

/// A table as others look rows up in it: the newest value of each key, also one whose update is still held back, or the
/// one that was handed on last.
pub enum View<K: Key, V: Data> {
    /// The rows are in a store.
    Stored {
        /// The store.
        store: SharedStore<K, V>,
        /// True where updates wait for the flush: what was handed on is then older than the newest row may be.
        held_back: bool,
    },
    /// The rows are made when they are asked for.
    Derived(Box<dyn Derived<K, V>>),
}

/// Rows that are made when they are asked for.
pub trait Derived<K, V>: Send {
    /// The row of a key.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn get(&mut self, key: &K) -> Result<Option<Row<V>>>;

    /// The row of a key as it was handed on last.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn handed_on(&mut self, key: &K) -> Result<Option<Row<V>>>;
}

impl<K: Key, V: Data> View<K, V> {
    /// Looks at the table, for one batch. Must be let go before anything is pushed downstream.
    pub fn look(&mut self) -> Looking<'_, K, V> {
        match self {
            Self::Stored { store, held_back } => Looking::Stored { store: store.lock(), held_back: *held_back },
            Self::Derived(of) => Looking::Derived { of: &mut **of, found: None },
        }
    }
}

/// A look at a table.
pub enum Looking<'a, K: Key, V: Data> {
    /// At its store.
    Stored {
        /// The store.
        store: MutexGuard<'a, Store<K, V>>,
        /// As in [`View::Stored`].
        held_back: bool,
    },
    /// At rows that are made.
    Derived {
        /// What makes them.
        of: &'a mut dyn Derived<K, V>,
        /// The last one.
        found: Option<Row<V>>,
    },
}

impl<K: Key, V: Data> Looking<'_, K, V> {
    /// The row of a key.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn get(&mut self, key: &K) -> Result<Option<&Row<V>>> {
        match self {
            Self::Stored { store, .. } => store.get(key),
            Self::Derived { of, found } => {
                *found = of.get(key)?;
                Ok(found.as_ref())
            }
        }
    }

    /// The row of a key as it was handed on last. The stores beneath must keep what was before.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn handed_on(&mut self, key: &K) -> Result<Option<&Row<V>>> {
        match self {
            Self::Stored { store, held_back: true } => store.get_flushed(key),
            Self::Stored { store, held_back: false } => store.get(key),
            Self::Derived { of, found } => {
                *found = of.handed_on(key)?;
                Ok(found.as_ref())
            }
        }
    }
}

/// The rows of a table that a condition holds for.
pub struct Kept<K: Key, V: Data, F> {
    of: View<K, V>,
    keep: Arc<F>,
}

impl<K: Key, V: Data, F> Kept<K, V, F> {
    /// The rows of `of` that `keep` holds for.
    pub const fn new(of: View<K, V>, keep: Arc<F>) -> Self {
        Self { of, keep }
    }
}

impl<K: Key, V: Data, F: Fn(&K, &V) -> bool + Send + Sync> Derived<K, V> for Kept<K, V, F> {
    fn get(&mut self, key: &K) -> Result<Option<Row<V>>> {
        Ok(self.of.look().get(key)?.filter(|row| (self.keep)(key, &row.value)).cloned())
    }

    fn handed_on(&mut self, key: &K) -> Result<Option<Row<V>>> {
        Ok(self.of.look().handed_on(key)?.filter(|row| (self.keep)(key, &row.value)).cloned())
    }
}

/// The rows of a table with other values.
pub struct Mapped<K: Key, V: Data, F> {
    of: View<K, V>,
    f: Arc<F>,
}

impl<K: Key, V: Data, F> Mapped<K, V, F> {
    /// The rows of `of` with the values that `f` makes of theirs.
    pub const fn new(of: View<K, V>, f: Arc<F>) -> Self {
        Self { of, f }
    }
}

impl<K: Key, V: Data, V2: Data, F: Fn(&K, &V) -> V2 + Send + Sync> Derived<K, V2> for Mapped<K, V, F> {
    fn get(&mut self, key: &K) -> Result<Option<Row<V2>>> {
        Ok(self.of.look().get(key)?.and_then(|row| mapped(key, row, &*self.f)))
    }

    fn handed_on(&mut self, key: &K) -> Result<Option<Row<V2>>> {
        Ok(self.of.look().handed_on(key)?.and_then(|row| mapped(key, row, &*self.f)))
    }
}

fn mapped<K, V, V2: Data>(key: &K, row: &Row<V>, f: &impl Fn(&K, &V) -> V2) -> Option<Row<V2>> {
    let (value, timestamp) = (f(key, &row.value), row.timestamp);
    (!value.is_null()).then_some(Row { value, timestamp })
}
