//! A source's queue: decoded records, and what could not be decoded, in the order of the partition.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::earliest::Earliest;
use super::source::{Bad, BadInput, InputPlace, Inputs, SourcePort, SourceTime, Standing, Verdict};
use super::upstreams::Upstreams;
use super::{Cx, Out, Signal};
use crate::broker::{Batch, RawRecord};
use crate::codec::marker::{Activity, Marker};
use crate::record::{InputNumber, Offset, Record};
use crate::time::Timestamp;
use crate::window::millis;

/// How a message becomes records: the part in which a user's topic and a repartition topic differ.
pub trait Decode<K, V>: Send {
    /// Queues what `message` holds. `done` of its records have been processed already, in an earlier life.
    fn decode(&self, message: &RawRecord<'_>, done: u32, now: &Now<'_>, queue: &mut Queue<K, V>);
}

/// What holds for one [`SourcePort::fill`].
pub struct Now<'a> {
    /// The time of day.
    pub wall: Timestamp,
    /// Which records were refused downstream before.
    pub poisoned: &'a dyn Fn(Offset, u32) -> Option<Verdict>,
}

enum Entry<K, V> {
    Record {
        record: Record<K, V>,
        offset: Offset,
        index: u32,
        last: bool,
        bytes: usize,
    },
    Bad {
        bad: Box<Bad>,
        last: bool,
    },
    /// A message without a record that is still to be done.
    Empty {
        offset: Offset,
    },
    /// What the message, whose records come before, says of time upstream.
    Markers {
        offset: Offset,
        markers: Vec<Marker>,
    },
}

/// How a source's own time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How far out of order the partition may be.
    pub bound: Duration,
    /// A partition that has been silent for so long is left out of the minimum over partitions.
    pub idle_after: Duration,
    /// After so much silence the watermark follows the time of day; `None` leaves it where the records put it.
    pub clock_after: Option<Duration>,
    /// No watermark is kept: to see what it costs.
    #[cfg(test)]
    pub(crate) timeless: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            bound: Duration::ZERO,
            idle_after: Duration::from_secs(30),
            clock_after: None,
            #[cfg(test)]
            timeless: false,
        }
    }
}

/// A silent source follows the clock in steps of this, or of its silence where that is shorter: every step is committed.
const CLOCK_STEP: Duration = Duration::from_secs(1);

impl Pace {
    /// The watermark of a source that has been silent for `after`: as far behind the clock as the silence had to be
    /// before it counted, down to a whole step.
    fn by_clock(self, after: Duration, wall: Timestamp) -> Timestamp {
        let (time, step) = (wall.minus(after).minus(self.bound), millis(after.min(CLOCK_STEP)).max(1));
        Timestamp::from_millis(time.millis().div_euclid(step).saturating_mul(step))
    }
}

/// The queue of a [`TypedSource`].
pub struct Queue<K, V> {
    entries: VecDeque<Entry<K, V>>,
    bytes: usize,
    /// How far out of order the partition may be.
    bound: Duration,
    /// The partition's watermark after all that is queued.
    watermark: Timestamp,
    /// What is known of the tasks upstream after all that is queued.
    upstreams: Upstreams,
    /// The earliest of the records that are queued, where they go ahead.
    ahead: Option<Earliest>,
    #[cfg(test)]
    timeless: bool,
}

