//! The encoded layers above the disk, as plain data: what is pending, what is committed, and how a read finds the newest.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use std::sync::Arc;

use super::Stand;
use crate::record::Offset;

/// What a row in memory costs besides its bytes: two boxes, and its place in the tree.
const ROW_OVERHEAD: usize = 64;

/// An encoded row; `None` says that there is none, and hides what lies below.
pub(super) type Encoded = Option<Box<[u8]>>;

/// Encoded rows by whole key.
#[derive(Debug, Default)]
pub(super) struct Layer {
    rows: BTreeMap<Box<[u8]>, Encoded>,
    bytes: usize,
}

impl Layer {
    pub(super) fn put(&mut self, key: Box<[u8]>, row: Encoded) {
        let size = row.as_ref().map_or(0, |row| row.len());
        match self.rows.entry(key) {
            btree_map::Entry::Occupied(mut entry) => {
                self.bytes -= entry.get().as_ref().map_or(0, |row| row.len());
                entry.insert(row);
            }
            btree_map::Entry::Vacant(entry) => {
                self.bytes += entry.key().len() + ROW_OVERHEAD;
                entry.insert(row);
            }
        }
        self.bytes += size;
    }

    /// Takes the rows of `newer` on top of its own.
    pub(super) fn absorb(&mut self, newer: Self) {
        if self.rows.is_empty() {
            *self = newer;
        } else {
            newer.rows.into_iter().for_each(|(key, row)| self.put(key, row));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows.iter().map(|(key, row)| (&**key, row.as_deref()))
    }

    /// `None` where this layer does not know.
    fn get(&self, key: &[u8]) -> Option<&Encoded> {
        self.rows.get(key)
    }

    fn part(&self, from: &[u8], to: &[u8], limit: usize) -> Part {
        if from >= to {
            return Part::new();
        }
        let range = self.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        range.take(limit).map(|(key, row)| (key.to_vec(), row.as_deref().map(<[u8]>::to_vec))).collect()
    }
}

/// The layers of one task between its stores' caches and its disk.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// Flushed by the running transaction, which may still be aborted.
    pub(super) pending: Layer,
    /// Committed, and waiting for the disk.
    pub(super) newest: Layer,
    /// Committed, and on its way to the disk; it stays here until it is there, or for good where the disk has failed.
    pub(super) applying: Option<Arc<Layer>>,
    /// What the committed rows and those on disk together stand for.
    pub(super) stand: Stand,
}

/// Which layers a read sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// What the running transaction sees.
    Pending,
    /// What everybody else may see.
    Committed,
}

impl Layers {
    pub(super) fn commit(&mut self, stand: Stand) {
        let pending = std::mem::take(&mut self.pending);
        self.newest.absorb(pending);
        self.stand.sequence = stand.sequence;
        self.stand.changelogs.extend(stand.changelogs);
    }

    pub(super) fn restore(&mut self, run: Layer, store: &str, next: Offset) {
        self.newest.absorb(run);
        self.stand.changelogs.insert(store.to_owned(), next);
    }

    /// Bytes of committed rows that are not on disk.
    pub(super) fn committed_bytes(&self) -> usize {
        self.newest.bytes() + self.applying.as_ref().map_or(0, |layer| layer.bytes())
    }

    pub(super) fn get(&self, key: &[u8], sight: Sight) -> Option<&Encoded> {
        self.seen(sight).find_map(|layer| layer.get(key))
    }

    /// The rows of each layer, newest layer first.
    pub(super) fn parts(&self, from: &[u8], to: &[u8], limit: usize, sight: Sight) -> Vec<Part> {
        self.seen(sight).map(|layer| layer.part(from, to, limit)).collect()
    }

    fn seen(&self, sight: Sight) -> impl Iterator<Item = &Layer> {
        let pending = (sight == Sight::Pending).then_some(&self.pending);
        pending.into_iter().chain([&self.newest]).chain(self.applying.as_deref())
    }
}

/// The first rows of one layer in a range, in order.
pub(super) type Part = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A stretch of rows in order of their keys, newest values only.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// The key from which the next chunk goes on; `None` at the end of the range. A chunk that is not the last may be
    /// empty: all its rows may be deleted.
    pub(super) next: Option<Vec<u8>>,
}

/// Lays parts, newest first, each cut at `limit` rows, over each other.
///
/// A part that was cut says nothing about the keys after its last one; so the chunk ends at the first such place.
pub(super) fn merge(parts: Vec<Part>, limit: usize) -> Chunk {
    let cut = |part: &Part| (part.len() >= limit).then(|| part.last().map(|(key, _)| key.clone())).flatten();
    let end = parts.iter().filter_map(cut).min();
    let mut merged = BTreeMap::new();
    for part in parts.into_iter().rev() {
        merged.extend(part.into_iter().take_while(|(key, _)| end.as_ref().is_none_or(|end| key <= end)));
    }
    let rows = merged.into_iter().filter_map(|(key, row)| Some((key, row?))).collect();
    let after = |mut key: Vec<u8>| {
        key.push(0);
        key
    };
    Chunk { rows, next: end.map(after) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(layer: &mut Layer, key: &str, row: Option<&str>) {
        layer.put(key.as_bytes().into(), row.map(|row| row.as_bytes().into()));
    }

    #[test]
    fn a_read_takes_the_newest_layer_that_knows() {
        let mut layers = Layers::default();
        let mut applying = Layer::default();
        put(&mut applying, "a", Some("old"));
        put(&mut applying, "b", Some("old"));
        layers.applying = Some(Arc::new(applying));
        put(&mut layers.newest, "a", Some("new"));
        put(&mut layers.pending, "b", None);
        assert_eq!(layers.get(b"a", Sight::Pending), Some(&Some(b"new"[..].into())));
        assert_eq!(layers.get(b"b", Sight::Pending), Some(&None));
        assert_eq!(layers.get(b"b", Sight::Committed), Some(&Some(b"old"[..].into())));
        assert_eq!(layers.get(b"c", Sight::Pending), None);
    }

    #[test]
    fn bytes_are_counted_through_overwriting_and_absorbing() {
        let (mut lower, mut upper) = (Layer::default(), Layer::default());
        put(&mut lower, "a", Some("123"));
        put(&mut lower, "a", Some("1"));
        assert_eq!(lower.bytes(), 2 + ROW_OVERHEAD);
        put(&mut upper, "a", None);
        put(&mut upper, "b", Some("12"));
        lower.absorb(upper);
        assert_eq!(lower.bytes(), 1 + 3 + 2 * ROW_OVERHEAD);
    }

    #[test]
    fn a_chunk_ends_where_the_first_cut_part_ends() {
        let part = |rows: &[(&str, Option<&str>)]| -> Part {
            let bytes = |text: &str| text.as_bytes().to_vec();
            rows.iter().map(|(key, row)| (bytes(key), row.map(bytes))).collect()
        };
        let newer = part(&[("a", None), ("z", Some("new"))]);
        let older = part(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]);
        let chunk = merge(vec![newer.clone(), older.clone()], 3);
        assert_eq!(chunk.rows, [(b"b".to_vec(), b"2".to_vec()), (b"c".to_vec(), b"3".to_vec())]);
        assert_eq!(chunk.next, Some(b"c\0".to_vec()));
        assert_eq!(merge(vec![newer, older], 4).next, None);
    }
}
