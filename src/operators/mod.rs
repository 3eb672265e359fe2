//! The operators, one a file, and the contract between them.
//!
//! An operator is a plain struct, generic over the user's function, that owns what lies downstream of it. Records reach
//! it in batches ([`Push::push`]), signals between them, in order with the data ([`Push::signal`]). Nothing here does
//! input or output or reads a clock: what is to be written goes into [`Cx::out`], what goes wrong into [`Cx::fail`].

pub mod aggregate;
pub mod average;
pub mod branch;
pub mod changelog;
pub mod clocks;
pub mod combine;
pub mod dedup;
pub mod delta;
pub mod earliest;
pub mod expiry;
pub mod filter;
pub mod flat_map;
#[cfg(test)]
pub(crate) mod flaws;
pub mod foreign;
pub mod frame_source;
pub mod global_join;
pub mod global_table;
pub mod latest;
pub mod latest_by_time;
pub mod lookup;
pub mod map;
pub mod map_with_state;
pub mod merge;
pub mod merged_time;
pub mod notes;
pub mod on_change;
mod passed;
pub mod peek;
pub mod process;
pub mod processor;
pub mod queue;
pub mod regroup;
pub mod repartition;
pub mod require_key;
#[cfg(test)]
mod signal_tests;
pub mod sink;
pub mod source;
#[cfg(test)]
mod source_tests;
pub mod stores;
pub mod stream_join;
pub mod suppress;
pub mod table_filter;
pub mod table_fold;
pub mod table_join;
pub mod table_map;
pub mod table_out;
pub mod table_table_join;
pub mod timed;
#[cfg(test)]
mod timed_tests;
pub mod to_stream;
pub mod top;
pub mod topic_source;
pub mod upstreams;
pub mod value_processor;
pub mod versions;
pub mod view;
pub mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use aggregate::Emission;
pub use passed::Passed;

use crate::broker::Outgoing;
use crate::codec::marker::Activity;
use crate::error::Error;
use crate::record::{InputNumber, Record};
use crate::time::Timestamp;

pub use notes::Notes;
use notes::Noting;

/// What can be put downstream of an operator.
///
/// - `push` takes all records out of `batch` and leaves its memory to the caller.
/// - After [`Cx::fail`] an operator returns as soon as it can; the task is thrown away and built anew, so it need not
///   leave its state in order.
/// - Mutable state is a store of the task or is empty after [`Signal::Flush`]; user functions are `Fn`. An abort builds
///   the task anew from committed state, and so forgets everything else.
/// - A signal is handed on after what it releases: on `Flush`, first emit what is held back, then pass `Flush` on.
pub trait Push<K, V>: Send {
    /// Processes records, in order.
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx);
    /// Processes a signal.
    fn signal(&mut self, signal: Signal, cx: &mut Cx);
}

/// What a task does by the time of day, with or without input.
pub trait ClockPort: Send {
    /// The time of day at which it wants to be called; `None` before the first call, which should come as soon as the task
    /// runs.
    fn due(&self) -> Option<Timestamp>;

    /// Does what is due at [`Cx::wall`]; gives whether it did anything, which is then to be committed.
    fn tick(&mut self, cx: &mut Cx) -> bool;
}

/// A row of a table has changed: what flows along the edges of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change<V> {
    /// The value that was handed on before; `None` where there was none, or where nothing downstream asks for it.
    pub old: Option<V>,
    /// The value now; `None` where the row was deleted.
    pub new: Option<V>,
}

/// What flows along an edge besides records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// No record before this time comes along this edge any more, except late ones.
    Watermark(Timestamp),
    /// Nothing has come for so long that time goes on without this edge, until its next record or watermark.
    Idle,
    /// The transaction is about to be committed: whatever is held back for the sake of fewer updates goes out now.
    Flush,
}

/// What an operator may use while it runs, and where its effects go.
#[derive(Debug, Default)]
pub struct Cx {
    /// Records to be written, within the running transaction.
    pub out: Outgoing,
    /// The time of day as the step was given it.
    pub wall: Timestamp,
    /// Records dropped since the last look, by reason: counted, never silent.
    pub drops: Drops,
    /// Some of the records that were dropped since the last look: which they were.
    pub notes: Notes,
    /// Records that came too late since the last look, by the operator that they were late for.
    pub late: Vec<(Arc<str>, u64)>,
    /// Whether this task has more to come: what its markers tell the tasks downstream.
    pub activity: Activity,
    /// True where markers go to every partition downstream, also to those that get no records.
    pub all_markers: bool,
    /// Set where a marker was held back: time has moved on, and partitions downstream have not been told.
    pub markers_owed: bool,
    failure: Option<Failure>,
    error: Option<Error>,
    more: bool,
    /// The bug that a simulation has to find.
    #[cfg(test)]
    pub(crate) flaw: Option<flaws::Flaw>,
}

