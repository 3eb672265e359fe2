//! A stream thread's connection to real Kafka: its place in the group and its producer.

use std::sync::Arc;
use std::time::Duration;

use super::committed::{PATIENCE, committed};
use super::errors::{error, error_at, is_membership};
use super::native::consumer::GroupMetadata;
use super::native::list::PartitionList;
use super::native::queue::Queue;
use super::native::{Client, Code, Failure, Rebalance, Role, is_transient};
use super::producer::Producer;
use super::reading::{self, Reading};
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

#[derive(Debug)]
pub(super) struct KafkaMember {
    producer: Producer,
    reading: Reading,
    /// Only to hear of group events; it is never read directly.
    _group_queue: Queue,
    client: Arc<Client>,
    signal: Arc<Signal>,
    options: MemberOptions,
    /// The membership under which the partitions were taken: what is read under one is never committed under another.
    membership: Option<GroupMetadata>,
    clock: SystemClock,
}

impl KafkaMember {
    pub(super) fn new(properties: &Properties, options: &MemberOptions) -> Result<Self> {
        let session = options.session_timeout.as_millis();
        let mut settings = reading::settings(|name| properties.sets(name));
        settings.extend([
            ("group.id", options.group.clone()),
            ("group.instance.id", options.instance.clone()),
            ("client.id", options.client_id.clone()),
            ("partition.assignment.strategy", "range".to_owned()),
            ("session.timeout.ms", session.to_string()),
        ]);
        // A member hears of a rebalance with its heartbeat's answer: a third of the session, as is usual, would make
        // every process that joins wait for seconds.
        if !properties.sets("heartbeat.interval.ms") {
            settings.push(("heartbeat.interval.ms", (session / 20).clamp(100, 1_000).to_string()));
        }
        let producer = Producer::new(properties, options)?;
        let client = Arc::new(properties.client(Role::Consumer, &settings)?);
        client.join_queues().map_err(|failure| error("connecting", &failure))?;
        let signal = Arc::new(Signal::default());
        let group_queue = Queue::of_group(&client, &signal)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "librdkafka has no queue for the group"))?;
        Ok(Self {
            producer,
            reading: Reading::new(Arc::clone(&client), Arc::clone(&signal)),
            _group_queue: group_queue,
            client,
            signal,
            options: options.clone(),
            membership: None,
            clock: SystemClock::new(),
        })
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
            Code::GroupAuthorizationFailed | Code::SaslAuthenticationFailed | Code::FencedInstanceId => {
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
        self.client.subscribe(topics).map_err(|failure| error(&doing, &failure))
    }

    fn poll(&mut self) -> Result<Option<GroupEvent>> {
        for (failure, at) in self.reading.serve()? {
            self.judge(&failure, at.as_ref())?;
        }
        if let Some(fatal) = self.client.fatal() {
            return Err(error(&format!("belonging to group {}", self.options.group), &fatal));
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
        committed(&self.client, &self.options.group, partitions, &self.clock)
    }

    fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> Result<()> {
        self.membership = None;
        self.reading.assign(from)?;
        self.membership = self.client.group_metadata();
        Ok(())
    }

    fn unassign(&mut self) -> Result<()> {
        self.membership = None;
        self.reading.unassign()
    }

    fn seek(&mut self, to: &[(TopicPartition, Offset)]) -> Result<()> {
        self.reading.seek(to)
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