impl<K, V> Queue<K, V> {
    fn new(pace: Pace) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            bound: pace.bound,
            watermark: Timestamp::MIN,
            upstreams: Upstreams::default(),
            ahead: None,
            #[cfg(test)]
            timeless: pace.timeless,
        }
    }

    /// Queues a record of a user's topic; its time moves the partition's watermark.
    pub fn timed(&mut self, message: &RawRecord<'_>, key: K, value: V, timestamp: Timestamp) {
        let behind = self.take_time(timestamp);
        let headers = message.headers.clone();
        let (watermark, input) = (self.watermark, InputNumber::default());
        let record = Record { key, value, timestamp, behind, watermark, input, headers };
        self.record(record, message.offset, 0, true, size(message.key, message.value));
    }

    /// How far a time lies behind the partition, which it then moves on.
    fn take_time(&mut self, timestamp: Timestamp) -> u64 {
        #[cfg(test)]
        if self.timeless {
            return 0;
        }
        let behind = self.watermark.millis_since(timestamp);
        self.watermark = self.watermark.max(timestamp.minus(self.bound));
        behind
    }

    /// Queues record `index` of the message at `offset`; `last` of it, or not. `bytes` are those of key and value.
    pub fn record(&mut self, record: Record<K, V>, offset: Offset, index: u32, last: bool, bytes: usize) {
        let bytes = bytes + size_of::<Entry<K, V>>();
        self.bytes += bytes;
        if let Some(earliest) = &mut self.ahead {
            earliest.push(record.timestamp);
        }
        self.entries.push_back(Entry::Record { record, offset, index, last, bytes });
    }

    /// Queues a record that cannot be used; `last` of its message, or not.
    pub fn bad(&mut self, bad: Bad, last: bool) {
        self.bytes += bad_size(&bad) + size_of::<Entry<K, V>>();
        self.entries.push_back(Entry::Bad { bad: Box::new(bad), last });
    }

    /// Queues what a message says of time upstream: records that follow come after it.
    pub fn markers(&mut self, offset: Offset, markers: Vec<Marker>) {
        for marker in &markers {
            self.upstreams.learn(marker);
        }
        self.watermark = self.watermark.max(self.upstreams.watermark());
        self.entries.push_back(Entry::Markers { offset, markers });
    }

    /// Queues a message that holds no record to be done: only the position moves past it.
    pub fn empty(&mut self, offset: Offset) {
        self.entries.push_back(Entry::Empty { offset });
    }

    /// The watermark that records of a repartition topic carry.
    #[must_use]
    pub fn watermark(&self) -> Timestamp {
        self.watermark
    }
}

fn size(key: Option<&[u8]>, value: Option<&[u8]>) -> usize {
    key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)
}

fn bad_size(bad: &Bad) -> usize {
    size(bad.key.as_deref(), bad.value.as_deref()) + bad.message.len()
}

/// A message that cannot be used, as it came.
#[must_use]
pub fn bad_message(message: &RawRecord<'_>, (reason, text): Verdict) -> Bad {
    Bad {
        reason,
        message: text,
        offset: message.offset,
        index: 0,
        key: message.key.map(<[u8]>::to_vec),
        value: message.value.map(<[u8]>::to_vec),
        headers: message.headers.clone(),
        timestamp: message.timestamp,
        fatal: false,
    }
}

/// A source: one input topic of a task, typed.
pub struct TypedSource<K, V, D> {
    /// The place among the task's sources.
    place: u32,
    one_by_one: bool,
    policy: BadInput,
    decode: D,
    queue: Queue<K, V>,
    position: (Offset, u32),
    /// After what has been pushed.
    watermark: Timestamp,
    /// What downstream has been told of it.
    told: Timestamp,
    activity: Activity,
    /// True where the tasks upstream are idle without a marker that has just said so (as when this one started), and
    /// nobody downstream has been told.
    owes_idle: bool,
    /// What is known of the tasks upstream after what has been pushed.
    upstreams: Upstreams,
    pace: Pace,
    /// Since when no record with a time has come.
    silent_since: Option<Duration>,
    /// What is done of the message at the position when filling goes on.
    resume: Option<(Offset, u32)>,
    batch: Vec<Record<K, V>>,
    out: Out<K, V>,
}

impl<K, V, D: Decode<K, V>> TypedSource<K, V, D> {
    /// The source in `place` among the task's. With `one_by_one`, every record is a batch of its own.
    #[must_use]
    pub fn new((number, one_by_one): (u32, bool), policy: BadInput, pace: Pace, decode: D, out: Out<K, V>) -> Self {
        Self {
            place: number,
            one_by_one,
            policy,
            decode,
            queue: Queue::new(pace),
            position: (0, 0),
            watermark: Timestamp::MIN,
            told: Timestamp::MIN,
            activity: Activity::Active,
            owes_idle: false,
            upstreams: Upstreams::default(),
            pace,
            silent_since: None,
            resume: None,
            batch: Vec::new(),
            out,
        }
    }

    /// The source of a repartition topic: its time is that of the tasks upstream.
    #[must_use]
    pub fn behind_tasks(mut self, upstreams: Upstreams) -> Self {
        self.queue.upstreams = upstreams.clone();
        self.upstreams = upstreams;
        self
    }

    /// Where `ahead`, its records may be processed before their time comes, and those of the task's other inputs wait
    /// until all of it has come that is not newer than they are.
    #[must_use]
    pub fn going_ahead(mut self, ahead: bool) -> Self {
        self.queue.ahead = ahead.then(Earliest::default);
        self
    }

