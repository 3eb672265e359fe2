//! The port to the broker: all that the runtime asks of Kafka. Two brokers stand behind it, real Kafka ([`kafka`]) and
//! the embedded one ([`memory`]); the runtime cannot tell them apart.
//!
//! Records cross the port in batches ([`Batch`] in, [`Outgoing`] out), each with one arena of bytes, so that no record
//! costs an allocation.

pub mod batch;
pub mod kafka;
pub mod memory;
pub mod partitioner;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use batch::{Batch, Outgoing, OutgoingRecord, Partitioning, RawRecord};

use crate::error::{Error, Result};
use crate::record::{InputNumber, Offset, TopicPartition};
use crate::time::Timestamp;

/// What a topic is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// How many partitions it has.
    pub partitions: u32,
    /// Its settings by Kafka's names (`max.message.bytes`, `cleanup.policy`, …); empty where the broker does not tell.
    pub settings: BTreeMap<String, String>,
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// Settings by Kafka's names that differ from the broker's defaults.
    pub settings: BTreeMap<String, String>,
}

/// Which end of a partition is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// The last stable offset: what lies before it belongs to no open transaction.
    ReadCommitted,
    /// The high watermark: all that was written.
    ReadUncommitted,
}

/// What a group has committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset of the next record to read.
    pub offset: Offset,
    /// The application's own text beside the offset (at most 4,096 bytes).
    pub metadata: String,
}

/// A broker, as an administrator and as the place where connections come from. Every call may block, for a bounded time.
pub trait Broker: Send + Sync + 'static {
    /// The topics of `names` that exist. A topic that does not exist is missing from the result; that is no error.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    fn describe_topics(&self, names: &[&str]) -> Result<BTreeMap<String, TopicDescription>>;

    /// Creates topics; one that exists already is left as it is, without an error.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    fn create_topics(&self, topics: &[NewTopic]) -> Result<()>;

    /// All topics that may be seen, with the numbers of their partitions.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    fn list_topics(&self) -> Result<BTreeMap<String, u32>>;

    /// Deletes topics with all that they hold, and waits until they are gone; one that does not exist is no error. What
    /// groups have committed for them goes as well, sooner or later.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses: some may then be gone.
    fn delete_topics(&self, names: &[&str]) -> Result<()>;

    /// The end of each partition: the offset that the next record gets.
    ///
    /// # Errors
    /// When the broker cannot be reached or a partition does not exist.
    fn end_offsets(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Offset>>;

    /// The first offset that each partition still holds.
    ///
    /// # Errors
    /// When the broker cannot be reached or a partition does not exist.
    fn start_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<Offset>>;

    /// The first offset of each partition whose record has this Kafka timestamp or a later one; `None` where there is no
    /// such record.
    ///
    /// # Errors
    /// When the broker cannot be reached or a partition does not exist.
    fn offsets_at(&self, partitions: &[TopicPartition], time: Timestamp) -> Result<Vec<Option<Offset>>>;

    /// Deletes the records before each offset.
    ///
    /// # Errors
    /// When the broker cannot be reached or does not allow it.
    fn delete_records(&self, before: &[(TopicPartition, Offset)]) -> Result<()>;

    /// The members of a group: what each is called, where it is, and what it reads.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    fn group_members(&self, group: &str) -> Result<Vec<GroupMember>>;

    /// What a group has committed, as anybody may ask; `None` where nothing.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>>;

    /// Commits offsets, with their texts, for a group that has no members.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](crate::ErrorKind) where the group has members; when a partition does not exist, or the broker
    /// cannot be reached or refuses.
    fn commit_for(&self, group: &str, offsets: &[CommittedOffset]) -> Result<()>;

    /// A stream thread's connection. It has joined nothing until it subscribes.
    ///
    /// # Errors
    /// When the settings are not valid or the broker refuses.
    fn connect(&self, options: &MemberOptions) -> Result<Box<dyn Member>>;

    /// A reader outside every group, of committed records only, from the given offsets on.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    fn reader(&self, from: &[(TopicPartition, Offset)]) -> Result<Box<dyn Reader>>;

    /// A writer without transactions: for generators and files.
    ///
    /// # Errors
    /// When the broker cannot be reached.
    fn writer(&self) -> Result<Box<dyn Writer>>;
}

