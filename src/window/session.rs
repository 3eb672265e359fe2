//! Sessions: records with no long gap between them.

use std::time::Duration;

use super::{Closing, Window, millis, size_mistake};
use crate::time::Timestamp;

/// Windows that grow: a record joins every session that it is no further away from than `gap`, and makes one of them.
/// A session is from its first record to its last, both included.
///
/// How late a record may be depends on where the records come from:
///
/// - **From one partition of one topic**, as without a change of key: as in Kafka Streams. A record counts unless the session
///   that it makes is over by the partition's watermark: more than the gap and the grace beyond it.
/// - **From several**, as after a shuffle: a record counts unless a session of it alone would be over, by the watermark of
///   its own source partition. Which others have come already is a matter of chance there, and does not change it. A
///   session closes when no record that counts can join it any more, a gap later.
///
/// ```
/// use std::time::Duration;
/// use millstream::window::SessionWindows;
/// let _ = SessionWindows::of(Duration::from_secs(30)).grace(Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWindows {
    gap: Duration,
    grace: Duration,
}

impl SessionWindows {
    /// Sessions that end where nothing comes for longer than `gap`.
    #[must_use]
    pub const fn of(gap: Duration) -> Self {
        Self { gap, grace: Duration::ZERO }
    }

    /// Sessions are open for late records until the watermark is more than the gap and this beyond their last record.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The gap.
    #[must_use]
    pub const fn gap(&self) -> Duration {
        self.gap
    }

    /// Whether a record at `time` joins the session.
    #[must_use]
    pub fn joins(&self, time: Timestamp, session: Window) -> bool {
        let gap = millis(self.gap);
        let near = |one: Timestamp, other: Timestamp| one.millis().saturating_sub(other.millis()) <= gap;
        near(session.start, time) && near(time, session.end)
    }

    /// When a session is over: then a record that would be one by itself is too late.
    #[must_use]
    pub fn over(&self) -> Closing {
        Closing::after_last(self.gap.saturating_add(self.grace))
    }

    /// When they close where records come in any order: when the latest record that could join them is too late.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing::after_last(self.hold())
    }

    /// How far behind the watermark that releases a session its result may lie.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.gap.saturating_mul(2).saturating_add(self.grace)
    }

    /// What is wrong with them.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        size_mistake("a gap", self.gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_closes_when_the_last_record_that_could_join_it_is_too_late() {
        let sessions = SessionWindows::of(Duration::from_millis(5)).grace(Duration::from_millis(2));
        let (end, last_to_join) = (Timestamp::from_millis(20), Timestamp::from_millis(25));
        assert_eq!(sessions.over().at(last_to_join), sessions.closing().at(end));
    }

    #[test]
    fn a_record_joins_up_to_the_gap_and_no_further() {
        let sessions = SessionWindows::of(Duration::from_millis(5));
        let session = Window::of_millis(10, 20);
        for (time, joins) in [(4, false), (5, true), (15, true), (25, true), (26, false)] {
            assert_eq!(sessions.joins(Timestamp::from_millis(time), session), joins, "at {time}");
        }
    }
}
