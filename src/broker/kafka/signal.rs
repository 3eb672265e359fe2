//! What a stream thread sleeps on.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::native::locked;

/// A flag that can be waited for. It stays up until a wait has seen it, so that no wake-up is lost.
#[derive(Debug, Default)]
pub(super) struct Signal {
    up: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    /// Raises the flag.
    pub(super) fn notify(&self) {
        *locked(&self.up) = true;
        self.changed.notify_one();
    }

    /// Waits until the flag is up, at most `timeout`, and takes it down.
    pub(super) fn wait(&self, timeout: Duration) {
        let up = locked(&self.up);
        let result = self.changed.wait_timeout_while(up, timeout, |up| !*up);
        let (mut up, _) = result.unwrap_or_else(std::sync::PoisonError::into_inner);
        *up = false;
    }
}
