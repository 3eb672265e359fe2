//! The decoded rows of a store: found by key, bounded by bytes, evicted by second chance.
//!
//! Entries lie densely in a vector and the table holds their places, so a hit is one probe and one comparison. An entry
//! that leaves is replaced by the last one; nothing outside keeps the place of a clean entry.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::Row;
use super::store::Origin;
use crate::codec::Key;

/// What decoded rows take, as a multiple of their bytes and the overhead below. An estimate: types differ.
const FACTOR: usize = 2;
/// What an entry takes besides the bytes of its key and row.
const OVERHEAD: usize = 64;
/// In [`Entry::dirty`]: not dirty.
pub(super) const CLEAN: u32 = u32::MAX;
/// How far an insertion looks for entries to evict. The rest waits for the next one, or for the flush.
const STEPS: usize = 64;

/// A row that is present, or known to be absent.
#[derive(Debug)]
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) row: Option<Row<V>>,
    /// Its place among the dirty ones, or [`CLEAN`]. What is dirty is never evicted.
    pub(super) dirty: u32,
    weight: u32,
    used: bool,
}

/// An entry that has changed since the last flush.
#[derive(Debug)]
pub(super) struct Dirty<V> {
    /// Where the entry is.
    pub(super) place: u32,
    /// Whether there was a row at the last flush.
    pub(super) existed: bool,
    /// The row at the last flush, where that is asked for.
    pub(super) before: Option<Row<V>>,
    pub(super) origin: Origin,
}

#[derive(Debug)]
pub(super) struct Cache<K, V> {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    entries: Vec<Entry<K, V>>,
    hand: usize,
    budget: usize,
    bytes: usize,
    dirty_bytes: usize,
    /// In order of the first change.
    dirty: Vec<Dirty<V>>,
    /// A running average of the bytes of rows: what a new one is taken for until it has been encoded.
    average: usize,
}

impl<K: Key, V> Cache<K, V> {
    pub(super) fn new(budget: usize) -> Self {
        Self {
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            entries: Vec::new(),
            hand: 0,
            budget,
            bytes: 0,
            dirty_bytes: 0,
            dirty: Vec::new(),
            average: 64,
        }
    }

    pub(super) fn find(&self, key: &K) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.table.find(hash, |&place| self.entries[place as usize].key == *key).copied()
    }

    pub(super) fn entry(&self, place: u32) -> &Entry<K, V> {
        &self.entries[place as usize]
    }

    pub(super) fn entry_mut(&mut self, place: u32) -> &mut Entry<K, V> {
        &mut self.entries[place as usize]
    }

    /// The entry has been asked for: it gets a second chance.
    pub(super) fn used(&mut self, place: u32) {
        self.entries[place as usize].used = true;
    }

    /// Puts a clean entry in, whose key is not in yet, and makes room for it. `None` for the bytes of the row where there
    /// is no row.
    pub(super) fn insert(&mut self, key: K, row: Option<Row<V>>, key_bytes: usize, row_bytes: Option<usize>) -> u32 {
        let weight = weight(key_bytes, row_bytes.map_or(self.average, |bytes| self.averaged(bytes)));
        self.bytes += weight as usize;
        self.evict(STEPS);
        let place = index(self.entries.len());
        let hash = self.hasher.hash_one(&key);
        self.entries.push(Entry { key, row, dirty: CLEAN, weight, used: true });
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.table.insert_unique(hash, place, |&place| hasher.hash_one(&entries[place as usize].key));
        place
    }

    /// The place of the entry among the dirty ones; it becomes one where it is clean.
    pub(super) fn soil(&mut self, place: u32, keep_before: bool) -> u32
    where
        V: Clone,
    {
        let entry = &mut self.entries[place as usize];
        if entry.dirty == CLEAN {
            entry.dirty = index(self.dirty.len());
            self.dirty_bytes += entry.weight as usize;
            let before = if keep_before { entry.row.clone() } else { None };
            self.dirty.push(Dirty { place, existed: entry.row.is_some(), before, origin: Origin::default() });
        }
        entry.dirty
    }

    pub(super) fn dirty(&self) -> &[Dirty<V>] {
        &self.dirty
    }

    pub(super) fn dirty_mut(&mut self, dirty: u32) -> &mut Dirty<V> {
        &mut self.dirty[dirty as usize]
    }

    /// Takes the list of dirty entries for a flush, which hands each to [`clean`](Self::clean) and the list back to
    /// [`reuse`](Self::reuse).
    pub(super) fn take_dirty(&mut self) -> Vec<Dirty<V>> {
        std::mem::take(&mut self.dirty)
    }

    pub(super) fn reuse(&mut self, mut dirty: Vec<Dirty<V>>) {
        dirty.clear();
        self.dirty = dirty;
    }

    /// The entry has been flushed with these sizes; `None` where there is no row.
    pub(super) fn clean(&mut self, place: u32, key_bytes: usize, row_bytes: Option<usize>) {
        let new = weight(key_bytes, row_bytes.map_or(0, |bytes| self.averaged(bytes)));
        let entry = &mut self.entries[place as usize];
        let old = std::mem::replace(&mut entry.weight, new) as usize;
        entry.dirty = CLEAN;
        self.dirty_bytes -= old;
        self.bytes = self.bytes - old + new as usize;
    }

    /// Evicts until the budget is kept or only dirty entries are left.
    pub(super) fn trim(&mut self) {
        // Once around to take the second chances away, once more to evict.
        self.evict(2 * self.entries.len());
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn averaged(&mut self, bytes: usize) -> usize {
        self.average = (15 * self.average + bytes).div_ceil(16);
        bytes
    }

    fn evict(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.bytes <= self.budget || self.dirty.len() == self.entries.len() {
                return;
            }
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let entry = &mut self.entries[self.hand];
            if entry.dirty != CLEAN || std::mem::take(&mut entry.used) {
                self.hand += 1;
            } else {
                self.remove(self.hand);
            }
        }
    }

    fn remove(&mut self, place: usize) {
        let gone = self.entries.swap_remove(place);
        self.bytes -= gone.weight as usize;
        let (hash, old) = (self.hasher.hash_one(&gone.key), index(place));
        if let Ok(found) = self.table.find_entry(hash, |&place| place == old) {
            found.remove();
        }
        let Some(moved) = self.entries.get(place) else { return };
        let (hash, from) = (self.hasher.hash_one(&moved.key), index(self.entries.len()));
        if let Some(found) = self.table.find_mut(hash, |&place| place == from) {
            *found = old;
        }
        if moved.dirty != CLEAN {
            self.dirty[moved.dirty as usize].place = old;
        }
    }
}

/// A cache of 2³² entries would take hundreds of gigabytes.
#[expect(clippy::cast_possible_truncation, reason = "memory ends long before")]
fn index(place: usize) -> u32 {
    place as u32
}

fn weight(key_bytes: usize, row_bytes: usize) -> u32 {
    u32::try_from(FACTOR * (key_bytes + row_bytes + OVERHEAD)).unwrap_or(u32::MAX)
}
