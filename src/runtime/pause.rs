//! A stream thread rests: it has committed what it had, stays in the group, restores what it is given, and processes nothing.
//!
//! Three things must not come of a pause. **Silence**: sources measure it by the time that the thread did not rest. **An old
//! word**: what a task has told of itself, that nothing more is at hand, may be untrue a moment later, and nobody looks. So
//! with its last commit each task says that it is active, and those that it feeds wait for it. **An open transaction**, which
//! the broker would abort when it has been open for too long.

use std::time::Duration;

use crate::broker::Isolation;
use crate::error::{ErrorKind, Result};
use crate::record::TopicPartition;

use super::task::Task;
use super::thread::{LONGEST_SLEEP, Slot, Stage, StreamThread, Turn};

/// How often the broker is asked how much waits.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whether a thread rests, and for how long it has.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    since: Option<Duration>,
    before: Duration,
    looked: Duration,
}

impl Rest {
    /// Of the time that has `elapsed`, what the thread did not rest.
    pub(crate) fn awake(&self, elapsed: Duration) -> Duration {
        self.since.unwrap_or(elapsed).saturating_sub(self.before)
    }

    /// True while the thread rests, or is about to.
    pub(crate) fn is_on(&self) -> bool {
        self.since.is_some()
    }
}

impl StreamThread {
    /// The rest of a round while the application is paused: in the first one, and whenever there are new tasks, commits.
    pub(crate) fn rest(&mut self, worked: bool) -> Result<Turn> {
        if !self.rest.is_on() {
            tracing::info!("pausing");
            self.rest.since = Some(self.parts.clock.elapsed());
        }
        if self.hold_tasks() {
            // Where that fails, the tasks are made anew, and held in the next round.
            self.commit_telling(true)?;
        }
        let resting = self.running().all(Task::is_held);
        self.look_at_ends()?;
        let changed = std::mem::replace(&mut self.status.paused, resting) != resting;
        self.report(changed);
        Ok(if worked || !resting { Turn::Worked } else { Turn::Idle(LONGEST_SLEEP) })
    }

    /// Holds all tasks that are not held. True where there were any.
    fn hold_tasks(&mut self) -> bool {
        let (elapsed, wall) = (self.rest.awake(self.parts.clock.elapsed()), self.parts.clock.wall());
        let mut any = false;
        for Slot { stage, .. } in &mut self.slots {
            let Stage::Running(task) = stage else { continue };
            if !task.is_held() {
                task.hold(elapsed, wall);
                any = true;
            }
        }
        any
    }

    /// Asks how much waits by now in users' topics, which is not fetched: for people to see. In repartition topics lie this
    /// pause's own markers, which are nothing that waits.
    fn look_at_ends(&mut self) -> Result<()> {
        let now = self.parts.clock.elapsed();
        if now.saturating_sub(self.rest.looked) < LOOK_EVERY {
            return Ok(());
        }
        self.rest.looked = now;
        let inputs = self.running().flat_map(|task| &task.inputs).filter(|input| input.is_source);
        let places: Vec<TopicPartition> = inputs.map(|input| input.partition.clone()).collect();
        if places.is_empty() {
            return Ok(());
        }
        let ends = match self.parts.broker.end_offsets(&places, Isolation::ReadCommitted) {
            Ok(ends) => ends,
            Err(error) if error.kind() == ErrorKind::Broker || error.is_fenced() => {
                tracing::debug!("how much waits is asked again: {error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut ends = ends.into_iter();
        for Slot { stage, .. } in &mut self.slots {
            let Stage::Running(task) = stage else { continue };
            let inputs = task.inputs.iter_mut().filter(|input| input.is_source);
            for (input, end) in inputs.zip(&mut ends) {
                input.ends_at(end);
            }
        }
        Ok(())
    }

    /// Goes on where the thread has rested.
    pub(crate) fn go_on(&mut self) {
        let Some(since) = self.rest.since.take() else { return };
        let rested = self.parts.clock.elapsed().saturating_sub(since);
        tracing::info!(?rested, "going on");
        self.rest.before += rested;
        for Slot { stage, .. } in &mut self.slots {
            if let Stage::Running(task) = stage {
                task.release();
            }
        }
        self.status.paused = false;
        self.report(true);
    }
}
