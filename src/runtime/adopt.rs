//! From assigned partitions to running tasks.

use std::collections::BTreeMap;

use crate::broker::CommittedOffset;
use crate::codec::position::Position;
use crate::error::{Error, ErrorKind, Result};
use crate::operators::source::{SourcePort, SourceTime};
use crate::record::{Offset, TopicPartition};
use crate::state::TaskState;
use crate::time::Timestamp;
use crate::topology::{Layout, TaskContext, TaskId};

#[cfg(test)]
use super::bugs::Bug;
use super::doubts::Doubts;
use super::meters::{InputMeters, OperatorMeter};
use super::patience::patiently;
use super::restore::{Begun, Restore};
use super::status::{TaskStatus, TaskTime};
use super::task::{Input, Task};
use super::thread::{Parts, Slot, Stage, StreamThread, names};
use super::{placement, standing};
#[cfg(test)]
use crate::codec::{marker::Activity, position::Upstream};

impl StreamThread {
    /// Takes over partitions: `fresh` where the group has just assigned them, else they are this member's already and
    /// are read again from what is committed.
    pub(crate) fn adopt(&mut self, partitions: Vec<TopicPartition>, fresh: bool) -> Result<()> {
        self.drop_tasks();
        let committed = match self.committed_positions(&partitions) {
            Ok(committed) => committed,
            Err(error) if error.is_fenced() => return if fresh { self.member.unassign() } else { Ok(()) },
            Err(error) => return Err(error),
        };
        let from: Vec<(TopicPartition, Offset)> =
            partitions.iter().map(|partition| (partition.clone(), committed[partition].0)).collect();
        let taken = if fresh {
            patiently("taking the partitions", || self.member.assign(&from))
        } else {
            patiently("going back", || self.member.seek(&from))
        };
        match taken {
            // The group's next word says what to do.
            Err(error) if error.is_fenced() => return Ok(()),
            taken => taken?,
        }
        self.assigned = partitions;
        for id in placement::tasks_of(&self.parts.layout, &self.assigned) {
            let mut missing = self.parts.layout.inputs_of(id);
            missing.retain(|input| !self.assigned.contains(input));
            if missing.is_empty() {
                self.slots.push(Slot { id, stage: Stage::Waiting });
            } else {
                let task = self.name_of(id);
                tracing::warn!(task, missing = %names(&missing), "a task cannot run: another member has some of its partitions");
            }
        }
        self.committed_at = committed;
        self.doubts = Doubts::of(&self.parts.layout, self.slots.iter().map(|slot| slot.id));
        #[cfg(test)]
        if self.parts.config.has(Bug::BelievesOldWords) {
            self.doubts.none();
        }
        self.look_upstream()
    }

    /// Looks whether tasks upstream that are doubted can be believed again, where that holds anybody back.
    pub(crate) fn look_upstream(&mut self) -> Result<()> {
        let wanted = self.running().any(Task::has_doubts);
        if !self.doubts.is_due(self.parts.clock.elapsed(), wanted) {
            return Ok(());
        }
        match self.doubts.look(&self.parts, &mut *self.member) {
            Ok(()) => {}
            // Doubts stay until a later look; of a membership that is gone the group's next word tells.
            Err(error) if error.kind() == ErrorKind::Broker || error.is_fenced() => {
                tracing::debug!("how far the tasks upstream have got is asked again: {error}");
            }
            Err(error) => return Err(error),
        }
        let Self { slots, doubts, parts, .. } = self;
        for Slot { id, stage } in slots {
            let Stage::Running(task) = stage else { continue };
            for (number, input) in parts.layout.subs[id.sub].inputs.iter().enumerate() {
                let Some(upstream) = input.upstream else { continue };
                let reach = doubts.reach_of(&task.inputs[number].partition);
                task.doubt(number, &doubts.doubted(&parts.layout, id.sub, upstream), reach);
            }
        }
        Ok(())
    }

