//! A task: one sub-topology for one partition number. It owns its queues, its operators and its state; nothing else
//! touches them. It does no input or output and reads no clock: records are put in ([`Task::fill`]), it is told to work
//! ([`Task::step`]), and its effects lie in [`Task::out`].

use crate::broker::{Batch, Fetched, Outgoing, OutgoingRecord, Partitioning};
use crate::codec::position::Position;
use crate::error::{Error, ErrorKind, Place};
use crate::operators::source::{Bad, BadInput, InputPlace, Inputs, SourcePort, Verdict};
use crate::operators::stores::StorePort;
use crate::operators::{Cx, Drops, Failure, Signal};
use crate::record::{InputNumber, Offset, TopicPartition};
use crate::state::TaskState;
use crate::time::Timestamp;

use super::meters::InputMeters;
use super::suspects::Suspect;

/// One of a task's input partitions.
pub(crate) struct Input {
    pub(crate) partition: TopicPartition,
    pub(crate) port: Box<dyn SourcePort>,
    /// True while the broker has nothing more to read: an empty queue then holds nothing up.
    pub(crate) caught_up: bool,
    /// The offset that a fetch has moved on to: beyond the last record where markers of transactions follow it.
    pub(crate) fetched: Offset,
    /// How many offsets the broker holds after what has been processed, as far as known.
    pub(crate) lag: Option<u64>,
    pub(crate) meters: InputMeters,
}

impl Input {
    /// A fetch has got this far. `end` is where a bounded run ends.
    pub(crate) fn fetched_to(&mut self, fetched: Fetched, end: Option<Offset>) {
        self.fetched = self.fetched.max(fetched.position).min(end.unwrap_or(Offset::MAX));
        self.caught_up = fetched.records == 0 && fetched.caught_up();
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
}

/// One sub-topology for one partition number.
pub(crate) struct Task {
    pub(crate) inputs: Vec<Input>,
    pub(crate) stores: Vec<Box<dyn StorePort>>,
    /// What its stores stand on.
    pub(crate) state: TaskState,
    /// The number of transactions that this task has committed, over all its owners.
    pub(crate) sequence: u64,
    cx: Cx,
    /// Where each input of the running transaction came from.
    numbers: Inputs,
    /// True where something is to be committed.
    dirty: bool,
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
    pub(crate) fn new(inputs: Vec<Input>, stores: Vec<Box<dyn StorePort>>, state: TaskState, sequence: u64) -> Self {
        let (cx, numbers) = (Cx::default(), Inputs::default());
        Self { inputs, stores, state, sequence, cx, numbers, dirty: false }
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
        let mut done = 0;
        while done < max {
            let Some((input, limit)) = self.next() else { break };
            let processed = self.inputs[input].port.advance(limit, max - done, &mut self.numbers, &mut self.cx);
            self.check()?;
            if processed > 0 {
                done += processed;
            } else if let Some(bad) = self.inputs[input].port.take_bad() {
                self.treat(input, &bad).map_err(Stop::Policy)?;
                done += 1;
            } else {
                break;
            }
            self.dirty = true;
        }
        Ok(done)
    }

    /// The input to take records from, and the time up to which they come before every other input's. `None` while the
    /// task has nothing or has to wait. Of equal times the input that was declared first goes first.
    fn next(&self) -> Option<(usize, Timestamp)> {
        let mut first: Option<(Timestamp, usize)> = None;
        let mut second: Option<(Timestamp, usize)> = None;
        for (number, input) in self.inputs.iter().enumerate() {
            match input.port.head() {
                Some(time) if first.is_none_or(|first| (time, number) < first) => {
                    second = first.replace((time, number));
                }
                Some(time) if second.is_none_or(|second| (time, number) < second) => second = Some((time, number)),
                Some(_) => {}
                None if input.caught_up => {}
                None => return None,
            }
        }
        let (_, input) = first?;
        let limit = second.map_or(Timestamp::MAX, |(time, other)| {
            if input < other { time } else { Timestamp::from_millis(time.millis().saturating_sub(1)) }
        });
        Some((input, limit))
    }

