//! What is known of the tasks that write a repartition topic: how far time has come in each, and whether more is to come.
//!
//! The topic's watermark is the minimum over them. One that has not been heard of counts as active at the beginning of
//! time: silence never means that nothing comes, only a marker does. And a marker may be older than what lies in the inputs
//! of the task that wrote it: while a task is doubted, its word that nothing more is at hand counts for nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::marker::{Activity, Marker};
use crate::codec::position::Upstream;
use crate::time::Timestamp;

/// The tasks that write a repartition topic, as its markers tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstreams {
    expected: u32,
    known: BTreeMap<u32, (Timestamp, Activity)>,
    /// Tasks that have not read yet what lay in their inputs when this one began.
    doubted: BTreeSet<u32>,
    watermark: Option<Timestamp>,
}

impl Upstreams {
    /// So many tasks write the topic, as far as the plan knows.
    #[must_use]
    pub fn new(expected: u32) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Goes on from what was committed.
    pub fn restore(&mut self, watermark: Timestamp, upstream: &[Upstream]) {
        self.known = upstream.iter().map(|one| (one.task, (one.watermark, one.activity))).collect();
        self.watermark = (!upstream.is_empty()).then_some(watermark);
    }

    /// Learns from a marker. Watermarks only rise: a task that starts anew may tell an older one.
    pub fn learn(&mut self, marker: &Marker) {
        self.expected = self.expected.max(marker.tasks);
        let (watermark, activity) = self.known.entry(marker.task).or_insert((Timestamp::MIN, marker.activity));
        *watermark = marker.watermark.max(*watermark);
        *activity = marker.activity;
        self.rise();
    }

    /// Doubts these tasks, and no others any more.
    pub fn doubt(&mut self, tasks: &BTreeSet<u32>) {
        if self.doubted != *tasks {
            self.doubted.clone_from(tasks);
            self.rise();
        }
    }

    /// True where a task is doubted that says that nothing more is at hand.
    #[must_use]
    pub fn has_doubts(&self) -> bool {
        self.doubted.iter().any(|task| self.known.get(task).is_some_and(|(_, activity)| is_quiet(*activity)))
    }

    /// How far a task has come, and whether more is to come of it, as far as that is believed.
    fn word_of(&self, task: u32) -> (Timestamp, Activity) {
        match self.known.get(&task) {
            Some((watermark, activity)) if is_quiet(*activity) && self.doubted.contains(&task) => {
                (*watermark, Activity::Active)
            }
            Some(word) => *word,
            None => (Timestamp::MIN, Activity::Active),
        }
    }

    fn words(&self) -> impl Iterator<Item = (u32, (Timestamp, Activity))> {
        (0..self.expected).map(|task| (task, self.word_of(task)))
    }

    fn rise(&mut self) {
        // Idle tasks are left out; with all of them idle, time stands still.
        let least = self.taking_part().min();
        if let Some((minimum, _)) = least {
            self.watermark = Some(minimum.max(self.watermark()));
        }
    }

    /// The topic's watermark: never goes back.
    #[must_use]
    pub fn watermark(&self) -> Timestamp {
        self.watermark.unwrap_or(Timestamp::MIN)
    }

    /// What can be said of all of them together.
    #[must_use]
    pub fn activity(&self) -> Activity {
        let all = |test: fn(Activity) -> bool| self.words().all(|(_, (_, activity))| test(activity));
        if all(|activity| activity == Activity::End) {
            Activity::End
        } else if all(|activity| matches!(activity, Activity::Idle | Activity::End)) {
            Activity::Idle
        } else if all(|activity| activity != Activity::Active) {
            Activity::CaughtUp
        } else {
            Activity::Active
        }
    }

    /// The earliest time that a record may still have of a task that has more at hand: the watermark of the slowest of
    /// those. `None` where no task has.
    #[must_use]
    pub fn awaited(&self) -> Option<Timestamp> {
        let active = self.words().filter(|(_, (_, activity))| *activity == Activity::Active);
        active.map(|(_, (watermark, _))| watermark).min()
    }

    /// How far each task has come that takes part, with its number; one that has not been heard of stands at the beginning
    /// of time.
    pub fn taking_part(&self) -> impl Iterator<Item = (Timestamp, u32)> {
        let taking_part = self.words().filter(|(_, (_, activity))| *activity != Activity::Idle);
        taking_part.map(|(task, (watermark, _))| (watermark, task))
    }

    /// The task that holds the watermark back: the one that has come least far, or has not been heard of.
    #[must_use]
    pub fn slowest(&self) -> Option<u32> {
        self.taking_part().min().map(|(_, task)| task)
    }

