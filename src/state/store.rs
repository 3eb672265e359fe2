//! The typed store of an operator: its rows decoded, changes held back until the flush.

use std::collections::BTreeMap;

use super::cache::{CLEAN, Cache};
use super::task::EncodedRow;
use super::{Row, StoreId, TaskState};
use crate::codec::{Codec, CodecError, Data, Key};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::record::{Headers, InputNumber};
use crate::time::Timestamp;

/// A store of one task: rows by key.
///
/// A row is changed in place: [`touch`](Self::touch) finds it, [`row_mut`](Self::row_mut) and
/// [`origin_mut`](Self::origin_mut) change it. Nothing leaves the store before [`flush`](Self::flush), which tells every
/// row that was touched once, in the order in which they were first touched.
///
/// After an abort, or an error of any method, the store must be dropped and made anew from its [`TaskState`]: its changes
/// cannot be taken back singly.
pub struct Store<K: Key, V: Data> {
    name: String,
    pub(super) id: StoreId,
    keep_before: bool,
    pub(super) state: TaskState,
    pub(super) cache: Cache<K, V>,
    pub(super) keys: K::Codec,
    pub(super) values: V::Codec,
    /// Dirty rows by whole key, as far as a scan has needed them: the first `indexed` ones.
    pub(super) index: BTreeMap<Vec<u8>, u32>,
    pub(super) indexed: usize,
    pub(super) flushes: u64,
    scratch: Vec<u8>,
    hits: u64,
    misses: u64,
}

/// How a store is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Its name, the same in the changelog's name.
    pub name: String,
    /// Whether a flush must tell what each row was at the flush before: where something downstream needs old values.
    pub keep_before: bool,
    /// What the cache may take. Changed rows stay in it until the flush, however many: whoever drives the store flushes
    /// and commits when [`Store::dirty_bytes`] grows too large.
    pub cache_bytes: usize,
}

/// A row that has been touched. Good until the next flush of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId(u32);

/// What the newest change of a row came from; as the fields of [`Record`](crate::Record).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Event time.
    pub timestamp: Timestamp,
    /// How far it lay behind its source partition's watermark.
    pub behind: u64,
    /// The watermark of the edge.
    pub watermark: Timestamp,
    /// Which input it was.
    pub input: InputNumber,
    /// Its headers.
    pub headers: Headers,
}

/// A changed row, as a flush tells it.
#[derive(Debug)]
pub struct Flushed<'a, K, V> {
    /// The key.
    pub key: &'a K,
    /// Whether there was a row at the flush before.
    pub existed: bool,
    /// The row at the flush before; `None` too where the store does not keep it.
    pub before: Option<&'a Row<V>>,
    /// The row now; `None` where it has been deleted.
    pub row: Option<&'a Row<V>>,
    /// Where the newest change came from.
    pub origin: &'a Origin,
    /// The bytes of the key, as the changelog has them.
    pub key_bytes: &'a [u8],
    /// The bytes of the row, as the changelog has them; `None` is a tombstone.
    pub row_bytes: Option<&'a [u8]>,
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

