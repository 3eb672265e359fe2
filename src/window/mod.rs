//! Windows: which stretches of event time a record belongs to, as pure functions, and the keys made of them.
//!
//! A record is *late* for a window by its own source partition alone: [`Closing`] says how far behind the end of a window
//! that partition's watermark may be. Nothing here reads a clock, and no arithmetic wraps: a window that would end beyond
//! the last millisecond that can be written is no window.

mod given;
mod hopping;
mod join;
mod key;
mod session;
mod sliding;
mod tumbling;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use given::GivenWindows;
pub use hopping::HoppingWindows;
pub use join::JoinWindow;
pub(crate) use join::Reach;
pub use key::{SessionWindowed, TimeWindowed, Windowed, WindowedText};
pub use session::SessionWindows;
pub use sliding::SlidingWindows;
pub use tumbling::TumblingWindows;

use crate::time::Timestamp;

/// A stretch of event time, as Kafka Streams counts it: the end of a tumbling or hopping window is the first moment after
/// it; the end of a sliding window or a session is its last moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first moment.
    pub start: Timestamp,
    /// The end.
    pub end: Timestamp,
}

impl Window {
    /// The window from `start` to `end`, in milliseconds since 1970.
    #[must_use]
    pub const fn of_millis(start: i64, end: i64) -> Self {
        Self { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end) }
    }
}

impl fmt::Display for Window {
    /// `start/end` in milliseconds, as Kafka Streams prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start.millis(), self.end.millis())
    }
}

/// When windows of a kind close: so many milliseconds after their end, or before it.
///
/// A window that ends with its last moment closes a millisecond later than one whose end is the first moment after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing(i64);

impl Closing {
    /// `after` the end, which is the first moment that is not in the window.
    pub(crate) fn after_end(after: Duration) -> Self {
        Self(millis(after))
    }

    /// `after` the start of a window of `size`.
    pub(crate) fn after_start(size: Duration, after: Duration) -> Self {
        Self(millis(after).saturating_sub(millis(size)))
    }

    /// `after` the last moment in the window.
    pub(crate) fn after_last(after: Duration) -> Self {
        Self(millis(after).saturating_add(1))
    }

    /// The watermark at which a window that ends at `end` closes.
    #[must_use]
    pub const fn at(self, end: Timestamp) -> Timestamp {
        Timestamp::from_millis(end.millis().saturating_add(self.0))
    }

    /// The largest end of a window that is closed at `watermark`; `None` where none is.
    #[must_use]
    pub fn last_closed(self, watermark: Timestamp) -> Option<Timestamp> {
        match watermark {
            Timestamp::MIN => None,
            Timestamp::MAX => Some(Timestamp::MAX),
            // Before the beginning of time there is none; beyond its end, all are.
            watermark => {
                let end = watermark.millis().checked_sub(self.0).or((self.0 < 0).then_some(i64::MAX));
                end.map(Timestamp::from_millis)
            }
        }
    }
}

/// A duration as milliseconds, the largest number where it is longer.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What is wrong with a size that windows are to have.
pub(crate) fn size_mistake(what: &str, size: Duration) -> Option<String> {
    (size.as_millis() == 0).then(|| format!("{what} of {size:?} is too short: a millisecond is the least"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_closes_when_the_watermark_is_its_end_and_the_grace() {
        let closing = Closing::after_end(Duration::from_millis(5));
        assert_eq!(closing.at(Timestamp::from_millis(10)), Timestamp::from_millis(15));
        assert_eq!(closing.last_closed(Timestamp::from_millis(15)), Some(Timestamp::from_millis(10)));
        assert_eq!(Closing::after_last(Duration::ZERO).at(Timestamp::from_millis(10)), Timestamp::from_millis(11));
    }

    #[test]
    fn nothing_is_closed_before_time_is_known_and_everything_at_its_end() {
        let closing = Closing::after_end(Duration::from_millis(5));
        assert_eq!(closing.last_closed(Timestamp::MIN), None);
        assert_eq!(closing.last_closed(Timestamp::MAX), Some(Timestamp::MAX));
        assert_eq!(closing.at(Timestamp::MAX), Timestamp::MAX);
    }
}
