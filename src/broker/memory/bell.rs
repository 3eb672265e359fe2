//! What a sleeping member or reader waits for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Stays rung until somebody has waited for it, so that what happens between a look and a wait is not missed.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Wakes the waiter, or the next one to wait.
    pub(super) fn ring(&self) {
        let mut rung = self.lock();
        if !*rung {
            *rung = true;
            self.changed.notify_all();
        }
    }

    /// Sleeps until the bell is rung, at most `timeout`.
    pub(super) fn wait(&self, timeout: Duration) {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |rung| !*rung);
        let (mut rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