/// An operator could not process a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The input that it goes back to; `None` where that is not known, and has to be found by smaller transactions.
    pub input: Option<InputNumber>,
    /// What sort of thing it is, for the counter.
    pub reason: DropReason,
    /// A sentence for the person who has to mend it.
    pub message: String,
    /// The operator's name.
    pub operator: String,
}

impl Cx {
    /// Stops the step: the transaction is aborted and its inputs are read again, up to the one that failed, which then
    /// goes by its source's policy. The first failure of a step counts.
    pub fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// A user's function refused the record that comes from `input`.
    pub fn refuse(&mut self, input: InputNumber, reject: Reject, operator: &str) {
        let Reject { reason, message } = reject;
        self.fail(Failure { input: Some(input), reason, message, operator: operator.to_owned() });
    }

    /// Counts a record that is dropped, which came from `input` and has this event time; `operator` drops it, where that
    /// has a name.
    pub fn drop_record(
        &mut self,
        reason: DropReason,
        operator: Option<&Arc<str>>,
        (input, timestamp): (InputNumber, Timestamp),
    ) {
        self.drop_noted(reason, || Noting { operator: operator.cloned(), input, timestamp, message: None });
    }

    /// Counts a record that is dropped, and notes which it was, unless there are too many of them.
    pub(crate) fn drop_noted(&mut self, reason: DropReason, note: impl FnOnce() -> Noting) {
        self.drops.count(reason);
        self.notes.note(reason, self.wall, note);
    }

    /// Counts a record that came too late for `operator`: from `input`, with this event time.
    pub fn count_late(&mut self, operator: &Arc<str>, reason: DropReason, of: (InputNumber, Timestamp)) {
        self.drop_record(reason, Some(operator), of);
        self.came_late(operator);
    }

    /// Counts a record that came too late for `operator`, and was used all the same.
    pub fn came_late(&mut self, operator: &Arc<str>) {
        match self.late.iter_mut().find(|(of, _)| of == operator) {
            Some((_, count)) => *count += 1,
            None => self.late.push((Arc::clone(operator), 1)),
        }
    }

    /// Stops the task: no record is to blame, and none may be left out for it, as when the state cannot be read. The
    /// first error counts, and more than any [`fail`](Self::fail).
    pub fn stop(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// There is more to do than fits in one step, as when a watermark closes very many windows: the operator goes on with
    /// it at the next batch or signal, and lets time pass only when it is done. Whoever drives the task sends the
    /// watermark again until nobody says so any more, and may commit in between.
    pub fn more_to_do(&mut self) {
        self.more = true;
    }

    /// Takes whether there is more to do.
    pub fn take_more_to_do(&mut self) -> bool {
        std::mem::take(&mut self.more)
    }

    /// True once something in this step has failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failure.is_some() || self.error.is_some()
    }

    /// Takes the error for which the task has to stop; to be looked at before the failure.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// Takes the failure of this step.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }
}

/// Why a record was dropped, or did not go the usual way. The label of the counter `millstream_records_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum DropReason {
    /// The bytes are not what the source's codec reads.
    Unreadable,
    /// A null key where a key is needed.
    NullKey,
    /// A null value where a value is needed, as in an aggregation.
    NullValue,
    /// An event time before 1970, or none at all.
    NegativeTimestamp,
    /// A number grew beyond what its type holds.
    Overflow,
    /// An output record is larger than its topic allows.
    TooLarge,
    /// The broker refused an output record.
    Refused,
    /// A user's function refused the record.
    Rejected,
    /// A user's function panicked.
    Panicked,
    /// A value could not be written in its topic's format.
    Unwritable,
    /// No branch took the record.
    NoBranch,
    /// The record came after its window had closed, by its own partition's watermark.
    Late,
    /// The record was in time by its own partition, but the window had been closed by other means, as a clock.
    Expired,
    /// An equal record has passed before.
    Duplicate,
    /// An event time further ahead than the source allows.
    TooFarAhead,
    /// An inner join found no partner.
    JoinMiss,
    /// A value was to be taken back from a group that has none.
    NothingToTakeBack,
    /// Older than the row that it would have overwritten.
    OutOfDate,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 18] = [
        Self::Unreadable,
        Self::NullKey,
        Self::NullValue,
        Self::NegativeTimestamp,
        Self::Overflow,
        Self::TooLarge,
        Self::Refused,
        Self::Rejected,
        Self::Panicked,
        Self::Unwritable,
        Self::NoBranch,
        Self::Late,
        Self::Expired,
        Self::Duplicate,
        Self::TooFarAhead,
        Self::JoinMiss,
        Self::NothingToTakeBack,
        Self::OutOfDate,
    ];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NullKey => "null_key",
            Self::NullValue => "null_value",
            Self::NegativeTimestamp => "negative_timestamp",
            Self::Overflow => "overflow",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Panicked => "panicked",
            Self::Unwritable => "unwritable",
            Self::NoBranch => "no_branch",
            Self::Late => "late",
            Self::Expired => "expired",
            Self::Duplicate => "duplicate",
            Self::TooFarAhead => "too_far_ahead",
            Self::JoinMiss => "join_miss",
            Self::NothingToTakeBack => "nothing_to_take_back",
            Self::OutOfDate => "out_of_date",
        }
    }
}

