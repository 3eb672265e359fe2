//! An application: one topology, run by this process's stream threads. Started by [`App::start`], watched and stopped
//! through [`Running`].

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::broker::{Broker, Isolation};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{Metrics, TopologyMetrics};
use crate::time::{Clock, SystemClock};
use crate::topology::{Layout, Topology};

use super::caretaker::Caretaker;
use super::config::Config;
use super::queries::Queries;
use super::refused::Refused;
use super::status::{AppState, Shared, Status};
use super::thread::Parts;
use super::topics::Topics;
use super::{placement, setup};

/// A topology with a broker and a configuration, ready to be started.
///
/// ```no_run
/// # use millstream::{App, Broker, Config, Topology};
/// # fn run(topology: Topology, broker: std::sync::Arc<dyn Broker>) -> millstream::Result<()> {
/// let running = App::new(topology, broker, Config::new("shop")).start()?;
/// running.join()
/// # }
/// ```
pub struct App {
    topology: Topology,
    broker: Arc<dyn Broker>,
    config: Config,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl App {
    /// Runs `topology` on `broker`.
    pub fn new(topology: Topology, broker: Arc<dyn Broker>, config: Config) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self { topology, broker, config, clock, metrics: Metrics::new() }
    }

    /// Uses these metrics: several applications of one process share them.
    #[must_use]
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = metrics.clone();
        self
    }

    /// Uses this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the topics, creates those that are missing, and starts the stream threads.
    ///
    /// # Errors
    /// When a source topic is missing, a topic is not as the topology needs it, the state directory is in use, or the
    /// broker cannot be reached.
    pub fn start(self) -> Result<Running> {
        let Self { topology, broker, config, clock, metrics } = self;
        let metrics = metrics.topology(topology.name());
        let prepared = setup::prepare(topology, broker, config, clock, metrics)?;
        let shared = Arc::clone(&prepared.parts.shared);
        if prepared.parts.config.until_end {
            // Fixed before the first record is read, so that nothing which comes later is processed.
            let sources = placement::source_partitions(&prepared.parts.layout);
            let ends = prepared.parts.broker.end_offsets(&sources, Isolation::ReadUncommitted)?;
            shared.set_bounds(sources.into_iter().zip(ends).collect());
        }
        let (queries, topics) = (prepared.queries(), prepared.topics());
        prepared.forget_old_addresses();
        let mut threads = Vec::new();
        for number in 0..prepared.parts.config.threads {
            let started =
                prepared.thread(number).and_then(|thread| spawn(&format!("stream-{number}"), move || thread.run()));
            match started {
                Ok(handle) => threads.push(handle),
                Err(error) => {
                    shared.stop();
                    join_all(threads);
                    return Err(error);
                }
            }
        }
        let setup::Prepared { parts, application, .. } = prepared;
        let caretaker = Caretaker::new(parts.clone(), application);
        let caretaker = spawn("caretaker", move || caretaker.run())?;
        Ok(Running { shared, threads, caretaker: Some(caretaker), parts, queries, topics })
    }
}

/// An application that has been started. Dropping it stops it and waits for its end.
pub struct Running {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    caretaker: Option<JoinHandle<()>>,
    parts: Parts,
    queries: Queries,
    topics: Topics,
}

impl Running {
    /// Asks it to commit what it has and stop; returns at once.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Something that stops it from elsewhere, such as a signal handler's task.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.stop()
    }

    /// Asks it to commit what it has and to process nothing more until [`resume`](Self::resume); returns at once. It is
    /// [`AppState::Paused`] once every thread has done so, and no transaction is open then.
    ///
    /// It stays a member of its group: it keeps its partitions, takes part in rebalances and restores what it is given. Only
    /// this process pauses, and it does not remember it over a restart; a partition that moves to another process is
    /// processed there. Time spent paused does not count as silence: no partition is left out as idle because of it, and
    /// what is done by the time of day and came due meanwhile is done once afterwards. Tasks in other processes that are
    /// fed by tasks here wait for them where time decides: their windows do not close before this process goes on.
    pub fn pause(&self) {
        self.watch().pause();
    }

    /// Lets it go on after [`pause`](Self::pause); returns at once.
    pub fn resume(&self) {
        self.watch().resume();
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        self.shared.status(self.parts.config.threads)
    }

    /// A view of [`status`](Self::status) that can be handed to others, such as a health endpoint.
    pub fn watch(&self) -> Watch {
        let Parts { metrics, config, layout, .. } = &self.parts;
        let (shared, layout) = (Arc::clone(&self.shared), Arc::clone(layout));
        Watch { shared, threads: config.threads, metrics: metrics.clone(), layout }
    }

    /// What can be asked of its committed state, by whoever holds on to it.
    pub fn queries(&self) -> Queries {
        self.queries.clone()
    }

    /// The topics that it reads and writes, to be watched by whoever holds on to them.
    pub fn topics(&self) -> Topics {
        self.topics.clone()
    }

    /// True once all stream threads have ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until it is in `state`, or has ended, or `timeout` is over; true in the first case.
    pub fn wait_for(&self, state: AppState, timeout: Duration) -> bool {
        let start = self.parts.clock.elapsed();
        loop {
            if self.status().state == state {
                return true;
            }
            let waited = self.parts.clock.elapsed().saturating_sub(start);
            if waited >= timeout || self.is_finished() {
                return self.status().state == state;
            }
            self.shared.wait(timeout.saturating_sub(waited).min(Duration::from_millis(50)));
        }
    }

    /// Waits for its end: after [`stop`](Self::stop), at the end of a bounded run, or because of an error.
    ///
    /// # Errors
    /// The error that ended it.
    pub fn join(mut self) -> Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        let panicked = join_all(std::mem::take(&mut self.threads));
        self.shared.stop();
        join_all(self.caretaker.take().into_iter().collect());
        let closed = self.parts.states.close();
        match self.shared.error() {
            Some(error) => Err(error),
            None if panicked => Err(Error::new(ErrorKind::Internal, "a stream thread panicked")),
            None => closed,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
        if let Err(error) = self.finish() {
            tracing::debug!("the application had failed: {error}");
        }
    }
}

/// Watches an application without owning it.
#[derive(Clone)]
pub struct Watch {
    shared: Arc<Shared>,
    threads: usize,
    metrics: TopologyMetrics,
    layout: Arc<Layout>,
}

impl Watch {
    /// What the application is doing.
    pub fn status(&self) -> Status {
        self.shared.status(self.threads)
    }

    /// The topics and tasks that the application has on its broker, those of other processes among them.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// As [`Running::pause`].
    pub fn pause(&self) {
        self.tell_to_pause(true);
    }

    /// As [`Running::resume`].
    pub fn resume(&self) {
        self.tell_to_pause(false);
    }

    fn tell_to_pause(&self, pause: bool) {
        self.shared.pause(pause);
        self.metrics.paused(pause);
    }

    /// The last records that did not go the usual way, at most 200, the newest last: dropped, late, skipped or written to a
    /// dead letter topic, by transactions that were committed. Of very many at once, some are left out, and of the reasons
    /// that are there most often more than of others. No keys and values.
    pub fn refused(&self) -> Vec<Refused> {
        self.shared.refused().last()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| Error::new(ErrorKind::Internal, "a thread could not be started").caused_by(error))
}

/// Waits for threads; true where one of them panicked.
fn join_all(threads: Vec<JoinHandle<()>>) -> bool {
    let joined: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    joined.iter().any(Result::is_err)
}
