//! Compaction: of each key only the newest record stays.

use std::collections::HashMap;
use std::sync::Arc;

use super::log::{Chunk, Log};
use super::sending::CHUNK_RECORDS;
use crate::broker::{Batch, RawRecord};
use crate::record::Offset;

/// Below this many records a partition is not worth compacting.
const WORTH_IT: usize = 4096;

/// What becomes of records without a value when a topic is compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tombstones {
    /// They stay, as in Kafka before `delete.retention.ms` is over.
    Keep,
    /// They go, as in Kafka afterwards. Whoever has read the value but not yet the tombstone never learns of it.
    Drop,
}

impl Log {
    /// Compacts, if since the last time so much was appended that at most one record in four is the newest of its key.
    pub(super) fn compact_when_due(&mut self, tombstones: Tombstones) {
        if self.held >= self.compact_at.max(WORTH_IT) {
            self.compact(tombstones);
        }
    }

    /// Removes every record below the last stable offset that has a newer one of the same key there. Offsets stay.
    pub(super) fn compact(&mut self, tombstones: Tombstones) {
        let reachable = self.stable_chunks().count();
        let old: Vec<Chunk> = self.chunks.drain(..reachable).collect();
        let newest = newest_offsets(&old, self.start);
        let mut kept = Compacted::default();
        for (offset, record) in records_of(&old) {
            let obsolete = record.key.is_some_and(|key| newest.get(key) != Some(&offset));
            let dropped = record.value.is_none() && tombstones == Tombstones::Drop;
            if !obsolete && !dropped && offset >= self.start {
                kept.push(offset, &record);
            }
        }
        for chunk in kept.finish().into_iter().rev() {
            self.chunks.push_front(chunk);
        }
        self.held = self.chunks.iter().map(|chunk| chunk.records.len()).sum();
        self.compact_at = 4 * self.held;
    }
}

fn records_of(chunks: &[Chunk]) -> impl Iterator<Item = (Offset, RawRecord<'_>)> {
    chunks.iter().flat_map(|chunk| chunk.records.iter().map(|record| (chunk.base + record.offset, record)))
}

fn newest_offsets(chunks: &[Chunk], start: Offset) -> HashMap<&[u8], Offset> {
    let keyed = records_of(chunks).filter(|(offset, _)| *offset >= start);
    keyed.filter_map(|(offset, record)| Some((record.key?, offset))).collect()
}

/// Chunks made of what is left.
#[derive(Default)]
struct Compacted {
    done: Vec<Chunk>,
    base: Offset,
    last: Offset,
    records: Batch,
}

impl Compacted {
    fn push(&mut self, offset: Offset, record: &RawRecord<'_>) {
        if self.records.len() == CHUNK_RECORDS {
            self.cut();
        }
        if self.records.is_empty() {
            self.base = offset;
        }
        self.last = offset;
        self.records.push(&RawRecord { offset: offset - self.base, ..record.clone() });
    }

    fn cut(&mut self) {
        if !self.records.is_empty() {
            let records = Arc::new(std::mem::take(&mut self.records));
            self.done.push(Chunk::committed(self.base, self.last, records));
        }
    }

    fn finish(mut self) -> Vec<Chunk> {
        self.cut();
        self.done
    }
}
