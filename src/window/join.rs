//! Join windows: how far apart records of two streams may lie and still meet.

use std::time::Duration;

use super::{Closing, millis};
use crate::time::Timestamp;

/// Which records of two streams meet, by their event times: a right one meets a left one if it is at most `before` earlier
/// and at most `after` later. Both bounds are included, in whole milliseconds.
///
/// The window of a record is over when the watermark is more than the grace beyond the last time at which it could meet
/// another. A record that lies behind its own source partition meets those whose windows are not over by that partition's
/// watermark; one that is too late for every window it could be in is *late*.
///
/// ```
/// use std::time::Duration;
/// use millstream::window::JoinWindow;
/// // Payments up to a day after their order, and never before it; five minutes for those that come out of order.
/// let _ = JoinWindow::of(Duration::ZERO).after(Duration::from_hours(24)).grace(Duration::from_mins(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindow {
    before: Duration,
    after: Duration,
    grace: Duration,
}

impl JoinWindow {
    /// Records meet that are at most `apart` from each other, whichever is earlier.
    #[must_use]
    pub const fn of(apart: Duration) -> Self {
        Self { before: apart, after: apart, grace: Duration::ZERO }
    }

    /// A right record may be this much earlier than the left one.
    #[must_use]
    pub const fn before(mut self, before: Duration) -> Self {
        self.before = before;
        self
    }

    /// A right record may be this much later than the left one.
    #[must_use]
    pub const fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// Windows stay open for late records until the watermark is more than this beyond their last moment.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How far a left record reaches for right ones.
    pub(crate) const fn left(self) -> Reach {
        Reach { back: self.before, forth: self.after, grace: self.grace }
    }

    /// How far a right record reaches for left ones.
    pub(crate) const fn right(self) -> Reach {
        Reach { back: self.after, forth: self.before, grace: self.grace }
    }

    /// How far behind the watermark a result may lie: a pair, or with `padded` also a record that met nobody.
    pub(crate) fn hold(self, padded: bool) -> Duration {
        let furthest = if padded { self.before.saturating_add(self.after) } else { self.before.max(self.after) };
        furthest.saturating_add(self.grace)
    }
}

/// How far the records of one side reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    back: Duration,
    forth: Duration,
    grace: Duration,
}

impl Reach {
    /// The earliest and the latest time at which a record at `time` meets one of the other side.
    pub(crate) fn around(self, time: Timestamp) -> (Timestamp, Timestamp) {
        let at = time.millis();
        let (from, to) = (at.saturating_sub(millis(self.back)), at.saturating_add(millis(self.forth)));
        (Timestamp::from_millis(from), Timestamp::from_millis(to))
    }

    /// When the window of a record is over.
    pub(crate) fn over(self) -> Closing {
        Closing::after_last(self.forth.saturating_add(self.grace))
    }

    /// A time at or before the end of a record's window that is shared with those of many others.
    pub(crate) fn shared_timer(self, time: Timestamp) -> Timestamp {
        const A_WINDOW: i64 = 8;
        let step = (millis(self.forth.saturating_add(self.grace)) / A_WINDOW).max(1);
        let over = self.over().at(time).millis();
        Timestamp::from_millis(over.div_euclid(step).saturating_mul(step))
    }

    /// When all windows are over that a record could be in: those of the other side reach back to it.
    pub(crate) fn out_of_reach(self) -> Closing {
        Closing::after_last(self.back.saturating_add(self.forth).saturating_add(self.grace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_a_left_record_reaches_reaches_it_from_the_right() {
        let window = JoinWindow::of(ms(9)).before(ms(2)).after(ms(5)).grace(ms(3));
        for (left, right) in (0..30).flat_map(|left| (0..30).map(move |right| (left, right))) {
            let within = |reach: Reach, of: i64, other: i64| {
                let (from, to) = reach.around(Timestamp::from_millis(of));
                (from.millis()..=to.millis()).contains(&other)
            };
            let meets = left - 2 <= right && right <= left + 5;
            assert_eq!(within(window.left(), left, right), meets, "{left} and {right}");
            assert_eq!(within(window.right(), right, left), meets, "{left} and {right}");
        }
    }

    #[test]
    fn a_record_is_out_of_reach_when_the_last_window_it_could_be_in_is_over() {
        let window = JoinWindow::of(ms(2)).after(ms(5)).grace(ms(3));
        let time = Timestamp::from_millis(100);
        for (own, other) in [(window.left(), window.right()), (window.right(), window.left())] {
            assert_eq!(own.out_of_reach().at(time), other.over().at(own.around(time).1));
        }
    }

    #[test]
    fn the_longest_window_reaches_from_the_beginning_of_time_to_its_end() {
        let (from, to) = JoinWindow::of(Duration::MAX).left().around(Timestamp::from_millis(7));
        assert!(from.millis() < -1_000_000 && to == Timestamp::MAX);
        assert_eq!(JoinWindow::of(Duration::MAX).grace(Duration::MAX).left().over().at(to), Timestamp::MAX);
    }
}