    /// Treats a record that cannot be used by its source's policy.
    fn treat(&mut self, input: usize, bad: &Bad) -> Result<(), Error> {
        let Input { partition, port, meters, .. } = &self.inputs[input];
        let policy = if bad.fatal { &BadInput::Fail } else { port.policy() };
        if *policy == BadInput::Fail {
            return Err(unusable(partition, bad));
        }
        let source = u32::try_from(input).unwrap_or(u32::MAX);
        let number = self.numbers.add(InputPlace { source, offset: bad.offset, index: bad.index });
        if let BadInput::DeadLetter(topic) = policy {
            dead_letter(&mut self.cx.out, topic, partition, bad, number);
            meters.dead_letters.inc();
        }
        let (offset, reason) = (bad.offset, bad.reason.label());
        tracing::debug!(%partition, offset, reason, ?policy, "record not processed: {}", bad.message);
        self.cx.drops.count(bad.reason);
        Ok(())
    }

    /// Lets everything out that is held back for the sake of fewer updates.
    pub(crate) fn flush(&mut self, wall: Timestamp) -> Result<(), Stop> {
        self.cx.wall = wall;
        for input in &mut self.inputs {
            input.port.signal(Signal::Flush, &mut self.cx);
        }
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

    /// Adds what was dropped since the last time to the counters.
    pub(crate) fn count_drops(&mut self) {
        let drops = self.cx.drops.take();
        if let Some(input) = self.inputs.first().filter(|_| drops != Drops::default()) {
            input.meters.drops.add(&drops);
        }
    }

    /// True where something is to be committed.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
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

    /// The positions to commit, one an input, under the next sequence.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, Offset, Position)> {
        self.inputs
            .iter()
            .map(|input| {
                let (offset, index) = input.port.position();
                // With nothing queued the markers behind the last record have been read as well.
                let offset = if input.port.queued() == 0 && index == 0 { offset.max(input.fetched) } else { offset };
                let watermark = input.port.watermark();
                let position = Position { sequence: self.sequence + 1, index, watermark, ..Position::default() };
                (input.partition.clone(), offset, position)
            })
            .collect()
    }

    /// The running transaction has been committed.
    pub(crate) fn committed(&mut self) {
        self.sequence += 1;
        self.numbers.clear();
        self.dirty = false;
    }
}

fn unusable(partition: &TopicPartition, bad: &Bad) -> Error {
    let place = Place {
        partition: Some(partition.clone()),
        offset: Some(bad.offset),
        index: (bad.index > 0).then_some(bad.index),
        operator: None,
    };
    let message = format!("a record cannot be used ({}): {}", bad.reason.label(), bad.message);
    let error = Error::new(ErrorKind::Record, message).at(place);
    if bad.fatal {
        return error;
    }
    error.remedy("mend its producer, or give its source a policy for bad input: skip, or a dead-letter topic")
}

/// Writes the original bytes to the dead-letter topic, with the reason in headers.
fn dead_letter(out: &mut Outgoing, topic: &str, partition: &TopicPartition, bad: &Bad, input: InputNumber) {
    let mut headers = bad.headers.clone();
    for (name, value) in [
        ("millstream.error.reason", bad.reason.label().to_owned()),
        ("millstream.error.message", bad.message.clone()),
        ("millstream.error.topic", partition.topic.to_string()),
        ("millstream.error.partition", partition.partition.to_string()),
        ("millstream.error.offset", bad.offset.to_string()),
        ("millstream.error.index", bad.index.to_string()),
    ] {
        headers.push(name, Some(value.into_bytes()));
    }
    let topic = out.topic(topic);
    out.push(&OutgoingRecord {
        topic,
        partitioning: Partitioning::ByKey,
        key: bad.key.as_deref(),
        value: bad.value.as_deref(),
        timestamp: bad.timestamp.unwrap_or(Timestamp::MIN).max(Timestamp::from_millis(1)),
        headers: &headers,
        input,
    });
}
