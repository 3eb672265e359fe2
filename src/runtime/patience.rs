//! Calls that a passing fault of the broker may spoil, made again.

use crate::error::{ErrorKind, Result};

/// How often a call is made before the fault is taken to stay. A client waits some seconds in each.
const ATTEMPTS: u32 = 20;

/// Makes `call`, and makes it again while it fails for a fault of the broker or of the way to it.
pub(crate) fn patiently<T>(what: &str, mut call: impl FnMut() -> Result<T>) -> Result<T> {
    for attempt in 1..ATTEMPTS {
        match call() {
            Err(error) if error.kind() == ErrorKind::Broker => {
                tracing::warn!(attempt, "{what} failed and is tried again: {error}");
            }
            result => return result,
        }
    }
    call()
}
