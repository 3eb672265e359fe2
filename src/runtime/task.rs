//! A task: one sub-topology for one partition number. It owns its queues, its operators and its state; nothing else
//! touches them. It does no input or output and reads no clock: records are put in ([`Task::fill`]), it is told to work
//! ([`Task::step`]), and its effects lie in [`Task::out`].

use std::collections::BTreeSet;
use std::time::Duration;

use crate::broker::{Batch, Fetched, Outgoing};
use crate::codec::marker::Activity;
use crate::codec::position::Position;
use crate::error::Error;
use crate::operators::notes::{Note, Noting};
use crate::operators::source::{Bad, BadInput, InputPlace, Inputs, SourcePort, SourceTime, Verdict};
use crate::operators::stores::StorePort;
use crate::operators::{ClockPort, Cx, Drops, Failure, Signal};
use crate::record::{InputNumber, Offset, TopicPartition};
use crate::state::TaskState;
use crate::time::Timestamp;

use super::bad::{dead_letter, unusable};
use super::discreet;
use super::meters::{InputMeters, OperatorMeter};
use super::refused::Refused;
use super::suspects::{Suspect, Suspects};

/// One of a task's input partitions.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about what the broker holds")]
pub(crate) struct Input {
    pub(crate) partition: TopicPartition,
    pub(crate) port: Box<dyn SourcePort>,
    /// True while the broker has nothing more to read: an empty queue then holds nothing up.
    pub(crate) caught_up: bool,
    /// True while the broker has nothing at all after what was read, open transactions included.
    pub(crate) at_high_watermark: bool,
    /// What has to be read of it before it counts as read to its end: of a repartition topic, up to where it ended when the
    /// tasks upstream were last believed.
    pub(crate) reach: Offset,
    /// True once a bounded run has read all that it reads of it.
    pub(crate) at_end: bool,
    /// True for a user's topic, false for a repartition topic.
    pub(crate) is_source: bool,
    /// The offset that a fetch has moved on to: beyond the last record where markers of transactions follow it.
    pub(crate) fetched: Offset,
    /// How many offsets the broker holds after what has been processed, as far as known.
    pub(crate) lag: Option<u64>,
    pub(crate) meters: InputMeters,
    /// Records of it that the running transaction has processed, and those among them that became dead letters.
    pub(crate) processed: u64,
    pub(crate) dead_letters: u64,
}

impl Input {
    /// A fetch has got this far. `end` is where a bounded run ends.
    pub(crate) fn fetched_to(&mut self, fetched: Fetched, end: Option<Offset>) {
        self.fetched = self.fetched.max(fetched.position).min(end.unwrap_or(Offset::MAX));
        self.caught_up = fetched.records == 0 && fetched.caught_up() && fetched.position >= self.reach;
        self.at_high_watermark = fetched.high_watermark >= 0 && fetched.position >= fetched.high_watermark;
        if fetched.high_watermark >= 0 {
            let behind = if self.port.queued() == 0 && self.caught_up {
                0
            } else {
                fetched.high_watermark - self.port.position().0
            };
            self.lag = Some(u64::try_from(behind).unwrap_or(0));
            self.meters.lag.set(behind.max(0));
        }
    }

    /// The broker holds committed records up to here, which nobody fetches now.
    pub(crate) fn ends_at(&mut self, end: Offset) {
        // Markers of transactions lie between what was processed and what was fetched.
        let (position, _) = self.port.position();
        let from = if self.port.queued() == 0 { self.fetched.max(position) } else { position };
        let behind = (end - from).max(0);
        self.lag = Some(u64::try_from(behind).unwrap_or(0));
        self.meters.lag.set(behind);
    }
}

/// One sub-topology for one partition number.
#[expect(clippy::struct_excessive_bools, reason = "each is a reason of its own to commit or to go on")]
pub(crate) struct Task {
    pub(crate) inputs: Vec<Input>,
    pub(crate) stores: Vec<Box<dyn StorePort>>,
    /// What it does by the time of day.
    clocks: Vec<Box<dyn ClockPort>>,
    /// True while an operator has more to do than fitted in one step.
    more: bool,
    /// What its stores stand on.
    pub(crate) state: TaskState,
    /// The number of transactions that this task has committed, over all its owners.
    pub(crate) sequence: u64,
    /// How many records its committed transactions have processed.
    processed: u64,
    cx: Cx,
    /// Where each input of the running transaction came from.
    numbers: Inputs,
    /// True where something is to be committed.
    dirty: bool,
    /// True where nothing but time has moved on: it is committed as well, but nobody waits for it.
    moved: bool,
    /// True where partitions downstream have still to be told how far time has come.
    owes_markers: bool,
    /// True where tasks downstream wait for its word.
    writes_repartition: bool,
    /// True while its thread rests: nobody looks whether it has more to come.
    held: bool,
    meters: Vec<OperatorMeter>,
}

