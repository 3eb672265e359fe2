//! Tumbling windows: side by side, each record in one.

use std::time::Duration;

use super::{Closing, HoppingWindows, Window};
use crate::time::Timestamp;

/// Windows of one size, side by side, aligned to 1970: `[0, size)`, `[size, 2 size)`, …
///
/// ```
/// use std::time::Duration;
/// use millstream::window::{TumblingWindows, Window};
/// use millstream::Timestamp;
/// let windows = TumblingWindows::of(Duration::from_secs(10)).grace(Duration::from_secs(5));
/// assert_eq!(windows.window(Timestamp::from_millis(12_345)), Some(Window::of_millis(10_000, 20_000)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TumblingWindows(HoppingWindows);

impl TumblingWindows {
    /// Windows of this size. They close as soon as the watermark reaches their end.
    #[must_use]
    pub const fn of(size: Duration) -> Self {
        Self(HoppingWindows::of(size, size))
    }

    /// Windows stay open for late records until the watermark is this far beyond their end.
    #[must_use]
    pub const fn grace(self, grace: Duration) -> Self {
        Self(self.0.grace(grace))
    }

    /// The window of a time; `None` before 1970, and at the end of time.
    #[must_use]
    pub fn window(&self, time: Timestamp) -> Option<Window> {
        self.0.windows(time).next()
    }

    /// The same as hopping windows.
    #[must_use]
    pub const fn hopping(self) -> HoppingWindows {
        self.0
    }

    /// When they close.
    #[must_use]
    pub fn closing(&self) -> Closing {
        self.0.closing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_just_the_window_around_it() {
        let windows = TumblingWindows::of(Duration::from_millis(10));
        for (time, start) in [(0, 0), (9, 0), (10, 10), (19, 10), (1_000_000_007, 1_000_000_000)] {
            let window = windows.window(Timestamp::from_millis(time));
            assert_eq!(window, Some(Window::of_millis(start, start + 10)), "at {time}");
        }
        assert_eq!(windows.window(Timestamp::from_millis(-1)), None);
        assert_eq!(windows.window(Timestamp::MAX), None);
    }
}
