//! The global tables of a process: their topics are read whole, by every process, and all tasks here look into the rows.
//!
//! There is no thread for it. Each turn of each stream thread calls [`Globals::catch_up`], and whoever comes first reads
//! what has arrived while the others go on with the rows that are there. So a record sees
//! what has arrived a moment before it. The driver and the simulator, whose threads take turns, run the same code.
//!
//! At the start nothing is processed before the tables are complete ([`Globals::ready`]): up to the last stable offset,
//! so that somebody's open transaction does not hold the start up. A bounded run reads up to the high watermark instead, as
//! it does of its sources, and leaves the tables as they were then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use crate::broker::{Batch, Broker, Isolation, Reader};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::metrics::{IntGauge, TopologyMetrics};
use crate::operators::global_table::GlobalPort;
use crate::operators::source::{BadInput, Verdict};
use crate::operators::{DropReason, Drops};
use crate::record::{Offset, TopicPartition};
use crate::time::{Clock, Timestamp};
use crate::topology::{GlobalLayout, Layout, Topology};

#[cfg(test)]
use super::bugs::Bug;
use super::config::Config;
use super::discreet;
use super::patience::patiently;
use super::refused::Refused;
use super::status::Shared;

/// How many records are taken from a partition before the others and the rest of the thread get their turn.
const SLICE: usize = 10_000;
/// How many rows that are left out are noted of a batch, the newest.
const NOTED: usize = 64;
/// How often topics are looked at for new partitions.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The global tables of a process, shared by its stream threads.
pub(crate) struct Globals {
    /// Nothing where the topology has no global table.
    reading: Option<Mutex<Reading>>,
    ready: AtomicBool,
    bounded: bool,
}

/// Reads the tables' topics: one thread at a time.
struct Reading {
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    metrics: TopologyMetrics,
    shared: Arc<Shared>,
    tables: Vec<Table>,
    partitions: Vec<Partition>,
    reader: Box<dyn Reader>,
    batch: Batch,
    slice: usize,
    started: Duration,
    looked: Duration,
    complete: bool,
    /// What has stopped the reading: what came before it in its batch has been taken in already, and is not to be passed.
    failed: Option<Error>,
}

struct Table {
    topic: Arc<str>,
    policy: BadInput,
    port: Box<dyn GlobalPort>,
    rows: IntGauge,
    /// True where there are rows to publish.
    changed: bool,
}

#[derive(Clone)]
struct Partition {
    table: usize,
    of: TopicPartition,
    position: Offset,
    /// Where the table counts as complete.
    end: Offset,
    lag: IntGauge,
}

/// The partitions that are read, and what reads them.
type Reads = (Vec<Partition>, Box<dyn Reader>);

/// What is told of a row that is left out. No task reads it: it is under the name of what does.
fn left_out_row(of: &TopicPartition, offset: Offset, reason: DropReason, message: &str, at: Timestamp) -> Refused {
    Refused {
        at,
        task: "global table".to_owned(),
        topic: of.topic.to_string(),
        partition: of.partition,
        offset: Some(offset),
        timestamp: None,
        reason: reason.label().to_owned(),
        operator: None,
        message: discreet::told(reason, None, message),
    }
}

