//! The records of an output topic become lines.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{Batch, Broker, Isolation};
use crate::cli::line::Line;
use crate::error::Result;
use crate::record::{Headers, TopicPartition};

/// A record that an output topic got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Printed {
    partition: u32,
    key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    timestamp: Option<i64>,
    headers: Headers,
}

const FETCH: usize = 10_000;
/// How long to wait for records that the broker says it has.
const WAIT: Duration = Duration::from_millis(10);

/// All committed records of a topic, partition by partition.
pub(super) fn read(broker: &dyn Broker, topic: &str) -> Result<Vec<Printed>> {
    let partitions = broker.describe_topics(&[topic])?.get(topic).map_or(0, |topic| topic.partitions);
    let partitions: Vec<_> = (0..partitions).map(|number| TopicPartition::new(topic, number)).collect();
    let ends = broker.end_offsets(&partitions, Isolation::ReadCommitted)?;
    let starts = broker.start_offsets(&partitions)?;
    let from: Vec<_> = partitions.iter().cloned().zip(starts).collect();
    let mut reader = broker.reader(&from)?;
    let (mut records, mut batch) = (Vec::new(), Batch::default());
    for ((place, (partition, start)), end) in from.iter().enumerate().zip(ends) {
        let mut position = *start;
        while position < end {
            batch.clear();
            let fetched = reader.fetch(place, FETCH, &mut batch)?;
            records.extend(batch.iter().map(|record| Printed {
                partition: partition.partition,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                timestamp: record.timestamp.map(crate::Timestamp::millis),
                headers: record.headers.clone(),
            }));
            if fetched.position == position {
                reader.wait(WAIT);
            }
            position = fetched.position;
        }
    }
    Ok(records)
}

/// The newest record of each key, ordered by key. Records without a key have no newer ones: all of them stay, first.
pub(super) fn newest(records: Vec<Printed>) -> Vec<Printed> {
    let (keyed, mut printed): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.key.is_some());
    let newest: BTreeMap<_, _> = keyed.into_iter().map(|record| (record.key.clone(), record)).collect();
    printed.extend(newest.into_values());
    printed
}

impl Printed {
    /// The record as a line of JSON, with its end.
    pub(super) fn line(&self, topic: &str) -> Result<String> {
        let Self { partition, key, value, timestamp, headers } = self;
        let (key, value) = (key.as_deref(), value.as_deref());
        Line { topic, partition: Some(*partition), key, value, timestamp: *timestamp, headers }.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(key: Option<&[u8]>, value: Option<&[u8]>) -> Printed {
        let bytes = |bytes: &[u8]| bytes.to_vec();
        Printed {
            partition: 1,
            key: key.map(bytes),
            value: value.map(bytes),
            timestamp: Some(5),
            headers: Headers::NONE,
        }
    }

    #[test]
    fn only_the_newest_of_a_key_stays_and_all_without_one() {
        let (old, new) = (printed(Some(b"b"), Some(b"1")), printed(Some(b"b"), None));
        let (other, first, second) = (printed(Some(b"a"), None), printed(None, Some(b"1")), printed(None, Some(b"1")));
        let all = vec![old, first.clone(), other.clone(), new.clone(), second.clone()];
        assert_eq!(newest(all), [first, second, other, new]);
    }
}
