//! librdkafka's and Kafka's error codes in the words of [`Error`].

use super::native::{Code, Failure};
use crate::error::{Error, ErrorKind, Place};
use crate::record::{Offset, TopicPartition};

/// An error that says what was being done, why it failed and, where there is something to do, what.
pub(super) fn error(doing: &str, failure: &Failure) -> Error {
    let kind = kind_of(failure.code);
    let error = Error::new(kind, format!("{doing}: {}", failure.text.trim_end_matches('.')));
    match remedy(failure.code) {
        Some(remedy) => error.remedy(remedy),
        None => error,
    }
}

/// As [`error`], at a partition and, where it is known, an offset.
pub(super) fn error_at(doing: &str, failure: &Failure, at: &TopicPartition, offset: Option<Offset>) -> Error {
    error(doing, failure).at(Place { partition: Some(at.clone()), offset, ..Place::default() })
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::SSL
        | Code::Authentication => ErrorKind::Authorization,
        code if is_missing(code) => ErrorKind::Topic,
        code if is_fenced(code) || is_membership(code) => ErrorKind::Fenced,
        Code::InvalidTransactionTimeout => ErrorKind::Config,
        _ => ErrorKind::Broker,
    }
}

/// A newer producer has the transactional id, or the coordinator gave this one up after a timeout.
pub(super) fn is_fenced(code: Code) -> bool {
    matches!(
        code,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::TransactionCoordinatorFenced
    )
}

/// The membership is not what it was.
pub(super) fn is_membership(code: Code) -> bool {
    matches!(
        code,
        Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::FencedInstanceId
            | Code::FencedMemberEpoch
            | Code::StaleMemberEpoch
            | Code::RebalanceInProgress
    )
}

/// The record is at fault: it is refused however often it is sent. Of anything else, such as a broker that is away for
/// longer than a record may wait, no record is to blame.
pub(super) fn is_of_the_record(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidTimestamp
            | Code::PolicyViolation
            | Code::InvalidRecord
    )
}

/// The topic or the partition is not there, also after librdkafka has looked for it for a while.
pub(super) fn is_missing(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId)
}

/// A right is missing: trying again will not help.
pub(super) fn is_authorization(code: Code) -> bool {
    kind_of(code) == ErrorKind::Authorization
}

fn remedy(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TopicAuthorizationFailed => {
            "grant the application READ and DESCRIBE on the topics it reads, WRITE on those it writes, CREATE and \
             DESCRIBE_CONFIGS on its internal ones"
        }
        Code::GroupAuthorizationFailed => "grant the application READ and DESCRIBE on its consumer group",
        Code::TransactionalIdAuthorizationFailed => {
            "grant the application WRITE and DESCRIBE on its transactional ids (they begin with the group's name)"
        }
        Code::ClusterAuthorizationFailed => "grant the application IDEMPOTENT_WRITE on the cluster",
        Code::SaslAuthenticationFailed | Code::Authentication => {
            "check the user's name and the password or token, and that the brokers offer this way of signing in at this port"
        }
        Code::SSL => {
            "check that the port is one for TLS, and that the brokers' certificate bears the name they are addressed by and is \
             signed by an authority that this machine or the property ssl.ca.location knows"
        }
        Code::AutoOffsetReset | Code::OffsetOutOfRange => {
            "the records there were deleted (retention, delete-records) or the topic was created anew: reset the \
             application, or set the group's offsets to where reading may go on"
        }
        Code::FencedInstanceId | Code::UnreleasedInstanceId => {
            "another process uses the same instance id: give each process its own"
        }
        Code::MessageTimedOut => {
            "the broker did not take it in time: check that the brokers are up, reachable, and have enough replicas in sync"
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::OperationTimedOut => {
            "check that the bootstrap address is right, that the security is that of the port, and that the brokers are up and \
             reachable from here"
        }
        Code::InvalidTransactionTimeout => {
            "the transaction timeout is above the brokers' transaction.max.timeout.ms: lower it, or raise theirs"
        }
        Code::MessageSizeTooLarge => "raise the topic's max.message.bytes, or make the record smaller",
        _ => return None,
    })
}
