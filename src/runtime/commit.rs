//! The commit: outputs, changelogs and offsets of all tasks of a thread, in one transaction.
//!
//! **The rule: revoked, fenced or lost means abort, and an abort drops every operator's uncommitted state.** Tasks are
//! thrown away and built anew from what is committed, so no operator has to undo anything.
//!
//! 1. Every task that did something is flushed; its changelog and output records are sent.
//! 2. The positions of all its inputs go along, each with a metadata text that holds the task's commit sequence.
//! 3. The transaction is committed. Only now do the flushed rows join the committed layer of the state.
//!
//! Where the outcome is not known, the producer is replaced, which settles the transaction one way or the other, and the
//! committed sequence says which: the intended one means committed, the one before it means aborted, and anything else
//! means that somebody else has gone on with the task. Offsets alone could not say it: a transaction need not move them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::broker::{CommitFailure, CommittedOffset, Refusal};
use crate::codec::position::Position;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Outcome;
use crate::operators::{DropReason, Failure};
use crate::record::{InputNumber, Offset, TopicPartition};

#[cfg(test)]
use super::bugs::Bug;
use super::patience::patiently;
use super::route::TooLarge;
use super::suspects::Evidence;
use super::task::{Stop, Task};
use super::thread::{Slot, Stage, StreamThread, panicked};
use super::{meters, placement};

/// The longest pause after the membership has failed several times in a row.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// With so few partitions on each side, markers to all of them with every commit cost nothing that counts.
const FEW_PARTITIONS: u32 = 8;

type Positions = BTreeMap<TopicPartition, (Offset, Position)>;

impl StreamThread {
    /// When the running transaction is to be committed; zero for now, `None` where there is nothing to commit.
    pub(crate) fn commit_due(&self, processed: bool) -> Option<Duration> {
        let config = &self.parts.config;
        let now = self.parts.clock.elapsed();
        if !self.running().any(Task::is_urgent) {
            // Only time has moved on. Nobody waits for that; but it is told, so that windows downstream close.
            let since = now.saturating_sub(self.last_commit);
            let moved = self.running().any(Task::is_dirty).then(|| config.commit_interval.saturating_sub(since));
            let since = now.saturating_sub(self.all_told);
            let owed = self.running().any(Task::owes_markers).then(|| config.marker_interval.saturating_sub(since));
            return moved.into_iter().chain(owed).min();
        }
        let running = now.saturating_sub(self.begun.unwrap_or(now));
        let full = self.transaction_inputs() >= self.suspects.limit()
            || self.running().map(Task::dirty_bytes).sum::<usize>() >= config.dirty_bytes;
        let due = config.commit_interval.saturating_sub(running);
        if full || due.is_zero() {
            return Some(Duration::ZERO);
        }
        if processed || self.running().any(|task| task.queued() > 0) {
            return Some(due);
        }
        // The input is drained: whoever waits for the result should not wait for the interval as well.
        let gap = config.commit_gap.max(self.commit_took.mul_f64(1.5));
        Some(due.min(gap.saturating_sub(now.saturating_sub(self.last_commit))))
    }

