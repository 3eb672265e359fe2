//! A group and its coordinator: static members, the `range` assignor, eager rebalances.
//!
//! In a rebalance every owner is told [`GroupEvent::Revoked`] at its next poll. Once all members that are left have
//! given their partitions up, the generation counts up and every member is told what it has. Who does not answer holds
//! the others up until its session is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::bell::Bell;
use super::errors;
use super::range::range;
use super::topics::Topics;
use crate::broker::{CommittedOffset, GroupEvent, GroupMember};
use crate::error::{Error, Result};
use crate::record::TopicPartition;

/// Kafka's `member.id`: tells two holders of one instance id apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemberId(pub(super) u64);

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) generation: u32,
    pub(super) offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// By instance id, the order that `range` goes by.
    seats: BTreeMap<String, Seat>,
    rebalancing: bool,
}

/// Who asks to join.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) member: MemberId,
    pub(super) client_id: String,
    pub(super) session_timeout: Duration,
    pub(super) topics: BTreeSet<String>,
    pub(super) bell: Arc<Bell>,
}

#[derive(Debug)]
struct Seat {
    holder: Candidate,
    heartbeat: Duration,
    stage: Stage,
    partitions: Vec<TopicPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Holds nothing and waits for the next generation.
    Joined,
    /// Has an assignment that it was not told of yet.
    Assigning,
    /// Was told of its assignment.
    Owner,
    /// Was told to give it up.
    Revoking,
}

/// What a poll finds.
#[derive(Debug)]
pub(super) enum Standing {
    /// A member; with the event comes the generation that it belongs to.
    Member(Option<GroupEvent>, u32),
    /// Removed from the group.
    Gone,
    /// Another member has taken the instance id over.
    Fenced,
}

impl Group {
    /// Joins, or takes a seat with this instance id over from whoever held it.
    pub(super) fn join(&mut self, instance: &str, who: Candidate, now: Duration, topics: &Topics) -> Result<()> {
        self.check_topics(instance, &who)?;
        who.bell.ring();
        if let Some(seat) = self.seats.get_mut(instance) {
            let same = seat.holder.topics == who.topics;
            seat.holder.bell.ring();
            seat.holder = who;
            seat.heartbeat = now;
            seat.stage = if self.rebalancing { Stage::Joined } else { Stage::Assigning };
            if same {
                self.complete_when_all_joined(topics);
                return Ok(());
            }
        } else {
            let seat = Seat { holder: who, heartbeat: now, stage: Stage::Joined, partitions: Vec::new() };
            self.seats.insert(instance.to_owned(), seat);
        }
        self.rebalance(topics);
        Ok(())
    }

    fn check_topics(&self, instance: &str, who: &Candidate) -> Result<()> {
        let others = self.seats.iter().filter(|(other, _)| *other != instance);
        match others.map(|(other, seat)| (other, &seat.holder.topics)).find(|(_, topics)| **topics != who.topics) {
            None => Ok(()),
            Some((other, topics)) => Err(errors::invalid(
                format!(
                    "{instance} wants to join for {:?}, but {other} of the same group reads {topics:?}",
                    who.topics
                ),
                "range keeps equal partition numbers together only where all members read the same topics: \
                 stop the members of the other version first",
            )),
        }
    }

    /// A member's heartbeat, and what the coordinator wants of it.
    pub(super) fn poll(&mut self, instance: &str, member: MemberId, now: Duration) -> Standing {
        let Some(seat) = self.seats.get_mut(instance) else { return Standing::Gone };
        if seat.holder.member != member {
            return Standing::Fenced;
        }
        seat.heartbeat = now;
        let event = match seat.stage {
            Stage::Owner if self.rebalancing => {
                seat.stage = Stage::Revoking;
                Some(GroupEvent::Revoked)
            }
            Stage::Assigning if !self.rebalancing => {
                seat.stage = Stage::Owner;
                Some(GroupEvent::Assigned(seat.partitions.clone()))
            }
            _ => None,
        };
        Standing::Member(event, self.generation)
    }

