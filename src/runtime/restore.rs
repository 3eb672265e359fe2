//! Bringing a task's state up to its changelogs before it runs.
//!
//! The end is the high watermark at the start, read as a reader of uncommitted records sees it; the records are read
//! as a reader of committed ones. So a transaction that was committed a moment ago, and whose markers are not written
//! yet, is waited for and not missed (KAFKA-10167).

use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Batch, Broker, Isolation, Reader};
use crate::codec::position::life;
use crate::error::Result;
use crate::record::{Offset, TopicPartition};
use crate::state::{Stand, TaskState};
use crate::time::Clock;

use super::outlived::outlived;
use super::patience::patiently;

/// How many records are taken from a changelog before the others and the rest of the thread get their turn.
const SLICE: usize = 10_000;

/// A restore under way.
pub(crate) struct Restore {
    state: TaskState,
    changelogs: Vec<Changelog>,
    reader: Option<Box<dyn Reader>>,
    batch: Batch,
    restored: u64,
    started: Duration,
}

/// What a state is good for.
pub(crate) enum Begun {
    /// It is brought up to its changelogs.
    Restore(Restore),
    /// Nothing, and why: it is to be thrown away.
    Useless(&'static str),
}

struct Changelog {
    store: String,
    partition: TopicPartition,
    position: Offset,
    end: Offset,
}

impl Restore {
    /// Looks at what is missing. `changelogs` are the stores' names with their changelog partitions; `sequence` is the
    /// task's committed one: a state that stands at it already is complete. A state that stands outside its changelogs is
    /// no help, as they are not the ones it was made from: so it is with one from before a reset of the application, which
    /// another machine may still have. Nor is one that may have outlived tombstones.
    pub(crate) fn begin(
        broker: &Arc<dyn Broker>,
        state: TaskState,
        changelogs: Vec<(String, TopicPartition)>,
        sequence: Option<u64>,
        clock: &dyn Clock,
    ) -> Result<Begun> {
        const OTHER: &str = "it does not fit its changelogs";
        let stand = state.stand();
        if sequence.is_some_and(|sequence| life(sequence) != life(stand.sequence)) && stand != Stand::default() {
            return Ok(Begun::Useless(OTHER));
        }
        let started = clock.elapsed();
        let mut restore =
            Self { state, changelogs: Vec::new(), reader: None, batch: Batch::default(), restored: 0, started };
        if changelogs.is_empty() || (sequence.is_some() && sequence == Some(stand.sequence)) {
            return Ok(Begun::Restore(restore));
        }
        let partitions: Vec<TopicPartition> = changelogs.iter().map(|(_, partition)| partition.clone()).collect();
        let starts = patiently("looking up the starts of changelogs", || broker.start_offsets(&partitions))?;
        let ends = patiently("looking up the ends of changelogs", || {
            broker.end_offsets(&partitions, Isolation::ReadUncommitted)
        })?;
        let mut behind = Vec::new();
        for (((store, partition), start), end) in changelogs.into_iter().zip(starts).zip(ends) {
            let known = stand.changelogs.get(&store).copied();
            if known.is_some_and(|known| known < start || known > end) {
                return Ok(Begun::Useless(OTHER));
            }
            if known.is_some_and(|known| known < end) {
                behind.push(partition.clone());
            }
            restore.changelogs.push(Changelog { store, partition, position: known.unwrap_or(start), end });
        }
        let behind: Vec<&str> = behind.iter().map(|partition| &*partition.topic).collect();
        if outlived(broker, &behind, restore.state.written(), clock.wall())? {
            return Ok(Begun::Useless("it was away for longer than its changelogs keep tombstones"));
        }
        if restore.remaining() > 0 {
            let from: Vec<_> = restore.changelogs.iter().map(|log| (log.partition.clone(), log.position)).collect();
            restore.reader = Some(patiently("opening changelogs", || broker.reader(&from))?);
        }
        Ok(Begun::Restore(restore))
    }

    /// Reads a slice of each changelog. True when the state is complete.
    pub(crate) fn step(&mut self) -> Result<bool> {
        let Some(reader) = &mut self.reader else { return Ok(true) };
        for (number, log) in self.changelogs.iter_mut().enumerate() {
            if log.position >= log.end {
                continue;
            }
            let fetched = patiently("reading a changelog", || {
                self.batch.clear();
                reader.fetch(number, SLICE, &mut self.batch)
            })?;
            let rows = self.batch.iter().filter_map(|record| Some((record.key?, record.value)));
            log.position = log.position.max(fetched.position);
            self.state.restore(&log.store, rows, log.position);
            self.restored += self.batch.len() as u64;
        }
        Ok(self.remaining() == 0)
    }

    /// How many offsets are still to be read.
    pub(crate) fn remaining(&self) -> u64 {
        self.changelogs.iter().map(|log| u64::try_from(log.end - log.position).unwrap_or(0)).sum()
    }

    /// How many records have been read.
    pub(crate) fn restored(&self) -> u64 {
        self.restored
    }

    /// When it began, by the runtime's clock.
    pub(crate) fn started(&self) -> Duration {
        self.started
    }

    /// Sleeps until more may have arrived.
    pub(crate) fn wait(&mut self, timeout: Duration) {
        if let Some(reader) = &mut self.reader {
            reader.wait(timeout);
        }
    }

    /// The complete state, which stands at `sequence` now.
    pub(crate) fn finish(self, sequence: u64) -> TaskState {
        self.state.restored(sequence);
        self.state
    }
}
