//! What a group has committed, asked by a member of it or by anybody else.

use std::time::Duration;

use super::errors::{error, is_membership, is_missing};
use super::native::consumer::Stray;
use super::native::list::PartitionList;
use super::native::{Client, Code, Failure, Role, is_transient};
use super::settings::Properties;
use crate::broker::CommittedOffset;
use crate::error::Result;
use crate::record::TopicPartition;
use crate::time::{Clock, SystemClock};

/// How long committed offsets are asked for: an open commit of a dead owner ends with its transaction's timeout.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A client that may ask for a group's offsets without belonging to it.
pub(super) fn outsider(properties: &Properties, group: &str) -> Result<Client> {
    let settings = [("group.id", group), ("client.id", "millstream-offsets"), ("isolation.level", "read_committed")];
    properties.client(Role::Consumer, &settings.map(|(name, value)| (name, value.to_owned())))
}

/// Why a group's coordinator cannot be found by an outsider, where a right is missing: its calls only time out.
pub(super) fn refused(outsider: &Client) -> Option<Failure> {
    outsider.serve_group().into_iter().find_map(|stray| match stray {
        Stray::Failed(failure, _) if failure.code == Code::GroupAuthorizationFailed => Some(failure),
        _ => None,
    })
}

/// The committed offsets of `group`, which `client` names as its own; `None` where there are none. `refused` is asked for a
/// better reason where the coordinator does not answer.
pub(super) fn committed(
    client: &Client,
    group: &str,
    partitions: &[TopicPartition],
    clock: &SystemClock,
    refused: impl Fn() -> Option<Failure>,
) -> Result<Vec<Option<CommittedOffset>>> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let doing = format!("asking for the committed offsets of group {group}");
    let deadline = clock.elapsed() + PATIENCE;
    loop {
        let answer = client.committed(partitions, Duration::from_secs(5)).and_then(|elements| {
            let refused = elements.iter().find(|element| element.code != Code::NoError);
            refused.map_or(Ok(()), |element| Err(Failure::of(element.code)))?;
            Ok(elements)
        });
        match answer {
            Ok(elements) => {
                let committed = elements.into_iter().map(|element| {
                    let (partition, offset, metadata) = (element.partition, element.offset, element.metadata);
                    (offset >= 0).then_some(CommittedOffset { partition, offset, metadata })
                });
                return Ok(committed.collect());
            }
            Err(failure) if is_transient(failure.code) && clock.elapsed() < deadline => {
                if let Some(refusal) = refused() {
                    return Err(error(&doing, &refusal));
                }
                tracing::debug!("{doing}: tried again: {}", failure.text);
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(failure) => return Err(error(&doing, &failure)),
        }
    }
}

/// Commits for `group`, which `client` names as its own and which has no members.
pub(super) fn commit_for(client: &Client, group: &str, offsets: &[CommittedOffset], clock: &SystemClock) -> Result<()> {
    if offsets.is_empty() {
        return Ok(());
    }
    let doing = format!("committing offsets for group {group}");
    let deadline = clock.elapsed() + PATIENCE;
    loop {
        let mut list = PartitionList::new(offsets.len());
        for CommittedOffset { partition, offset, metadata } in offsets {
            list.push(&partition.topic, i32::try_from(partition.partition).unwrap_or(i32::MAX), *offset, metadata);
        }
        match client.commit_offsets(&list) {
            Ok(()) => return Ok(()),
            // A topic that was created a moment ago is not known to the coordinator yet.
            Err(failure) if (is_transient(failure.code) || is_missing(failure.code)) && clock.elapsed() < deadline => {
                tracing::debug!("{doing}: tried again: {}", failure.text);
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(failure) if is_membership(failure.code) => {
                return Err(error(&doing, &failure).remedy("the group has members: stop all its processes first"));
            }
            Err(failure) => return Err(error(&doing, &failure)),
        }
    }
}
