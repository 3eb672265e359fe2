//! The embedded broker: Kafka's semantics in this process, without a wire.
//!
//! It has what the runtime builds on: partitioned logs with offsets that markers occupy, transactions with fencing and
//! timeouts, committed readers that stop at the last stable offset, groups of static members with eager rebalances, the
//! `range` assignor, compaction. It has no disk: everything is gone with the last clone of it.
//!
//! There are no threads in it. Sessions and transactions that are over are noticed by the next call, by the [`Clock`]
//! that the broker was made with. So with one calling thread, a [`ManualClock`](crate::ManualClock) and [`Faults`], all
//! that happens can be repeated.
//!
//! How failures are told apart, beyond what [`CommitFailure`](super::CommitFailure) says:
//!
//! - Another [`connect`](Broker::connect) or [`recycle`](super::Member::recycle) under the same transactional id fences
//!   the older producer: its `send` and `commit` give `Fatal` with [`ErrorKind::Fenced`], its `abort` the same error.
//! - After a transaction timeout `send` and `commit` give `Abort` with [`ErrorKind::Broker`], and `abort` fails: the
//!   member must `recycle`.
//! - A commit that the group refuses (unknown member, fenced instance id, old generation) gives `Lost`.
//! - A refused record (too large, no such partition, no key in a compacted topic) gives `Abort` with the refusals at
//!   the next commit, until an `abort` or `recycle`.
//! - After `Unknown` only `recycle` helps: `send` and `commit` give `Fatal` with [`ErrorKind::Internal`].
//! - `committed` gives [`ErrorKind::Broker`] while a commit of one of the partitions is open, and is to be tried again.
//!
//! [`ErrorKind::Fenced`]: crate::ErrorKind::Fenced
//! [`ErrorKind::Broker`]: crate::ErrorKind::Broker
//! [`ErrorKind::Internal`]: crate::ErrorKind::Internal

mod bell;
mod compaction;
mod errors;
mod faults;
mod fetching;
mod group;
mod inspect;
mod log;
mod member;
mod producer;
mod range;
mod reader;
mod sending;
mod state;
mod topics;
mod transactions;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use compaction::Tombstones;
pub use faults::{Call, Fault, Faults, Operation, is_crash};
pub use inspect::{StoredRecord, TransactionCounts};

use super::{
    Broker, CommittedOffset, GroupMember, Isolation, Member, MemberOptions, NewTopic, Reader, TopicDescription, Writer,
};
use crate::error::Result;
use crate::record::{Offset, TopicPartition};
use crate::time::{Clock, Timestamp};
use bell::Bell;
use faults::around;
use member::MemoryMember;
use reader::MemoryReader;
use state::State;
use writer::MemoryWriter;

/// A broker in this process. Cloning gives another handle on the same broker.
#[derive(Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
    process: Arc<str>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    hook: Option<Mutex<Hook>>,
    /// False in a simulation of one thread, where sleeping would only cost time.
    sleeps: bool,
}

struct Hook {
    faults: Faults,
    calls: u64,
}