/// Why a step ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An operator failed after it may have had effects: the transaction cannot be committed.
    Failed(Failure),
    /// The next record cannot be used and its source's policy is to stop. What came before it is sound.
    Policy(Error),
    /// The task cannot go on, and no record is to blame: its state cannot be read, for example.
    Broken(Error),
}

impl Task {
    /// `writes_repartition`: tasks downstream wait for its first word.
    pub(crate) fn new(
        inputs: Vec<Input>,
        stores: Vec<Box<dyn StorePort>>,
        clocks: Vec<Box<dyn ClockPort>>,
        state: TaskState,
        sequence: u64,
        writes_repartition: bool,
        meters: Vec<OperatorMeter>,
    ) -> Self {
        let (cx, numbers) = (Cx::default(), Inputs::default());
        let owes_markers = writes_repartition;
        Self {
            inputs,
            stores,
            clocks,
            more: false,
            state,
            sequence,
            processed: 0,
            cx,
            numbers,
            dirty: false,
            moved: false,
            owes_markers,
            writes_repartition,
            held: false,
            meters,
        }
    }

    /// The bug of its operators that a simulation has to find.
    #[cfg(test)]
    pub(crate) fn plant(&mut self, flaw: crate::operators::flaws::Flaw) {
        self.cx.flaw = Some(flaw);
    }

    /// Puts records of an input into its queue.
    pub(crate) fn fill(
        &mut self,
        input: usize,
        batch: &Batch,
        wall: Timestamp,
        verdict: &dyn Fn(&TopicPartition, Offset, u32) -> Option<Verdict>,
    ) {
        let Input { partition, port, .. } = &mut self.inputs[input];
        port.fill(batch, wall, &|offset, index| verdict(partition, offset, index));
    }

    /// Processes up to `max` queued records, in order of event time across the inputs. While an input is empty and the
    /// broker still holds records for it, the task waits, so that a table is not overtaken by its stream. Gives the
    /// number of records it processed.
    pub(crate) fn step(&mut self, max: usize, wall: Timestamp) -> Result<usize, Stop> {
        self.cx.wall = wall;
        // What was known of time when the task started holds before its first record, as it did before the commit.
        for input in &mut self.inputs {
            input.port.tell_time(&mut self.cx);
        }
        let mut done = self.go_on()?;
        for clock in &mut self.clocks {
            if clock.due().is_none_or(|due| due <= wall) && clock.tick(&mut self.cx) {
                done += 1;
                self.dirty = true;
            }
        }
        self.check()?;
        while done < max {
            self.take_markers()?;
            let Some((input, limit)) = self.next() else { break };
            let processed = self.inputs[input].port.advance(limit, max - done, &mut self.numbers, &mut self.cx);
            self.check()?;
            if processed > 0 {
                done += processed;
                self.inputs[input].processed += processed as u64;
            } else if self.treat(input).map_err(Stop::Policy)? {
                done += 1;
                self.inputs[input].processed += 1;
            } else {
                break;
            }
            self.dirty = true;
        }
        for input in &mut self.inputs {
            input.port.tell_time(&mut self.cx);
        }
        self.check()?;
        // Time alone may have had results: a window that has closed.
        self.dirty |= !self.cx.out.is_empty();
        Ok(done)
    }

    /// Goes on with what did not fit in one step, as when time has closed very many windows: the operators that have more
    /// to do are told the time again. Gives 1 where there was such work.
    fn go_on(&mut self) -> Result<usize, Stop> {
        self.more |= self.cx.take_more_to_do();
        if !std::mem::take(&mut self.more) {
            return Ok(0);
        }
        for input in &mut self.inputs {
            let watermark = input.port.watermark();
            input.port.signal(Signal::Watermark(watermark), &mut self.cx);
            // A watermark takes it back.
            if input.port.activity() == Activity::Idle {
                input.port.signal(Signal::Idle, &mut self.cx);
            }
        }
        self.dirty = true;
        self.check().map(|()| 1)
    }

