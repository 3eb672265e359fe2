//! A typed store of one task: decoded rows over the task's state. A stand-in that keeps rows in memory alone.

use std::collections::HashMap;

use crate::codec::{Codec, Data, Key};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Headers, InputNumber};
use crate::time::Timestamp;

/// The state of one task.
#[derive(Clone, Debug, Default)]
pub struct TaskState {}

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
    /// The row at the last flush; `None` where there was none, or where nobody asked for it.
    pub before: Option<Row<V>>,
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
    origin: Origin,
    dirty: bool,
}

/// The rows of one store.
pub struct Store<K: Key, V: Data> {
    places: HashMap<K, usize>,
    slots: Vec<Slot<K, V>>,
    dirty: Vec<usize>,
    keep_before: bool,
    key_codec: K::Codec,
    value_codec: V::Codec,
}

impl<K: Key, V: Data> Store<K, V> {
    /// The store `name` of a task.
    #[must_use]
    pub fn new(_state: &TaskState, _name: &str, _cache_bytes: usize, keep_before: bool) -> Self {
        Self {
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
                origin: Origin::default(),
                dirty: false,
            });
            self.places.insert(key.clone(), place);
            place
        };
        let slot = &mut self.slots[place];
        if !slot.dirty {
            slot.dirty = true;
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
                before: slot.before.take(),
                row: slot.row.as_ref(),
                origin: &slot.origin,
                key_bytes: &key_bytes,
                row_bytes: row_bytes.as_deref(),
            })?;
        }
        Ok(())
    }

    /// Bytes changed since the last flush, about.
    #[must_use]
    pub fn dirty_bytes(&self) -> usize {
        self.dirty.len() * size_of::<Slot<K, V>>()
    }

    /// Bytes of decoded rows held, about.
    #[must_use]
    pub fn cache_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot<K, V>>()
    }

    /// How many lookups found their row decoded, and how many did not.
    #[must_use]
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (0, 0)
    }
}