impl MemoryBroker {
    /// An empty broker that lives by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::build(clock, None, true)
    }

    /// An empty broker in which calls go wrong as `faults` decides.
    pub fn with_faults(clock: Arc<dyn Clock>, faults: Faults) -> Self {
        Self::build(clock, Some(faults), true)
    }

    /// As [`with_faults`](Self::with_faults), for a simulation in one thread: `wait` returns at once. It is for the
    /// simulator to move its clock and to let somebody else go on.
    pub fn simulated(clock: Arc<dyn Clock>, faults: Faults) -> Self {
        Self::build(clock, Some(faults), false)
    }

    fn build(clock: Arc<dyn Clock>, faults: Option<Faults>, sleeps: bool) -> Self {
        let hook = faults.map(|faults| Mutex::new(Hook { faults, calls: 0 }));
        let shared = Shared { clock, state: Mutex::new(State::new()), hook, sleeps };
        Self { shared: Arc::new(shared), process: "".into() }
    }

    /// A handle on the same broker for a process of this name: the hook for faults sees it in [`Call::process`], also
    /// for members, readers and writers that come from this handle.
    pub fn process(&self, name: &str) -> Self {
        Self { shared: self.shared.clone(), process: name.into() }
    }

    fn now(&self) -> Duration {
        self.shared.clock.elapsed()
    }

    /// The state, as of now.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settle(self.now());
        state
    }

    /// What goes wrong with the call that is about to be made. Delayed commits happen here.
    fn ask(&self, instance: &str, operation: Operation) -> Fault {
        let Some(hook) = &self.shared.hook else { return Fault::None };
        let mut hook = hook.lock().unwrap_or_else(PoisonError::into_inner);
        hook.calls += 1;
        let number = hook.calls;
        self.state().finish_delayed(number);
        (hook.faults)(&Call { number, process: &self.process, instance, operation })
    }

    /// How many calls were made until now, where that is counted.
    fn calls(&self) -> u64 {
        self.shared.hook.as_ref().map_or(0, |hook| hook.lock().unwrap_or_else(PoisonError::into_inner).calls)
    }

    fn sleep(&self, bell: &Bell, timeout: Duration) {
        bell.wait(if self.shared.sleeps { timeout } else { Duration::ZERO });
    }

    fn call<T>(&self, operation: Operation, effect: impl FnOnce() -> Result<T>) -> Result<T> {
        around(self.ask("", operation), operation, effect)
    }
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBroker").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Broker for MemoryBroker {
    fn describe_topics(&self, names: &[&str]) -> Result<BTreeMap<String, TopicDescription>> {
        self.call(Operation::DescribeTopics, || {
            let state = self.state();
            let known = names.iter().filter_map(|name| Some(((*name).to_owned(), state.topics.find(name)?.describe())));
            Ok(known.collect())
        })
    }

    fn create_topics(&self, topics: &[NewTopic]) -> Result<()> {
        self.call(Operation::CreateTopics, || {
            let mut state = self.state();
            topics.iter().try_for_each(|topic| state.topics.create(topic))
        })
    }

    fn list_topics(&self) -> Result<BTreeMap<String, u32>> {
        self.call(Operation::ListTopics, || Ok(self.state().topics.all()))
    }

    fn delete_topics(&self, names: &[&str]) -> Result<()> {
        self.call(Operation::DeleteTopics, || {
            let mut state = self.state();
            for name in names {
                state.delete_topic(name);
            }
            Ok(())
        })
    }

    fn end_offsets(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Offset>> {
        self.call(Operation::EndOffsets, || {
            let state = self.state();
            let end = |partition| {
                let log = state.topics.log(state.topics.slot(partition)?);
                Ok(if isolation == Isolation::ReadCommitted { log.stable_end() } else { log.end })
            };
            partitions.iter().map(end).collect()
        })
    }

    fn start_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<Offset>> {
        self.call(Operation::StartOffsets, || {
            let state = self.state();
            partitions.iter().map(|partition| Ok(state.topics.log(state.topics.slot(partition)?).start)).collect()
        })
    }

    fn offsets_at(&self, partitions: &[TopicPartition], time: Timestamp) -> Result<Vec<Option<Offset>>> {
        self.call(Operation::OffsetsAt, || {
            let state = self.state();
            partitions
                .iter()
                .map(|partition| Ok(state.topics.log(state.topics.slot(partition)?).first_at(time)))
                .collect()
        })
    }

    fn delete_records(&self, before: &[(TopicPartition, Offset)]) -> Result<()> {
        self.call(Operation::DeleteRecords, || {
            let mut state = self.state();
            before.iter().try_for_each(|(partition, offset)| state.delete_before(partition, *offset))
        })
    }

    fn group_members(&self, group: &str) -> Result<Vec<GroupMember>> {
        self.call(Operation::GroupMembers, || {
            Ok(self.state().groups.get(group).map(group::Group::members).unwrap_or_default())
        })
    }

    fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        self.call(Operation::GroupMembers, || {
            let state = self.state();
            let offsets = state.groups.get(group).map(|group| &group.offsets);
            Ok(partitions.iter().map(|partition| offsets?.get(partition).cloned()).collect())
        })
    }

    fn commit_for(&self, group: &str, offsets: &[CommittedOffset]) -> Result<()> {
        self.call(Operation::CommitFor, || self.state().commit_for(group, offsets))
    }

    fn connect(&self, options: &MemberOptions) -> Result<Box<dyn Member>> {
        around(self.ask(&options.instance, Operation::Connect), Operation::Connect, || {
            Ok(Box::new(MemoryMember::connect(self.clone(), options)?) as Box<dyn Member>)
        })
    }

    fn reader(&self, from: &[(TopicPartition, Offset)]) -> Result<Box<dyn Reader>> {
        Ok(Box::new(MemoryReader::new(self.clone(), from)?))
    }

    fn writer(&self) -> Result<Box<dyn Writer>> {
        Ok(Box::new(MemoryWriter::new(self.clone())))
    }
}
