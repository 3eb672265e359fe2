//! A partition's log.
//!
//! Nobody here can read uncommitted records, so an aborted batch is thrown away at once, and a commit or abort marker
//! is nothing but the offset that it occupies: a gap. A reader's position moves over gaps up to the last stable offset.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use super::bell::Bell;
use crate::broker::Batch;
use crate::record::Offset;
use crate::time::Timestamp;

/// Which transactional producer a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProducerId(pub(super) u64);

/// Some records with rising offsets, relative to the base offset of their [`Chunk`].
pub(super) type Records = Arc<Batch>;

#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) base: Offset,
    /// The offset of the last record.
    pub(super) last: Offset,
    pub(super) records: Records,
    /// The producer whose open transaction the records belong to.
    open: Option<ProducerId>,
}

impl Chunk {
    /// Records that every reader may see.
    pub(super) fn committed(base: Offset, last: Offset, records: Records) -> Self {
        Self { base, last, records, open: None }
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) chunks: VecDeque<Chunk>,
    /// How many records the chunks hold.
    pub(super) held: usize,
    /// How many records to hold before it is worth compacting.
    pub(super) compact_at: usize,
    /// The first offset of each open transaction.
    open: BTreeMap<ProducerId, Offset>,
    bells: Vec<Weak<Bell>>,
}

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Chunks for a reader; `all` where they are all that it can read now.
    Readable { all: bool },
    /// The offset is not in the log.
    OutOfRange,
}

impl Log {
    /// Appends records, whose offsets count from 0, and gives the offset after them.
    pub(super) fn append(&mut self, records: Batch, producer: Option<ProducerId>) -> Offset {
        let count = Offset::try_from(records.len()).unwrap_or(Offset::MAX);
        if count == 0 {
            return self.end;
        }
        let stable = self.stable_end();
        let base = self.end;
        if let Some(producer) = producer {
            self.open.entry(producer).or_insert(base);
        }
        self.end += count;
        self.held += records.len();
        self.chunks.push_back(Chunk { base, last: self.end - 1, records: Arc::new(records), open: producer });
        self.tell_if_moved(stable);
        self.end
    }

    /// Writes a transaction's marker: its records are readable from now on, or gone.
    pub(super) fn finish(&mut self, producer: ProducerId, commit: bool) {
        let stable = self.stable_end();
        if let Some(first) = self.open.remove(&producer) {
            let tail = self.chunks.partition_point(|chunk| chunk.last < first);
            if commit {
                self.chunks.range_mut(tail..).filter(|chunk| chunk.open == Some(producer)).for_each(|c| c.open = None);
            } else {
                self.drop_open(tail, producer);
            }
        }
        self.end += 1;
        self.tell_if_moved(stable);
    }

    fn drop_open(&mut self, tail: usize, producer: ProducerId) {
        let kept: Vec<Chunk> = self.chunks.drain(tail..).collect();
        for chunk in kept {
            if chunk.open == Some(producer) {
                self.held -= chunk.records.len();
            } else {
                self.chunks.push_back(chunk);
            }
        }
    }

    /// The last stable offset.
    pub(super) fn stable_end(&self) -> Offset {
        self.open.values().min().map_or(self.end, |first| (*first).max(self.start))
    }

    /// Collects chunks that hold at least `max` committed records from `from` on, or all that there are. The first may
    /// begin before `from`.
    pub(super) fn read(&self, from: Offset, max: usize, into: &mut Vec<(Offset, Records)>) -> Found {
        if from < self.start || from > self.end {
            return Found::OutOfRange;
        }
        let stable = self.stable_end();
        let first = self.chunks.partition_point(|chunk| chunk.last < from);
        let mut collected = 0;
        for chunk in self.chunks.range(first..).take_while(|chunk| chunk.base < stable) {
            if collected >= max {
                return Found::Readable { all: false };
            }
            // A chunk that is read from its middle counts for nothing: how much of it is left is not known.
            collected += if chunk.base >= from { chunk.records.len() } else { 0 };
            into.push((chunk.base, chunk.records.clone()));
        }
        Found::Readable { all: true }
    }

    /// Every chunk that a committed reader can reach.
    pub(super) fn stable_chunks(&self) -> impl Iterator<Item = &Chunk> {
        let stable = self.stable_end();
        self.chunks.iter().take_while(move |chunk| chunk.base < stable)
    }

    /// The offset of the first readable record with this timestamp or a later one.
    pub(super) fn first_at(&self, time: Timestamp) -> Option<Offset> {
        let records =
            self.stable_chunks().flat_map(|chunk| chunk.records.iter().map(move |record| (chunk.base, record)));
        let mut later = records.filter(|(_, record)| record.timestamp.is_some_and(|at| at >= time));
        later.find_map(|(base, record)| Some(base + record.offset).filter(|offset| *offset >= self.start))
    }

    /// Deletes what lies before `offset`, at most up to the high watermark; false where it lies beyond it.
    pub(super) fn delete_before(&mut self, offset: Offset) -> bool {
        if offset > self.end {
            return false;
        }
        let stable = self.stable_end();
        self.start = self.start.max(offset);
        while self.chunks.front().is_some_and(|chunk| chunk.last < self.start) {
            self.held -= self.chunks.pop_front().map_or(0, |chunk| chunk.records.len());
        }
        self.tell_if_moved(stable);
        true
    }

    /// Deletes whole chunks from the front while at least `keep` records are left, never at or after `limit`.
    pub(super) fn retain(&mut self, keep: usize, limit: Offset) {
        let limit = limit.min(self.stable_end());
        while let Some(front) = self.chunks.front()
            && self.held - front.records.len() >= keep
            && front.last < limit
        {
            self.start = front.last + 1;
            self.held -= front.records.len();
            self.chunks.pop_front();
        }
    }

    /// Rings `bell` whenever there is more for a committed reader.
    pub(super) fn listen(&mut self, bell: &Arc<Bell>) {
        self.bells.push(Arc::downgrade(bell));
    }

    /// Takes a bell away.
    pub(super) fn unlisten(&mut self, bell: &Arc<Bell>) {
        self.bells.retain(|known| !std::ptr::eq(known.as_ptr(), Arc::as_ptr(bell)));
    }

    #[cfg(test)]
    pub(super) fn bells(&self) -> usize {
        self.bells.len()
    }

    fn tell_if_moved(&mut self, stable: Offset) {
        if self.stable_end() > stable {
            // A bell whose owner died without giving its partitions up goes away here.
            self.bells.retain(|bell| bell.upgrade().inspect(|bell| bell.ring()).is_some());
        }
    }
}
