//! Windows that the key already has.

use std::time::Duration;

use super::Closing;

/// The window that is in the record's key, as the results of other windows have it: for what is to be made of all results
/// of one window, as its ten largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenWindows {
    size: Duration,
    grace: Duration,
    /// All are of this size, and their records come before the watermark does to their start.
    closed: bool,
}

impl GivenWindows {
    /// The keys' windows, which are at most `size` long.
    #[must_use]
    pub const fn up_to(size: Duration) -> Self {
        Self { size, grace: Duration::ZERO, closed: false }
    }

    /// The keys' windows, which are the tumbling or hopping windows of `size` of a table whose results go out on closing.
    /// What is made of all results of a window then goes out with them, and not a whole `size` later: such a table lets
    /// the watermark come to a window's start only once all of that window's results have gone ahead.
    ///
    /// Results of other windows may be refused as `expired`: windows that are shorter than `size`, sessions, updates of
    /// windows that are still open.
    #[must_use]
    pub const fn closed(size: Duration) -> Self {
        Self { size, grace: Duration::ZERO, closed: true }
    }

    /// Windows stay open for late records until the watermark is more than this beyond their end. Results of windows that
    /// go out on closing are never late.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// When they close: a millisecond after their end, as that may be in them, or where they come [`closed`](Self::closed),
    /// at their start.
    #[must_use]
    pub fn closing(&self) -> Closing {
        if self.closed { Closing::after_start(self.size, self.grace) } else { Closing::after_last(self.grace) }
    }

    /// How far behind the watermark that releases a window its result may lie.
    #[must_use]
    pub fn hold(&self) -> Duration {
        if self.closed { self.grace } else { self.size.saturating_add(self.grace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn windows_that_come_closed_are_done_at_their_start() {
        let at = |windows: GivenWindows| windows.closing().at(Timestamp::from_millis(30)).millis();
        let (size, grace) = (Duration::from_millis(10), Duration::from_millis(3));
        assert_eq!((at(GivenWindows::up_to(size)), at(GivenWindows::up_to(size).grace(grace))), (31, 34));
        assert_eq!((at(GivenWindows::closed(size)), at(GivenWindows::closed(size).grace(grace))), (20, 23));
        let last = |watermark| GivenWindows::closed(size).closing().last_closed(watermark);
        assert_eq!(last(Timestamp::from_millis(19)), Some(Timestamp::from_millis(29)));
        assert_eq!(last(Timestamp::from_millis(i64::MAX - 1)), Some(Timestamp::MAX));
    }
}
