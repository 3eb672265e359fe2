//! A stream thread's connection.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::MemoryBroker;
use super::bell::Bell;
use super::faults::{Fault, Operation, around, crash};
use super::fetching::Cursors;
use super::group::{Candidate, MemberId, Standing};
use super::producer::Producer;
use super::{errors, state};
use crate::broker::{
    Batch, CommitFailure, CommittedOffset, Fetched, GroupEvent, Guarantee, Member, MemberOptions, Outgoing,
};
use crate::error::Result;
use crate::record::{Offset, TopicPartition};

pub(super) struct MemoryMember {
    broker: MemoryBroker,
    options: MemberOptions,
    bell: Arc<Bell>,
    cursors: Cursors,
    membership: Option<Membership>,
    producer: Producer,
    /// Its process has died.
    dead: bool,
}

/// This side of a group membership.
struct Membership {
    id: MemberId,
    topics: BTreeSet<String>,
    /// The generation of the assignment that is held.
    generation: Option<u32>,
    /// Was told of an assignment or a loss that it has not answered with `unassign`.
    holds: bool,
    /// Was told that all is lost.
    lost: bool,
}

impl MemoryMember {
    pub(super) fn connect(broker: MemoryBroker, options: &MemberOptions) -> Result<Self> {
        let MemberOptions { group, instance, transactional_id, guarantee, .. } = options;
        let unnamed = *guarantee == Guarantee::ExactlyOnce && transactional_id.is_empty();
        if group.is_empty() || instance.is_empty() || unnamed {
            let message = "a member needs a group.id, a group.instance.id and, for transactions, a transactional.id";
            return Err(errors::invalid(message, "give it all of them"));
        }
        let producer = Producer::new(&broker, options);
        let (bell, cursors) = (Arc::default(), Cursors::default());
        Ok(Self { broker, options: options.clone(), bell, cursors, membership: None, producer, dead: false })
    }

    /// Asks what goes wrong with a call, and lets happen what does not depend on the call.
    fn ask(&mut self, operation: Operation) -> Result<Fault> {
        if self.dead {
            return Err(crash(operation));
        }
        let fault = self.broker.ask(&self.options.instance, operation);
        match fault {
            Fault::CrashBefore => {
                self.dead = true;
                return Err(crash(operation));
            }
            Fault::CrashAfter => self.dead = true,
            Fault::LoseMembership => self.leave(),
            Fault::TransactionTimeout if self.options.guarantee == Guarantee::ExactlyOnce => {
                self.broker.state().time_out(&self.options.transactional_id);
            }
            _ => {}
        }
        Ok(fault)
    }

    /// A call that is made on this side alone: nothing of it can be lost.
    fn local<T>(&mut self, operation: Operation, effect: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let fault = self.ask(operation)?;
        let result = effect(self);
        if fault == Fault::CrashAfter { Err(crash(operation)) } else { result }
    }

    fn leave(&mut self) {
        if let Some(membership) = &self.membership {
            self.broker.state().leave(&self.options.group, &self.options.instance, membership.id);
        }
    }

    fn join(&mut self, topics: BTreeSet<String>) -> Result<()> {
        let mut state = self.broker.state();
        let MemberOptions { group, instance, client_id, session_timeout, .. } = &self.options;
        let member = state.next_member();
        let who = Candidate {
            member,
            client_id: client_id.clone(),
            session_timeout: *session_timeout,
            topics: topics.clone(),
            bell: self.bell.clone(),
        };
        state.join(group, instance, who, self.broker.now())?;
        self.membership = Some(Membership { id: member, topics, generation: None, holds: false, lost: false });
        Ok(())
    }

    fn next_event(&mut self) -> Result<Option<GroupEvent>> {
        let Some(membership) = &mut self.membership else { return Ok(None) };
        let MemberOptions { group, instance, .. } = &self.options;
        let now = self.broker.now();
        let standing = match self.broker.state().groups.get_mut(group) {
            Some(group) => group.poll(instance, membership.id, now),
            None => Standing::Gone,
        };
        match standing {
            Standing::Fenced => Err(errors::fenced_instance(group, instance)),
            Standing::Member(event, generation) => {
                if matches!(event, Some(GroupEvent::Assigned(_))) {
                    membership.generation = Some(generation);
                    membership.holds = true;
                }
                Ok(event)
            }
            Standing::Gone if !membership.holds => {
                let topics = membership.topics.clone();
                self.join(topics)?;
                // With nobody else in the group the assignment is there already.
                self.next_event()
            }
            Standing::Gone if membership.lost => Ok(None),
            Standing::Gone => {
                membership.lost = true;
                Ok(Some(GroupEvent::Lost))
            }
        }
    }

    fn heartbeat(&mut self) {
        if let Some(membership) = &self.membership {
            let now = self.broker.now();
            let mut state = self.broker.state();
            if let Some(group) = state.groups.get_mut(&self.options.group) {
                group.heartbeat(&self.options.instance, membership.id, now);
            }
        }
    }