    /// Takes what the heads of the queues say of time upstream.
    fn take_markers(&mut self) -> Result<(), Stop> {
        for input in &mut self.inputs {
            self.moved |= input.port.take_markers(&mut self.cx);
        }
        self.check()
    }

    /// Time has passed: sources that have fallen silent say so. True where that is to be told downstream.
    pub(crate) fn tick(&mut self, elapsed: Duration, wall: Timestamp) -> Result<(), Stop> {
        self.cx.wall = wall;
        for input in &mut self.inputs {
            let silent = input.caught_up && input.at_high_watermark;
            let before = input.port.activity();
            self.moved |= input.port.tick(elapsed, wall, silent, &mut self.cx);
            if before != Activity::Idle && input.port.activity() == Activity::Idle {
                input.meters.left_out.inc();
            }
        }
        self.check()
    }

    /// Its thread rests: it says that more may come, with the commit that is to follow, and what it knew of its inputs' ends
    /// counts no more.
    pub(crate) fn hold(&mut self, elapsed: Duration, wall: Timestamp) {
        self.held = true;
        self.cx.wall = wall;
        for input in &mut self.inputs {
            (input.caught_up, input.at_high_watermark) = (input.at_end, false);
            input.port.tick(elapsed, wall, false, &mut self.cx);
        }
        self.moved |= self.writes_repartition;
    }

    /// Its thread goes on. Whether it has more to come is told anew.
    pub(crate) fn release(&mut self) {
        self.held = false;
        self.moved |= self.writes_repartition;
    }

    /// True while its thread rests.
    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// Doubts these tasks upstream of an input, and no others any more; up to `reach` the input has to be read before it
    /// counts as read to its end.
    pub(crate) fn doubt(&mut self, input: usize, tasks: &BTreeSet<u32>, reach: Offset) {
        let input = &mut self.inputs[input];
        input.reach = reach;
        input.caught_up &= input.at_end || input.fetched >= reach;
        self.moved |= input.port.doubt(tasks);
    }

    /// True where a task upstream is not believed that says that nothing more comes.
    pub(crate) fn has_doubts(&self) -> bool {
        self.inputs.iter().any(|input| input.port.has_doubts())
    }

    /// In a bounded run that closes its windows: takes time to its end in the inputs that have been read to theirs.
    pub(crate) fn end(&mut self) -> Result<(), Stop> {
        for input in self.inputs.iter_mut().filter(|input| input.at_end && input.port.queued() == 0) {
            self.moved |= input.port.end(&mut self.cx);
        }
        self.check()
    }

    /// True once nothing more can come in a bounded run, and all that is committed.
    pub(crate) fn has_ended(&self) -> bool {
        !self.is_dirty() && !self.owes_markers && self.inputs.iter().all(|i| i.port.activity() == Activity::End)
    }

    /// Whether more is to come, as the tasks downstream are told.
    fn activity(&self) -> Activity {
        if self.more {
            // What is still to be done comes out whether more comes in or not.
            return Activity::Active;
        }
        let mut all = None;
        for input in &self.inputs {
            let activity = match input.port.activity() {
                Activity::Active if input.caught_up && input.port.queued() == 0 && input.is_source => {
                    Activity::CaughtUp
                }
                activity => activity,
            };
            all = Some(match (all, activity) {
                (None, activity) => activity,
                (Some(Activity::Active), _) | (_, Activity::Active) => Activity::Active,
                (Some(Activity::CaughtUp), _) | (_, Activity::CaughtUp) => Activity::CaughtUp,
                (Some(Activity::Idle), _) | (_, Activity::Idle) => Activity::Idle,
                (Some(Activity::End), Activity::End) => Activity::End,
            });
        }
        match all.unwrap_or_default() {
            Activity::End => Activity::End,
            _ if self.held => Activity::Active,
            activity => activity,
        }
    }

