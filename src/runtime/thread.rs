//! A stream thread: one member of the group, one transactional producer, and the tasks of the partitions that the
//! member was given. [`StreamThread::turn`] is one round of its loop and does not sleep, so that the simulator can take
//! the turns of many threads in any order; [`StreamThread::run`] is the loop on an OS thread of its own.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Batch, Broker, GroupEvent, Member};
use crate::codec::position::Position;
use crate::error::{ErrorKind, Result};
use crate::metrics::TopologyMetrics;
use crate::operators::{DropReason, Failure};
use crate::record::{Offset, TopicPartition};
use crate::state::States;
use crate::time::Clock;
use crate::topology::{Layout, TaskId, TaskOptions, Topology};

use super::config::Config;
use super::doubts::Doubts;
use super::globals::Globals;
use super::meters::Busy;
use super::patience::patiently;
use super::pause::Rest;
use super::restore::Restore;
use super::route::Router;
use super::status::{Shared, ThreadStatus};
use super::suspects::Suspects;
use super::task::{Stop, Task};

/// A queue with fewer records than this is filled up.
const QUEUE_LOW: usize = 1_000;
/// How many messages one fetch takes at most.
const FETCH: usize = 1_000;
/// How many packed messages one fetch takes at most: each holds many records.
const FETCH_PACKED: usize = 4;
/// How many records a task processes before the next one gets its turn.
const STEP: usize = 1_000;
/// The longest sleep: the group wants to hear from its member.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(100);
/// The longest sleep while a task waits for something that does not wake the member.
const SHORT_SLEEP: Duration = Duration::from_millis(5);
/// How often sources are asked whether they have fallen silent.
const TICK_EVERY: Duration = Duration::from_millis(100);
/// How often the thread's status is told to the rest of the process.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// What a stream thread is made of; the same for all threads of an application.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) topology: Arc<Topology>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) config: Arc<Config>,
    pub(crate) options: Arc<TaskOptions>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) states: States,
    pub(crate) globals: Arc<Globals>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: TopologyMetrics,
    pub(crate) shared: Arc<Shared>,
}

/// What a turn of the loop found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There was work; there may be more at once.
    Worked,
    /// There was nothing to do; the next turn is due after this time, or as soon as something arrives.
    Idle(Duration),
}

/// One of the thread's tasks, by what it is doing.
pub(crate) enum Stage {
    /// Another thread of this process still holds its state.
    Waiting,
    /// Its state is brought up to its changelogs.
    Restoring(Box<Restore>),
    /// It processes records.
    Running(Box<Task>),
}

pub(crate) struct Slot {
    pub(crate) id: TaskId,
    pub(crate) stage: Stage,
}

/// A stream thread.
pub(crate) struct StreamThread {
    pub(crate) number: usize,
    pub(crate) parts: Parts,
    pub(crate) member: Box<dyn Member>,
    pub(crate) assigned: Vec<TopicPartition>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) router: Router,
    pub(crate) suspects: Suspects,
    /// When the running transaction took its first input.
    pub(crate) begun: Option<Duration>,
    pub(crate) last_commit: Duration,
    pub(crate) commit_took: Duration,
    /// Records that the running transaction has sent, by topic.
    pub(crate) sent: BTreeMap<Arc<str>, u64>,
    /// Failures of the membership in a row, without a commit between them.
    pub(crate) losses: u32,
    /// Where each assigned partition goes on, as committed; no position where nothing was committed yet.
    pub(crate) committed_at: BTreeMap<TopicPartition, (Offset, Option<Position>)>,
    /// Which tasks upstream are not believed.
    pub(crate) doubts: Doubts,
    /// When markers last went to all partitions downstream, and whether the running commit sends them.
    pub(crate) all_told: Duration,
    pub(crate) telling_all: bool,
    pub(crate) rest: Rest,
    ticked: Duration,
    /// Where a bounded run ends.
    bounds: Option<BTreeMap<TopicPartition, Offset>>,
    batch: Batch,
    pub(crate) status: ThreadStatus,
    reported: Option<Duration>,
    /// Where a thread of its own runs the loop.
    busy: Option<Busy>,
}