/// A member of a group, as the group's coordinator knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The name that the coordinator has given it. That of a static member begins with its `group.instance.id`, a hyphen
    /// and what tells its joins apart.
    pub member_id: String,
    /// Its `client.id`. Where a member was replaced under its instance id, still that of the one before it.
    pub client_id: String,
    /// Its address as the broker saw it.
    pub host: String,
    /// What it was given to read; nothing while the group shares its partitions out.
    pub partitions: Vec<TopicPartition>,
}

impl GroupMember {
    /// Whether it is the static member with this `group.instance.id`.
    #[must_use]
    pub fn is_instance(&self, instance: &str) -> bool {
        /// That of a UUID, such as 550e8400-e29b-41d4-a716-446655440000.
        const LENGTH: usize = 36;
        let rest = self.member_id.strip_prefix(instance).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| rest.len() == LENGTH)
    }
}

/// Exactly once, or at least once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Guarantee {
    /// Outputs, state and offsets move together, in transactions.
    #[default]
    ExactlyOnce,
    /// After a crash, records since the last commit are processed again.
    AtLeastOnce,
}

/// Who a stream thread is towards the broker.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// `group.id`.
    pub group: String,
    /// `group.instance.id`: a member that comes back under it gets its partitions back.
    pub instance: String,
    /// `transactional.id`; unused with [`Guarantee::AtLeastOnce`].
    pub transactional_id: String,
    /// `client.id`.
    pub client_id: String,
    /// Exactly once or at least once.
    pub guarantee: Guarantee,
    /// How long the group waits for a silent member.
    pub session_timeout: Duration,
    /// How long an open transaction of a dead producer may hold its readers up.
    pub transaction_timeout: Duration,
}

/// What the group's coordinator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// These partitions, all of them, are this member's from now on; answered with [`Member::assign`].
    Assigned(Vec<TopicPartition>),
    /// All partitions are taken away in good order: the member may still commit; answered with [`Member::unassign`].
    Revoked,
    /// All partitions are gone already: nothing can be committed any more; answered with [`Member::unassign`].
    Lost,
}

/// What a fetch found at the end of what it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Fetched {
    /// How many records were appended.
    pub records: usize,
    /// The offset after everything that has been handed over, control records included.
    pub position: Offset,
    /// The partition's last stable offset as far as known, −1 where unknown: what a committed reader can reach.
    pub stable_end: Offset,
    /// The partition's high watermark as far as known, −1 where unknown.
    pub high_watermark: Offset,
}

impl Fetched {
    /// True where everything that a committed reader can read now has been handed over.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.stable_end >= 0 && self.position >= self.stable_end
    }
}

/// A record that the broker refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What the sender gave as [`OutgoingRecord::input`], with the task it named.
    pub task: u32,
    /// The input that led to the record.
    pub input: InputNumber,
    /// The broker's reason.
    pub error: Error,
}

/// How a commit failed.
#[derive(Debug)]
pub enum CommitFailure {
    /// Nothing was committed: the transaction must be aborted, its inputs read again. Names the refused records, if that
    /// was why.
    Abort(Error, Vec<Refusal>),
    /// Nothing was committed and the membership is gone: abort, and wait for a new assignment.
    Lost(Error),
    /// Whether it was committed is not known: [`Member::recycle`], then look at the committed offsets.
    Unknown(Error),
    /// No way on from here.
    Fatal(Error),
}

/// A stream thread's connection: one group member, one transactional producer. Used by that thread alone.
///
/// A transaction is begun by the first [`send`](Member::send) or [`commit`](Member::commit) after the last one ended.
pub trait Member: Send {
    /// Joins the group for `topics`.
    ///
    /// # Errors
    /// When the broker refuses.
    fn subscribe(&mut self, topics: &[&str]) -> Result<()>;

