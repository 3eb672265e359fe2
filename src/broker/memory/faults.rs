//! Faults: a hook that decides, call by call, what goes wrong.
//!
//! All that the broker does is determined by the calls made to it, the clock and the hook's answers, so that a simulator
//! which takes its answers from a seed can replay a whole cluster's life.

use std::error::Error as StdError;
use std::fmt;

use super::errors;
use crate::error::{Error, ErrorKind, Result};

/// A call that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Counts the calls of all callers of this broker, from 1.
    pub number: u64,
    /// The process that makes it: the name given to [`MemoryBroker::process`](super::MemoryBroker::process), else empty.
    pub process: &'a str,
    /// The member's `group.instance.id`; empty where the caller is no member.
    pub instance: &'a str,
    /// What is called.
    pub operation: Operation,
}

/// What is called. Calls outside a member come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// [`Broker::describe_topics`](crate::broker::Broker::describe_topics).
    DescribeTopics,
    /// [`Broker::create_topics`](crate::broker::Broker::create_topics).
    CreateTopics,
    /// [`Broker::end_offsets`](crate::broker::Broker::end_offsets).
    EndOffsets,
    /// [`Broker::start_offsets`](crate::broker::Broker::start_offsets).
    StartOffsets,
    /// [`Broker::delete_records`](crate::broker::Broker::delete_records).
    DeleteRecords,
    /// [`Broker::group_members`](crate::broker::Broker::group_members).
    GroupMembers,
    /// [`Broker::list_topics`](crate::broker::Broker::list_topics).
    ListTopics,
    /// [`Broker::delete_topics`](crate::broker::Broker::delete_topics).
    DeleteTopics,
    /// [`Broker::offsets_at`](crate::broker::Broker::offsets_at).
    OffsetsAt,
    /// [`Broker::commit_for`](crate::broker::Broker::commit_for).
    CommitFor,
    /// [`Broker::connect`](crate::broker::Broker::connect).
    Connect,
    /// [`Reader::fetch`](crate::broker::Reader::fetch).
    Read,
    /// [`Writer::send`](crate::broker::Writer::send).
    Write,
    /// [`Member::subscribe`](crate::broker::Member::subscribe).
    Subscribe,
    /// [`Member::poll`](crate::broker::Member::poll).
    Poll,
    /// [`Member::committed`](crate::broker::Member::committed).
    Committed,
    /// [`Member::assign`](crate::broker::Member::assign).
    Assign,
    /// [`Member::unassign`](crate::broker::Member::unassign).
    Unassign,
    /// [`Member::seek`](crate::broker::Member::seek).
    Seek,
    /// [`Member::fetch`](crate::broker::Member::fetch).
    Fetch,
    /// [`Member::send`](crate::broker::Member::send).
    Send,
    /// [`Member::commit`](crate::broker::Member::commit).
    Commit,
    /// [`Member::abort`](crate::broker::Member::abort).
    Abort,
    /// [`Member::recycle`](crate::broker::Member::recycle).
    Recycle,
    /// [`Member::close`](crate::broker::Member::close).
    Close,
}

/// What goes wrong with a call. A fault that a call cannot have does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The caller's process dies before the call has any effect. See [`is_crash`].
    CrashBefore,
    /// The caller's process dies after the call has had its effect. See [`is_crash`].
    CrashAfter,
    /// The request is lost: it has no effect and the caller waits in vain. See [`Fault::LostReply`] for what it gets. Of
    /// a commit it is the last request that is lost: its offsets are pending in a transaction that stays open.
    LostRequest,
    /// The reply is lost: the call has its effect, but the caller waits in vain.
    ///
    /// [`Operation::Commit`] then gives [`CommitFailure::Unknown`](crate::broker::CommitFailure::Unknown),
    /// [`Operation::Send`] [`CommitFailure::Abort`](crate::broker::CommitFailure::Abort). A fetch, which a client repeats
    /// by itself, finds nothing and leaves the ends unknown; a poll has no event. What a client does without asking a
    /// broker (subscribe, assign, unassign, seek) cannot be lost. Everything else gives an error of
    /// [`ErrorKind::Broker`], and may be called again.
    LostReply,
    /// [`Operation::Commit`] of a transaction: the caller gets `Unknown`, and the request arrives `calls` calls later:
    /// unless the transaction has been ended before, by its age or by a new producer.
    DelayedCommit {
        /// How many calls later.
        calls: u64,
    },
    /// [`Operation::Commit`] of a transaction: the caller gets `Unknown`, but the coordinator has decided: it is
    /// committed, which can be seen `calls` calls later, or when a new producer takes the transactional id.
    PreparedCommit {
        /// How many calls later.
        calls: u64,
    },
    /// [`Operation::Send`]: the broker refuses one of the records.
    Refuse {
        /// Its place among the records that are sent.
        record: usize,
    },
    /// The coordinator removes the member from its group; then the call goes on.
    LoseMembership,
    /// The member's open transaction is aborted for its age; then the call goes on.
    TransactionTimeout,
}

/// Decides what goes wrong. It may look into the broker by the methods that [`MemoryBroker`](super::MemoryBroker) has of
/// its own; a call that asks for faults itself would wait for ever.
pub type Faults = Box<dyn FnMut(&Call<'_>) -> Fault + Send>;

/// True where the caller's process has died in the simulation, so that whoever holds the member must act as if it were
/// gone: drop it, without [`close`](crate::broker::Member::close). Every later call of the member fails in the same way.
#[must_use]
pub fn is_crash(error: &Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<Crash>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[derive(Clone, Copy, Debug)]
struct Crash;

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated crash")
    }
}

impl StdError for Crash {}

/// The error of a call whose caller has died.
pub(super) fn crash(operation: Operation) -> Error {
    Error::new(ErrorKind::Internal, format!("the process died in {operation:?}")).caused_by(Crash)
}

/// Makes a call with a fault that does not depend on what is called.
pub(super) fn around<T>(fault: Fault, operation: Operation, effect: impl FnOnce() -> Result<T>) -> Result<T> {
    match fault {
        Fault::CrashBefore => Err(crash(operation)),
        Fault::LostRequest => Err(errors::timed_out(operation)),
        Fault::CrashAfter => {
            effect().ok();
            Err(crash(operation))
        }
        Fault::LostReply => {
            effect().ok();
            Err(errors::timed_out(operation))
        }
        _ => effect(),
    }
}
