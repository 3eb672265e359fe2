//! What becomes of a record that cannot be used, by its policy.

use crate::broker::{Outgoing, OutgoingRecord, Partitioning};
use crate::error::{Error, ErrorKind, Place};
use crate::operators::source::Bad;
use crate::record::{InputNumber, TopicPartition};
use crate::time::Timestamp;

/// The error that a record is for the policy that stops at it.
pub(crate) fn unusable(partition: &TopicPartition, bad: &Bad) -> Error {
    let place = Place {
        partition: Some(partition.clone()),
        offset: Some(bad.offset),
        index: (bad.index > 0).then_some(bad.index),
        operator: None,
    };
    let message = format!("a record cannot be used ({}): {}", bad.reason.label(), bad.message);
    let error = Error::new(ErrorKind::Record, message).at(place);
    if bad.fatal {
        return error;
    }
    error.remedy("mend its producer, or give its source a policy for bad input: skip, or a dead-letter topic (--bad-input on the \
         command line)")
}

/// Writes the original bytes to the dead-letter topic, with the reason in headers.
pub(crate) fn dead_letter(out: &mut Outgoing, topic: &str, partition: &TopicPartition, bad: &Bad, input: InputNumber) {
    let mut headers = bad.headers.clone();
    for (name, value) in [
        ("millstream.error.reason", bad.reason.label().to_owned()),
        ("millstream.error.message", bad.message.clone()),
        ("millstream.error.topic", partition.topic.to_string()),
        ("millstream.error.partition", partition.partition.to_string()),
        ("millstream.error.offset", bad.offset.to_string()),
        ("millstream.error.index", bad.index.to_string()),
        ("millstream.error.timestamp", bad.timestamp.map_or_else(String::new, |at| at.millis().to_string())),
    ] {
        headers.push(name, Some(value.into_bytes()));
    }
    let topic = out.topic(topic);
    out.push(&OutgoingRecord {
        topic,
        partitioning: Partitioning::ByKey,
        key: bad.key.as_deref(),
        value: bad.value.as_deref(),
        timestamp: bad.timestamp.unwrap_or(Timestamp::MIN).max(Timestamp::from_millis(1)),
        headers: &headers,
        input,
    });
}
