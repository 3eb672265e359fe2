//! All that the broker knows, behind one lock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::errors;
use super::group::{Candidate, Group, MemberId};
use super::topics::{Slot, Topics};
use super::transactions::Transactional;
use crate::broker::CommittedOffset;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};

#[derive(Debug)]
pub(super) struct State {
    pub(super) topics: Topics,
    pub(super) groups: BTreeMap<String, Group>,
    /// By transactional id.
    pub(super) producers: BTreeMap<String, Transactional>,
    /// How many transactions were committed.
    pub(super) committed: u64,
    /// How many transactions were aborted.
    pub(super) aborted: u64,
    /// Before this time no session and no transaction can be over. May be too early: a heartbeat does not move it.
    pub(super) deadline: Duration,
    members: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            topics: Topics::default(),
            groups: BTreeMap::new(),
            producers: BTreeMap::new(),
            committed: 0,
            aborted: 0,
            deadline: Duration::MAX,
            members: 0,
        }
    }

    /// Does what the clock asks for.
    pub(super) fn settle(&mut self, now: Duration) {
        if now <= self.deadline {
            return;
        }
        self.groups.values_mut().for_each(|group| group.expire(now, &self.topics));
        self.expire_transactions(now);
        let sessions = self.groups.values().filter_map(Group::deadline);
        let transactions = self.producers.values().filter_map(Transactional::deadline);
        self.deadline = sessions.chain(transactions).min().unwrap_or(Duration::MAX);
    }

    pub(super) fn next_member(&mut self) -> MemberId {
        self.members += 1;
        MemberId(self.members)
    }

    pub(super) fn join(&mut self, group: &str, instance: &str, who: Candidate, now: Duration) -> Result<()> {
        for topic in &who.topics {
            self.topics.index(topic)?;
        }
        self.deadline = self.deadline.min(now.saturating_add(who.session_timeout));
        self.groups.entry(group.to_owned()).or_default().join(instance, who, now, &self.topics)
    }

    pub(super) fn leave(&mut self, group: &str, instance: &str, member: MemberId) {
        if let Some(group) = self.groups.get_mut(group) {
            group.remove(instance, member, &self.topics);
        }
    }

    pub(super) fn store_offset(&mut self, group: &str, offset: CommittedOffset) {
        let group = self.groups.entry(group.to_owned()).or_default();
        group.offsets.insert(offset.partition.clone(), offset);
    }

    /// Deletes a topic, with what groups have committed for it.
    pub(super) fn delete_topic(&mut self, topic: &str) {
        if self.topics.delete(topic) {
            self.groups.values_mut().for_each(|group| group.offsets.retain(|partition, _| *partition.topic != *topic));
        }
    }

    /// Commits for a group without members.
    pub(super) fn commit_for(&mut self, group: &str, offsets: &[CommittedOffset]) -> Result<()> {
        if self.groups.get(group).is_some_and(Group::has_members) {
            return Err(errors::has_members(group));
        }
        offsets.iter().try_for_each(|offset| self.topics.slot(&offset.partition).map(|_| ()))?;
        for offset in offsets {
            self.store_offset(group, offset.clone());
        }
        Ok(())
    }

    /// The committed offsets, unless one is about to change.
    pub(super) fn stable_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>> {
        let open = || self.producers.values().filter_map(|entry| entry.open.as_ref());
        for partition in partitions {
            self.topics.slot(partition)?;
            if open().any(|transaction| transaction.holds_offset(group, partition)) {
                let message = format!(
                    "UNSTABLE_OFFSET_COMMIT: a transaction is about to commit an offset of {partition} for group {group}"
                );
                return Err(Error::new(ErrorKind::Broker, message).remedy("try again when the transaction has ended"));
            }
        }
        let known = self.groups.get(group);
        Ok(partitions.iter().map(|partition| known?.offsets.get(partition).cloned()).collect())
    }

    /// Compacts a partition or deletes its oldest records, if its topic asks for that and it is worth it.
    pub(super) fn tidy(&mut self, slot: Slot) {
        let topic = self.topics.topic(slot.topic);
        let retained = topic.retained.filter(|keep| self.topics.log(slot).held > *keep);
        let (compacted, tombstones) = (topic.compacted, topic.tombstones);
        if compacted {
            self.topics.log_mut(slot).compact_when_due(tombstones);
        }
        if let Some(keep) = retained {
            let limit = self.needed_from(slot);
            self.topics.log_mut(slot).retain(keep, limit);
        }
    }

    /// The first offset that a group may still want to read.
    fn needed_from(&self, slot: Slot) -> Offset {
        let partition = self.topics.partition(slot);
        let wanted = self.groups.values().filter_map(|group| match group.offsets.get(&partition) {
            Some(committed) => Some(committed.offset),
            None => group.reads(&partition.topic).then_some(0),
        });
        wanted.min().unwrap_or(Offset::MAX)
    }

    /// Deletes the records before `offset`; −1 stands for the high watermark, as in Kafka.
    pub(super) fn delete_before(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        let slot = self.topics.slot(partition)?;
        let log = self.topics.log_mut(slot);
        let before = if offset == -1 { log.end } else { offset };
        if log.delete_before(before) {
            Ok(())
        } else {
            Err(errors::out_of_range(partition.clone(), offset, log.start, log.end))
        }
    }
}
