//! Sliding windows: wherever records are no further apart than a difference.

use std::time::Duration;

use super::{Closing, Window, millis};
use crate::time::Timestamp;

/// Windows that end at a record or begin right after one, `difference` long, both ends included: each set of records that
/// lie no further apart than that is in a window. As in Kafka Streams no window is empty, and none begins before 1970:
/// records shortly after it share the window `[0, difference]`.
///
/// How late a record may be depends on where the records come from:
///
/// - **From one partition of one topic**, as without a change of key: as in Kafka Streams. Each window is open until the
///   partition's watermark is more than the grace beyond its end; a record counts in those that are.
/// - **From several**, as after a shuffle: a record counts in all its windows, or in none if the last that could have it
///   would be over by its own source partition's watermark. Which windows there are already is a matter of chance there. A
///   window closes when no record that counts can be in it any more, a difference later.
///
/// ```
/// use std::time::Duration;
/// use millstream::window::SlidingWindows;
/// let _ = SlidingWindows::of(Duration::from_secs(10)).grace(Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindows {
    difference: Duration,
    grace: Duration,
}

impl SlidingWindows {
    /// Windows over records that are at most `difference` apart.
    #[must_use]
    pub const fn of(difference: Duration) -> Self {
        Self { difference, grace: Duration::ZERO }
    }

    /// Windows stay open for late records until the watermark is more than this beyond their last moment.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The difference.
    #[must_use]
    pub const fn difference(&self) -> Duration {
        self.difference
    }

    /// The window that begins at `start`; `None` at the end of time.
    #[must_use]
    pub fn window(&self, start: Timestamp) -> Option<Window> {
        let end = start.millis().checked_add(millis(self.difference))?;
        Some(Window { start, end: Timestamp::from_millis(end) })
    }

    /// When a window is over: then a record of which it would be the last is too late.
    #[must_use]
    pub fn over(&self) -> Closing {
        Closing::after_last(self.grace)
    }

    /// When they close where records come in any order: when the latest record that could be in them is too late.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing::after_last(self.difference.saturating_add(self.grace))
    }

    /// When a closed window is of no use any more: a late record may still open a window with what is in it.
    #[must_use]
    pub fn expiring(&self) -> Closing {
        Closing::after_last(self.grace.saturating_add(self.difference.saturating_mul(2)))
    }

    /// How far behind the watermark that releases a window its result may lie.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.difference.saturating_mul(2).saturating_add(self.grace)
    }
}
