//! What an application needs besides its stream threads, and what must not hold them up: purging repartition topics of
//! processed records, and watching for the end of a bounded run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{Batch, Isolation};
use crate::error::Result;
use crate::record::{Offset, TopicPartition};

use super::placement;
use super::thread::Parts;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often positions must be seen unchanged before the log is read to see whether anything is left.
const LOOKS_BEFORE_READING: u32 = 5;

/// Purges repartition topics and watches for the end of a bounded run.
pub(crate) struct Caretaker {
    parts: Parts,
    group: String,
    purged: Duration,
    purge_refused: bool,
}

impl Caretaker {
    pub(crate) fn new(parts: Parts, group: String) -> Self {
        let purged = parts.clock.elapsed();
        Self { parts, group, purged, purge_refused: false }
    }

    pub(crate) fn run(mut self) {
        if self.parts.config.until_end
            && let Err(error) = self.run_until_end()
        {
            self.parts.shared.fail(error);
        }
        while !self.parts.shared.stopping() {
            self.purge();
            self.count_tasks();
            self.parts.shared.wait(LOOK_EVERY * 10);
        }
    }

    /// Tells the metrics how many tasks are in which state.
    fn count_tasks(&self) {
        let status = self.parts.shared.status(self.parts.config.threads);
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for task in &status.tasks {
            *counts.entry(task.state.as_str()).or_default() += 1;
        }
        self.parts.metrics.tasks(counts);
    }

    /// Deletes records of repartition topics that have been processed for good. Only committed positions get here: a
    /// record is never deleted before it is done (KAFKA-17635).
    fn purge(&mut self) {
        let now = self.parts.clock.elapsed();
        if now.saturating_sub(self.purged) < self.parts.config.purge_interval {
            return;
        }
        self.purged = now;
        let before = self.parts.shared.take_purgeable();
        if before.is_empty() {
            return;
        }
        if let Err(error) = self.parts.broker.delete_records(&before)
            && !std::mem::replace(&mut self.purge_refused, true)
        {
            tracing::warn!("processed records of repartition topics cannot be deleted and use up disk: {error}");
        }
    }

    /// Waits until the group has processed what its topics held at the start, stage by stage: first the users' topics,
    /// then the repartition topics that were filled from them. Then stops the application.
    fn run_until_end(&mut self) -> Result<()> {
        if self.parts.config.close_at_end {
            self.run_until_closed();
            return Ok(());
        }
        if !self.reached(self.parts.shared.bounds().unwrap_or_default())? {
            return Ok(());
        }
        for stage in placement::repartition_stages(&self.parts.layout) {
            let bounds = self.ends(&stage)?;
            if !self.reached(bounds)? {
                return Ok(());
            }
        }
        tracing::info!("all that the source topics held at the start has been processed");
        self.parts.shared.stop();
        Ok(())
    }

    /// Waits until time has come to its end in every task. Ends travel through the repartition topics by themselves.
    fn run_until_closed(&self) {
        let tasks = self.parts.layout.tasks().count();
        while !self.parts.shared.stopping() {
            let status = self.parts.shared.status(self.parts.config.threads);
            if status.tasks.len() == tasks && status.tasks.iter().all(|task| task.ended) {
                tracing::info!("all that the source topics held at the start has been processed");
                return self.parts.shared.stop();
            }
            self.parts.shared.wait(LOOK_EVERY);
        }
    }

    fn ends(&self, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, Offset>> {
        // The high watermark: of a transaction that was committed a moment ago the markers may not be written yet.
        let ends = self.parts.broker.end_offsets(partitions, Isolation::ReadUncommitted)?;
        Ok(partitions.iter().cloned().zip(ends).collect())
    }

    /// Waits until the group's committed offsets have passed every end; false where the application stops before.
    fn reached(&mut self, mut ends: BTreeMap<TopicPartition, Offset>) -> Result<bool> {
        let mut before: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
        let mut looks: u32 = 0;
        while !ends.is_empty() && !self.parts.shared.stopping() {
            let partitions: Vec<TopicPartition> = ends.keys().cloned().collect();
            let committed = self.parts.broker.committed(&self.group, &partitions)?;
            let now: BTreeMap<TopicPartition, Offset> =
                committed.into_iter().flatten().map(|committed| (committed.partition, committed.offset)).collect();
            looks = if now == before { looks + 1 } else { 0 };
            ends.retain(|partition, end| now.get(partition).is_none_or(|committed| committed < end));
            // While positions move there is no need to look into the log.
            if looks % LOOKS_BEFORE_READING == LOOKS_BEFORE_READING - 1 {
                for (partition, end) in ends.clone() {
                    if !self.holds_records(&partition, now.get(&partition).copied(), end)? {
                        ends.remove(&partition);
                    }
                }
            }
            before = now;
            if !ends.is_empty() {
                self.purge();
                self.parts.shared.wait(LOOK_EVERY);
            }
        }
        while self.parts.shared.is_unfinished() && !self.parts.shared.stopping() {
            self.purge();
            self.parts.shared.wait(LOOK_EVERY);
        }
        Ok(ends.is_empty() && !self.parts.shared.stopping())
    }

    /// Does a partition hold a committed record between a position and an end? The offsets there may all be markers of
    /// transactions, or records of aborted ones, which no position ever passes.
    fn holds_records(&self, partition: &TopicPartition, from: Option<Offset>, end: Offset) -> Result<bool> {
        let start = self.parts.broker.start_offsets(std::slice::from_ref(partition))?[0];
        let from = from.unwrap_or(start).max(start);
        if from >= end {
            return Ok(false);
        }
        let mut reader = self.parts.broker.reader(&[(partition.clone(), from)])?;
        let mut batch = Batch::default();
        loop {
            let fetched = reader.fetch(0, 1, &mut batch)?;
            if let Some(record) = batch.iter().next() {
                return Ok(record.offset < end);
            }
            if fetched.position >= end || self.parts.shared.stopping() {
                return Ok(false);
            }
            reader.wait(LOOK_EVERY);
        }
    }
}
