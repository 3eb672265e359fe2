//! The boundary between the runtime and the operators: a task's input, decoded into a typed queue.
//!
//! The runtime sees a [`SourcePort`]: it hands in what it fetched, looks at the time of what goes next, and lets records
//! go up to a time. What is queued has been decoded, so order by event time needs no second look at the bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::{Cx, DropReason, Signal};
use crate::broker::Batch;
use crate::codec::marker::Activity;
use crate::codec::position::Upstream;
use crate::record::{Headers, InputNumber, Offset};
use crate::time::Timestamp;

/// What happens to an input record that cannot be used: unreadable, without a key where one is needed, refused by a
/// user's function. Counted in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BadInput {
    /// The task stops with an error that names the record.
    #[default]
    Fail,
    /// The record is left out.
    Skip,
    /// The record's own bytes go to this topic, with headers that say why and from where.
    DeadLetter(String),
}

impl BadInput {
    /// To the topic `topic`.
    pub fn dead_letter(topic: impl Into<String>) -> Self {
        Self::DeadLetter(topic.into())
    }

    /// The topic for dead letters, if that is the policy.
    #[must_use]
    pub fn dead_letters(&self) -> Option<&str> {
        match self {
            Self::DeadLetter(topic) => Some(topic),
            Self::Fail | Self::Skip => None,
        }
    }
}

/// An input record that cannot be used, in its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// What sort of thing it is, for the counter.
    pub reason: DropReason,
    /// A sentence for the person who has to mend it.
    pub message: String,
    /// The offset of its message.
    pub offset: Offset,
    /// Which record of the message, where it holds several; else 0.
    pub index: u32,
    /// The key's bytes.
    pub key: Option<Vec<u8>>,
    /// The value's bytes.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Headers,
    /// Kafka's timestamp, or for a record of one of our own messages its event time.
    pub timestamp: Option<Timestamp>,
    /// True where no policy helps and the task must stop: a message of our own that this version cannot read.
    pub fatal: bool,
}

/// Why the runtime wants an input treated as bad: it was read before, and something downstream refused it.
pub type Verdict = (DropReason, String);

/// One input of a task.
pub trait SourcePort: Send {
    /// Decodes what was fetched into the queue. What cannot be used becomes a [`Bad`] entry in its place, and so does
    /// each record for which `poisoned` has a verdict (asked by offset and index). `wall` is the time of day, for
    /// sources that take event time from it.
    fn fill(&mut self, batch: &Batch, wall: Timestamp, poisoned: &dyn Fn(Offset, u32) -> Option<Verdict>);

    /// The event time of what goes next; [`Timestamp::MIN`] for a [`Bad`] entry, `None` where the queue is empty. A source
    /// that goes ahead gives the earliest time that it has or awaits: until that has gone, its head has to.
    fn head(&self) -> Option<Timestamp>;

    /// How many entries are queued.
    fn queued(&self) -> usize;

    /// About how many bytes the queue takes.
    fn queued_bytes(&self) -> usize;

    /// Pushes queued records downstream, in order, while their time is at most `limit`; at most `max`. Stops before a
    /// [`Bad`] entry and after a failure. Each record gets its number from `inputs`. Gives how many went.
    fn advance(&mut self, limit: Timestamp, max: usize, inputs: &mut Inputs, cx: &mut Cx) -> usize;

    /// The [`Bad`] entry at the head, if one is there.
    fn bad(&self) -> Option<&Bad>;

    /// Takes the [`Bad`] entry at the head, if one is there; the position moves past it.
    fn take_bad(&mut self) -> Option<Bad>;

    /// Hands a signal downstream.
    fn signal(&mut self, signal: Signal, cx: &mut Cx);

    /// Takes what the queue's head says of time upstream, and hands it on. True where there was anything.
    fn take_markers(&mut self, cx: &mut Cx) -> bool;

    /// Tells downstream how far time has come with what has been pushed: records that a filter has dropped moved it too.
    fn tell_time(&mut self, cx: &mut Cx);

    /// Time has passed: `elapsed` by the runtime's clock, `wall` of day. `caught_up` says that the broker has nothing
    /// more, open transactions included. True where this changed what the source says of itself.
    fn tick(&mut self, elapsed: Duration, wall: Timestamp, caught_up: bool, cx: &mut Cx) -> bool;

    /// A bounded run ends here, and its windows are to close: time goes to its end. True where it was not there before.
    fn end(&mut self, cx: &mut Cx) -> bool;

    /// The earliest time of a record that may still come once the queue is empty, as far as the tasks upstream tell; `None`
    /// where none is to be waited for.
    fn awaited(&self) -> Option<Timestamp>;

    /// Doubts these tasks upstream, and no others any more: that nothing more comes of them is not believed. True where this
    /// changed what the source says of itself.
    fn doubt(&mut self, tasks: &BTreeSet<u32>) -> bool;

    /// True where a task upstream is not believed that says that nothing more comes.
    fn has_doubts(&self) -> bool;

    /// What is known of time here: committed beside the position.
    fn time(&self) -> SourceTime;

    /// Whether more is to come.
    fn activity(&self) -> Activity;

    /// Who has come how far, for people to see. Empty where nobody takes part, as in silence.
    fn standing(&self) -> Standing;

    /// The offset of the next message to read, and how many of its records are done already: what is committed.
    fn position(&self) -> (Offset, u32);

    /// Empties the queue and goes on from a committed position. The next [`fill`](Self::fill) must begin at `offset`.
    fn start(&mut self, offset: Offset, index: u32, time: SourceTime);

    /// The partition's watermark after what has been pushed: what is committed beside the position.
    fn watermark(&self) -> Timestamp;

    /// What happens to bad input, with the actual name of the topic for dead letters.
    fn policy(&self) -> &BadInput;
}

/// How far those have come that an input's time depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The one that has come least far: itself for a user's topic (`None`), else the number of the task upstream.
    pub last: Option<(Timestamp, Option<u32>)>,
    /// How far the one has come that has come farthest.
    pub first: Option<Timestamp>,
}

/// What is known of time in one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTime {
    /// The watermark.
    pub watermark: Timestamp,
    /// Whether more is to come.
    pub activity: Activity,
    /// Of a repartition topic: what is known of the tasks upstream.
    pub upstream: Vec<Upstream>,
}

impl Default for SourceTime {
    /// Nothing is known yet.
    fn default() -> Self {
        Self { watermark: Timestamp::MIN, activity: Activity::Active, upstream: Vec::new() }
    }
}

/// Where an input record was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputPlace {
    /// The place of the source among the task's.
    pub source: u32,
    /// The offset of its message.
    pub offset: Offset,
    /// Which record of the message.
    pub index: u32,
}

/// The inputs of the running transaction, by number: an error is traced back to its record with it.
#[derive(Debug, Default)]
pub struct Inputs(Vec<InputPlace>);

impl Inputs {
    /// Enters an input and gives it its number.
    pub fn add(&mut self, place: InputPlace) -> InputNumber {
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push(place);
        InputNumber(number)
    }

    /// Where an input was read.
    #[must_use]
    pub fn get(&self, input: InputNumber) -> Option<InputPlace> {
        self.0.get(input.0 as usize).copied()
    }

    /// How many inputs the transaction has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True before the first input.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all: the transaction has ended.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