/// Counts by [`DropReason`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    /// Counts one more.
    pub fn count(&mut self, reason: DropReason) {
        self.add(reason, 1);
    }

    /// Counts `more` of them.
    pub fn add(&mut self, reason: DropReason, more: u64) {
        let count = &mut self.0[reason as usize];
        *count = count.saturating_add(more);
    }

    /// The count of a reason.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Takes away what `others` has counted.
    pub(crate) fn subtract(&mut self, others: &Self) {
        for (count, less) in self.0.iter_mut().zip(others.0) {
            *count = count.saturating_sub(less);
        }
    }

    /// The reasons that have a count.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }

    /// The counts, and starts anew at 0.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// A user's function refuses a record: it goes by its source's policy (stop, skip, dead letter) and is counted by
/// reason. The result's error type of all `try_…` operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// What sort of thing it is, for the counter.
    pub reason: DropReason,
    /// A sentence for the person who has to mend it.
    pub message: String,
}

impl Reject {
    /// Refuses a record, with a sentence that says why.
    pub fn because(message: impl Into<String>) -> Self {
        Self { reason: DropReason::Rejected, message: message.into() }
    }

    /// The record has no key.
    #[must_use]
    pub fn null_key() -> Self {
        Self { reason: DropReason::NullKey, message: "the record has no key".into() }
    }

    /// A number grew beyond what its type holds.
    pub fn overflow(message: impl Into<String>) -> Self {
        Self { reason: DropReason::Overflow, message: message.into() }
    }
}

/// The downstream ports of an operator, in the order in which they were declared.
pub struct Out<K, V> {
    ports: Ports<K, V>,
    copy: Vec<Record<K, V>>,
    passed: Passed,
}

impl<K: Clone, V: Clone> Out<K, V> {
    /// Hands a batch to every port; clones it for all but the last.
    pub fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        if batch.is_empty() {
            return;
        }
        self.passed.add(batch.len());
        let Some((last, others)) = self.ports.split_last_mut() else {
            batch.clear();
            return;
        };
        for port in others {
            self.copy.clone_from(batch);
            port.push(&mut self.copy, cx);
        }
        last.push(batch, cx);
    }

    /// Hands a signal to every port.
    pub fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        for port in &mut self.ports {
            port.signal(signal, cx);
        }
    }

    /// True where nothing listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }
}

/// Where two operators of one task find each other while it is wired: children leave their ports, then the parent takes
/// them all. It is empty between two wirings.
pub struct Edge<K, V>(Arc<Mutex<Open<K, V>>>);

/// An edge that its parent has not taken yet.
struct Open<K, V> {
    ports: Ports<K, V>,
    passed: Passed,
}

type Ports<K, V> = Vec<Box<dyn Push<K, V>>>;

impl<K, V> Edge<K, V> {
    /// An edge that nobody has joined.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Open::new())))
    }

    fn lock(&self) -> MutexGuard<'_, Open<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records the parent that is to take this edge will have handed along it.
    #[must_use]
    pub fn passed(&self) -> Passed {
        self.lock().passed.clone()
    }

    /// A child leaves its port. Tasks are wired from the last declared operator to the first, so ports arrive in
    /// reverse; [`take`](Self::take) puts them right.
    pub fn join(&self, port: Box<dyn Push<K, V>>) {
        self.lock().ports.push(port);
    }

    /// The parent takes all ports.
    #[must_use]
    pub fn take(&self) -> Out<K, V> {
        let Open { mut ports, passed } = std::mem::replace(&mut *self.lock(), Open::new());
        ports.reverse();
        Out { ports, copy: Vec::new(), passed }
    }
}

impl<K, V> Open<K, V> {
    fn new() -> Self {
        Self { ports: Vec::new(), passed: Passed::default() }
    }
}

impl<K, V> Clone for Edge<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Edge<K, V> {
    fn default() -> Self {
        Self::new()
    }
}
