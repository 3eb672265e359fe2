//! The errors of the embedded broker, by the names that Kafka gives them.

use std::fmt;

use crate::error::{Error, ErrorKind, Place};
use crate::record::{Offset, TopicPartition};

pub(super) fn unknown_topic(topic: &str) -> Error {
    Error::new(ErrorKind::Topic, format!("UNKNOWN_TOPIC_OR_PARTITION: there is no topic {topic}"))
        .remedy("create it first")
}

pub(super) fn unknown_partition(partition: &TopicPartition) -> Error {
    Error::new(ErrorKind::Topic, "UNKNOWN_TOPIC_OR_PARTITION: there is no such partition")
        .at(Place { partition: Some(partition.clone()), ..Place::default() })
        .remedy("create the topic with enough partitions")
}

pub(super) fn out_of_range(partition: TopicPartition, offset: Offset, start: Offset, end: Offset) -> Error {
    let message = format!("OFFSET_OUT_OF_RANGE: the log of this partition starts at {start} and ends at {end}");
    Error::new(ErrorKind::Broker, message)
        .at(Place { partition: Some(partition), offset: Some(offset), ..Place::default() })
        .remedy("the records were deleted or the topic made anew: choose where to go on")
}

pub(super) fn fenced_instance(group: &str, instance: &str) -> Error {
    let message = format!(
        "FENCED_INSTANCE_ID: another member of group {group} has joined under the group.instance.id {instance}"
    );
    Error::new(ErrorKind::Fenced, message).remedy("run one process with this instance id")
}

pub(super) fn fenced_producer(transactional_id: &str) -> Error {
    let message = format!("PRODUCER_FENCED: another producer has taken the transactional.id {transactional_id}");
    Error::new(ErrorKind::Fenced, message).remedy("run one process with this transactional id")
}

pub(super) fn transaction_timed_out(transactional_id: &str) -> Error {
    let message = format!(
        "INVALID_PRODUCER_EPOCH: the transaction of {transactional_id} was open for longer than transaction.timeout.ms, so the broker aborted it"
    );
    Error::new(ErrorKind::Broker, message).remedy("recycle the producer; commit more often or raise the timeout")
}

pub(super) fn no_member(group: &str, instance: &str) -> Error {
    let message = format!("UNKNOWN_MEMBER_ID: group {group} has no member {instance} any more");
    Error::new(ErrorKind::Fenced, message).remedy("poll at least once every session timeout, and join again")
}

pub(super) fn has_members(group: &str) -> Error {
    let message = format!("UNKNOWN_MEMBER_ID: group {group} has members, and only they commit for it");
    Error::new(ErrorKind::Fenced, message).remedy("stop all processes of the application first")
}

pub(super) fn old_generation(group: &str, instance: &str) -> Error {
    let message = format!("ILLEGAL_GENERATION: {instance} holds no assignment of group {group}'s generation");
    Error::new(ErrorKind::Fenced, message).remedy("poll for the new assignment")
}

pub(super) fn invalid(message: impl Into<String>, remedy: &str) -> Error {
    Error::new(ErrorKind::Config, message).remedy(remedy)
}

pub(super) fn misuse(message: &str) -> Error {
    Error::new(ErrorKind::Internal, message)
}

/// A request or its reply was lost.
pub(super) fn timed_out(operation: impl fmt::Debug) -> Error {
    Error::new(ErrorKind::Broker, format!("REQUEST_TIMED_OUT: no answer to {operation:?}")).remedy("try again")
}
