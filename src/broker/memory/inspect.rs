//! A look into the broker from outside, for tests and tools: no faults, no effects.

use std::time::Duration;

use super::MemoryBroker;
use super::compaction::Tombstones;
use crate::broker::CommittedOffset;
use crate::error::Result;
use crate::record::{Headers, Offset};
use crate::time::Timestamp;

/// A committed record, with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: Offset,
    /// The key's bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// The value's bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Kafka's timestamp.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: Headers,
}

/// What the transaction coordinator has seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionCounts {
    /// How many transactions were committed.
    pub committed: u64,
    /// How many were aborted: by their producer, a newer one, or for their age.
    pub aborted: u64,
    /// The `transactional.id` of every open transaction, delayed commits included.
    pub open: Vec<String>,
}

impl MemoryBroker {
    /// All records that a committed reader can read, by partition and offset.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn records(&self, topic: &str) -> Result<Vec<StoredRecord>> {
        let state = self.state();
        let logs = &state.topics.topic(state.topics.index(topic)?).logs;
        let mut all = Vec::new();
        for (partition, log) in (0..).zip(logs) {
            for chunk in log.stable_chunks() {
                let stored = chunk.records.iter().map(|record| StoredRecord {
                    partition,
                    offset: chunk.base + record.offset,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp: record.timestamp.unwrap_or(Timestamp::MIN),
                    headers: record.headers.clone(),
                });
                all.extend(stored.filter(|record| record.offset >= log.start));
            }
        }
        Ok(all)
    }

    /// Every offset that a group has committed, by partition.
    pub fn group_offsets(&self, group: &str) -> Vec<CommittedOffset> {
        let state = self.state();
        state.groups.get(group).map(|group| group.offsets.values().cloned().collect()).unwrap_or_default()
    }

    /// How many transactions were committed and aborted, and which are open.
    pub fn transactions(&self) -> TransactionCounts {
        let state = self.state();
        let open = state.producers.iter().filter(|(_, entry)| entry.open.is_some()).map(|(id, _)| id.clone());
        TransactionCounts { committed: state.committed, aborted: state.aborted, open: open.collect() }
    }

    /// The generation of a group: how many rebalances it has completed; 0 where there is no such group.
    pub fn generation(&self, group: &str) -> u32 {
        self.state().groups.get(group).map_or(0, |group| group.generation)
    }

    /// The earliest time of the clock's `elapsed` after which a session or a transaction may be over if nobody calls;
    /// `None` where none can be. It may be earlier than the true one, never later: a simulator that has nothing else to
    /// do moves its clock beyond it.
    pub fn next_deadline(&self) -> Option<Duration> {
        Some(self.state().deadline).filter(|deadline| *deadline < Duration::MAX)
    }

    /// Gives a topic more partitions, as an administrator does on a running broker; it never loses any. A group that reads
    /// it shares the new ones out at its next rebalance.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn grow(&self, topic: &str, partitions: u32) -> Result<()> {
        let mut state = self.state();
        let index = state.topics.index(topic)?;
        state.topics.topic_mut(index).grow(partitions);
        Ok(())
    }

    /// Compacts a topic now, whatever its `cleanup.policy`: of the records below the last stable offset only the newest
    /// of each key stays, and those without a key. Offsets stay.
    ///
    /// A topic with `cleanup.policy=compact` is compacted by itself, a partition at a time, when it has grown to four
    /// times the size that the last compaction left (and 4,096 records); tombstones go only if `delete.retention.ms=0`.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn compact(&self, topic: &str, tombstones: Tombstones) -> Result<()> {
        let mut state = self.state();
        let index = state.topics.index(topic)?;
        state.topics.topic_mut(index).logs.iter_mut().for_each(|log| log.compact(tombstones));
        Ok(())
    }

    /// Bounds each partition of a topic to about the newest `records` records from now on (at least as many, and up to
    /// 1,024 more). Deleted is only what lies below the last stable offset and what no group needs: not at or
    /// after a committed offset, and nothing where a group with members reads the topic but has committed nothing. So a
    /// group that lags, or is gone but has committed, keeps records from being deleted. Readers outside of groups keep
    /// nothing: one that lags by more gets an error.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn retain(&self, topic: &str, records: usize) -> Result<()> {
        let mut state = self.state();
        let index = state.topics.index(topic)?;
        state.topics.topic_mut(index).retained = Some(records);
        Ok(())
    }
}
