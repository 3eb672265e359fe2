//! A stand-in for the runtime, with its public shape: it runs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Broker, Guarantee};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::state::StateOptions;
use crate::time::Clock;
use crate::topology::{Emission, Topology};

/// How an application runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The application's name.
    pub application: String,
    /// This process's name in its group.
    pub instance: Option<String>,
    /// How many stream threads.
    pub threads: usize,
    /// Exactly once or at least once.
    pub guarantee: Guarantee,
    /// How often to commit under load.
    pub commit_interval: Duration,
    /// Where state lies.
    pub state: StateOptions,
    /// Stop where the topics end now.
    pub until_end: bool,
    /// Topics that are called otherwise on this broker.
    pub topics: BTreeMap<String, String>,
    /// When aggregations hand their results on.
    pub emission: Emission,
}

impl Config {
    /// The defaults, for an application called `application`.
    pub fn new(application: impl Into<String>) -> Self {
        Self {
            application: application.into(),
            instance: None,
            threads: 1,
            guarantee: Guarantee::ExactlyOnce,
            commit_interval: Duration::from_millis(100),
            state: StateOptions::Memory,
            until_end: false,
            topics: BTreeMap::new(),
            emission: Emission::EachCommit,
        }
    }
}

/// An application that has not started.
pub struct App;

impl App {
    /// An application of `topology`.
    pub fn new(_topology: Topology, _broker: Arc<dyn Broker>, _config: Config) -> Self {
        Self
    }

    /// Counts into `metrics`.
    pub fn metrics(self, _metrics: &Metrics) -> Self {
        self
    }

    /// Lives by `clock`.
    pub fn clock(self, _clock: Arc<dyn Clock>) -> Self {
        self
    }

    /// Starts it.
    pub fn start(self) -> Result<Running> {
        Err(Error::new(ErrorKind::Internal, "the runtime is not part of this build"))
    }
}

/// An application that runs.
pub struct Running;

impl Running {
    /// Asks it to stop; returns at once.
    pub fn stop(&self) {}

    /// Waits until it has stopped.
    pub fn join(self) -> Result<()> {
        Ok(())
    }

    /// A view of how it stands.
    pub fn watch(&self) -> Watch {
        Watch
    }

    /// True where it has stopped.
    pub fn is_finished(&self) -> bool {
        true
    }
}

/// Watches an application without owning it.
#[derive(Clone)]
pub struct Watch;

impl Watch {
    /// How it stands.
    pub fn status(&self) -> Status {
        Status { state: AppState::Starting, threads: 0, tasks: Vec::new(), error: None, rebalances: 0 }
    }
}

/// The states of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppState {
    /// Waits for its partitions.
    Starting,
    /// Brings state up to date.
    Restoring,
    /// Processes records.
    Running,
    /// Commits for the last time.
    Stopping,
    /// Has stopped in good order.
    Stopped,
    /// Has stopped on an error.
    Failed,
}

/// How an application stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its state.
    pub state: AppState,
    /// Its threads.
    pub threads: usize,
    /// Its tasks.
    pub tasks: Vec<TaskStatus>,
    /// Why it failed.
    pub error: Option<String>,
    /// How often the group changed.
    pub rebalances: u64,
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// Its name.
    pub name: String,
    /// The thread it runs on.
    pub thread: usize,
    /// Its state.
    pub state: String,
    /// Records that wait.
    pub lag: Option<u64>,
    /// Changelog records that it has still to read.
    pub restore_remaining: u64,
}
