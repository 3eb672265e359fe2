//! Whether what tasks upstream have said of themselves still holds when a task begins.
//!
//! A task behind a shuffle goes on from what each task upstream said last. "Nothing more is at hand" may be long out of date:
//! while the application was down, more was written to the inputs of the task that said so, and it has not read that yet. So
//! a task upstream is doubted until the group has committed past where its inputs ended when the doubt began. It need not
//! say anything for that. And where nothing but marks of transactions and records of aborted ones lie before such an end,
//! which nobody commits past, the log itself is read to find that out: so nobody waits for one that has nothing to do.
//!
//! Where an input of a task upstream is a repartition topic itself, it ends where it ends once the tasks that write it have
//! got over theirs: what they read late lies behind it. And a task that believes those upstream again reads on to the end
//! that its own input has then, before it counts as read to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Batch, Isolation, Member, Reader};
use crate::error::Result;
use crate::record::{Offset, TopicPartition};
use crate::topology::{Layout, TaskId};

use super::thread::Parts;

/// How long to wait before looking again.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often an input must be seen not to move before its log is read.
const LOOKS_BEFORE_READING: u32 = 2;
/// Of how many inputs the logs are read at a time.
const READ_AT_ONCE: usize = 64;

/// How far an input of a task upstream has to be committed.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    /// Where it ended, if that is known.
    end: Option<Offset>,
    /// What was committed at the last look, and at how many looks in a row.
    committed: Offset,
    looks: u32,
    /// The log holds records before the end after what was committed then.
    holds: bool,
}

/// Logs that are being read for the next record in each.
struct Reading {
    reader: Box<dyn Reader>,
    /// The inputs, each with what was committed of it, by their place in the reader; `None` once it is known what is there.
    places: Vec<Option<(TopicPartition, Offset)>>,
    batch: Batch,
}

/// What the tasks upstream of a thread's tasks, near and far, have still to read before they are believed.
#[derive(Default)]
pub(crate) struct Doubts {
    /// Each input of those tasks; gone once the group has committed past its end.
    owed: BTreeMap<TopicPartition, Owed>,
    reading: Option<Reading>,
    /// The thread's own inputs that are repartition topics.
    own: Vec<TopicPartition>,
    /// Where those ended after the tasks upstream that are believed had done their part. Empty while that is not known.
    reach: BTreeMap<TopicPartition, Offset>,
    looked: Option<Duration>,
}

impl Doubts {
    /// Doubts all tasks upstream of `tasks`, which begin now.
    pub(crate) fn of(layout: &Layout, tasks: impl Iterator<Item = TaskId>) -> Self {
        let tasks: Vec<TaskId> = tasks.collect();
        let subs: BTreeSet<usize> = tasks.iter().map(|task| task.sub).collect();
        let above = (0..layout.subs.len()).filter(|above| subs.iter().any(|sub| layout.feeds(*above, *sub)));
        let ids =
            above.flat_map(|sub| (0..layout.subs[sub].partitions).map(move |partition| TaskId { sub, partition }));
        let owed = ids.flat_map(|id| layout.inputs_of(id)).map(|input| (input, Owed::default())).collect();
        let own = |id: &TaskId| {
            let inputs = layout.subs[id.sub].inputs.iter().zip(layout.inputs_of(*id));
            inputs.filter(|(input, _)| input.upstream.is_some()).map(|(_, place)| place).collect::<Vec<_>>()
        };
        Self { owed, own: tasks.iter().flat_map(own).collect(), ..Self::default() }
    }

    /// Doubts nobody.
    #[cfg(test)]
    pub(crate) fn none(&mut self) {
        self.owed.clear();
        self.reach = self.own.iter().map(|input| (input.clone(), 0)).collect();
    }

    /// True where it is time to look: `wanted` says that a doubt holds somebody back.
    pub(crate) fn is_due(&self, now: Duration, wanted: bool) -> bool {
        (self.is_unsettled() || (wanted && !self.owed.is_empty()))
            && self.looked.is_none_or(|looked| now.saturating_sub(looked) >= LOOK_EVERY)
    }

    /// True while it is not known how far the thread's own inputs have to be read.
    fn is_unsettled(&self) -> bool {
        self.reach.len() < self.own.len()
    }

    /// The tasks of sub-topology `upstream` that are not believed by those of `sub`. Those of a circle are: they would wait
    /// for one another.
    pub(crate) fn doubted(&self, layout: &Layout, sub: usize, upstream: usize) -> BTreeSet<u32> {
        if layout.feeds(sub, upstream) {
            return BTreeSet::new();
        }
        let partitions = 0..layout.subs[upstream].partitions;
        partitions.filter(|partition| !self.is_clear(layout, TaskId { sub: upstream, partition: *partition })).collect()
    }

    /// How far an input of the thread's has to be read.
    pub(crate) fn reach_of(&self, input: &TopicPartition) -> Offset {
        self.reach.get(input).copied().unwrap_or(Offset::MAX)
    }

    fn is_clear(&self, layout: &Layout, task: TaskId) -> bool {
        layout.inputs_of(task).iter().all(|input| !self.owed.contains_key(input))
    }

