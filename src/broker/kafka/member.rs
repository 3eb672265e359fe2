//! A stream thread's connection to real Kafka: its place in the group and its producer.

use std::sync::Arc;
use std::time::Duration;

use super::admin::Admin;
use super::committed::{PATIENCE, committed};
use super::errors::{error, error_at, is_membership};
use super::joining::{connect, group_queue};
use super::native::consumer::GroupMetadata;
use super::native::list::PartitionList;
use super::native::queue::Queue;
use super::native::{Client, Code, Failure, Rebalance, is_transient};
use super::producer::Producer;
use super::reading::Reading;
use super::settings::Properties;
use super::signal::Signal;
use crate::broker::{
    Batch, CommitFailure, CommittedOffset, Fetched, GroupEvent, Guarantee, Member, MemberOptions, Outgoing,
};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};
use crate::time::{Clock, SystemClock};

/// Leaving and closing take at most this many tenths of a second each.
const ROUNDS: u32 = 50;

/// How often the group is asked whether a fenced member's place is free again.
const FENCE_PAUSE: Duration = Duration::from_secs(1);

/// Since when the instance id is another's, and when the group was last asked whether it still is.
#[derive(Debug)]
struct Fenced {
    since: Duration,
    asked: Duration,
}

#[derive(Debug)]
pub(super) struct KafkaMember {
    producer: Producer,
    reading: Reading,
    /// Kept to hear of the group's events; it is never read directly.
    group_queue: Queue,
    client: Arc<Client>,
    signal: Arc<Signal>,
    options: MemberOptions,
    properties: Properties,
    admin: Arc<Admin>,
    topics: Vec<String>,
    /// The membership under which the partitions were taken: what is read under one is never committed under another.
    membership: Option<GroupMetadata>,
    fenced: Option<Fenced>,
    clock: SystemClock,
}

impl KafkaMember {
    pub(super) fn new(properties: &Properties, admin: &Arc<Admin>, options: &MemberOptions) -> Result<Self> {
        let producer = Producer::new(properties, options)?;
        let client = connect(properties, options)?;
        let signal = Arc::new(Signal::default());
        Ok(Self {
            producer,
            reading: Reading::new(Arc::clone(&client), Arc::clone(&signal)),
            group_queue: group_queue(&client, &signal)?,
            client,
            signal,
            options: options.clone(),
            properties: properties.clone(),
            admin: Arc::clone(admin),
            topics: Vec::new(),
            membership: None,
            fenced: None,
            clock: SystemClock::new(),
        })
    }

    /// What a consumer has ended with explains more than that it has.
    fn rather_fatal(&self, error: Error) -> Error {
        self.client.fatal().map_or(error, |fatal| self.ended(&fatal))
    }

    fn ended(&self, fatal: &Failure) -> Error {
        error(&format!("belonging to group {}", self.options.group), fatal)
    }

    /// The group has given this member's instance id to a newer join. librdkafka takes that for the end; but after the
    /// coordinator has been away, the newer join may be this member's own, tried again while the answer to the first was
    /// under way. Nobody keeps such a join alive: when the group has thrown it out, a new consumer takes the old one's
    /// place. Where it stays, another process has the instance id, and this is the end.
    fn follow_fence(&mut self, fatal: &Failure) -> Result<Option<GroupEvent>> {
        let (group, instance, now) = (&self.options.group, &self.options.instance, self.clock.elapsed());
        let Some(fenced) = &mut self.fenced else {
            tracing::warn!(group, instance, "fenced: waiting whether somebody else is there");
            self.fenced = Some(Fenced { since: now, asked: now });
            return Ok(Some(GroupEvent::Lost));
        };
        if now.saturating_sub(fenced.asked) < FENCE_PAUSE {
            return Ok(None);
        }
        fenced.asked = now;
        let over = now.saturating_sub(fenced.since) > self.options.session_timeout * 2;
        match self.admin.group_members(group) {
            Ok(members) if !members.iter().any(|member| member.is_instance(instance)) => {
                self.join_anew().map(|()| None)
            }
            _ if over => Err(self.ended(fatal)),
            _ => Ok(None),
        }
    }

    fn join_anew(&mut self) -> Result<()> {
        tracing::info!(
            group = self.options.group,
            instance = self.options.instance,
            "nobody else is there: joining anew"
        );
        let client = connect(&self.properties, &self.options)?;
        self.fenced = None;
        self.membership = None;
        self.reading = Reading::new(Arc::clone(&client), Arc::clone(&self.signal));
        self.group_queue = group_queue(&client, &self.signal)?;
        self.client = client;
        let topics = std::mem::take(&mut self.topics);
        self.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What the group's queue says besides rebalances: most passes by itself, a missing right or topic does not.
    fn judge(&self, failure: &Failure, at: Option<&TopicPartition>) -> Result<()> {
        let group = &self.options.group;
        match failure.code {
            Code::PollExceeded => {
                tracing::warn!(group, "the thread was away for too long and lost its partitions: {}", failure.text);
            }
            Code::TopicAuthorizationFailed | Code::UnknownTopicOrPartition | Code::UnknownTopic => {
                let doing = format!("subscribing in group {group}");
                return Err(match at {
                    Some(at) => error_at(&doing, failure, at, None),
                    None => error(&doing, failure),
                });
            }
            // The client says it again, as what it ends with.
            Code::Fatal | Code::FencedInstanceId => {}
            Code::GroupAuthorizationFailed | Code::SaslAuthenticationFailed => {
                return Err(error(&format!("belonging to group {group}"), failure));
            }
            _ => tracing::warn!(group, "the group's coordinator: {}", failure.text),
        }
        Ok(())
    }

    fn commit_at_least_once(&mut self, offsets: &PartitionList) -> Result<(), CommitFailure> {
        let doing = "committing the offsets";
        let deadline = self.clock.elapsed() + PATIENCE;
        loop {
            match self.client.commit_offsets(offsets) {
                Ok(()) => return Ok(()),
                Err(failure) if is_membership(failure.code) => return Err(CommitFailure::Lost(error(doing, &failure))),
                Err(failure) if is_transient(failure.code) && self.clock.elapsed() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(failure) if super::errors::is_authorization(failure.code) => {
                    return Err(CommitFailure::Fatal(error(doing, &failure)));
                }
                Err(failure) => return Err(CommitFailure::Unknown(error(doing, &failure))),
            }
        }
    }
}

impl Member for KafkaMember {
    fn subscribe(&mut self, topics: &[&str]) -> Result<()> {
        let doing = format!("subscribing to {} in group {}", topics.join(", "), self.options.group);
        self.topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        self.client.subscribe(topics).map_err(|failure| error(&doing, &failure))
    }

