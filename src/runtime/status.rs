//! What the stream threads of an application tell the rest of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::{Offset, TopicPartition};
use crate::time::Timestamp;

use super::refused::Ring;
use super::serving::Serving;

/// What an application is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// Waiting for its first assignment.
    Starting,
    /// At least one task is being restored.
    Restoring,
    /// All tasks that it has are running.
    Running,
    /// It was told to pause: every stream thread has committed what it had and processes nothing. It is still a member of its
    /// group, and keeps the partitions that it is given.
    Paused,
    /// It was told to stop and commits what it has.
    Stopping,
    /// It has stopped in good order.
    Stopped,
    /// It has stopped because of an error.
    Failed,
}

/// What an application is doing, in detail.
#[derive(Clone, Debug)]
pub struct Status {
    /// In one word.
    pub state: AppState,
    /// How many stream threads it was started with.
    pub threads: usize,
    /// Its tasks here.
    pub tasks: Vec<TaskStatus>,
    /// Why it has failed.
    pub error: Option<String>,
    /// How many assignments its threads have been given.
    pub rebalances: u64,
    /// True from when it is told to pause until it is told to resume. [`AppState::Paused`] follows once every thread has committed,
    /// and what is being restored is complete.
    pub paused: bool,
    /// How often each stream thread has said what it does, which is several times a second. One that says no more is inside a
    /// call that does not return, or has ended.
    pub reports: Vec<u64>,
}

/// What a task is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// Its name: the sub-topology's and the partition's number.
    pub name: String,
    /// The stream thread that has it.
    pub thread: usize,
    /// `running`, `paused`, `restoring`, or what it waits for.
    pub state: String,
    /// How many records it is behind, as far as known.
    pub lag: Option<u64>,
    /// How many records it has processed and committed since it was built here, or built anew after an abort.
    pub processed: u64,
    /// How far event time has come in it.
    pub time: TaskTime,
    /// How many changelog offsets are still to be restored.
    pub restore_remaining: u64,
    /// True once a bounded run that closes its windows has taken it to its end.
    pub ended: bool,
}

/// How far event time has come in a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskTime {
    /// The least of those that it depends on: what has not passed it is still open. `None` while nothing is known.
    pub watermark: Option<Timestamp>,
    /// Who has come least far: a partition that the task reads, or a task upstream. `None` while all are idle.
    pub held_by: Option<String>,
    /// How much farther the one has come that has come farthest; one that has not been heard of stands at 1970.
    pub held_back: Duration,
}

/// What the stream threads and the application's handle share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    stop: AtomicBool,
    pause: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
    serving: Serving,
    refused: Ring,
}

#[derive(Debug, Default)]
struct Inner {
    threads: BTreeMap<usize, ThreadStatus>,
    error: Option<Error>,
    bounds: Option<BTreeMap<TopicPartition, Offset>>,
    purgeable: BTreeMap<TopicPartition, Offset>,
    unfinished: BTreeSet<usize>,
}

