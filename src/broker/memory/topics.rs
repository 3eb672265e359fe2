//! The topics: their settings and their partitions' logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compaction::Tombstones;
use super::errors;
use super::log::Log;
use crate::broker::{NewTopic, TopicDescription};
use crate::error::Result;
use crate::record::TopicPartition;

/// Where a partition's log is. It stays good: of a topic that is deleted an empty shell is left in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) topic: usize,
    pub(super) partition: u32,
}

#[derive(Debug, Default)]
pub(super) struct Topics {
    names: BTreeMap<Arc<str>, usize>,
    topics: Vec<Topic>,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) max_message_bytes: usize,
    pub(super) compacted: bool,
    pub(super) tombstones: Tombstones,
    /// How many records of each partition to keep; `None` is all.
    pub(super) retained: Option<usize>,
    pub(super) logs: Vec<Log>,
}

impl Topics {
    pub(super) fn create(&mut self, new: &NewTopic) -> Result<()> {
        if !self.names.contains_key(&*new.name) {
            let topic = Topic::new(new)?;
            self.names.insert(topic.name.clone(), self.topics.len());
            self.topics.push(topic);
        }
        Ok(())
    }

    /// Deletes a topic; false where there is none. Whoever still reads it finds that its offsets are gone.
    pub(super) fn delete(&mut self, topic: &str) -> bool {
        let Some(index) = self.names.remove(topic) else { return false };
        self.topics[index].logs.iter_mut().for_each(|log| *log = Log::default());
        true
    }

    /// All topics with the numbers of their partitions.
    pub(super) fn all(&self) -> BTreeMap<String, u32> {
        self.names.iter().map(|(name, index)| (name.to_string(), self.topics[*index].partitions())).collect()
    }

    pub(super) fn index(&self, topic: &str) -> Result<usize> {
        self.names.get(topic).copied().ok_or_else(|| errors::unknown_topic(topic))
    }

    pub(super) fn find(&self, topic: &str) -> Option<&Topic> {
        self.names.get(topic).map(|index| &self.topics[*index])
    }

    pub(super) fn slot(&self, partition: &TopicPartition) -> Result<Slot> {
        let topic = self.index(&partition.topic)?;
        if partition.partition < self.topics[topic].partitions() {
            Ok(Slot { topic, partition: partition.partition })
        } else {
            Err(errors::unknown_partition(partition))
        }
    }

    pub(super) fn topic(&self, index: usize) -> &Topic {
        &self.topics[index]
    }

    pub(super) fn topic_mut(&mut self, index: usize) -> &mut Topic {
        &mut self.topics[index]
    }

    pub(super) fn log(&self, slot: Slot) -> &Log {
        &self.topics[slot.topic].logs[slot.partition as usize]
    }

    pub(super) fn log_mut(&mut self, slot: Slot) -> &mut Log {
        &mut self.topics[slot.topic].logs[slot.partition as usize]
    }

    pub(super) fn partition(&self, slot: Slot) -> TopicPartition {
        TopicPartition::new(self.topics[slot.topic].name.clone(), slot.partition)
    }
}

impl Topic {
    fn new(new: &NewTopic) -> Result<Self> {
        let NewTopic { name, partitions, settings } = new;
        if *partitions == 0 {
            let message = format!("INVALID_PARTITIONS: topic {name} is to have no partition");
            return Err(errors::invalid(message, "give it at least one"));
        }
        let mut all = BTreeMap::from([
            ("cleanup.policy".to_owned(), "delete".to_owned()),
            ("delete.retention.ms".to_owned(), "86400000".to_owned()),
            ("max.message.bytes".to_owned(), "1048588".to_owned()),
        ]);
        all.extend(settings.clone());
        let limit: u32 = all["max.message.bytes"].parse().map_err(|_| {
            let message = format!("INVALID_CONFIG: max.message.bytes of topic {name} is not a number of bytes");
            errors::invalid(message, "give it as a whole number")
        })?;
        Ok(Self {
            name: name.as_str().into(),
            max_message_bytes: limit as usize,
            compacted: all["cleanup.policy"].split(',').any(|policy| policy.trim() == "compact"),
            tombstones: if all["delete.retention.ms"] == "0" { Tombstones::Drop } else { Tombstones::Keep },
            settings: all,
            retained: None,
            logs: (0..*partitions).map(|_| Log::default()).collect(),
        })
    }

    pub(super) fn partitions(&self) -> u32 {
        u32::try_from(self.logs.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn grow(&mut self, partitions: u32) {
        let more = partitions.saturating_sub(self.partitions());
        self.logs.extend((0..more).map(|_| Log::default()));
    }

    pub(super) fn describe(&self) -> TopicDescription {
        TopicDescription { partitions: self.partitions(), settings: self.settings.clone() }
    }
}
