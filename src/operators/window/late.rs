//! Records that missed a window, as a stream of their own.

use serde::{Deserialize, Serialize};

use crate::operators::DropReason;
use crate::time::Timestamp;
use crate::window::Window;

/// A record that came too late for a window: one for each window that it missed.
///
/// The key, the event time and the headers are those of the record itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late<V> {
    /// The record's value.
    pub value: V,
    /// The watermark that it was too late by: that of its own source partition when it was read.
    pub watermark: Timestamp,
    /// The window it missed.
    pub window: Window,
    /// True where it was in time by its own partition, and the window had been closed by other means.
    pub expired: bool,
}

impl<V> Late<V> {
    pub(super) fn new(value: V, watermark: Timestamp, window: Window, reason: DropReason) -> Self {
        Self { value, watermark, window, expired: reason == DropReason::Expired }
    }
}