    /// The input to take records from, and the time up to which they come before every other input's. `None` while the
    /// task has nothing or has to wait. Of equal times the first input goes first.
    ///
    /// An empty repartition topic counts by the earliest record that tasks upstream may still send: so not only the first
    /// record waits for it, but every one that goes along with it.
    fn next(&self) -> Option<(usize, Timestamp)> {
        let mut first: Option<(Timestamp, usize, bool)> = None;
        let mut second: Option<(Timestamp, usize, bool)> = None;
        for (number, input) in self.inputs.iter().enumerate() {
            let head = match input.port.head() {
                Some(time) => (time, number, true),
                None if !input.caught_up => return None,
                None => match input.port.awaited() {
                    Some(time) => (time, number, false),
                    None => continue,
                },
            };
            if first.is_none_or(|first| head < first) {
                second = first.replace(head);
            } else if second.is_none_or(|second| head < second) {
                second = Some(head);
            }
        }
        let (_, input, _) = first.filter(|(.., there)| *there)?;
        let limit = second.map_or(Timestamp::MAX, |(time, other, _)| {
            if input < other { time } else { Timestamp::from_millis(time.millis().saturating_sub(1)) }
        });
        Some((input, limit))
    }

    /// Treats a record that cannot be used by its source's policy; false where the next record is not of that kind. One
    /// that stops the task stays where it is: what is committed ends before it, and a restart meets it again.
    fn treat(&mut self, input: usize) -> Result<bool, Error> {
        let Input { partition, port, dead_letters, .. } = &mut self.inputs[input];
        if let Some(bad) = port.bad().filter(|bad| bad.fatal || *port.policy() == BadInput::Fail) {
            return Err(unusable(partition, bad));
        }
        let Some(bad) = port.take_bad() else { return Ok(false) };
        let policy = port.policy();
        let source = u32::try_from(input).unwrap_or(u32::MAX);
        let number = self.numbers.add(InputPlace { source, offset: bad.offset, index: bad.index });
        if let BadInput::DeadLetter(topic) = policy {
            dead_letter(&mut self.cx.out, topic, partition, &bad, number);
            *dead_letters += 1;
        }
        let (offset, reason) = (bad.offset, bad.reason.label());
        tracing::debug!(%partition, offset, reason, ?policy, "record not processed: {}", bad.message);
        let Bad { reason, message, timestamp, .. } = bad;
        let timestamp = timestamp.unwrap_or(Timestamp::MIN);
        self.cx.drop_noted(reason, || Noting { operator: None, input: number, timestamp, message: Some(message) });
        Ok(true)
    }

    /// Lets everything out that is held back for the sake of fewer updates.
    pub(crate) fn flush(&mut self, wall: Timestamp, all_markers: bool) -> Result<(), Stop> {
        self.cx.wall = wall;
        self.more |= self.cx.take_more_to_do();
        self.cx.activity = self.activity();
        self.cx.all_markers = all_markers;
        self.cx.markers_owed = false;
        for input in &mut self.inputs {
            // What a filter has dropped moved time as well.
            input.port.tell_time(&mut self.cx);
            input.port.signal(Signal::Flush, &mut self.cx);
        }
        self.more |= self.cx.take_more_to_do();
        self.owes_markers = self.cx.markers_owed;
        self.check()
    }

    /// What has gone wrong in the operators, if anything has.
    fn check(&mut self) -> Result<(), Stop> {
        if let Some(error) = self.cx.take_error() {
            return Err(Stop::Broken(error));
        }
        self.cx.take_failure().map_or(Ok(()), |failure| Err(Stop::Failed(failure)))
    }

    /// What the task wants to be written.
    pub(crate) fn out(&mut self) -> &mut Outgoing {
        &mut self.cx.out
    }