impl Globals {
    /// Opens the tables of `topology` and begins to read. In a bounded run they stay as they are at this moment.
    pub(crate) fn open(
        topology: &Topology,
        layout: &Layout,
        broker: &Arc<dyn Broker>,
        clock: &Arc<dyn Clock>,
        metrics: &TopologyMetrics,
        config: &Config,
        shared: &Arc<Shared>,
    ) -> Result<Self> {
        let bounded = config.until_end;
        let ports = topology.open_globals();
        if ports.is_empty() {
            return Ok(Self { reading: None, ready: AtomicBool::new(true), bounded });
        }
        let table = |(port, global): (_, &GlobalLayout)| Table {
            topic: Arc::clone(&global.topic),
            policy: global.policy.clone(),
            port,
            rows: metrics.global_rows(&global.topic),
            changed: true,
        };
        let tables: Vec<Table> = ports.into_iter().zip(&layout.globals).map(table).collect();
        let partitions = begin(&**broker, metrics, names_of(&**broker, &tables)?, bounded)?;
        let reader = reader_of(&**broker, &partitions)?;
        let started = clock.elapsed();
        let reading = Reading {
            broker: Arc::clone(broker),
            clock: Arc::clone(clock),
            metrics: metrics.clone(),
            shared: Arc::clone(shared),
            tables,
            partitions,
            reader,
            batch: Batch::default(),
            slice: SLICE,
            started,
            looked: started,
            complete: false,
            failed: None,
        };
        #[cfg(test)]
        let reading = Reading { slice: config.batch.unwrap_or(SLICE), ..reading };
        #[cfg(not(test))]
        let ready = false;
        #[cfg(test)]
        let ready = config.has(Bug::JoinsTooEarly);
        Ok(Self { reading: Some(Mutex::new(reading)), ready: AtomicBool::new(ready), bounded })
    }

    /// True once the tables are complete: nothing is processed before.
    pub(crate) fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Reads what has arrived, unless another thread is at it. True where anything came.
    pub(crate) fn catch_up(&self) -> Result<bool> {
        let Some(reading) = &self.reading else { return Ok(false) };
        if self.bounded && self.ready() {
            return Ok(false);
        }
        let mut reading = match reading.try_lock() {
            Ok(reading) => reading,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Poisoned(_)) => {
                return Err(Error::new(ErrorKind::Internal, "a thread panicked while it read a global table"));
            }
        };
        let worked = reading.catch_up()?;
        if reading.complete {
            self.ready.store(true, Ordering::Release);
        }
        Ok(worked)
    }
}