    /// Asks the broker how far the tasks upstream have got.
    ///
    /// # Errors
    /// The broker's. What was learned before counts, and the next look goes on from there.
    pub(crate) fn look(&mut self, parts: &Parts, member: &mut dyn Member) -> Result<()> {
        self.looked = Some(parts.clock.elapsed());
        loop {
            self.ask_ends(parts)?;
            let before = self.owed.len();
            self.ask_committed(parts, member)?;
            self.read(parts)?;
            if self.owed.len() == before {
                break;
            }
            // After those that are believed from now on have done their part.
            self.reach.clear();
        }
        if self.is_unsettled() {
            let ends = parts.broker.end_offsets(&self.own, Isolation::ReadUncommitted)?;
            self.reach = self.own.iter().cloned().zip(ends).collect();
        }
        Ok(())
    }

    /// Asks for the ends of what the tasks upstream read, as far as these are settled.
    fn ask_ends(&mut self, parts: &Parts) -> Result<()> {
        let (mut topics, mut between) = (Vec::new(), Vec::new());
        for (sub, of) in parts.layout.subs.iter().enumerate() {
            for input in &of.inputs {
                let written = input.upstream.is_none_or(|upstream| {
                    parts.layout.feeds(sub, upstream) || self.doubted(&parts.layout, sub, upstream).is_empty()
                });
                let places =
                    (0..of.partitions).map(|partition| TopicPartition::new(Arc::clone(&input.topic), partition));
                let unknown =
                    places.filter(|place| written && self.owed.get(place).is_some_and(|owed| owed.end.is_none()));
                if input.upstream.is_some() { between.extend(unknown) } else { topics.extend(unknown) }
            }
        }
        let bounds = parts.shared.bounds().unwrap_or_default();
        // Of a transaction that was committed a moment ago the markers may not be written yet: what is ours is waited for.
        for (places, isolation) in [(topics, Isolation::ReadCommitted), (between, Isolation::ReadUncommitted)] {
            if places.is_empty() {
                continue;
            }
            let ends = parts.broker.end_offsets(&places, isolation)?;
            for (place, end) in places.into_iter().zip(ends) {
                // A bounded run reads no further.
                let end = bounds.get(&place).map_or(end, |bound| end.min(*bound));
                self.owed.insert(place, Owed { end: Some(end), ..Owed::default() });
            }
        }
        Ok(())
    }

    /// Forgets what the group has committed past.
    fn ask_committed(&mut self, parts: &Parts, member: &mut dyn Member) -> Result<()> {
        let known = self.owed.iter().filter(|(_, owed)| owed.end.is_some());
        let places: Vec<TopicPartition> = known.map(|(place, _)| place.clone()).collect();
        if places.is_empty() {
            return Ok(());
        }
        let found = member.committed(&places)?.into_iter().flatten();
        let mut committed: BTreeMap<_, _> = found.map(|found| (found.partition, found.offset)).collect();
        let fresh: Vec<_> = places.iter().filter(|place| !committed.contains_key(place)).cloned().collect();
        if !fresh.is_empty() {
            let starts = parts.broker.start_offsets(&fresh)?;
            committed.extend(fresh.into_iter().zip(starts));
        }
        self.owed.retain(|place, owed| {
            let Some(committed) = committed.get(place).filter(|_| owed.end.is_some()) else { return true };
            if *committed == owed.committed && owed.looks > 0 {
                owed.looks += 1;
            } else {
                (owed.committed, owed.looks, owed.holds) = (*committed, 1, false);
            }
            owed.end.is_some_and(|end| *committed < end)
        });
        Ok(())
    }

    /// Reads the logs of inputs that do not move, and forgets those that hold no record before their end.
    fn read(&mut self, parts: &Parts) -> Result<()> {
        let Some(mut reading) = self.reading.take().map_or_else(|| self.begin_reading(parts), |r| Ok(Some(r)))? else {
            return Ok(());
        };
        for (number, at) in reading.places.iter_mut().enumerate() {
            let Some((place, from)) = at else { continue };
            let Some(owed) = self.owed.get_mut(place).filter(|owed| owed.committed == *from) else {
                *at = None;
                continue;
            };
            let end = owed.end.unwrap_or(Offset::MAX);
            reading.batch.clear();
            let fetched = reading.reader.fetch(number, 1, &mut reading.batch)?;
            match reading.batch.iter().next() {
                Some(record) if record.offset < end => owed.holds = true,
                None if fetched.position < end => continue,
                _ => drop(self.owed.remove(place)),
            }
            *at = None;
        }
        if reading.places.iter().any(Option::is_some) {
            self.reading = Some(reading);
        }
        Ok(())
    }

    fn begin_reading(&self, parts: &Parts) -> Result<Option<Reading>> {
        let still = self.owed.iter().filter(|(_, owed)| owed.looks >= LOOKS_BEFORE_READING && !owed.holds);
        let still: Vec<_> = still.map(|(place, owed)| (place.clone(), owed.committed)).take(READ_AT_ONCE).collect();
        if still.is_empty() {
            return Ok(None);
        }
        let places: Vec<TopicPartition> = still.iter().map(|(place, _)| place.clone()).collect();
        let starts = parts.broker.start_offsets(&places)?;
        let from: Vec<_> =
            still.iter().zip(starts).map(|((place, at), start)| (place.clone(), start.max(*at))).collect();
        let reader = parts.broker.reader(&from)?;
        Ok(Some(Reading { reader, places: still.into_iter().map(Some).collect(), batch: Batch::default() }))
    }
}
