//! SIGTERM and Ctrl-C: the first stops in good order, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, ErrorKind, Result};

/// The exit code after a second signal, as a shell gives it for one that Ctrl-C has killed.
const ABORTED: i32 = 130;
/// Signals within this time after the first are that one: a shell's Ctrl-C goes to all processes of a group, and what has
/// started this one, as `timeout` does, may pass it on as well.
const ECHO: Duration = Duration::from_millis(250);
/// How long [`Stop::wait`] sleeps before it looks again.
const LOOK: Duration = Duration::from_millis(20);

/// Whether the process has been asked to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(super) fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Sleeps a moment, short enough that a stop is soon heard.
    pub(super) fn wait(&self, longest: Duration) {
        if !self.asked() {
            std::thread::sleep(longest.min(LOOK));
        }
    }
}

/// Listens for signals from here on. `at_abort` puts right what a sudden end would leave behind.
pub(super) fn listen(at_abort: impl Fn() + Send + 'static) -> Result<Stop> {
    let cannot = |error| Error::new(ErrorKind::Internal, "cannot listen for signals").caused_by(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let (interrupt, terminate) = {
        let _within = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(cannot)?, signal(SignalKind::terminate()).map_err(cannot)?)
    };
    let stop = Stop::default();
    let asked = stop.clone();
    let listen = move || runtime.block_on(heard(interrupt, terminate, &asked, &at_abort));
    std::thread::Builder::new().name("signals".into()).spawn(listen).map_err(cannot)?;
    Ok(stop)
}

async fn heard(mut interrupt: Signal, mut terminate: Signal, stop: &Stop, at_abort: &impl Fn()) {
    let mut signal = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    signal().await;
    stop.ask();
    tracing::info!("stopping after a last commit; once more aborts");
    let echoes = async {
        loop {
            signal().await;
        }
    };
    // It never ends by itself.
    let _: Result<(), _> = tokio::time::timeout(ECHO, echoes).await;
    signal().await;
    at_abort();
    eprintln!("aborted: what was not committed will be processed again");
    std::process::exit(ABORTED);
}
