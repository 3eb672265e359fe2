//! Event time and the two clocks. This is the only module that reads the machine's clocks: everything else is handed a
//! [`Clock`], so that tests and the simulator decide what time it is.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in event time: milliseconds since 1970-01-01T00:00:00Z, as Kafka counts it. May lie before 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before every time: what a watermark is while nothing is known.
    pub const MIN: Self = Self(i64::MIN);
    /// After every time: what a watermark is when nothing more can come.
    pub const MAX: Self = Self(i64::MAX);

    /// The time `millis` milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This time moved on by `duration`; stops at [`Timestamp::MAX`] instead of overflowing.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(to_millis(duration)))
    }

    /// This time moved back by `duration`; stops at [`Timestamp::MIN`] instead of overflowing. The two infinities stay
    /// what they are: a watermark of "nothing known" or "nothing more" is not shifted.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        match self {
            Self::MIN | Self::MAX => self,
            Self(millis) => Self(millis.saturating_sub(to_millis(duration))),
        }
    }

    /// Milliseconds from `earlier` to this time, 0 where `earlier` is not earlier.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> u64 {
        if earlier >= self { 0 } else { self.0.abs_diff(earlier.0) }
    }
}

fn to_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Timestamp {
    /// As an RFC 3339 time where it is one, else the bare milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Where the runtime gets the time from.
///
/// - `wall` may jump; it is used for event time taken from the clock and for what people read.
/// - `elapsed` never goes back; every interval and timeout is measured with it.
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn wall(&self) -> Timestamp;
    /// Time since some fixed point; never goes back.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The machine's clocks; `elapsed` counts from here.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one reader of the monotonic clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one reader of the wall clock")]
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(to_millis(since))
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is told to move: for tests and the simulator.
#[derive(Debug, Default)]
pub struct ManualClock {
    millis: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { millis: AtomicI64::new(start.millis()) }
    }

    /// Moves both the wall clock and the elapsed time on by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.millis.fetch_add(to_millis(duration), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.millis.load(Ordering::SeqCst)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_the_infinities_leaves_them_infinite() {
        let day = Duration::from_hours(24);
        assert_eq!(Timestamp::MAX.minus(day), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(day), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.plus(day), Timestamp::MAX);
    }

    #[test]
    fn a_time_is_shown_as_a_person_writes_it() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), format!("{} ms", i64::MAX));
    }
}