impl StreamThread {
    pub(crate) fn new(number: usize, parts: Parts, mut member: Box<dyn Member>) -> Result<Self> {
        member.subscribe(&parts.layout.subscriptions())?;
        let router = Router::new(Arc::clone(&parts.broker));
        Ok(Self {
            number,
            member,
            assigned: Vec::new(),
            slots: Vec::new(),
            router,
            suspects: Suspects::default(),
            begun: None,
            last_commit: parts.clock.elapsed(),
            commit_took: Duration::ZERO,
            losses: 0,
            sent: BTreeMap::new(),
            committed_at: BTreeMap::new(),
            doubts: Doubts::default(),
            all_told: Duration::ZERO,
            telling_all: false,
            rest: Rest::default(),
            ticked: Duration::ZERO,
            bounds: parts.shared.bounds(),
            batch: Batch::default(),
            status: ThreadStatus::default(),
            reported: None,
            busy: None,
            parts,
        })
    }

    /// The loop, until the application is told to stop or something fails. Leaves in good order either way.
    pub(crate) fn run(mut self) {
        let span = tracing::info_span!("stream thread", topology = self.parts.topology.name(), thread = self.number);
        let _entered = span.enter();
        self.busy = Some(Busy::new(&self.parts.metrics, self.number, self.parts.clock.elapsed()));
        while !self.parts.shared.stopping() {
            match self.turn() {
                Ok(Turn::Worked) => {}
                Ok(Turn::Idle(sleep)) => {
                    self.worked();
                    self.sleep(sleep);
                    let now = self.parts.clock.elapsed();
                    if let Some(busy) = &mut self.busy {
                        busy.waited(now);
                    }
                }
                Err(error) => {
                    tracing::error!("the stream thread stops: {error}");
                    self.parts.shared.fail(error);
                }
            }
        }
        let config = &self.parts.config;
        let leave = config.leave_on_stop || config.until_end || !config.comes_back();
        self.close(leave);
    }

    /// One round: what the group wants, what restores, what is to be processed, what is to be committed.
    pub(crate) fn turn(&mut self) -> Result<Turn> {
        let mut worked = self.follow_group()?;
        worked |= self.parts.globals.catch_up()?;
        worked |= self.restore()?;
        self.look_upstream()?;
        if self.parts.shared.pausing() {
            return self.rest(worked);
        }
        self.go_on();
        let mut processed = false;
        if self.parts.globals.ready() {
            processed = self.process()?;
            self.tick()?;
        }
        worked |= processed;
        let turn = match self.commit_due(processed) {
            Some(Duration::ZERO) => {
                self.commit()?;
                Turn::Worked
            }
            _ if worked => Turn::Worked,
            Some(due) => Turn::Idle(due.min(self.until_clocks())),
            None => Turn::Idle(self.until_clocks()),
        };
        self.report(false);
        Ok(turn)
    }

    /// How long to sleep at most: the tasks' own clocks may be due.
    fn until_clocks(&self) -> Duration {
        let wall = self.parts.clock.wall();
        let due = self.running().filter_map(Task::clock_due).min();
        due.map_or(LONGEST_SLEEP, |due| Duration::from_millis(due.millis_since(wall)).min(LONGEST_SLEEP))
    }

    /// Counts the time that it has worked.
    fn worked(&mut self) {
        let now = self.parts.clock.elapsed();
        if let Some(busy) = &mut self.busy {
            busy.worked(now);
        }
    }

    fn sleep(&mut self, timeout: Duration) {
        if !self.parts.globals.ready() {
            return self.member.wait(timeout.min(SHORT_SLEEP));
        }
        for slot in &mut self.slots {
            match &mut slot.stage {
                Stage::Running(_) => {}
                Stage::Restoring(restore) => return restore.wait(timeout.min(SHORT_SLEEP)),
                Stage::Waiting => return self.member.wait(timeout.min(SHORT_SLEEP)),
            }
        }
        if self.rest.is_on() {
            // Not for its input, which is not read: to be told to go on.
            return self.parts.shared.rest(timeout);
        }
        self.member.wait(timeout);
    }

