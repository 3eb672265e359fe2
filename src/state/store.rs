//! A typed store of one task: decoded rows over the task's state. A stand-in that keeps rows in memory alone.

use std::collections::HashMap;

use crate::codec::{Codec, Data, Key};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Headers, InputNumber};
use crate::time::Timestamp;

/// The state of one task.
#[derive(Clone, Debug, Default)]
pub struct TaskState {}

impl TaskState {
    /// Fresh state in memory, for `task`.
    pub fn in_memory(_task: &str) -> Self {
        Self {}
    }
}

/// How a store is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Its name, the same in the changelog's name.
    pub name: String,
    /// Whether a flush must tell what each row was at the flush before.
    pub keep_before: bool,
    /// What the cache may take.
    pub cache_bytes: usize,
}

/// Figures of a store, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Lookups that the cache answered.
    pub hits: u64,
    /// Lookups that had to go below.
    pub misses: u64,
    /// What the cache takes, estimated.
    pub cache_bytes: usize,
    /// What of that has changed since the last flush.
    pub dirty_bytes: usize,
    /// Rows in the cache, absent ones included.
    pub cached_rows: usize,
    /// Rows that have changed since the last flush.
    pub dirty_rows: usize,
}

/// A row: the value, and the largest event time that went into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<V> {
    /// The value.
    pub value: V,
    /// The largest event time that went into it.
    pub timestamp: Timestamp,
}

/// What an update that is held back goes out with: that of the last record that touched the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Event time of the update.
    pub timestamp: Timestamp,
    /// How far it lies behind its source.
    pub behind: u64,
    /// The edge's watermark once it has been seen.
    pub watermark: Timestamp,
    /// The input that it comes from.
    pub input: InputNumber,
    /// The headers.
    pub headers: Headers,
}

/// The place of a row that was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId(usize);

/// A changed row as it is flushed.
pub struct Flushed<'a, K, V> {
    /// The key.
    pub key: &'a K,
    /// Whether there was a row at the flush before.
    pub existed: bool,
    /// The row at the last flush; `None` where there was none, or where nobody asked for it.
    pub before: Option<&'a Row<V>>,
    /// The row now; `None` where it was deleted.
    pub row: Option<&'a Row<V>>,
    /// What the update goes out with.
    pub origin: &'a Origin,
    /// The key as it is written.
    pub key_bytes: &'a [u8],
    /// The row as it is written; `None` is a tombstone.
    pub row_bytes: Option<&'a [u8]>,
}

struct Slot<K, V> {
    key: K,
    row: Option<Row<V>>,
    before: Option<Row<V>>,
    existed: bool,
    origin: Origin,
    dirty: bool,
}

/// The rows of one store.
pub struct Store<K: Key, V: Data> {
    name: String,
    places: HashMap<K, usize>,
    slots: Vec<Slot<K, V>>,
    dirty: Vec<usize>,
    keep_before: bool,
    key_codec: K::Codec,
    value_codec: V::Codec,
}

impl<K: Key, V: Data> Store<K, V> {
    /// The store of these options in a task's state.
    #[must_use]
    pub fn new(options: StoreOptions, _state: TaskState) -> Self {
        let StoreOptions { name, keep_before, .. } = options;
        Self {
            name,
            places: HashMap::new(),
            slots: Vec::new(),
            dirty: Vec::new(),
            keep_before,
            key_codec: K::Codec::default(),
            value_codec: V::Codec::default(),
        }
    }

    /// Finds or makes the row of `key` and counts it as changed.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn touch(&mut self, key: &K) -> Result<RowId> {
        let place = if let Some(place) = self.places.get(key) {
            *place
        } else {
            let place = self.slots.len();
            self.slots.push(Slot {
                key: key.clone(),
                row: None,
                before: None,
                existed: false,
                origin: Origin::default(),
                dirty: false,
            });
            self.places.insert(key.clone(), place);
            place
        };
        let slot = &mut self.slots[place];
        if !slot.dirty {
            slot.dirty = true;
            slot.existed = slot.row.is_some();
            slot.before = if self.keep_before { slot.row.clone() } else { None };
            self.dirty.push(place);
        }
        Ok(RowId(place))
    }

    /// A touched row.
    pub fn row_mut(&mut self, id: RowId) -> &mut Option<Row<V>> {
        &mut self.slots[id.0].row
    }

    /// What the update of a touched row goes out with.
    pub fn origin_mut(&mut self, id: RowId) -> &mut Origin {
        &mut self.slots[id.0].origin
    }

    /// The row of `key`.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn get(&mut self, key: &K) -> Result<Option<&Row<V>>> {
        Ok(self.places.get(key).and_then(|place| self.slots[*place].row.as_ref()))
    }

    /// Hands over every row touched since the last flush, in order of first touch.
    ///
    /// # Errors
    /// When a row cannot be written in its format; whatever `each` gives.
    pub fn flush(&mut self, mut each: impl FnMut(Flushed<'_, K, V>) -> Result<()>) -> Result<()> {
        let unwritable = |error| Error::new(ErrorKind::State, "a row cannot be written in its format").caused_by(error);
        for place in self.dirty.drain(..) {
            let slot = &mut self.slots[place];
            slot.dirty = false;
            let mut key_bytes = Vec::new();
            self.key_codec.encode(&slot.key, &mut key_bytes).map_err(unwritable)?;
            let row_bytes = slot.row.as_ref().map(|row| {
                let mut bytes = Vec::new();
                self.value_codec.encode(&row.value, &mut bytes).map(|()| bytes)
            });
            let row_bytes = row_bytes.transpose().map_err(unwritable)?;
            each(Flushed {
                key: &slot.key,
                existed: slot.existed,
                before: slot.before.as_ref(),
                row: slot.row.as_ref(),
                origin: &slot.origin,
                key_bytes: &key_bytes,
                row_bytes: row_bytes.as_deref(),
            })?;
        }
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Figures.
    pub fn stats(&self) -> StoreStats {
        let size = size_of::<Slot<K, V>>();
        StoreStats {
            cache_bytes: self.slots.len() * size,
            dirty_bytes: self.dirty.len() * size,
            cached_rows: self.slots.len(),
            dirty_rows: self.dirty.len(),
            ..StoreStats::default()
        }
    }
}
