//! Records in bulk, as they cross the port: one arena of bytes a batch, and where each record lies in it.

use std::ops::Range;
use std::sync::Arc;

use crate::record::{Headers, InputNumber, Offset};
use crate::time::Timestamp;

/// Records read from one partition, in order of their offsets.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    offset: Offset,
    timestamp: Option<Timestamp>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Headers,
}

/// One record of a [`Batch`], borrowed from it.
#[derive(Clone, Debug)]
pub struct RawRecord<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Kafka's timestamp; `None` where it is not available.
    pub timestamp: Option<Timestamp>,
    /// The key's bytes; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; `None` is null.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a Headers,
}

impl Batch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True where it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many bytes of keys and values it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a copy of a record.
    pub fn push(&mut self, record: &RawRecord<'_>) {
        let key = record.key.map(|key| copy(&mut self.bytes, key));
        let value = record.value.map(|value| copy(&mut self.bytes, value));
        let RawRecord { offset, timestamp, headers, .. } = *record;
        self.records.push(Entry { offset, timestamp, key, value, headers: headers.clone() });
    }

    /// Forgets the records from an offset on.
    pub fn cut_at(&mut self, end: Offset) {
        let keep = self.records.partition_point(|entry| entry.offset < end);
        self.records.truncate(keep);
    }

    /// The records, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RawRecord<'_>> {
        self.records.iter().map(|entry| RawRecord {
            offset: entry.offset,
            timestamp: entry.timestamp,
            key: entry.key.clone().map(|range| &self.bytes[range]),
            value: entry.value.clone().map(|range| &self.bytes[range]),
            headers: &entry.headers,
        })
    }
}

fn copy(arena: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    let start = arena.len();
    arena.extend_from_slice(bytes);
    start..arena.len()
}

/// Records to be written, to any topics.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    topics: Vec<Arc<str>>,
    records: Vec<OutgoingEntry>,
}

#[derive(Debug)]
struct OutgoingEntry {
    topic: usize,
    partitioning: Partitioning,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    timestamp: Timestamp,
    headers: Headers,
    input: InputNumber,
}

/// How a record finds its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// By murmur2 of its key's bytes, as Java does; a null key goes round robin.
    ByKey,
    /// As [`ByKey`](Self::ByKey), but so many bytes at the key's end do not count: a windowed key goes where its inner
    /// key goes.
    ByKeyBut(usize),
    /// To this partition.
    Fixed(u32),
}

impl Partitioning {
    /// The part of a key that decides its partition.
    #[must_use]
    pub fn placed(self, key: Option<&[u8]>) -> Option<&[u8]> {
        match self {
            Self::ByKeyBut(end) => key.map(|key| &key[..key.len().saturating_sub(end)]),
            Self::ByKey | Self::Fixed(_) => key,
        }
    }
}

/// The place of a topic in an [`Outgoing`]'s table of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicIndex(usize);

/// One record of an [`Outgoing`], borrowed from it.
#[derive(Clone, Debug)]
pub struct OutgoingRecord<'a> {
    /// Its topic.
    pub topic: TopicIndex,
    /// How it finds its partition.
    pub partitioning: Partitioning,
    /// The key's bytes; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Kafka's timestamp for it.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: &'a Headers,
    /// The input that led to it.
    pub input: InputNumber,
}

impl Outgoing {
    /// Empties it and keeps its memory and its table of topics: a [`TopicIndex`] stays good for the life of this value.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True where it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many bytes of keys and values it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The place of `topic` in the table of topics; enters it where it is new.
    pub fn topic(&mut self, topic: &str) -> TopicIndex {
        let place = self.topics.iter().position(|known| &**known == topic).unwrap_or_else(|| {
            self.topics.push(topic.into());
            self.topics.len() - 1
        });
        TopicIndex(place)
    }

    /// The table of topics; a [`TopicIndex`] is a place in it.
    #[must_use]
    pub fn topics(&self) -> &[Arc<str>] {
        &self.topics
    }

    /// The name of a topic of the table.
    #[must_use]
    pub fn topic_name(&self, topic: TopicIndex) -> &Arc<str> {
        &self.topics[topic.0]
    }

    /// Appends a copy of a record.
    pub fn push(&mut self, record: &OutgoingRecord<'_>) {
        let key = record.key.map(|key| copy(&mut self.bytes, key));
        let value = record.value.map(|value| copy(&mut self.bytes, value));
        self.push_entry(record, key, value);
    }

    /// Appends a record whose bytes are written straight into the arena: `key` and `value` append their bytes to the
    /// vector they are given and say whether there is one (`false` is null). On an error nothing is appended.
    ///
    /// # Errors
    /// Whatever `key` or `value` gives.
    pub fn encode<E>(
        &mut self,
        record: &OutgoingRecord<'_>,
        key: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        let encoded = key(&mut self.bytes).and_then(|has_key| {
            let middle = self.bytes.len();
            value(&mut self.bytes).map(|has_value| (has_key, middle, has_value))
        });
        let (has_key, middle, has_value) = encoded.inspect_err(|_| self.bytes.truncate(start))?;
        let end = self.bytes.len();
        self.push_entry(record, has_key.then_some(start..middle), has_value.then_some(middle..end));
        Ok(())
    }

    fn push_entry(&mut self, record: &OutgoingRecord<'_>, key: Option<Range<usize>>, value: Option<Range<usize>>) {
        let OutgoingRecord { topic: TopicIndex(topic), partitioning, timestamp, headers, input, .. } = *record;
        let headers = headers.clone();
        self.records.push(OutgoingEntry { topic, partitioning, key, value, timestamp, headers, input });
    }

    /// Gives every record without one a partition: `choose` gets the topic and the key.
    ///
    /// # Errors
    /// Whatever `choose` gives.
    pub fn place<E>(&mut self, mut choose: impl FnMut(TopicIndex, Option<&[u8]>) -> Result<u32, E>) -> Result<(), E> {
        for entry in &mut self.records {
            if !matches!(entry.partitioning, Partitioning::Fixed(_)) {
                let key = entry.partitioning.placed(entry.key.clone().map(|range| &self.bytes[range]));
                entry.partitioning = Partitioning::Fixed(choose(TopicIndex(entry.topic), key)?);
            }
        }
        Ok(())
    }

    /// The records, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = OutgoingRecord<'_>> {
        self.records.iter().map(|entry| OutgoingRecord {
            topic: TopicIndex(entry.topic),
            partitioning: entry.partitioning,
            key: entry.key.clone().map(|range| &self.bytes[range]),
            value: entry.value.clone().map(|range| &self.bytes[range]),
            timestamp: entry.timestamp,
            headers: &entry.headers,
            input: entry.input,
        })
    }
}

impl TopicIndex {
    /// The place in [`Outgoing::topics`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_be_encoded_leaves_nothing_behind() {
        let mut out = Outgoing::default();
        let topic = out.topic("t");
        let record = OutgoingRecord {
            topic,
            partitioning: Partitioning::ByKey,
            key: None,
            value: None,
            timestamp: Timestamp::from_millis(1),
            headers: &Headers::NONE,
            input: InputNumber(0),
        };
        let failed = out.encode(
            &record,
            |bytes| {
                bytes.extend_from_slice(b"key");
                Ok(true)
            },
            |_| Err("no"),
        );
        assert_eq!(failed, Err("no"));
        assert_eq!((out.len(), out.bytes()), (0, 0));
    }
}
