//! A stream thread rests: it has committed what it had, stays in the group, restores what it is given, and processes nothing.
//!
//! Three things must not come of a pause. **Silence**: sources measure it by the time that the thread did not rest. **An old
//! word**: what a task has told of itself, that nothing more is at hand, may be untrue a moment later, and nobody looks. So
//! with its last commit each task says that it is active, and those that it feeds wait for it. **An open transaction**, which
//! the broker would abort when it has been open for too long.

use std::time::Duration;

use crate::error::Result;

use super::task::Task;
use super::thread::{LONGEST_SLEEP, Slot, Stage, StreamThread, Turn};

/// Whether a thread rests, and for how long it has.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    since: Option<Duration>,
    before: Duration,
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