    fn give_up(&mut self) {
        self.cursors.unassign(&self.broker, &self.bell);
        let Some(membership) = &mut self.membership else { return };
        (membership.generation, membership.holds, membership.lost) = (None, false, false);
        let state: &mut state::State = &mut self.broker.state();
        if let Some(group) = state.groups.get_mut(&self.options.group) {
            group.unassign(&self.options.instance, membership.id, &state.topics);
        }
        // A member that was removed joins again with its next poll.
        self.bell.ring();
    }

    fn committed_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        let MemberOptions { group, instance, .. } = &self.options;
        let state = self.broker.state();
        let fenced = self.membership.as_ref().is_some_and(|membership| {
            state.groups.get(group).is_some_and(|group| group.is_fenced(instance, membership.id))
        });
        if fenced { Err(errors::fenced_instance(group, instance)) } else { state.stable_offsets(group, partitions) }
    }

    fn right_to_commit(&self) -> Option<(MemberId, u32)> {
        let membership = self.membership.as_ref()?;
        Some((membership.id, membership.generation?))
    }
}

impl Member for MemoryMember {
    fn subscribe(&mut self, topics: &[&str]) -> Result<()> {
        self.local(Operation::Subscribe, |this| this.join(topics.iter().map(|topic| (*topic).to_owned()).collect()))
    }

    fn poll(&mut self) -> Result<Option<GroupEvent>> {
        match self.ask(Operation::Poll)? {
            Fault::LostRequest => Ok(None),
            Fault::LostReply => {
                self.heartbeat();
                Ok(None)
            }
            Fault::CrashAfter => {
                self.next_event().ok();
                Err(crash(Operation::Poll))
            }
            _ => self.next_event(),
        }
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        let fault = self.ask(Operation::Committed)?;
        around(fault, Operation::Committed, || self.committed_offsets(partitions))
    }

    fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> Result<()> {
        self.local(Operation::Assign, |this| this.cursors.assign(&this.broker, &this.bell, from))
    }

    fn unassign(&mut self) -> Result<()> {
        self.local(Operation::Unassign, |this| {
            this.give_up();
            Ok(())
        })
    }

    fn seek(&mut self, to: &[(TopicPartition, Offset)]) -> Result<()> {
        self.local(Operation::Seek, |this| {
            this.bell.ring();
            this.cursors.seek(&this.broker, to)
        })
    }

    fn fetch(&mut self, partition: usize, max: usize, into: &mut Batch) -> Result<Fetched> {
        match self.ask(Operation::Fetch)? {
            Fault::CrashAfter => Err(crash(Operation::Fetch)),
            Fault::LostRequest | Fault::LostReply => self.cursors.nothing(partition),
            _ => self.cursors.fetch(&self.broker, partition, max, into),
        }
    }

    fn send(&mut self, task: u32, records: &Outgoing) -> Result<(), CommitFailure> {
        let fault = self.ask(Operation::Send).map_err(CommitFailure::Fatal)?;
        if fault == Fault::LostRequest {
            return Err(self.producer.fail());
        }
        let sent = self.producer.send(&self.broker, task, records, fault);
        match fault {
            Fault::CrashAfter => Err(CommitFailure::Fatal(crash(Operation::Send))),
            Fault::LostReply => sent.and_then(|()| Err(self.producer.fail())),
            _ => sent,
        }
    }

    fn commit(&mut self, offsets: &[CommittedOffset]) -> Result<Vec<(TopicPartition, Offset)>, CommitFailure> {
        let fault = self.ask(Operation::Commit).map_err(CommitFailure::Fatal)?;
        let right = self.right_to_commit();
        let committed = self.producer.commit(&self.broker, right, offsets, fault);
        if fault == Fault::CrashAfter { Err(CommitFailure::Fatal(crash(Operation::Commit))) } else { committed }
    }

    fn abort(&mut self) -> Result<()> {
        let fault = self.ask(Operation::Abort)?;
        around(fault, Operation::Abort, || self.producer.abort(&self.broker))
    }

    fn recycle(&mut self) -> Result<()> {
        let fault = self.ask(Operation::Recycle)?;
        // Until the answer has come there is no producer to go on with.
        self.producer.retire();
        self.producer = around(fault, Operation::Recycle, || Ok(Producer::new(&self.broker, &self.options)))?;
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) {
        self.broker.sleep(&self.bell, if self.dead { Duration::ZERO } else { timeout });
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let bell = self.bell.clone();
        Arc::new(move || bell.ring())
    }

    fn close(mut self: Box<Self>, leave: bool) {
        let Ok(fault) = self.ask(Operation::Close) else { return };
        if fault != Fault::LostRequest {
            self.producer.abort(&self.broker).ok();
            if leave {
                self.leave();
            }
        }
        self.cursors.unassign(&self.broker, &self.bell);
    }
}