    fn follow_group(&mut self) -> Result<bool> {
        let Some(event) = self.member.poll()? else { return Ok(false) };
        match event {
            GroupEvent::Assigned(partitions) => {
                tracing::info!(partitions = %names(&partitions), "assigned");
                self.status.rebalances += 1;
                self.status.assigned = true;
                self.parts.metrics.rebalances().inc();
                self.adopt(partitions, true)?;
            }
            GroupEvent::Revoked => {
                tracing::info!("the partitions are revoked: committing");
                self.commit()?;
                self.drop_tasks();
                self.assigned.clear();
                patiently("giving the partitions up", || self.member.unassign())?;
            }
            GroupEvent::Lost => {
                tracing::warn!(
                    "the partitions are lost: what was not committed is dropped and read again by their owner"
                );
                self.give_up_transaction()?;
                self.drop_tasks();
                self.assigned.clear();
                patiently("giving the partitions up", || self.member.unassign())?;
            }
        }
        self.report(true);
        Ok(true)
    }

    /// Drops all tasks with what they have not committed; their states go back to the registry.
    pub(crate) fn drop_tasks(&mut self) {
        self.parts.shared.unfinished(self.number, false);
        for slot in self.slots.drain(..) {
            // Before the state is given back, and another thread or process has it.
            self.parts.shared.serving().withdraw(slot.id);
            self.parts.metrics.forget_task(&self.parts.layout.task_name(slot.id));
        }
        for partition in &self.assigned {
            self.parts.metrics.forget_partition(&partition.topic, partition.partition);
        }
        self.begun = None;
    }

    /// Fills queues and lets every running task process a bounded number of records. True where anything was done.
    fn process(&mut self) -> Result<bool> {
        let mut worked = false;
        for number in 0..self.slots.len() {
            worked |= self.fetch(number)?;
            match self.step(number) {
                Ok(0) => continue,
                Ok(_) => {
                    worked = true;
                    self.begun.get_or_insert_with(|| self.parts.clock.elapsed());
                    if self.send(number, true)? {
                        continue;
                    }
                }
                Err(Stop::Failed(failure)) => self.failed(number, failure)?,
                Err(Stop::Broken(error)) => return Err(error),
                Err(Stop::Policy(error)) => {
                    // What came before the record is sound: it is committed, so that a restart stops here at once.
                    if self.send(number, true)? {
                        self.commit()?;
                    }
                    return Err(error);
                }
            }
            return Ok(true);
        }
        Ok(worked)
    }