    /// By what time a record of `time`, the head of the queue, is to go.
    fn turn(&self, time: Timestamp) -> Timestamp {
        match &self.queue.ahead {
            None => time,
            Some(earliest) => {
                let here = earliest.get().unwrap_or(time);
                self.upstreams.awaited().map_or(here, |awaited| here.min(awaited))
            }
        }
    }

    fn is_repartition(&self) -> bool {
        self.upstreams != Upstreams::default()
    }

    fn done(&mut self, offset: Offset, index: u32, last: bool) {
        self.position = if last { (offset + 1, 0) } else { (offset, index + 1) };
        self.settle();
    }

    /// Moves the position past messages that hold nothing to do, up to the next entry that does.
    fn settle(&mut self) {
        while let Some(Entry::Empty { offset }) = self.queue.entries.front() {
            self.position = (offset + 1, 0);
            self.queue.entries.pop_front();
        }
    }

    /// Moves records that may go into `batch`.
    fn take(&mut self, limit: Timestamp, max: usize, inputs: &mut Inputs) {
        while self.batch.len() < max {
            match self.queue.entries.front() {
                Some(Entry::Record { record, .. }) if self.turn(record.timestamp) <= limit => {}
                _ => return,
            }
            let Some(Entry::Record { mut record, offset, index, last, bytes }) = self.queue.entries.pop_front() else {
                return;
            };
            self.queue.bytes -= bytes;
            if let Some(earliest) = &mut self.queue.ahead {
                earliest.pop();
            }
            record.input = inputs.add(InputPlace { source: self.place, offset, index });
            self.watermark = self.watermark.max(record.watermark);
            self.silent_since = None;
            if self.activity == Activity::Idle {
                self.activity = Activity::Active;
            }
            self.batch.push(record);
            self.done(offset, index, last);
        }
    }
}

