//! Windows that the key already has.

use std::time::Duration;

use super::Closing;

/// The window that is in the record's key, as the results of other windows have it: for what is to be made of all results
/// of one window, as its ten largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenWindows {
    size: Duration,
    grace: Duration,
}

impl GivenWindows {
    /// The keys' windows, which are at most `size` long.
    #[must_use]
    pub const fn up_to(size: Duration) -> Self {
        Self { size, grace: Duration::ZERO }
    }

    /// Windows stay open for late records until the watermark is more than this beyond their end. Results of windows that
    /// go out on closing are never late.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// When they close: a millisecond after their end, as that may be in them.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing::after_last(self.grace)
    }

    /// How far behind the watermark that releases a window its result may lie.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.size.saturating_add(self.grace)
    }
}
