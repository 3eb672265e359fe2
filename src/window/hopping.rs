//! Hopping windows: of one size, a new one every so often, so that they overlap.

use std::time::Duration;

use super::{Closing, Window, millis, size_mistake};
use crate::time::Timestamp;

/// Windows of one size that begin at each multiple of `advance`, counted from 1970. None begins before that, as in Kafka
/// Streams: times shortly after 1970 are in fewer windows.
///
/// ```
/// use std::time::Duration;
/// use millstream::window::HoppingWindows;
/// use millstream::Timestamp;
/// let windows = HoppingWindows::of(Duration::from_secs(10), Duration::from_secs(5));
/// let starts: Vec<i64> = windows.windows(Timestamp::from_millis(12_345)).map(|window| window.start.millis()).collect();
/// assert_eq!(starts, [5_000, 10_000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoppingWindows {
    size: Duration,
    advance: Duration,
    grace: Duration,
}

impl HoppingWindows {
    /// Windows of `size`, one every `advance`. They close as soon as the watermark reaches their end.
    #[must_use]
    pub const fn of(size: Duration, advance: Duration) -> Self {
        Self { size, advance, grace: Duration::ZERO }
    }

    /// Windows stay open for late records until the watermark is this far beyond their end.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The windows of a time, the earliest first.
    pub fn windows(&self, time: Timestamp) -> impl Iterator<Item = Window> + use<> {
        let (size, advance, time) = (millis(self.size), millis(self.advance).max(1), time.millis());
        // The first start whose window has the time in it; for size < advance it may lie behind the time.
        let after = time.saturating_sub(size).saturating_add(1).max(0);
        let first = after.checked_add(advance - 1).map(|up| up / advance * advance);
        std::iter::successors(first, move |start| start.checked_add(advance))
            .take_while(move |start| *start <= time)
            .map_while(move |start| Some(Window::of_millis(start, start.checked_add(size)?)))
    }

    /// The size.
    #[must_use]
    pub const fn size(&self) -> Duration {
        self.size
    }

    /// When they close.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing::after_end(self.grace)
    }

    /// How far behind the watermark that releases a window its result may lie.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.size.saturating_add(self.grace)
    }

    /// What is wrong with them.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        if self.advance > self.size {
            let (size, advance) = (self.size, self.advance);
            return Some(format!(
                "windows of {size:?} every {advance:?} leave gaps, and records in them would be lost"
            ));
        }
        size_mistake("a window", self.size).or_else(|| size_mistake("an advance", self.advance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(size: u64, advance: u64, time: i64) -> Vec<i64> {
        let windows = HoppingWindows::of(Duration::from_millis(size), Duration::from_millis(advance));
        windows.windows(Timestamp::from_millis(time)).map(|window| window.start.millis()).collect()
    }

    #[test]
    fn windows_are_those_that_kafka_streams_computes() {
        // Its own rule: from max(0, t - size + advance) / advance * advance on, while start <= t.
        for size in 1..=12_u64 {
            for advance in 1..=size {
                for time in 0..40_i64 {
                    let (s, a) = (i64::try_from(size).unwrap(), i64::try_from(advance).unwrap());
                    let first = (time - s + a).max(0) / a * a;
                    let expected: Vec<i64> = (first..=time).step_by(usize::try_from(advance).unwrap()).collect();
                    assert_eq!(starts(size, advance, time), expected, "size {size}, advance {advance}, time {time}");
                }
            }
        }
    }

    #[test]
    fn no_window_begins_before_1970_or_ends_beyond_time() {
        assert_eq!(starts(10, 5, 3), [0]);
        assert_eq!(starts(10, 5, -3), [0; 0]);
        assert_eq!(starts(10, 5, i64::MAX), [0; 0]);
        assert_eq!(starts(10, 5, i64::MIN), [0; 0]);
    }

    #[test]
    fn sizes_that_make_no_sense_are_mistakes() {
        let of = |size, advance| HoppingWindows::of(Duration::from_millis(size), Duration::from_millis(advance));
        assert!(of(0, 0).mistake().is_some());
        assert!(of(10, 0).mistake().is_some());
        assert!(of(10, 11).mistake().is_some());
        assert!(of(10, 10).mistake().is_none());
    }
}