    /// What is to be committed of it.
    #[must_use]
    pub fn to_commit(&self) -> Vec<Upstream> {
        let upstream = |(task, (watermark, activity)): (&u32, &(Timestamp, Activity))| Upstream {
            task: *task,
            watermark: *watermark,
            activity: *activity,
        };
        self.known.iter().map(upstream).collect()
    }
}

fn is_quiet(activity: Activity) -> bool {
    matches!(activity, Activity::CaughtUp | Activity::Idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(task: u32, watermark: i64, activity: Activity) -> Marker {
        Marker { edge: 1, task, tasks: 2, watermark: Timestamp::from_millis(watermark), activity }
    }

    #[test]
    fn a_task_that_has_not_been_heard_of_holds_time_back() {
        let mut upstreams = Upstreams::new(2);
        upstreams.learn(&marker(0, 10, Activity::Active));
        assert_eq!((upstreams.watermark(), upstreams.slowest()), (Timestamp::MIN, Some(1)));
        upstreams.learn(&marker(1, 7, Activity::Active));
        assert_eq!(upstreams.watermark(), Timestamp::from_millis(7));
    }

    #[test]
    fn the_watermark_never_goes_back_and_stands_still_while_all_are_idle() {
        let mut upstreams = Upstreams::new(2);
        upstreams.learn(&marker(0, 10, Activity::Active));
        upstreams.learn(&marker(1, 3, Activity::Idle));
        assert_eq!(upstreams.watermark(), Timestamp::from_millis(10));
        upstreams.learn(&marker(1, 4, Activity::Active));
        assert_eq!(upstreams.watermark(), Timestamp::from_millis(10), "one that comes back does not turn time back");
        upstreams.learn(&marker(0, 99, Activity::Idle));
        upstreams.learn(&marker(1, 99, Activity::Idle));
        assert_eq!(upstreams.activity(), Activity::Idle);
        assert!(upstreams.watermark() <= Timestamp::from_millis(99));
    }

    #[test]
    fn more_tasks_than_the_plan_knew_are_waited_for_once_a_marker_tells_of_them() {
        let mut upstreams = Upstreams::new(1);
        upstreams.learn(&marker(0, 10, Activity::Active));
        assert_eq!(upstreams.watermark(), Timestamp::MIN);
        assert_eq!(upstreams.awaited(), Some(Timestamp::MIN));
    }

    #[test]
    fn only_those_that_have_more_at_hand_are_waited_for() {
        let mut upstreams = Upstreams::new(2);
        upstreams.learn(&marker(0, 10, Activity::Active));
        upstreams.learn(&marker(1, 3, Activity::Active));
        assert_eq!(upstreams.awaited(), Some(Timestamp::from_millis(3)));
        upstreams.learn(&marker(1, 3, Activity::CaughtUp));
        assert_eq!(upstreams.awaited(), Some(Timestamp::from_millis(10)));
        upstreams.learn(&marker(0, 10, Activity::Idle));
        assert_eq!(upstreams.awaited(), None);
    }

    #[test]
    fn a_doubted_task_counts_as_active_until_it_is_believed_again() {
        let mut upstreams = Upstreams::new(2);
        upstreams.learn(&marker(0, 10, Activity::CaughtUp));
        upstreams.learn(&marker(1, 3, Activity::Idle));
        upstreams.doubt(&BTreeSet::from([1]));
        assert!(upstreams.has_doubts());
        assert_eq!((upstreams.activity(), upstreams.awaited()), (Activity::Active, Some(Timestamp::from_millis(3))));
        upstreams.learn(&marker(0, 20, Activity::CaughtUp));
        assert_eq!(upstreams.watermark(), Timestamp::from_millis(10), "the doubted one takes part");
        assert_eq!(upstreams.to_commit()[1].activity, Activity::Idle, "what it said is kept");
        upstreams.doubt(&BTreeSet::new());
        assert_eq!((upstreams.activity(), upstreams.awaited()), (Activity::CaughtUp, None));
        assert_eq!(upstreams.watermark(), Timestamp::from_millis(20));
        assert!(!upstreams.has_doubts());
    }

    #[test]
    fn a_doubted_task_that_has_more_at_hand_is_taken_at_its_word() {
        let mut upstreams = Upstreams::new(1);
        upstreams.doubt(&BTreeSet::from([0]));
        upstreams.learn(&Marker { tasks: 1, ..marker(0, 10, Activity::Active) });
        assert!(!upstreams.has_doubts());
        assert_eq!(upstreams.awaited(), Some(Timestamp::from_millis(10)));
    }

    #[test]
    fn what_is_committed_comes_back() {
        let mut upstreams = Upstreams::new(2);
        upstreams.learn(&marker(0, 10, Activity::Active));
        upstreams.learn(&marker(1, 12, Activity::CaughtUp));
        let mut again = Upstreams::new(2);
        again.restore(upstreams.watermark(), &upstreams.to_commit());
        assert_eq!(again, upstreams);
    }
}