    /// Lets the tasks see, now and then, that time has passed.
    fn tick(&mut self) -> Result<()> {
        let elapsed = self.parts.clock.elapsed();
        if elapsed.saturating_sub(self.ticked) < TICK_EVERY {
            return Ok(());
        }
        self.ticked = elapsed;
        let wall = self.parts.clock.wall();
        for number in 0..self.slots.len() {
            let Stage::Running(task) = &mut self.slots[number].stage else { continue };
            match task.tick(self.rest.awake(elapsed), wall) {
                Ok(()) => {}
                Err(Stop::Failed(failure)) => return self.failed(number, failure),
                Err(Stop::Policy(error) | Stop::Broken(error)) => return Err(error),
            }
            if !self.send(number, false)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lets a task process what it may. Gives the number of records.
    fn step(&mut self, slot: usize) -> Result<usize, Stop> {
        let step = STEP;
        #[cfg(test)]
        let step = self.parts.config.batch.unwrap_or(step);
        let budget = self.suspects.limit().saturating_sub(self.transaction_inputs()).min(step);
        let wall = self.parts.clock.wall();
        let Stage::Running(task) = &mut self.slots[slot].stage else { return Ok(0) };
        let close = self.parts.config.close_at_end;
        let work = || task.step(budget, wall).and_then(|done| if close { task.end().map(|()| done) } else { Ok(done) });
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(stepped) => stepped,
            Err(panic) => Err(Stop::Failed(panicked(&*panic))),
        }
    }

    /// Fills the queues of a task that run low. True where records came.
    fn fetch(&mut self, slot: usize) -> Result<bool> {
        let Self { slots, assigned, member, batch, suspects, bounds, parts, .. } = self;
        let Slot { id, stage: Stage::Running(task) } = &mut slots[slot] else { return Ok(false) };
        let mut any = false;
        for number in 0..task.inputs.len() {
            let input = &mut task.inputs[number];
            let end = bounds.as_ref().and_then(|bounds| bounds.get(&input.partition)).copied();
            if end.is_some_and(|end| input.fetched >= end) {
                input.caught_up = true;
                input.at_end = true;
                continue;
            }
            if input.port.queued() >= QUEUE_LOW {
                continue;
            }
            let Some(place) = assigned.iter().position(|partition| *partition == input.partition) else { continue };
            let packed = parts.layout.subs[id.sub].inputs[number].upstream.is_some();
            let most = if packed { FETCH_PACKED } else { FETCH };
            #[cfg(test)]
            let most = parts.config.batch.unwrap_or(most);
            batch.clear();
            let fetched = member.fetch(place, most, batch)?;
            if let Some(end) = end {
                batch.cut_at(end);
            }
            input.fetched_to(fetched, end);
            if !batch.is_empty() {
                any = true;
                let verdict = |partition: &TopicPartition, offset, index| suspects.verdict(partition, offset, index);
                task.fill(number, batch, parts.clock.wall(), &verdict);
            }
        }
        Ok(any)
    }

    /// How many inputs the running transaction has, over all tasks.
    pub(crate) fn transaction_inputs(&self) -> usize {
        self.running().map(Task::input_count).sum()
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Task> {
        self.slots.iter().filter_map(|slot| match &slot.stage {
            Stage::Running(task) => Some(&**task),
            _ => None,
        })
    }

    /// True while something waits to be committed or restored.
    pub(crate) fn is_busy(&self) -> bool {
        !self.parts.globals.ready()
            || self.slots.iter().any(|slot| match &slot.stage {
                Stage::Running(task) => task.is_dirty(),
                Stage::Waiting | Stage::Restoring(_) => true,
            })
    }

    /// Commits what there is and leaves the group: for good, or to be back soon.
    pub(crate) fn close(mut self, leave: bool) {
        if self.parts.shared.error().is_none_or(|error| error.kind() == ErrorKind::Record) {
            if let Err(error) = self.commit() {
                tracing::warn!("the last commit failed; its records are read again by the next owner: {error}");
                self.parts.shared.fail(error);
            }
        } else if let Err(error) = self.give_up_transaction() {
            tracing::debug!("the last transaction could not be aborted; the broker will: {error}");
        }
        self.drop_tasks();
        self.status.paused = false;
        self.status.ended = true;
        self.report(true);
        self.member.close(leave);
    }

    /// Tells the rest of the process what this thread is doing, now and then.
    pub(crate) fn report(&mut self, now: bool) {
        let elapsed = self.parts.clock.elapsed();
        if !now && self.reported.is_some_and(|at| elapsed.saturating_sub(at) < REPORT_EVERY) {
            return;
        }
        self.reported = Some(elapsed);
        self.status.reports += 1;
        self.worked();
        self.status.tasks = self.task_statuses();
        self.measure(&self.status.tasks);
        self.parts.shared.report(self.number, self.status.clone());
    }
}

pub(crate) fn names(partitions: &[TopicPartition]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The failure that a panic in a user's function is: which record it was has to be found.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
    Failure {
        input: None,
        reason: DropReason::Panicked,
        message: format!("a user's function panicked: {text}"),
        operator: String::new(),
    }
}
