//! The thread that moves committed state to disk, one for all tasks of a process.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::handover::Shared;
use crate::time::{Clock, SystemClock};

/// How often everything is written and flushed, however little it is: it shortens the restore after a crash.
const INTERVAL: Duration = Duration::from_secs(10);
/// More than there are tasks in a process: a task is announced once at a time.
const QUEUE: usize = 1024;

/// What the thread is told.
pub(super) enum Message {
    /// This state has enough for a batch.
    Apply(Arc<Shared>),
    /// Go.
    Stop,
}

/// The thread and the way to it.
pub(super) struct Applier {
    pub(super) sender: SyncSender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Applier {
    /// Starts the thread; `all` gives it all open states.
    pub(super) fn start(all: impl Fn() -> Vec<Arc<Shared>> + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("state-applier".into()).spawn(move || run(&receiver, &all))?;
        Ok(Self { sender, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread and waits for it. What is announced but not applied stays where it is.
    pub(super) fn stop(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        // The last handle of a registry may be dropped by the thread itself, within `all`: all senders are gone then, and
        // it ends by that.
        if thread.thread().id() != std::thread::current().id() && self.sender.send(Message::Stop).is_ok() {
            // A panic of the thread has nothing more to say: every state on it says for itself whether it works.
            let _ = thread.join();
        }
    }
}

fn run(receiver: &Receiver<Message>, all: &impl Fn() -> Vec<Arc<Shared>>) {
    let clock = SystemClock::new();
    let mut next = INTERVAL;
    loop {
        match receiver.recv_timeout(next.saturating_sub(clock.elapsed())) {
            Ok(Message::Apply(state)) => state.apply_and_perhaps_flush(),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if clock.elapsed() >= next {
            for state in all() {
                // What goes wrong has been said, and is seen as `degraded`.
                let _ = state.flush();
            }
            next = clock.elapsed() + INTERVAL;
        }
    }
}
