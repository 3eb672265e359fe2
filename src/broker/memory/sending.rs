//! Records on their way into the logs: checked and sorted by partition before the lock is taken.

use super::errors;
use super::log::ProducerId;
use super::state::State;
use super::topics::Slot;
use crate::broker::{Batch, Outgoing, OutgoingRecord, Partitioning, RawRecord};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::record::{Offset, TopicPartition};

/// How many records a chunk of a log has at most: a reader that starts in the middle looks through half of them.
pub(super) const CHUNK_RECORDS: usize = 1024;

/// What Kafka adds to a single record in a batch of its own.
const BATCH_OVERHEAD: usize = 61;

/// What a sender must know of a topic.
#[derive(Clone, Copy, Debug)]
struct Limits {
    topic: usize,
    partitions: u32,
    max_message_bytes: usize,
    compacted: bool,
}

/// For each topic of an [`Outgoing`] its limits; `None` where it does not exist.
#[derive(Debug)]
pub(super) struct Directory(Vec<Option<Limits>>);

/// Records for one partition.
#[derive(Debug)]
pub(super) struct Portion {
    pub(super) slot: Slot,
    chunks: Vec<Batch>,
}

impl State {
    pub(super) fn directory(&self, records: &Outgoing) -> Directory {
        let limits = |name: &str| {
            let index = self.topics.index(name).ok()?;
            let topic = self.topics.topic(index);
            let (max_message_bytes, compacted) = (topic.max_message_bytes, topic.compacted);
            Some(Limits { topic: index, partitions: topic.partitions(), max_message_bytes, compacted })
        };
        Directory(records.topics().iter().map(|name| limits(name)).collect())
    }

    /// Appends sorted records; `written` gets the offset after the last one of each partition.
    pub(super) fn append(
        &mut self,
        portions: Vec<Portion>,
        producer: Option<ProducerId>,
        mut written: impl FnMut(Slot, Offset),
    ) {
        for Portion { slot, chunks } in portions {
            let log = self.topics.log_mut(slot);
            for chunk in chunks {
                log.append(chunk, producer);
            }
            written(slot, log.end);
            self.tidy(slot);
        }
    }
}

/// Sorts records by partition. `choose` finds the partition of a record without one, of so many; `refuse` gets every
/// record that is not taken, and why. The `refused`-th is not taken whatever it is like.
pub(super) fn sort(
    records: &Outgoing,
    directory: &Directory,
    refused: Option<usize>,
    mut choose: impl FnMut(Option<&[u8]>, u32) -> Result<u32>,
    mut refuse: impl FnMut(&OutgoingRecord<'_>, Error),
) -> Vec<Portion> {
    let mut portions: Vec<Portion> = Vec::new();
    // For each topic and partition the place of its portion.
    let mut places: Vec<Vec<Option<usize>>> = vec![Vec::new(); directory.0.len()];
    for (number, record) in records.iter().enumerate() {
        match check(records, directory, &record, &mut choose) {
            Err(error) => refuse(&record, error),
            Ok(slot) if refused == Some(number) => refuse(&record, refused_record(records, &record, slot)),
            Ok(slot) => {
                let known = &mut places[record.topic.index()];
                let partition = slot.partition as usize;
                if known.len() <= partition {
                    known.resize(partition + 1, None);
                }
                let place = *known[partition].get_or_insert_with(|| {
                    portions.push(Portion { slot, chunks: vec![Batch::default()] });
                    portions.len() - 1
                });
                portions[place].push(&record);
            }
        }
    }
    portions
}

impl Portion {
    fn push(&mut self, record: &OutgoingRecord<'_>) {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_RECORDS) {
            self.chunks.push(Batch::default());
        }
        if let Some(chunk) = self.chunks.last_mut() {
            let OutgoingRecord { key, value, timestamp, headers, .. } = *record;
            let offset = Offset::try_from(chunk.len()).unwrap_or(Offset::MAX);
            chunk.push(&RawRecord { offset, timestamp: Some(timestamp), key, value, headers });
        }
    }
}

/// Where a record goes, or why no broker would take it.
fn check(
    records: &Outgoing,
    directory: &Directory,
    record: &OutgoingRecord<'_>,
    choose: &mut impl FnMut(Option<&[u8]>, u32) -> Result<u32>,
) -> Result<Slot> {
    let name = records.topic_name(record.topic);
    let limits = directory.0[record.topic.index()].ok_or_else(|| errors::unknown_topic(name))?;
    let partition = match record.partitioning {
        Partitioning::Fixed(partition) => partition,
        by_key => choose(by_key.placed(record.key), limits.partitions)?,
    };
    let at = || TopicPartition::new(name.clone(), partition);
    if partition >= limits.partitions {
        return Err(errors::unknown_partition(&at()));
    }
    let place = || Place { partition: Some(at()), ..Place::default() };
    let size = size_in_kafka(record);
    if size > limits.max_message_bytes {
        let limit = limits.max_message_bytes;
        let message =
            format!("MESSAGE_TOO_LARGE: the record takes {size} bytes and the topic's max.message.bytes is {limit}");
        return Err(Error::new(ErrorKind::Record, message).at(place()).remedy("raise it, or make the record smaller"));
    }
    if limits.compacted && record.key.is_none() {
        let message = "INVALID_RECORD: a compacted topic takes no record without a key";
        return Err(Error::new(ErrorKind::Record, message).at(place()).remedy("give the record a key"));
    }
    Ok(Slot { topic: limits.topic, partition })
}

fn refused_record(records: &Outgoing, record: &OutgoingRecord<'_>, slot: Slot) -> Error {
    let partition = TopicPartition::new(records.topic_name(record.topic).clone(), slot.partition);
    Error::new(ErrorKind::Record, "INVALID_RECORD: the broker refuses the record")
        .at(Place { partition: Some(partition), ..Place::default() })
}

/// What a record takes uncompressed in a batch of its own, in Kafka's record format.
fn size_in_kafka(record: &OutgoingRecord<'_>) -> usize {
    let field = |bytes: Option<usize>| bytes.map_or(1, |length| varint(length) + length);
    let header = |name: usize, value: Option<usize>| field(Some(name)) + field(value);
    let headers: usize = record.headers.iter().map(|h| header(h.name.len(), h.value.as_ref().map(Vec::len))).sum();
    // The attributes, the deltas of timestamp and offset (both 0), the number of headers.
    let body = 1 + 2 + varint(record.headers.iter().len()) + headers;
    let body = body + field(record.key.map(<[u8]>::len)) + field(record.value.map(<[u8]>::len));
    BATCH_OVERHEAD + varint(body) + body
}

/// How long a length is as a zigzag varint: 6 bits in the first byte, 7 in each further one.
fn varint(length: usize) -> usize {
    let bits = usize::BITS - length.leading_zeros() + 1;
    (bits.div_ceil(7)).max(1) as usize
}