impl<K, V, D> SourcePort for TypedSource<K, V, D>
where
    K: Clone + Send,
    V: Clone + Send,
    D: Decode<K, V>,
{
    fn fill(&mut self, batch: &Batch, wall: Timestamp, poisoned: &dyn Fn(Offset, u32) -> Option<Verdict>) {
        let now = Now { wall, poisoned };
        for message in batch.iter() {
            // What is done of a message is only known for the very one that was committed.
            let done = self.resume.take().filter(|(offset, _)| *offset == message.offset).map_or(0, |(_, done)| done);
            self.decode.decode(&message, done, &now, &mut self.queue);
        }
        self.settle();
    }

    fn head(&self) -> Option<Timestamp> {
        self.queue.entries.front().map(|entry| match entry {
            Entry::Record { record, .. } => self.turn(record.timestamp),
            Entry::Bad { .. } | Entry::Empty { .. } | Entry::Markers { .. } => Timestamp::MIN,
        })
    }

    fn queued(&self) -> usize {
        self.queue.entries.len()
    }

    fn queued_bytes(&self) -> usize {
        self.queue.bytes
    }

    fn advance(&mut self, limit: Timestamp, max: usize, inputs: &mut Inputs, cx: &mut Cx) -> usize {
        let mut gone = 0;
        while gone < max && !cx.failed() {
            self.take(limit, if self.one_by_one { 1 } else { max - gone }, inputs);
            if self.batch.is_empty() {
                break;
            }
            gone += self.batch.len();
            self.out.push(&mut self.batch, cx);
            self.batch.clear();
        }
        gone
    }

    fn bad(&self) -> Option<&Bad> {
        match self.queue.entries.front() {
            Some(Entry::Bad { bad, .. }) => Some(bad),
            _ => None,
        }
    }

    fn take_bad(&mut self) -> Option<Bad> {
        self.bad()?;
        let Some(Entry::Bad { bad, last }) = self.queue.entries.pop_front() else { return None };
        self.queue.bytes -= bad_size(&bad) + size_of::<Entry<K, V>>();
        self.done(bad.offset, bad.index, last);
        Some(*bad)
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }

    fn position(&self) -> (Offset, u32) {
        self.position
    }

    fn take_markers(&mut self, cx: &mut Cx) -> bool {
        let mut any = false;
        while let Some(Entry::Markers { .. }) = self.queue.entries.front() {
            let Some(Entry::Markers { offset, markers }) = self.queue.entries.pop_front() else { break };
            for marker in &markers {
                self.upstreams.learn(marker);
            }
            self.position = (offset + 1, 0);
            any = true;
            self.settle();
        }
        if any {
            self.watermark = self.watermark.max(self.upstreams.watermark());
            self.activity = self.upstreams.activity();
            self.tell_time(cx);
            if self.activity == Activity::Idle {
                self.out.signal(Signal::Idle, cx);
            }
        }
        any
    }

    fn tell_time(&mut self, cx: &mut Cx) {
        if self.watermark > self.told {
            self.told = self.watermark;
            self.out.signal(Signal::Watermark(self.told), cx);
        }
        // After the watermark, which would take it back.
        if std::mem::take(&mut self.owes_idle) && self.activity == Activity::Idle {
            self.out.signal(Signal::Idle, cx);
        }
    }

    fn tick(&mut self, elapsed: Duration, wall: Timestamp, caught_up: bool, cx: &mut Cx) -> bool {
        if self.is_repartition() || self.activity == Activity::End {
            return false;
        }
        let before = (self.activity, self.watermark);
        // Only a record with a time breaks the silence: one that cannot be used says nothing of it.
        let silent = elapsed.saturating_sub(*self.silent_since.get_or_insert(elapsed));
        if !caught_up || !self.queue.entries.is_empty() {
            self.activity = Activity::Active;
            return before.0 != self.activity;
        }
        match self.pace.clock_after {
            Some(after) if silent >= after => {
                self.watermark = self.watermark.max(self.pace.by_clock(after, wall));
                self.queue.watermark = self.queue.watermark.max(self.watermark);
                self.activity = Activity::CaughtUp;
                self.tell_time(cx);
            }
            _ if self.activity == Activity::Idle => {}
            None if silent >= self.pace.idle_after => {
                self.activity = Activity::Idle;
                self.out.signal(Signal::Idle, cx);
            }
            _ => self.activity = Activity::CaughtUp,
        }
        before != (self.activity, self.watermark)
    }

    fn end(&mut self, cx: &mut Cx) -> bool {
        if self.activity == Activity::End || self.is_repartition() {
            return false;
        }
        self.activity = Activity::End;
        self.watermark = Timestamp::MAX;
        self.tell_time(cx);
        true
    }

    fn awaited(&self) -> Option<Timestamp> {
        if self.is_repartition() { self.upstreams.awaited() } else { None }
    }

    fn doubt(&mut self, tasks: &BTreeSet<u32>) -> bool {
        if !self.is_repartition() {
            return false;
        }
        let before = (self.activity, self.watermark);
        self.queue.upstreams.doubt(tasks);
        self.queue.watermark = self.queue.watermark.max(self.queue.upstreams.watermark());
        self.upstreams.doubt(tasks);
        self.watermark = self.watermark.max(self.upstreams.watermark());
        self.activity = self.upstreams.activity();
        self.owes_idle = self.activity == Activity::Idle && (self.owes_idle || before.0 != Activity::Idle);
        before != (self.activity, self.watermark)
    }

    fn has_doubts(&self) -> bool {
        self.upstreams.has_doubts()
    }

    fn time(&self) -> SourceTime {
        let (watermark, activity) = (self.watermark, self.activity);
        SourceTime { watermark, activity, upstream: self.upstreams.to_commit() }
    }

    fn activity(&self) -> Activity {
        self.activity
    }

    fn standing(&self) -> Standing {
        if !self.is_repartition() {
            let last = (self.activity != Activity::Idle).then_some((self.watermark, None));
            return Standing { last, first: last.map(|(watermark, _)| watermark) };
        }
        let last = self.upstreams.taking_part().min().map(|(watermark, task)| (watermark, Some(task)));
        Standing { last, first: self.upstreams.taking_part().max().map(|(watermark, _)| watermark) }
    }

    fn start(&mut self, offset: Offset, index: u32, time: SourceTime) {
        let SourceTime { watermark, upstream, .. } = time;
        self.queue.entries.clear();
        self.queue.bytes = 0;
        if let Some(earliest) = &mut self.queue.ahead {
            *earliest = Earliest::default();
        }
        self.queue.watermark = watermark;
        self.watermark = watermark;
        self.upstreams.restore(watermark, &upstream);
        self.queue.upstreams = self.upstreams.clone();
        // Whether there is more is looked at anew; only what the tasks upstream said still holds, as far as it is believed.
        self.activity = if self.is_repartition() { self.upstreams.activity() } else { Activity::Active };
        self.owes_idle = self.activity == Activity::Idle;
        self.position = (offset, index);
        self.resume = Some((offset, index));
    }

    fn watermark(&self) -> Timestamp {
        self.watermark
    }

    fn policy(&self) -> &BadInput {
        &self.policy
    }
}