/// What one stream thread is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct ThreadStatus {
    /// How often it has reported.
    pub(crate) reports: u64,
    pub(crate) assigned: bool,
    pub(crate) tasks: Vec<TaskStatus>,
    pub(crate) rebalances: u64,
    pub(crate) ended: bool,
    /// True while it has nothing to commit and processes nothing.
    pub(crate) paused: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tasks that can be asked for their state.
    pub(crate) fn serving(&self) -> &Serving {
        &self.serving
    }

    /// Asks all threads to commit and end.
    pub(crate) fn stop(&self) {
        self.tell(|| self.stop.store(true, Ordering::SeqCst));
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Asks all threads to commit and process nothing more, or to go on.
    pub(crate) fn pause(&self, pause: bool) {
        self.tell(|| self.pause.store(pause, Ordering::SeqCst));
    }

    /// Changes what threads look at before they sleep, when none is between its look and its sleep: it would not be woken.
    fn tell(&self, change: impl FnOnce()) {
        let inner = self.lock();
        change();
        drop(inner);
        self.changed.notify_all();
    }

    /// True while the threads are to process nothing. Who is told to stop need not wait any more.
    pub(crate) fn pausing(&self) -> bool {
        self.pause.load(Ordering::SeqCst) && !self.stopping()
    }

    /// The last records that did not go the usual way.
    pub(crate) fn refused(&self) -> &Ring {
        &self.refused
    }

    /// The first error counts; it stops all threads.
    pub(crate) fn fail(&self, error: Error) {
        self.lock().error.get_or_insert(error);
        self.stop();
    }

    pub(crate) fn error(&self) -> Option<Error> {
        self.lock().error.clone()
    }

    pub(crate) fn report(&self, thread: usize, status: ThreadStatus) {
        self.lock().threads.insert(thread, status);
        self.changed.notify_all();
    }

    /// Where a bounded run ends, once that is fixed.
    pub(crate) fn bounds(&self) -> Option<BTreeMap<TopicPartition, Offset>> {
        self.lock().bounds.clone()
    }

    pub(crate) fn set_bounds(&self, bounds: BTreeMap<TopicPartition, Offset>) {
        self.lock().bounds = Some(bounds);
    }

    /// Records of a repartition topic before this offset have been processed for good.
    pub(crate) fn purgeable(&self, partition: TopicPartition, before: Offset) {
        self.lock().purgeable.insert(partition, before);
    }

    /// Tasks of a thread have processed input, and have more to do than fitted in their steps: what they have committed says
    /// less than their positions do.
    pub(crate) fn unfinished(&self, thread: usize, unfinished: bool) {
        let mut inner = self.lock();
        if unfinished {
            inner.unfinished.insert(thread)
        } else {
            inner.unfinished.remove(&thread)
        };
        drop(inner);
        self.changed.notify_all();
    }

    pub(crate) fn is_unfinished(&self) -> bool {
        !self.lock().unfinished.is_empty()
    }

    pub(crate) fn take_purgeable(&self) -> Vec<(TopicPartition, Offset)> {
        std::mem::take(&mut self.lock().purgeable).into_iter().collect()
    }

    /// Sleeps until something is reported or the application is told to stop, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        let inner = self.lock();
        let _woken = self.changed.wait_timeout(inner, timeout).unwrap_or_else(PoisonError::into_inner);
    }

    /// Sleeps until there is no pause any more, at most `timeout`. What other threads report does not wake it: each of those
    /// that rest reports, and they would keep each other awake.
    pub(crate) fn rest(&self, timeout: Duration) {
        let inner = self.lock();
        let waited = self.changed.wait_timeout_while(inner, timeout, |_| self.pausing());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn status(&self, threads: usize) -> Status {
        let inner = self.lock();
        let reports: Vec<&ThreadStatus> = inner.threads.values().collect();
        let ended = reports.len() == threads && reports.iter().all(|thread| thread.ended);
        let tasks: Vec<TaskStatus> = reports.iter().flat_map(|thread| thread.tasks.clone()).collect();
        let state = if inner.error.is_some() {
            AppState::Failed
        } else if ended {
            AppState::Stopped
        } else if self.stopping() {
            AppState::Stopping
        } else if reports.len() < threads || reports.iter().any(|thread| !thread.assigned) {
            AppState::Starting
        } else if tasks.iter().any(|task| task.state != "running" && task.state != "paused") {
            AppState::Restoring
        } else if self.pausing() && reports.iter().all(|thread| thread.paused) {
            AppState::Paused
        } else {
            AppState::Running
        };
        let error = inner.error.as_ref().map(ToString::to_string);
        let rebalances = reports.iter().map(|thread| thread.rebalances).sum();
        let paused = self.pause.load(Ordering::SeqCst);
        let reports = inner.threads.values().map(|thread| thread.reports).collect();
        Status { state, threads, tasks, error, rebalances, paused, reports }
    }
}