    /// A heartbeat whose answer does not reach the member.
    pub(super) fn heartbeat(&mut self, instance: &str, member: MemberId, now: Duration) {
        if let Some(seat) = self.seats.get_mut(instance).filter(|seat| seat.holder.member == member) {
            seat.heartbeat = now;
        }
    }

    /// A member has given its partitions up.
    pub(super) fn unassign(&mut self, instance: &str, member: MemberId, topics: &Topics) {
        let Some(seat) = self.seats.get_mut(instance) else { return };
        if seat.holder.member == member && seat.stage == Stage::Revoking {
            seat.stage = Stage::Joined;
            self.complete_when_all_joined(topics);
        }
    }

    /// Removes a member; the others take its partitions over.
    pub(super) fn remove(&mut self, instance: &str, member: MemberId, topics: &Topics) {
        if self.seats.get(instance).is_some_and(|seat| seat.holder.member == member) {
            self.seats.remove(instance).inspect(|seat| seat.holder.bell.ring());
            self.rebalance(topics);
        }
    }

    /// Removes the members whose session is over.
    pub(super) fn expire(&mut self, now: Duration, topics: &Topics) {
        let before = self.seats.len();
        self.seats.retain(|_, seat| {
            let alive = seat.deadline() >= now;
            if !alive {
                seat.holder.bell.ring();
            }
            alive
        });
        if self.seats.len() < before {
            self.rebalance(topics);
        }
    }

    /// When the first session is over, if nothing is heard until then.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.seats.values().map(Seat::deadline).min()
    }

    fn rebalance(&mut self, topics: &Topics) {
        self.rebalancing = !self.seats.is_empty();
        for seat in self.seats.values_mut() {
            if seat.stage == Stage::Assigning {
                seat.stage = Stage::Joined;
            }
            seat.holder.bell.ring();
        }
        self.complete_when_all_joined(topics);
    }

    fn complete_when_all_joined(&mut self, topics: &Topics) {
        if !self.rebalancing || self.seats.values().any(|seat| seat.stage != Stage::Joined) {
            return;
        }
        self.rebalancing = false;
        self.generation += 1;
        let subscribed = self.seats.values().next().map(|seat| seat.holder.topics.clone()).unwrap_or_default();
        let sizes = subscribed.iter().filter_map(|name| Some((name.as_str(), topics.find(name)?.partitions())));
        let assignment = range(sizes, self.seats.len());
        for (seat, partitions) in self.seats.values_mut().zip(assignment) {
            seat.partitions = partitions;
            seat.stage = Stage::Assigning;
            seat.holder.bell.ring();
        }
    }

    /// Whether a member may commit as of `generation`, the last one that it was told an assignment of.
    pub(super) fn check(&self, group: &str, instance: &str, member: MemberId, generation: u32) -> Result<(), Error> {
        match self.seats.get(instance) {
            None => Err(errors::no_member(group, instance)),
            Some(seat) if seat.holder.member != member => Err(errors::fenced_instance(group, instance)),
            Some(_) if generation != self.generation => Err(errors::old_generation(group, instance)),
            Some(_) => Ok(()),
        }
    }

    /// True where the instance id is another's.
    pub(super) fn is_fenced(&self, instance: &str, member: MemberId) -> bool {
        self.seats.get(instance).is_some_and(|seat| seat.holder.member != member)
    }

    pub(super) fn members(&self) -> Vec<GroupMember> {
        let member = |(instance, seat): (&String, &Seat)| GroupMember {
            member_id: format!("{instance}-{:036}", seat.holder.member.0),
            client_id: seat.holder.client_id.clone(),
            host: "127.0.0.1".to_owned(),
            partitions: if self.rebalancing { Vec::new() } else { seat.partitions.clone() },
        };
        self.seats.iter().map(member).collect()
    }

    pub(super) fn has_members(&self) -> bool {
        !self.seats.is_empty()
    }

    /// True where a member reads this topic.
    pub(super) fn reads(&self, topic: &str) -> bool {
        self.seats.values().any(|seat| seat.holder.topics.contains(topic))
    }
}

impl Seat {
    fn deadline(&self) -> Duration {
        self.heartbeat.saturating_add(self.holder.session_timeout)
    }
}