    /// What the coordinator wants now, if anything. Does not block. Must be called at least every session timeout.
    ///
    /// # Errors
    /// A fatal error of the membership, such as another process with the same instance id.
    fn poll(&mut self) -> Result<Option<GroupEvent>>;

    /// What the group has committed for `partitions`, after every open commit has ended; `None` where nothing.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses; [`ErrorKind::Fenced`](crate::ErrorKind) where ownership is gone.
    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>>;

    /// Takes the partitions from these offsets on; replaces what was assigned before. The place in this list is the
    /// partition's number in [`fetch`](Member::fetch).
    ///
    /// # Errors
    /// When the broker refuses.
    fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> Result<()>;

    /// Gives all partitions up.
    ///
    /// # Errors
    /// When the broker refuses.
    fn unassign(&mut self) -> Result<()>;

    /// Goes on reading from these offsets: after an abort. The partitions must be assigned.
    ///
    /// # Errors
    /// When the broker refuses.
    fn seek(&mut self, to: &[(TopicPartition, Offset)]) -> Result<()>;

    /// Appends to `into` what has arrived of the `partition`-th assigned partition, at most `max` records. Does not
    /// block. A partition that is not fetched holds its broker back: that is the back-pressure.
    ///
    /// # Errors
    /// When the offset is not there any more or the broker refuses to let it be read.
    fn fetch(&mut self, partition: usize, max: usize, into: &mut Batch) -> Result<Fetched>;

    /// Hands records over for sending, within the running transaction; begins one if there is none. Every record must
    /// have its partition. `task` comes back in a [`Refusal`]. May block while too much is in flight.
    ///
    /// # Errors
    /// As a commit's.
    fn send(&mut self, task: u32, records: &Outgoing) -> Result<(), CommitFailure>;

    /// Commits what was sent, together with these offsets; at least one offset, so that the group checks this member's
    /// right to it. With at-least-once: waits until all is written, then commits the offsets. Gives, for each partition
    /// written to since the last commit, the offset after the last record written.
    ///
    /// # Errors
    /// See [`CommitFailure`].
    fn commit(&mut self, offsets: &[CommittedOffset]) -> Result<Vec<(TopicPartition, Offset)>, CommitFailure>;

    /// Aborts the running transaction, if there is one.
    ///
    /// # Errors
    /// When it could not be aborted: then only [`recycle`](Member::recycle) helps.
    fn abort(&mut self) -> Result<()>;

    /// Throws the producer away and takes a new one under the same transactional id: whatever it had open is then
    /// aborted or finished, and nothing of it can arrive later.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    fn recycle(&mut self) -> Result<()>;

    /// Sleeps until something may have arrived, at most `timeout`.
    fn wait(&mut self, timeout: Duration);

    /// Something that wakes [`wait`](Member::wait) from another thread.
    fn waker(&self) -> Arc<dyn Fn() + Send + Sync>;

    /// Leaves: for good (`leave`), so that others take over at once, or expecting to be back under the same instance
    /// id. An open transaction is aborted.
    fn close(self: Box<Self>, leave: bool);
}

/// Reads committed records, outside of every group.
pub trait Reader: Send {
    /// As [`Member::fetch`]; `partition` is the place in the list the reader was made with.
    ///
    /// # Errors
    /// When the offset is not there any more or the broker refuses to let it be read.
    fn fetch(&mut self, partition: usize, max: usize, into: &mut Batch) -> Result<Fetched>;

    /// Goes on reading from these offsets. The partitions must be among those the reader was made with.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    fn seek(&mut self, to: &[(TopicPartition, Offset)]) -> Result<()>;

    /// Sleeps until something may have arrived, at most `timeout`.
    fn wait(&mut self, timeout: Duration);
}

/// Writes without transactions.
pub trait Writer: Send {
    /// Hands records over for sending. A record without a partition gets one by its key, or round robin without a key.
    ///
    /// # Errors
    /// When a record is refused, or the broker cannot be reached for a long time.
    fn send(&mut self, records: &Outgoing) -> Result<()>;

    /// Waits until all is written.
    ///
    /// # Errors
    /// When a record was refused, or the broker cannot be reached for a long time.
    fn flush(&mut self) -> Result<()>;
}