    /// Where each partition goes on: what the group has committed, else the start of the log.
    fn committed_positions(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, (Offset, Option<Position>)>> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let found = patiently("looking up committed offsets", || self.member.committed(partitions))?;
        let unknown: Vec<TopicPartition> =
            partitions.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(p, _)| p.clone()).collect();
        let starts = if unknown.is_empty() {
            Vec::new()
        } else {
            patiently("looking up the starts of partitions", || self.parts.broker.start_offsets(&unknown))?
        };
        let mut positions: BTreeMap<_, _> =
            unknown.into_iter().zip(starts).map(|(partition, start)| (partition, (start, None))).collect();
        #[cfg(test)]
        if self.parts.config.has(Bug::StalePosition) && partitions.iter().all(|p| self.committed_at.contains_key(p)) {
            return Ok(self.committed_at.clone());
        }
        for found in found.into_iter().flatten() {
            let CommittedOffset { partition, offset, metadata } = found;
            let position = Position::decode(&metadata).map_err(|error| {
                Error::new(
                    ErrorKind::Config,
                    format!(
                        "the offset that the group has committed for {partition} is not this application's: {error}"
                    ),
                )
                .remedy("give the application another id, or reset it: `millstream reset`")
            })?;
            positions.insert(partition, (offset, Some(position)));
        }
        Ok(positions)
    }

    /// Moves tasks on that are not running yet. True where anything moved.
    pub(crate) fn restore(&mut self) -> Result<bool> {
        let mut moved = false;
        for number in 0..self.slots.len() {
            moved |= match &mut self.slots[number].stage {
                Stage::Running(_) => false,
                Stage::Waiting => self.begin(number)?,
                Stage::Restoring(restore) => {
                    let before = restore.restored();
                    let complete = restore.step()?;
                    let moved = complete || restore.restored() > before;
                    let remaining = restore.remaining();
                    let id = self.slots[number].id;
                    let gauge = self.parts.metrics.restore_remaining(&self.name_of(id));
                    gauge.set(i64::try_from(remaining).unwrap_or(i64::MAX));
                    if complete {
                        self.finish_restore(number)?;
                    }
                    moved
                }
            };
        }
        Ok(moved)
    }

    /// Takes the lease of a task's state and begins its restore.
    fn begin(&mut self, number: usize) -> Result<bool> {
        let id = self.slots[number].id;
        let changelogs = placement::changelogs_of(&self.parts.layout, id);
        let name = self.name_of(id);
        let state = if changelogs.is_empty() {
            TaskState::in_memory(&name)
        } else {
            let stores: Vec<&str> = changelogs.iter().map(|(store, _)| store.as_str()).collect();
            let Some(state) = self.parts.states.lease(&name, &stores)? else { return Ok(false) };
            state
        };
        state.abort();
        #[cfg(test)]
        let changelogs = if self.parts.config.has(Bug::NoRestore) { Vec::new() } else { changelogs };
        let restore = Restore::begin(&self.parts.broker, state, changelogs, self.sequence(id), &*self.parts.clock)?;
        let restore = match restore {
            Begun::Restore(restore) => restore,
            Begun::Useless(why) => {
                self.parts.states.discard(&name, why)?;
                return Ok(true);
            }
        };
        if restore.remaining() > 0 {
            tracing::info!(task = name, records = restore.remaining(), "restoring");
        }
        self.slots[number].stage = Stage::Restoring(Box::new(restore));
        Ok(true)
    }

    fn finish_restore(&mut self, number: usize) -> Result<()> {
        let id = self.slots[number].id;
        let Stage::Restoring(restore) = std::mem::replace(&mut self.slots[number].stage, Stage::Waiting) else {
            return Ok(());
        };
        let took = self.parts.clock.elapsed().saturating_sub(restore.started());
        let restored = restore.restored();
        let sequence = self.sequence(id);
        let name = self.name_of(id);
        if restored > 0 {
            tracing::info!(task = name, records = restored, took = ?took, "restored");
        }
        self.parts.metrics.restored_records().inc_by(restored);
        self.parts.metrics.restore_took(took);
        let state = restore.finish(sequence.unwrap_or(0));
        if sequence.is_none() && !state.is_empty()? {
            return Err(Error::new(
                ErrorKind::State,
                format!("task {name} has state, but its group has no committed offsets: reading its topics from their start would count records twice"),
            )
            .remedy(
                "the group was deleted, or its offsets have expired: reset the application to start anew (`millstream reset`)",
            ));
        }
        let reader = state.reader();
        let task = self.build(id, state);
        self.slots[number].stage = Stage::Running(Box::new(task));
        if !self.parts.layout.subs[id.sub].stores.is_empty() {
            self.parts.shared.serving().serve(id, reader);
        }
        Ok(())
    }

    fn name_of(&self, id: TaskId) -> String {
        self.parts.layout.task_name(id)
    }

    /// The task's commit sequence; `None` where it has never committed.
    fn sequence(&self, id: TaskId) -> Option<u64> {
        let inputs = self.parts.layout.inputs_of(id);
        let positions = inputs.iter().filter_map(|input| self.committed_at.get(input)?.1.as_ref());
        positions.map(|position| position.sequence).max()
    }

    /// Wires a task's operators from what is committed.
    fn build(&self, id: TaskId, state: TaskState) -> Task {
        let Parts { layout, topology, options, metrics, .. } = &self.parts;
        let wired = topology.task(&TaskContext { layout, task: id, state: &state, options });
        let partitions = layout.inputs_of(id);
        let input = |(mut port, partition): (Box<dyn SourcePort>, TopicPartition)| {
            let (offset, position) = self.committed_at[&partition].clone();
            #[cfg(test)]
            let position = self.misremembered(id, &partition, position);
            let index = position.as_ref().map_or(0, |position| position.index);
            let time = position.map_or_else(SourceTime::default, |position| {
                let Position { watermark, activity, upstream, .. } = position;
                SourceTime { watermark, activity, upstream }
            });
            port.start(offset, index, time);
            let upstream = upstream_of(layout, id, &partition);
            let reach = upstream.map_or(0, |upstream| {
                port.doubt(&self.doubts.doubted(layout, id.sub, upstream));
                self.doubts.reach_of(&partition)
            });
            let meters = InputMeters::new(metrics, &partition);
            Input {
                is_source: upstream.is_none(),
                partition,
                port,
                caught_up: false,
                at_high_watermark: false,
                reach,
                at_end: false,
                fetched: offset,
                lag: None,
                processed: 0,
                dead_letters: 0,
                meters,
            }
        };
        let inputs = wired.sources.into_iter().zip(partitions).map(input).collect();
        let meters = wired.counts.into_iter().map(|count| OperatorMeter::new(metrics, count)).collect();
        let mut readers = layout.subs.iter().flat_map(|sub| &sub.inputs);
        let writes_repartition = readers.any(|input| input.upstream == Some(id.sub));
        let sequence = self.sequence(id).unwrap_or(0);
        #[cfg_attr(not(test), expect(unused_mut, reason = "only tests plant bugs"))]
        let mut task = Task::new(inputs, wired.stores, wired.clocks, state, sequence, writes_repartition, meters);
        #[cfg(test)]
        if let Some(flaw) = self.parts.config.bug.and_then(Bug::flaw) {
            task.plant(flaw);
        }
        task
    }

    /// What a task makes of a committed position with the bugs that a simulation has to find.
    #[cfg(test)]
    fn misremembered(&self, id: TaskId, partition: &TopicPartition, position: Option<Position>) -> Option<Position> {
        let (layout, config) = (&self.parts.layout, &self.parts.config);
        let upstream = upstream_of(layout, id, partition);
        if config.has(Bug::ForgetsTime) {
            let (watermark, upstream) = (Timestamp::MIN, Vec::new());
            return position.map(|position| Position { watermark, upstream, ..position });
        }
        let Some(sub) = upstream.filter(|_| config.has(Bug::SilenceIsIdle) && position.is_none()) else {
            return position;
        };
        let idle = |task| Upstream { task, watermark: Timestamp::MIN, activity: Activity::Idle };
        let upstream = (0..layout.subs[sub].partitions).map(idle).collect();
        Some(Position { watermark: Timestamp::MIN, upstream, ..Position::default() })
    }

    /// Builds all running tasks anew from what is committed and reads their inputs again from there.
    pub(crate) fn rebuild_tasks(&mut self) -> Result<()> {
        let mut from = Vec::new();
        for number in 0..self.slots.len() {
            let id = self.slots[number].id;
            for input in self.parts.layout.inputs_of(id) {
                let offset = self.committed_at[&input].0;
                from.push((input, offset));
            }
            if let Stage::Running(task) = std::mem::replace(&mut self.slots[number].stage, Stage::Waiting) {
                #[cfg(test)]
                if self.parts.config.has(Bug::KeepsAbortedState) {
                    task.state.commit(task.state.stand());
                }
                task.state.abort();
                self.slots[number].stage = Stage::Running(Box::new(self.build(id, task.state)));
            }
        }
        #[cfg(test)]
        if self.parts.config.has(Bug::NoRewind) {
            return Ok(());
        }
        patiently("going back", || self.member.seek(&from))
    }

    /// Tells the metrics how far time has come in the tasks, whose `statuses` these are, and how large their states are.
    pub(crate) fn measure(&self, statuses: &[TaskStatus]) {
        let metrics = &self.parts.metrics;
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let wall = self.parts.clock.wall();
        for (slot, TaskStatus { name, time, .. }) in self.slots.iter().zip(statuses) {
            let Stage::Running(task) = &slot.stage else { continue };
            standing::measure(metrics, name, time, wall);
            for input in &task.inputs {
                let watermark = input.port.watermark();
                // Before the first record and after the last there is no time to show.
                if watermark > Timestamp::MIN && watermark < Timestamp::MAX {
                    let gauge = metrics.watermark(&input.partition.topic, input.partition.partition);
                    gauge.set(watermark.millis().div_euclid(1_000));
                }
            }
            if task.stores.is_empty() {
                continue;
            }
            let sizes = task.state.sizes();
            let cache: usize = task.stores.iter().map(|store| store.stats().cache_bytes).sum();
            metrics.cache_bytes(name).set(bytes(cache as u64));
            metrics.committed_bytes(name).set(bytes(sizes.committed));
            metrics.disk_bytes(name).set(bytes(sizes.disk));
        }
    }

    pub(crate) fn task_statuses(&self) -> Vec<TaskStatus> {
        let status = |slot: &Slot| {
            let (state, restore_remaining) = match &slot.stage {
                Stage::Waiting => ("waiting for its state", 0),
                Stage::Restoring(restore) => ("restoring", restore.remaining()),
                Stage::Running(_) if !self.parts.globals.ready() => ("waiting for the global tables", 0),
                Stage::Running(task) if task.is_held() => ("paused", 0),
                Stage::Running(_) => ("running", 0),
            };
            let (lag, time) = match &slot.stage {
                Stage::Running(task) => (task.lag(), standing::time_of(&self.parts.layout, slot.id, task)),
                _ => (None, TaskTime::default()),
            };
            let ended = matches!(&slot.stage, Stage::Running(task) if task.has_ended());
            let processed = if let Stage::Running(task) = &slot.stage { task.processed() } else { 0 };
            let (name, thread, state) = (self.name_of(slot.id), self.number, state.into());
            TaskStatus { name, thread, state, lag, processed, time, restore_remaining, ended }
        };
        self.slots.iter().map(status).collect()
    }
}

/// The sub-topology that writes an input of a task, which is a repartition topic then.
fn upstream_of(layout: &Layout, id: TaskId, partition: &TopicPartition) -> Option<usize> {
    let mut inputs = layout.subs[id.sub].inputs.iter();
    inputs.find(|input| input.topic == partition.topic).and_then(|input| input.upstream)
}