    /// Commits what the tasks have done. A failure that belongs to a record or to the membership is dealt with and is no
    /// error here: the inputs are read again.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.commit_telling(false)
    }

    /// As [`commit`](Self::commit); with `all`, every partition downstream is told how far time has come.
    pub(crate) fn commit_telling(&mut self, all: bool) -> Result<()> {
        let started = self.parts.clock.elapsed();
        // Markers for all, if it is time for that again or costs nothing.
        self.telling_all = all
            || started.saturating_sub(self.all_told) >= self.parts.config.marker_interval
            || self.parts.layout.subs.iter().all(|sub| sub.partitions <= FEW_PARTITIONS);
        if !self.running().any(|task| task.is_dirty() || (self.telling_all && task.owes_markers())) {
            return Ok(());
        }
        if !self.flush()? {
            return Ok(());
        }
        if self.running().any(Task::has_more) {
            // Before the positions can be seen: they do not say it.
            self.parts.shared.unfinished(self.number, true);
        }
        let positions = self.positions();
        let offsets: Vec<CommittedOffset> = positions
            .iter()
            .map(|(partition, (offset, position))| CommittedOffset {
                partition: partition.clone(),
                offset: *offset,
                metadata: position.encode(),
            })
            .collect();
        match self.member.commit(&offsets) {
            Ok(written) => self.committed(positions, &written, started),
            Err(failure) => self.commit_failed(failure, positions, started)?,
        }
        Ok(())
    }

    /// Flushes every task that did something and sends what comes out. False where that failed and was dealt with.
    fn flush(&mut self) -> Result<bool> {
        let wall = self.parts.clock.wall();
        for number in 0..self.slots.len() {
            let Stage::Running(task) = &mut self.slots[number].stage else { continue };
            let takes_part = task.is_dirty() || (self.telling_all && task.owes_markers());
            if !takes_part {
                continue;
            }
            task.touch();
            let flushed = catch_unwind(AssertUnwindSafe(|| task.flush(wall, self.telling_all)));
            let failure = match flushed {
                Ok(Ok(())) => None,
                Ok(Err(Stop::Failed(failure))) => Some(failure),
                Ok(Err(Stop::Broken(error) | Stop::Policy(error))) => return Err(error),
                Err(panic) => Some(panicked(&*panic)),
            };
            if let Some(failure) = failure {
                // Many records went into what is flushed: the last of them is not known to be the culprit.
                self.failed(number, Failure { input: None, ..failure })?;
                return Ok(false);
            }
            if !self.send(number, false)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends what a task wants to be written: after a step (`exact`: each record names the input it comes from) or after
    /// a flush. False where that failed and was dealt with.
    pub(crate) fn send(&mut self, number: usize, exact: bool) -> Result<bool> {
        let Self { slots, router, member, sent: sent_by_topic, .. } = self;
        let Stage::Running(task) = &mut slots[number].stage else { return Ok(true) };
        if task.out().is_empty() {
            return Ok(true);
        }
        if let Err(TooLarge { input, message }) = router.place(task.out())? {
            let input = exact.then_some(input);
            self.failed(number, Failure { input, reason: DropReason::TooLarge, message, operator: "sink".into() })?;
            return Ok(false);
        }
        let sent = member.send(u32::try_from(number).unwrap_or(u32::MAX), task.out());
        meters::count_out(sent_by_topic, task.out());
        task.out().clear();
        if let Err(failure) = sent {
            self.commit_failed(failure, Positions::new(), Duration::ZERO)?;
            return Ok(false);
        }
        Ok(true)
    }

    fn positions(&self) -> Positions {
        let dirty = self.running().filter(|task| task.is_dirty());
        dirty.flat_map(Task::positions).map(|(partition, offset, position)| (partition, (offset, position))).collect()
    }

    /// The transaction is committed: the flushed rows join the committed layer of each task's state.
    fn committed(&mut self, positions: Positions, written: &[(TopicPartition, Offset)], started: Duration) {
        for Slot { id, stage } in &mut self.slots {
            let Stage::Running(task) = stage else { continue };
            if !task.is_dirty() {
                continue;
            }
            if task.has_refused() {
                let refused = task.take_refused(&self.parts.layout.task_name(*id), &self.suspects);
                self.parts.shared.refused().enter(refused);
            }
            task.committed();
            let mut stand = task.state.stand();
            stand.sequence = task.sequence;
            for (store, changelog) in placement::changelogs_of(&self.parts.layout, *id) {
                if let Some((_, next)) = written.iter().find(|(partition, _)| *partition == changelog) {
                    stand.changelogs.insert(store, *next);
                }
            }
            task.state.commit(stand);
        }
        self.parts.shared.unfinished(self.number, self.running().any(Task::has_more));
        for (partition, (offset, position)) in positions {
            self.suspects.forget_before(&partition, offset);
            if placement::is_repartition(&self.parts.layout, &partition.topic) {
                self.parts.shared.purgeable(partition.clone(), offset);
            }
            self.committed_at.insert(partition, (offset, Some(position)));
        }
        self.suspects.committed();
        if self.telling_all {
            self.all_told = self.parts.clock.elapsed();
        }
        self.losses = 0;
        self.begun = None;
        self.last_commit = self.parts.clock.elapsed();
        self.commit_took = self.last_commit.saturating_sub(started);
        for (topic, count) in std::mem::take(&mut self.sent) {
            self.parts.metrics.records_out(&topic).inc_by(count);
        }
        self.parts.metrics.commit_took(self.commit_took);
        self.parts.metrics.transaction(Outcome::Committed);
    }

    fn commit_failed(&mut self, failure: CommitFailure, positions: Positions, started: Duration) -> Result<()> {
        match failure {
            CommitFailure::Abort(error, refusals) => self.refused(&error, refusals),
            CommitFailure::Lost(error) => self.lost(&error),
            CommitFailure::Unknown(error) => self.settle(&error, positions, started),
            CommitFailure::Fatal(error) => {
                self.parts.metrics.commit_failure("fatal");
                Err(error)
            }
        }
    }

    /// The broker refused records, or the transaction as a whole.
    fn refused(&mut self, error: &Error, refusals: Vec<Refusal>) -> Result<()> {
        self.parts.metrics.commit_failure("abort");
        let Some(first) = refusals.into_iter().next() else {
            tracing::warn!("a transaction is aborted, its records are read again: {error}");
            return self.start_over();
        };
        let number = usize::try_from(first.task).unwrap_or(usize::MAX).min(self.slots.len().saturating_sub(1));
        let reason = DropReason::Refused;
        // A coalesced update names the last record that went into it, which need not be the culprit.
        self.failed(number, Failure { input: None, reason, message: first.error.to_string(), operator: "sink".into() })
    }

    /// An operator failed: the transaction is aborted, and its inputs are read again with the culprit known, or with
    /// fewer of them, to find it.
    pub(crate) fn failed(&mut self, number: usize, failure: Failure) -> Result<()> {
        let mut evidence = Evidence {
            culprit: None,
            only: None,
            inputs: self.transaction_inputs(),
            reason: failure.reason,
            message: failure.message.clone(),
            operator: failure.operator.clone(),
        };
        if let Stage::Running(task) = &self.slots[number].stage {
            evidence.culprit = failure.input.and_then(|input| task.place_of(input));
        }
        if evidence.inputs == 1 {
            evidence.only = self.running().find_map(|task| task.place_of(InputNumber(0)));
        }
        let place = evidence.culprit.as_ref().or(evidence.only.as_ref());
        let place = place.map(|(partition, offset, _)| format!("{partition} at offset {offset}"));
        tracing::warn!(
            operator = failure.operator,
            record = place.as_deref().unwrap_or("to be found"),
            "the transaction is aborted, its records are read again: {}",
            failure.message
        );
        let failures = self.suspects.learn(evidence);
        if failures > self.parts.config.attempts {
            return Err(Error::new(ErrorKind::Record, failure.message).remedy(format!(
                "{failures} transactions in a row failed on it: mend the cause, or drop the record at its source"
            )));
        }
        self.start_over()
    }

    /// The membership or the producer is gone: nothing was committed. If the group still knows this member, it goes on
    /// from what is committed; else the group's next word says what to do.
    fn lost(&mut self, error: &Error) -> Result<()> {
        self.parts.metrics.commit_failure("lost");
        self.losses += 1;
        tracing::warn!("a commit was refused, the ownership is checked again: {error}");
        if self.losses > self.parts.config.attempts {
            return Err(error.clone());
        }
        self.drop_tasks();
        self.sent.clear();
        self.recycle()?;
        if self.losses > 3 {
            self.member.wait(Duration::from_millis(u64::from(self.losses) * 50).min(LONGEST_PAUSE));
        }
        self.adopt(self.assigned.clone(), false)
    }

    /// Whether the transaction was committed is not known: a new producer settles it, the committed sequence tells it.
    fn settle(&mut self, error: &Error, positions: Positions, started: Duration) -> Result<()> {
        self.parts.metrics.commit_failure("unknown");
        tracing::warn!("whether a commit succeeded is not known, the broker is asked: {error}");
        self.recycle()?;
        if positions.is_empty() {
            return self.start_over();
        }
        let partitions: Vec<TopicPartition> = positions.keys().cloned().collect();
        let found = match patiently("looking up committed offsets", || self.member.committed(&partitions)) {
            Ok(found) => found,
            Err(error) if error.is_fenced() => return self.lost(&error),
            Err(error) => return Err(error),
        };
        let sequences = found.iter().map(|found| sequence_of(found.as_ref())).collect::<Result<Vec<u64>>>()?;
        #[cfg(test)]
        if self.parts.config.has(Bug::UnknownIsCommitted) {
            self.committed(positions, &[], started);
            return Ok(());
        }
        let intended: Vec<u64> = positions.values().map(|(_, position)| position.sequence).collect();
        if sequences == intended {
            tracing::info!("the commit had succeeded");
            // Where the changelog records went is not known: a restore starts before them, which does no harm.
            self.committed(positions, &[], started);
            Ok(())
        } else if sequences.iter().zip(&intended).all(|(found, intended)| found + 1 == *intended) {
            tracing::info!("the commit had not succeeded");
            self.start_over()
        } else {
            self.lost(error)
        }
    }

    /// Aborts the running transaction and begins again from what is committed.
    pub(crate) fn start_over(&mut self) -> Result<()> {
        self.parts.metrics.transaction(Outcome::Aborted);
        self.give_up_transaction()?;
        self.rebuild_tasks()
    }

    /// Aborts the running transaction; where that fails, a new producer has the broker do it.
    pub(crate) fn give_up_transaction(&mut self) -> Result<()> {
        if let Err(error) = self.member.abort() {
            tracing::warn!("a transaction could not be aborted, the producer is replaced: {error}");
            self.recycle()?;
        }
        self.begun = None;
        self.sent.clear();
        Ok(())
    }
}

impl StreamThread {
    /// A new producer under the same transactional id: whatever the old one had open is settled.
    fn recycle(&mut self) -> Result<()> {
        patiently("replacing the producer", || self.member.recycle())
    }
}

fn sequence_of(found: Option<&CommittedOffset>) -> Result<u64> {
    found.map_or(Ok(0), |found| {
        let position = Position::decode(&found.metadata).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the metadata of a committed offset cannot be read: {error}"))
                .remedy(format!(
                    "somebody else commits offsets for {}: give the application another id",
                    found.partition
                ))
        })?;
        Ok(position.sequence)
    })
}