    fn poll(&mut self) -> Result<Option<GroupEvent>> {
        for (failure, at) in self.reading.serve()? {
            self.judge(&failure, at.as_ref())?;
        }
        if let Some(fatal) = self.client.fatal() {
            if fatal.code == Code::FencedInstanceId {
                return self.follow_fence(&fatal);
            }
            return Err(self.ended(&fatal));
        }
        let (group, instance) = (&self.options.group, &self.options.instance);
        Ok(self.client.next_rebalance().map(|event| match event {
            Rebalance::Assigned(partitions) => {
                tracing::info!(group, instance, ?partitions, "partitions assigned");
                GroupEvent::Assigned(partitions)
            }
            Rebalance::Revoked => {
                tracing::info!(group, instance, "all partitions revoked, in good order");
                GroupEvent::Revoked
            }
            Rebalance::Lost => {
                tracing::warn!(group, instance, "all partitions lost: the group went on without this member");
                GroupEvent::Lost
            }
        }))
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        let committed = committed(&self.client, &self.options.group, partitions, &self.clock, || None);
        committed.map_err(|error| self.rather_fatal(error))
    }

    fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> Result<()> {
        self.membership = None;
        self.reading.assign(from).map_err(|error| self.rather_fatal(error))?;
        self.membership = self.client.group_metadata();
        Ok(())
    }

    fn unassign(&mut self) -> Result<()> {
        self.membership = None;
        self.reading.unassign()
    }

    fn seek(&mut self, to: &[(TopicPartition, Offset)]) -> Result<()> {
        self.reading.seek(to).map_err(|error| self.rather_fatal(error))
    }

    fn fetch(&mut self, partition: usize, max: usize, into: &mut Batch) -> Result<Fetched> {
        self.reading.fetch(partition, max, into)
    }

    fn send(&mut self, task: u32, records: &Outgoing) -> Result<(), CommitFailure> {
        self.producer.send(task, records)
    }

    fn commit(&mut self, offsets: &[CommittedOffset]) -> Result<Vec<(TopicPartition, Offset)>, CommitFailure> {
        if offsets.is_empty() {
            let text = "a commit without an offset, which the group would not check";
            return Err(CommitFailure::Fatal(Error::new(ErrorKind::Internal, text)));
        }
        let Some(membership) = &self.membership else {
            let text = "a commit while no partitions are assigned";
            return Err(CommitFailure::Lost(Error::new(ErrorKind::Fenced, text)));
        };
        let mut list = PartitionList::new(offsets.len());
        for CommittedOffset { partition, offset, metadata } in offsets {
            list.push(&partition.topic, i32::try_from(partition.partition).unwrap_or(i32::MAX), *offset, metadata);
        }
        match self.options.guarantee {
            Guarantee::ExactlyOnce => self.producer.commit(&list, membership),
            Guarantee::AtLeastOnce => {
                let ends = self.producer.write()?;
                self.commit_at_least_once(&list)?;
                Ok(ends)
            }
        }
    }

    fn abort(&mut self) -> Result<()> {
        self.producer.abort()
    }

    fn recycle(&mut self) -> Result<()> {
        self.producer.recycle()
    }

    fn wait(&mut self, timeout: Duration) {
        self.signal.wait(timeout);
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let signal = Arc::clone(&self.signal);
        Arc::new(move || signal.notify())
    }

    fn close(mut self: Box<Self>, leave: bool) {
        let (group, instance) = (self.options.group.clone(), self.options.instance.clone());
        if let Err(error) = self.producer.abort() {
            tracing::warn!(
                group,
                "the open transaction was not aborted; the broker does it after its timeout: {error}"
            );
        }
        if leave {
            // A static member never says goodbye when it is closed; it does when it unsubscribes, once it has given its
            // partitions up.
            if let Err(failure) = self.client.unsubscribe() {
                tracing::warn!(group, "leaving failed: {}", failure.text);
            }
            let held = self.membership.is_some();
            for _ in 0..if held { ROUNDS } else { 0 } {
                self.client.serve_group();
                match self.client.next_rebalance() {
                    Some(Rebalance::Revoked | Rebalance::Lost) => break,
                    // It came too late to be of use.
                    Some(Rebalance::Assigned(_)) => drop(self.client.unassign()),
                    None => self.signal.wait(Duration::from_millis(100)),
                }
            }
        }
        if let Err(error) = self.unassign() {
            tracing::debug!("{error}");
        }
        if !self.client.close_consumer(ROUNDS) {
            tracing::warn!(
                group,
                instance,
                "the consumer did not close in time; the group notices at its session timeout"
            );
        }
        tracing::info!(group, instance, leave, "the member is gone");
    }
}
