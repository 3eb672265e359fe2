//! How many records have gone along an edge of one task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many records have gone along an edge of one task, since it was wired. One thread adds to it, so that a batch costs a
/// load and a store: no locked instruction, as a counter that is shared would need.
#[derive(Clone, Debug, Default)]
pub struct Passed(Arc<AtomicU64>);

impl Passed {
    /// A batch goes along. To be called by the one thread that runs the task.
    pub(super) fn add(&self, records: usize) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(records as u64), Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
