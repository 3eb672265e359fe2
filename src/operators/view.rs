//! What a table holds now, for other operators of its task: its store, or what is made of another table's rows as they are
//! looked up.

use std::sync::{Arc, MutexGuard};

use super::stores::SharedStore;
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::state::{Row, Store};

/// A table as others look rows up in it. They see the newest value of each key, also one whose update is still held back.
pub enum View<K: Key, V: Data> {
    /// The rows are in a store.
    Stored(SharedStore<K, V>),
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
}

impl<K: Key, V: Data> View<K, V> {
    /// Looks at the table, for one batch. Must be let go before anything is pushed downstream.
    pub fn look(&mut self) -> Looking<'_, K, V> {
        match self {
            Self::Stored(store) => Looking::Stored(store.lock()),
            Self::Derived(of) => Looking::Derived { of: &mut **of, found: None },
        }
    }
}

/// A look at a table.
pub enum Looking<'a, K: Key, V: Data> {
    /// At its store.
    Stored(MutexGuard<'a, Store<K, V>>),
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
            Self::Stored(store) => store.get(key),
            Self::Derived { of, found } => {
                *found = of.get(key)?;
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
        let mut looking = self.of.look();
        Ok(looking.get(key)?.filter(|row| (self.keep)(key, &row.value)).cloned())
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
        let mut looking = self.of.look();
        let Some(row) = looking.get(key)? else { return Ok(None) };
        let (value, timestamp) = ((self.f)(key, &row.value), row.timestamp);
        Ok((!value.is_null()).then_some(Row { value, timestamp }))
    }
}
