//! The applications of a process: started together, watched together, stopped together.

use std::sync::Arc;
use std::time::Duration;

use super::progress::Progress;
use super::signals::Stop;
use crate::error::Result;
use crate::http::{Sources, Token};
use crate::metrics::Metrics;
use crate::redis::RunningSink;
use crate::runtime::{App, AppState, Running, Status, Watch};
use crate::watch::Observer;

/// How often to look whether one of them has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Applications that run, and what delivers their results elsewhere.
#[derive(Default)]
pub(super) struct Fleet {
    applications: Vec<(String, Running)>,
    sinks: Vec<RunningSink>,
}

impl Fleet {
    /// Starts one more.
    pub(super) fn start(&mut self, name: &str, application: App) -> Result<()> {
        self.applications.push((name.to_owned(), application.start()?));
        Ok(())
    }

    /// Takes an output along: it ends with the applications, and they with it where it fails.
    pub(super) fn deliver(&mut self, sink: RunningSink) {
        self.sinks.push(sink);
    }

    /// How many changelog records are still to be restored, over all tasks.
    pub(super) fn restore_remaining(&self) -> u64 {
        let statuses = self.applications.iter().map(|(_, running)| running.status());
        statuses.flat_map(|status| status.tasks).map(|task| task.restore_remaining).sum()
    }

    /// What each is doing, for as long as anybody asks.
    pub(super) fn watch(&self) -> impl Fn() -> Vec<(String, Status)> + Clone + Send + Sync + use<> {
        let watches: Vec<(String, Watch)> =
            self.applications.iter().map(|(name, running)| (name.clone(), running.watch())).collect();
        move || watches.iter().map(|(name, watch)| (name.clone(), watch.status())).collect()
    }

    /// What the HTTP listener shows of them.
    pub(super) fn sources(
        &self,
        metrics: &Metrics,
        topologies: impl Fn(crate::http::Format) -> String + Send + Sync + 'static,
        token: Option<Token>,
        advertised: Option<String>,
        observer: &Observer,
    ) -> Sources {
        let queries = self.applications.iter().map(|(_, running)| running.queries()).collect();
        let topics = self.applications.iter().map(|(_, running)| running.topics()).collect();
        let watches: Vec<_> = self.applications.iter().map(|(name, running)| (name.clone(), running.watch())).collect();
        Sources {
            metrics: metrics.clone(),
            status: Arc::new(self.watch()),
            topologies: Arc::new(topologies),
            queries,
            watches,
            observer: observer.clone(),
            topics,
            advertised,
            token,
        }
    }

    /// Looks at them once a second and says what is stuck. `address` is where other processes reach this one.
    pub(super) fn observe(&self, metrics: &Metrics, address: Option<String>) -> Observer {
        let applications = self.applications.iter().map(|(name, running)| (name.clone(), running.watch()));
        Observer::start(applications.collect(), metrics, address)
    }

    /// True once one of them has ended, or all in a bounded run.
    pub(super) fn ended(&self) -> bool {
        self.applications.iter().all(|(_, running)| running.is_finished()) || self.failed()
    }

    /// True once one of them has failed.
    fn failed(&self) -> bool {
        let failed = |running: &Running| running.watch().status().state == AppState::Failed;
        self.applications.iter().any(|(_, running)| failed(running)) || self.sinks.iter().any(RunningSink::has_failed)
    }

    /// After a bounded run: waits until its results are delivered as well.
    fn finish(&self, stop: &Stop) {
        self.sinks.iter().for_each(RunningSink::finish);
        while !self.sinks.iter().all(RunningSink::is_finished) && !self.failed() && !stop.asked() {
            stop.wait(LOOK);
        }
    }

    /// Waits until all have ended, one has failed, or a stop is asked for; then stops all and gives the first error.
    pub(super) fn wait(self, stop: &Stop) -> Result<()> {
        let mut progress = Progress::default();
        while !self.ended() && !stop.asked() {
            progress.show(&self);
            stop.wait(LOOK);
        }
        drop(progress);
        if !stop.asked() && !self.failed() {
            self.finish(stop);
        }
        self.stop()
    }

    /// Stops all in good order and gives the first error.
    pub(super) fn stop(self) -> Result<()> {
        for (_, running) in &self.applications {
            running.stop();
        }
        self.sinks.iter().for_each(RunningSink::stop);
        let applications = self.applications.into_iter().map(|(_, running)| running.join());
        let joined: Vec<_> = applications.chain(self.sinks.into_iter().map(RunningSink::join)).collect();
        joined.into_iter().collect()
    }
}