impl<K: Key, V: Data> Store<K, V> {
    /// The store of these options in a task's state.
    pub fn new(options: StoreOptions, state: TaskState) -> Self {
        let StoreOptions { name, keep_before, cache_bytes } = options;
        Self {
            id: StoreId::of(&name),
            name,
            keep_before,
            state,
            cache: Cache::new(cache_bytes),
            keys: K::Codec::default(),
            values: V::Codec::default(),
            index: BTreeMap::new(),
            indexed: 0,
            flushes: 0,
            scratch: Vec::new(),
            hits: 0,
            misses: 0,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The newest row of a key.
    ///
    /// # Errors
    /// When the row cannot be read from below.
    pub fn get(&mut self, key: &K) -> Result<Option<&Row<V>>> {
        let place = self.locate(key)?;
        Ok(self.cache.entry(place).row.as_ref())
    }

    /// The row of a key at the last flush: what was handed on, where updates wait for the flush. The store must have been
    /// made to keep what was before.
    ///
    /// # Errors
    /// When the row cannot be read from below.
    pub fn get_flushed(&mut self, key: &K) -> Result<Option<&Row<V>>> {
        debug_assert!(self.keep_before, "the store {} does not keep what was at the last flush", self.name);
        let place = self.locate(key)?;
        let entry = self.cache.entry(place);
        if entry.dirty == CLEAN {
            return Ok(entry.row.as_ref());
        }
        Ok(self.cache.dirty()[entry.dirty as usize].before.as_ref())
    }

    /// Finds the row of a key, also one that does not exist yet, in order to change it. It counts as changed from here on.
    ///
    /// # Errors
    /// When the row cannot be read from below.
    pub fn touch(&mut self, key: &K) -> Result<RowId> {
        let place = self.locate(key)?;
        Ok(RowId(self.cache.soil(place, self.keep_before)))
    }

    /// As [`touch`](Self::touch), for a key that the caller knows to have no row: nothing is read from below.
    ///
    /// # Errors
    /// When the key cannot be written in its format.
    pub fn touch_absent(&mut self, key: &K) -> Result<RowId> {
        let place = if let Some(place) = self.cache.find(key) {
            place
        } else {
            let mut bytes = std::mem::take(&mut self.scratch);
            self.encode_key(key, &mut bytes)?;
            let place = self.cache.insert(key.clone(), None, bytes.len(), None);
            self.scratch = bytes;
            place
        };
        Ok(RowId(self.cache.soil(place, self.keep_before)))
    }

    /// A touched row.
    pub fn row(&self, id: RowId) -> Option<&Row<V>> {
        self.cache.entry(self.cache.dirty()[id.0 as usize].place).row.as_ref()
    }

    /// A touched row, to be changed: take the value, put another; `None` deletes it.
    pub fn row_mut(&mut self, id: RowId) -> &mut Option<Row<V>> {
        let place = self.cache.dirty()[id.0 as usize].place;
        &mut self.cache.entry_mut(place).row
    }

    /// Where the newest change of a touched row came from: whoever changes the row says it.
    pub fn origin_mut(&mut self, id: RowId) -> &mut Origin {
        &mut self.cache.dirty_mut(id.0).origin
    }

    /// Reads the rows of a batch ahead, those that are not in the cache, in the order of their keys: neighbours on disk
    /// are then read together. Only worth it where many are expected to miss.
    ///
    /// # Errors
    /// When a row cannot be read from below.
    pub fn load<'a>(&mut self, keys: impl IntoIterator<Item = &'a K>) -> Result<()> {
        let mut missing = Vec::new();
        for key in keys {
            if self.cache.find(key).is_none() {
                let mut bytes = Vec::new();
                self.encode_key(key, &mut bytes)?;
                missing.push((bytes, key));
            }
        }
        missing.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        missing.dedup_by(|(one, _), (other, _)| one == other);
        for (bytes, key) in missing {
            self.misses += 1;
            self.insert(key, &bytes)?;
        }
        Ok(())
    }

    /// Puts all changes into the running transaction and hands each to `emit`, in order of the first touch: the place to
    /// write the changelog and the change for downstream. A row that did not exist at the flush before and does not exist
    /// now is not told.
    ///
    /// # Errors
    /// When a key or a row cannot be written in its format, or `emit` says so.
    pub fn flush(&mut self, mut emit: impl FnMut(Flushed<'_, K, V>) -> Result<()>) -> Result<()> {
        let dirty = self.cache.take_dirty();
        let mut pending: Vec<EncodedRow> = Vec::with_capacity(dirty.len());
        let (mut whole, mut encoded) = (std::mem::take(&mut self.scratch), Vec::new());
        for change in &dirty {
            let entry = self.cache.entry(change.place);
            self.encode(&entry.key, entry.row.as_ref(), &mut whole, &mut encoded)?;
            let row = entry.row.as_ref();
            let (key_bytes, row_bytes) = (&whole[StoreId::LEN..], row.map(|_| &encoded[..]));
            if row.is_some() || change.existed {
                let (existed, before, origin) = (change.existed, change.before.as_ref(), &change.origin);
                emit(Flushed { key: &entry.key, existed, before, row, origin, key_bytes, row_bytes })?;
                pending.push((whole[..].into(), row_bytes.map(Into::into)));
            }
            let row_bytes = row_bytes.map(<[u8]>::len);
            self.cache.clean(change.place, key_bytes.len(), row_bytes);
        }
        self.state.put_pending(pending.into_iter());
        self.scratch = whole;
        self.cache.reuse(dirty);
        self.index.clear();
        self.indexed = 0;
        self.flushes += 1;
        self.cache.trim();
        Ok(())
    }

    /// What the changes since the last flush take, as far as known: a row's size is known once it has been written.
    pub fn dirty_bytes(&self) -> usize {
        self.cache.dirty_bytes()
    }

    /// True where something has been touched since the last flush.
    pub fn is_dirty(&self) -> bool {
        !self.cache.dirty().is_empty()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            hits: self.hits,
            misses: self.misses,
            cache_bytes: self.cache.bytes(),
            dirty_bytes: self.cache.dirty_bytes(),
            cached_rows: self.cache.len(),
            dirty_rows: self.cache.dirty().len(),
        }
    }

    #[inline]
    fn locate(&mut self, key: &K) -> Result<u32> {
        match self.cache.find(key) {
            Some(place) => {
                self.hits += 1;
                self.cache.used(place);
                Ok(place)
            }
            None => self.fetch(key),
        }
    }

    #[cold]
    fn fetch(&mut self, key: &K) -> Result<u32> {
        self.misses += 1;
        let mut bytes = std::mem::take(&mut self.scratch);
        self.encode_key(key, &mut bytes)?;
        let place = self.insert(key, &bytes);
        self.scratch = bytes;
        place
    }

    fn insert(&mut self, key: &K, bytes: &[u8]) -> Result<u32> {
        let row_bytes = self.state.get(bytes).map_err(|error| error.at(self.place()))?;
        let row = row_bytes.as_deref().map(|row| self.decode_row(row)).transpose()?;
        Ok(self.cache.insert(key.clone(), row, bytes.len(), row_bytes.map(|row| row.len())))
    }

    pub(super) fn decode_row(&self, bytes: &[u8]) -> Result<Row<V>> {
        Row::decode(&self.values, bytes).map_err(|error| self.unreadable("a row", &error))
    }

    pub(super) fn decode_key(&self, bytes: &[u8]) -> Result<K> {
        self.keys.decode(bytes).map_err(|error| self.unreadable("a key", &error))
    }

    pub(super) fn encode_key(&self, key: &K, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        out.extend_from_slice(&self.id.bytes());
        self.keys.encode(key, out).map_err(|error| self.unwritable(&format!("the key {key:?}"), &error))
    }

    fn encode(&self, key: &K, row: Option<&Row<V>>, whole: &mut Vec<u8>, encoded: &mut Vec<u8>) -> Result<()> {
        self.encode_key(key, whole)?;
        encoded.clear();
        let Some(row) = row else { return Ok(()) };
        row.encode(&self.values, encoded).map_err(|error| self.unwritable(&format!("the row of {key:?}"), &error))
    }

    fn place(&self) -> Place {
        Place { operator: Some(self.name.clone()), ..Place::default() }
    }

    fn unwritable(&self, what: &str, error: &CodecError) -> Error {
        let message = format!("{what} of the store {} cannot be written: {error}", self.name);
        Error::new(ErrorKind::State, message)
    }

    fn unreadable(&self, what: &str, error: &CodecError) -> Error {
        let message = format!("{what} of the store {} cannot be read: {error}", self.name);
        Error::new(ErrorKind::State, message)
            .remedy("run the program that wrote it, or reset the application to build its state anew")
    }
}
