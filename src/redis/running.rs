//! An output to Redis that has been started.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::RedisSink;
use super::server::Connect;
use super::worker::{Setup, Worker};
use crate::broker::Broker;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::runtime::Config;
use crate::time::Clock;

/// An output to Redis that has been started. Dropping it stops it and waits for its end.
pub struct RunningSink {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl RunningSink {
    pub(super) fn start(
        sink: &RedisSink,
        redis: Arc<dyn Connect>,
        broker: Arc<dyn Broker>,
        config: &Config,
        metrics: &Metrics,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let setup = Setup { sink, redis, broker, config, metrics, clock, shared: Arc::clone(&shared) };
        let worker = Worker::new(setup)?;
        let told = Arc::clone(&shared);
        let run = move || {
            // Somebody looks at it now and then, and must not take a dead one for a quiet one.
            if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                told.fail(Error::new(ErrorKind::Internal, "the thread of an output to Redis panicked"));
            }
        };
        let spawned = std::thread::Builder::new().name(format!("redis-{}", sink.name())).spawn(run);
        let thread = spawned
            .map_err(|error| Error::new(ErrorKind::Internal, "a thread could not be started").caused_by(error))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks it to commit what is delivered and stop; returns at once. What waits is delivered by the next start.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Asks it to deliver what the topic holds now, and then to stop; returns at once. Where Redis takes nothing for half a
    /// minute it stops with an error that says how much waits.
    pub fn finish(&self) {
        self.shared.finish.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
    }

    /// True once it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// True once it has stopped because of an error.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.shared.error().is_some()
    }

    /// Waits for its end: after [`stop`](Self::stop) or [`finish`](Self::finish), or because of an error.
    ///
    /// # Errors
    /// The error that ended it: a record that cannot be used, where that is the policy, or a broker that refuses. Redis is
    /// never the reason, but after [`finish`](Self::finish).
    pub fn join(mut self) -> Result<()> {
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        // A panic is told as an error.
        drop(self.thread.take().map(JoinHandle::join));
        self.shared.error().map_or(Ok(()), Err)
    }
}

impl Drop for RunningSink {
    fn drop(&mut self) {
        self.shared.stop();
        if let Err(error) = self.wait() {
            tracing::debug!("the output to Redis had failed: {error}");
        }
    }
}

/// What the thread and its handle share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    stop: AtomicBool,
    finish: AtomicBool,
    error: Mutex<Option<Error>>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Error>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(super) fn finishing(&self) -> bool {
        self.finish.load(Ordering::SeqCst)
    }

    pub(super) fn fail(&self, error: Error) {
        self.lock().get_or_insert(error);
    }

    fn error(&self) -> Option<Error> {
        self.lock().clone()
    }

    /// Sleeps until it is to stop or to finish, at most `timeout`.
    pub(super) fn wait(&self, timeout: Duration) {
        let idle = |_: &mut Option<Error>| !self.stopping();
        let _woken =
            self.changed.wait_timeout_while(self.lock(), timeout, idle).unwrap_or_else(PoisonError::into_inner);
    }
}
