//! One process of an application whose stream threads take turns on the caller's thread: what tests and the simulator
//! run. It is the same code as [`App`](super::App) but for who calls [`StreamThread::turn`].

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Broker;
use crate::error::Result;
use crate::metrics::TopologyMetrics;
use crate::time::Clock;
use crate::topology::Topology;

use super::config::Config;
#[cfg(test)]
use super::refused::Refused;
use super::setup;
use super::status::Shared;
#[cfg(test)]
use super::status::Status;
use super::thread::{StreamThread, Turn};

/// A process whose threads take turns on the caller's thread.
pub(crate) struct Process {
    threads: Vec<StreamThread>,
    shared: Arc<Shared>,
}

impl Process {
    pub(crate) fn start(
        topology: Topology,
        broker: Arc<dyn Broker>,
        config: Config,
        clock: Arc<dyn Clock>,
        metrics: TopologyMetrics,
    ) -> Result<Self> {
        let prepared = setup::prepare(topology, broker, config, clock, metrics)?;
        let threads =
            (0..prepared.parts.config.threads).map(|number| prepared.thread(number)).collect::<Result<_>>()?;
        Ok(Self { threads, shared: prepared.parts.shared })
    }

    /// One round of each thread. Idle where all are; then for the shortest of their times.
    pub(crate) fn turn(&mut self) -> Result<Turn> {
        let mut all = Turn::Idle(Duration::MAX);
        for thread in &mut self.threads {
            all = match (all, thread.turn()?) {
                (Turn::Idle(one), Turn::Idle(other)) => Turn::Idle(one.min(other)),
                _ => Turn::Worked,
            };
        }
        Ok(all)
    }

    /// One round of one thread.
    pub(crate) fn turn_of(&mut self, thread: usize) -> Result<Turn> {
        self.threads[thread].turn()
    }

    /// Has the threads rest, or go on, with their next turns.
    pub(crate) fn pause(&self, pause: bool) {
        self.shared.pause(pause);
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> Status {
        self.shared.status(self.threads.len())
    }

    #[cfg(test)]
    pub(crate) fn refused(&self) -> Vec<Refused> {
        self.shared.refused().last()
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// True while something waits to be committed or restored, for which time has to pass.
    pub(crate) fn is_busy(&self) -> bool {
        self.threads.iter().any(StreamThread::is_busy)
    }

    /// Stops in good order.
    pub(crate) fn close(self, leave: bool) {
        for thread in self.threads {
            thread.close(leave);
        }
    }
}