impl Reading {
    fn catch_up(&mut self) -> Result<bool> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut worked = false;
        for number in 0..self.partitions.len() {
            match self.fetch(number) {
                Ok(came) => worked |= came,
                Err(error) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
            }
        }
        if !self.complete && self.partitions.iter().all(|partition| partition.position >= partition.end) {
            self.complete = true;
            worked = true;
            self.publish();
            let rows: usize = self.tables.iter().map(|table| table.port.len()).sum();
            let took = self.clock.elapsed().saturating_sub(self.started);
            tracing::info!(rows, took = ?took, "the global tables are complete");
        }
        if self.complete {
            self.publish();
            self.look_for_partitions()?;
        }
        Ok(worked)
    }

    /// Lets the tasks see what was read. Where another thread is in the middle of a batch, that may have to wait for the next
    /// turn.
    fn publish(&mut self) {
        for table in self.tables.iter_mut().filter(|table| table.changed) {
            if table.port.publish() {
                table.rows.set(i64::try_from(table.port.len()).unwrap_or(i64::MAX));
                table.changed = false;
            }
        }
    }

    /// Takes in what has arrived of one partition.
    fn fetch(&mut self, number: usize) -> Result<bool> {
        let Self { reader, batch, slice, partitions, tables, metrics, shared, clock, .. } = self;
        let Partition { table, of, position, lag, .. } = &mut partitions[number];
        let fetched = patiently("reading a global table", || {
            batch.clear();
            reader.fetch(number, *slice, batch)
        })?;
        *position = fetched.position.max(*position);
        if fetched.high_watermark >= 0 {
            lag.set((fetched.high_watermark - *position).max(0));
        }
        if batch.is_empty() {
            return Ok(false);
        }
        let table = &mut tables[*table];
        let mut refused: Option<(Offset, Verdict)> = None;
        let (mut drops, mut left_out, at) = (Drops::default(), VecDeque::new(), clock.wall());
        table.port.apply(batch, &mut |offset, (reason, message)| {
            drops.count(reason);
            tracing::debug!(partition = %of, offset, reason = reason.label(), "a row is left out: {message}");
            if left_out.len() == NOTED {
                left_out.pop_front();
            }
            left_out.push_back(left_out_row(of, offset, reason, &message, at));
            refused.get_or_insert((offset, (reason, message)));
        });
        table.changed = true;
        match refused {
            Some((offset, verdict)) if table.policy != BadInput::Skip => Err(unusable(of, offset, &verdict)),
            Some(_) => {
                metrics.drops(&of.topic).add(&drops);
                shared.refused().enter(left_out);
                Ok(true)
            }
            None => Ok(true),
        }
    }

    /// Now and then: a topic may have got more partitions. They are read from their beginning.
    fn look_for_partitions(&mut self) -> Result<()> {
        let now = self.clock.elapsed();
        if now.saturating_sub(self.looked) < LOOK_EVERY {
            return Ok(());
        }
        self.looked = now;
        match self.with_new_partitions() {
            Ok(None) => {}
            Ok(Some((partitions, reader))) => (self.partitions, self.reader) = (partitions, reader),
            // The rows that are there go on being of use while the broker is away.
            Err(error) if error.kind() == ErrorKind::Broker => {
                tracing::warn!("whether global tables have new partitions is not known, and asked again: {error}");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// All partitions and a reader of them; nothing where no partition is new.
    fn with_new_partitions(&self) -> Result<Option<Reads>> {
        let mut fresh = names_of(&*self.broker, &self.tables)?;
        fresh.retain(|(_, of)| !self.partitions.iter().any(|known| known.of == *of));
        if fresh.is_empty() {
            return Ok(None);
        }
        let names: Vec<TopicPartition> = fresh.iter().map(|(_, partition)| partition.clone()).collect();
        let mut all = self.partitions.clone();
        all.extend(begin(&*self.broker, &self.metrics, fresh, false)?);
        let reader = reader_of(&*self.broker, &all)?;
        tracing::info!(partitions = %super::thread::names(&names), "a global table has got new partitions");
        Ok(Some((all, reader)))
    }
}

/// All partitions of the tables' topics, each with the place of its table.
fn names_of(broker: &dyn Broker, tables: &[Table]) -> Result<Vec<(usize, TopicPartition)>> {
    let topics: Vec<&str> = tables.iter().map(|table| &*table.topic).collect();
    let described = broker.describe_topics(&topics)?;
    let mut of: Vec<(usize, TopicPartition)> = Vec::new();
    for (place, table) in tables.iter().enumerate() {
        let count = described.get(&*table.topic).map_or(0, |topic| topic.partitions);
        of.extend((0..count).map(|number| (place, TopicPartition::new(Arc::clone(&table.topic), number))));
    }
    Ok(of)
}

/// Partitions that have not been read yet: from their starts to where the tables count as complete.
fn begin(
    broker: &dyn Broker,
    metrics: &TopologyMetrics,
    of: Vec<(usize, TopicPartition)>,
    bounded: bool,
) -> Result<Vec<Partition>> {
    let all: Vec<TopicPartition> = of.iter().map(|(_, partition)| partition.clone()).collect();
    let isolation = if bounded { Isolation::ReadUncommitted } else { Isolation::ReadCommitted };
    let starts = patiently("looking up the starts of global tables", || broker.start_offsets(&all))?;
    let ends = patiently("looking up the ends of global tables", || broker.end_offsets(&all, isolation))?;
    let partition = |(((table, of), position), end): (((usize, TopicPartition), Offset), Offset)| {
        let lag = metrics.lag(&of.topic, of.partition);
        Partition { table, of, position, end, lag }
    };
    Ok(of.into_iter().zip(starts).zip(ends).map(partition).collect())
}

/// Reads on from where the partitions stand.
fn reader_of(broker: &dyn Broker, partitions: &[Partition]) -> Result<Box<dyn Reader>> {
    let from: Vec<_> = partitions.iter().map(|partition| (partition.of.clone(), partition.position)).collect();
    patiently("opening the topics of global tables", || broker.reader(&from))
}

fn unusable(partition: &TopicPartition, offset: Offset, (reason, message): &(DropReason, String)) -> Error {
    let place = Place { partition: Some(partition.clone()), offset: Some(offset), index: None, operator: None };
    let message = format!("a row of a global table cannot be used ({}): {message}", reason.label());
    Error::new(ErrorKind::Record, message)
        .at(place)
        .remedy("mend its producer, or have the table skip such rows: on_bad_input(BadInput::Skip)")
}