    /// True where something is to be committed.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty || self.moved || !self.cx.out.is_empty()
    }

    /// When the task wants to be called by the time of day, if it does.
    pub(crate) fn clock_due(&self) -> Option<Timestamp> {
        self.clocks.iter().map(|clock| clock.due().unwrap_or(Timestamp::MIN)).min()
    }

    /// Makes the task part of the running transaction.
    pub(crate) fn touch(&mut self) {
        self.moved = true;
    }

    /// True while there is more to do than fitted in the steps so far.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// True where somebody waits for it.
    pub(crate) fn is_urgent(&self) -> bool {
        self.dirty
    }

    /// True where partitions downstream have still to be told how far time has come.
    pub(crate) fn owes_markers(&self) -> bool {
        self.owes_markers
    }

    /// How many inputs the running transaction has.
    pub(crate) fn input_count(&self) -> usize {
        self.numbers.len()
    }

    /// How many records wait in the queues.
    pub(crate) fn queued(&self) -> usize {
        self.inputs.iter().map(|input| input.port.queued()).sum()
    }

    /// How many bytes of changed rows wait for the commit.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.stores.iter().map(|store| store.stats().dirty_bytes).sum()
    }

    /// Where an input of the running transaction came from.
    pub(crate) fn place_of(&self, input: InputNumber) -> Option<Suspect> {
        let InputPlace { source, offset, index } = self.numbers.get(input)?;
        Some((self.inputs.get(source as usize)?.partition.clone(), offset, index))
    }

    /// How many records the task is behind, as far as known.
    pub(crate) fn lag(&self) -> Option<u64> {
        self.inputs.iter().map(|input| input.lag).sum()
    }

    /// How many records its committed transactions have processed.
    pub(crate) fn processed(&self) -> u64 {
        self.processed
    }

    /// The positions to commit, one an input, under the next sequence.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, Offset, Position)> {
        self.inputs
            .iter()
            .map(|input| {
                let (offset, index) = input.port.position();
                // What has been processed, and not where reading stands, which is ahead of it.
                let SourceTime { watermark, activity, upstream } = input.port.time();
                let position = Position { sequence: self.sequence + 1, index, watermark, activity, upstream };
                (input.partition.clone(), offset, position)
            })
            .collect()
    }

    /// What the running transaction has refused. To be asked before it is [`committed`](Self::committed), which forgets it;
    /// an abort forgets it as well.
    pub(crate) fn take_refused(&mut self, task: &str, suspects: &Suspects) -> Vec<Refused> {
        let noted = self.cx.notes.take();
        let mut rest = self.cx.drops.clone();
        rest.subtract(&noted.drops);
        let mut refused: Vec<Refused> =
            noted.kept.into_iter().filter_map(|note| self.refused(task, note, suspects)).collect();
        for (reason, count) in rest.iter() {
            let input = InputNumber::UNKNOWN;
            let (timestamp, at) = (Timestamp::MIN, self.cx.wall);
            let note = Note { reason, operator: None, input, timestamp, at, message: None };
            let message = Some(format!("{count} records; which ones, was not noted"));
            refused.extend(self.refused(task, note, suspects).map(|of_all| Refused { message, ..of_all }));
        }
        refused
    }

    /// What others are told of a record. Where its place is not known, that of the first input stands for it.
    fn refused(&self, task: &str, note: Note, suspects: &Suspects) -> Option<Refused> {
        let Note { reason, operator, input, timestamp, at, message } = note;
        let place = self.place_of(input);
        let named = operator.as_deref().or_else(|| suspects.operator_of(place.as_ref()?));
        let operator = named.map(str::to_owned);
        let message = message.and_then(|message| discreet::told(reason, operator.as_deref(), &message));
        let (partition, offset) = match place {
            Some((partition, offset, _)) => (partition, Some(offset)),
            None => (self.inputs.first()?.partition.clone(), None),
        };
        Some(Refused {
            at,
            task: task.to_owned(),
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset,
            timestamp: Some(timestamp).filter(|timestamp| *timestamp > Timestamp::MIN),
            reason: reason.label().to_owned(),
            operator,
            message,
        })
    }

    /// True where the running transaction has refused anything.
    pub(crate) fn has_refused(&self) -> bool {
        self.cx.drops != Drops::default()
    }

    /// The running transaction has been committed: what it did counts from now on.
    pub(crate) fn committed(&mut self) {
        self.cx.notes.clear();
        let (drops, late) = (self.cx.drops.take(), std::mem::take(&mut self.cx.late));
        if let Some(input) = self.inputs.first().filter(|_| drops != Drops::default() || !late.is_empty()) {
            input.meters.drops.add(&drops);
            input.meters.count_late(late);
        }
        for input in &mut self.inputs {
            self.processed += input.processed;
            input.meters.records.inc_by(std::mem::take(&mut input.processed));
            input.meters.dead_letters.inc_by(std::mem::take(&mut input.dead_letters));
        }
        self.meters.iter_mut().for_each(OperatorMeter::committed);
        self.sequence += 1;
        self.numbers.clear();
        self.dirty = self.more;
        self.moved = false;
    }
}
