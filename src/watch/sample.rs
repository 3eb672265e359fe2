//! What was seen at one moment, and what was seen before that: bounded, and coarser the older it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::Counts;
use crate::runtime::{AppState, Status, TaskStatus};
use crate::time::Timestamp;

/// How long ago the oldest sample is at least, once there have been so many.
pub(super) const LENGTH: Duration = Duration::from_mins(10);
/// All samples of this time are kept; of what is older one a [`STEP`].
const FINE: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_secs(5);

/// What was seen of a topology at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Since some fixed point, and by the wall clock.
    pub(super) elapsed: Duration,
    pub(super) wall: Timestamp,
    pub(super) state: AppState,
    pub(super) error: Option<String>,
    pub(super) threads: usize,
    pub(super) rebalances: u64,
    /// Whether it was told to pause.
    pub(super) paused: bool,
    /// How often each stream thread has said what it does.
    pub(super) reports: Vec<u64>,
    /// By name.
    pub(super) tasks: Vec<TaskSample>,
    pub(super) counts: Counts,
}

/// What was seen of a task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TaskSample {
    pub(super) name: Arc<str>,
    pub(super) thread: usize,
    pub(super) state: Arc<str>,
    pub(super) lag: Option<u64>,
    pub(super) processed: u64,
    pub(super) watermark: Option<Timestamp>,
    pub(super) held_by: Option<Arc<str>>,
    pub(super) held_back: Duration,
    pub(super) restore_remaining: u64,
}

impl Sample {
    /// Of what an application and its metrics say. `before` lends its names, of which there are the same most of the time.
    pub(super) fn of(
        status: Status,
        counts: Counts,
        elapsed: Duration,
        wall: Timestamp,
        before: Option<&Self>,
    ) -> Self {
        let Status { state, threads, tasks, error, rebalances, paused, reports } = status;
        let task = |task: TaskStatus| {
            let known = before.and_then(|before| before.task(&task.name));
            TaskSample::of(task, known)
        };
        let mut tasks: Vec<TaskSample> = tasks.into_iter().map(task).collect();
        tasks.sort_by(|one, other| one.name.cmp(&other.name));
        Self { elapsed, wall, state, error, threads, rebalances, paused, reports, tasks, counts }
    }

    /// As it was before the first record came: what was dropped before anybody looked has been dropped since then.
    pub(super) fn before_any_record(&self) -> Self {
        let (none, counts) = (Vec::new(), self.counts.clone());
        let counts =
            Counts { records_in: none, dropped: Vec::new(), dead_letters: Vec::new(), late: Vec::new(), ..counts };
        Self { counts, ..self.clone() }
    }

    /// The task of this name.
    pub(super) fn task(&self, name: &str) -> Option<&TaskSample> {
        self.tasks.iter().find(|task| &*task.name == name)
    }

    /// The time from an earlier sample to this one.
    pub(super) fn since(&self, earlier: &Self) -> Duration {
        self.elapsed.saturating_sub(earlier.elapsed)
    }

    /// Records that wait, over all that is read.
    pub(super) fn lag(&self) -> u64 {
        self.counts.partitions.iter().map(|partition| partition.lag).sum()
    }

    /// Changelog records that are still to be read, over all tasks.
    pub(super) fn restore_remaining(&self) -> u64 {
        self.tasks.iter().map(|task| task.restore_remaining).sum()
    }
}

impl TaskSample {
    fn of(task: TaskStatus, known: Option<&Self>) -> Self {
        let same = |text: &str, known: Option<&Arc<str>>| match known {
            Some(known) if **known == *text => Arc::clone(known),
            _ => Arc::from(text),
        };
        Self {
            name: same(&task.name, known.map(|known| &known.name)),
            thread: task.thread,
            state: same(&task.state, known.map(|known| &known.state)),
            lag: task.lag,
            processed: task.processed,
            watermark: task.time.watermark,
            held_by: task.time.held_by.map(|by| same(&by, known.and_then(|known| known.held_by.as_ref()))),
            held_back: task.time.held_back,
            restore_remaining: task.restore_remaining,
        }
    }

    /// How far event time in it is behind the wall clock, in milliseconds; `None` while no time is expected to go on.
    pub(super) fn age(&self, wall: Timestamp) -> Option<u64> {
        self.held_by.as_ref().and(self.watermark).map(|watermark| wall.millis_since(watermark))
    }

    /// Whether it processes records, or could.
    pub(super) fn is_running(&self) -> bool {
        &*self.state == "running"
    }
}

/// The value of a label; none stands at zero.
pub(super) fn value(rows: &[(Arc<str>, u64)], label: &str) -> u64 {
    rows.iter().find(|(known, _)| &**known == label).map_or(0, |(_, value)| *value)
}

/// What was seen of a topology over the last ten minutes, oldest first.
#[derive(Debug, Default)]
pub(super) struct Series {
    samples: VecDeque<Sample>,
    /// When it was seen for the first time.
    begun: Option<Duration>,
}

impl Series {
    /// Takes in what was seen now, and lets go of what is too old or more than is needed of it.
    pub(super) fn push(&mut self, sample: Sample) {
        let now = sample.elapsed;
        self.begun.get_or_insert(now);
        self.samples.push_back(sample);
        while self.samples.get(1).is_some_and(|second| now.saturating_sub(second.elapsed) >= LENGTH) {
            self.samples.pop_front();
        }
        self.thin(now);
    }

    /// Of the samples that have just become old one a step stays.
    fn thin(&mut self, now: Duration) {
        let old = self.samples.partition_point(|sample| now.saturating_sub(sample.elapsed) > FINE);
        if old >= 3 {
            let [before, this, after] = [old - 3, old - 2, old - 1].map(|place| self.samples[place].elapsed);
            if after.saturating_sub(before) <= STEP && this > before {
                self.samples.remove(old - 2);
            }
        }
    }

    /// What was seen last.
    pub(super) fn last(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// For how long it has been seen.
    pub(super) fn length(&self) -> Duration {
        self.last().zip(self.begun).map_or(Duration::ZERO, |(last, begun)| last.elapsed.saturating_sub(begun))
    }

    /// What was seen so long ago, or a little before that; `None` where nobody looked yet.
    pub(super) fn ago(&self, time: Duration) -> Option<&Sample> {
        let now = self.last()?.elapsed;
        self.samples.iter().rev().find(|sample| now.saturating_sub(sample.elapsed) >= time)
    }

    /// What was seen so long ago, or as long as anybody looked.
    pub(super) fn ago_at_most(&self, time: Duration) -> Option<&Sample> {
        self.ago(time).or_else(|| self.samples.front())
    }

    /// All that was seen, newest first.
    pub(super) fn backwards(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().rev()
    }

    /// What was seen within this time, oldest first.
    pub(super) fn within(&self, time: Duration) -> impl Iterator<Item = &Sample> {
        let now = self.last().map_or(Duration::ZERO, |last| last.elapsed);
        let from = self.samples.partition_point(|sample| now.saturating_sub(sample.elapsed) > time);
        self.samples.range(from..)
    }

    /// The oldest sample from which on, without a break, `holds` up to now.
    pub(super) fn holds_since(&self, holds: impl Fn(&Sample) -> bool) -> Option<&Sample> {
        self.backwards().take_while(|sample| holds(sample)).last()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A sample that was taken so many seconds after the start, of a topology that runs and does nothing.
    pub(in crate::watch) fn at(second: u64) -> Sample {
        Sample {
            elapsed: Duration::from_secs(second),
            wall: Timestamp::from_millis(1_700_000_000_000).plus(Duration::from_secs(second)),
            state: AppState::Running,
            error: None,
            threads: 1,
            rebalances: 1,
            paused: false,
            reports: vec![second],
            tasks: Vec::new(),
            counts: Counts::default(),
        }
    }

    #[test]
    fn ten_minutes_are_kept_however_long_it_runs() {
        let mut series = Series::default();
        for second in 0..10_000 {
            series.push(at(second));
        }
        assert!((130..160).contains(&series.len()), "{}", series.len());
        assert_eq!(series.ago(LENGTH).map(|sample| sample.elapsed.as_secs() / 10), Some(939));
        assert_eq!(series.length(), Duration::from_secs(9_999));
        let times: Vec<u64> = series.backwards().map(|sample| sample.elapsed.as_secs()).collect();
        assert!(times.windows(2).all(|pair| pair[0] > pair[1] && pair[0] - pair[1] <= STEP.as_secs()), "{times:?}");
        assert_eq!(times[..15], (9_985..10_000).rev().collect::<Vec<_>>());
    }

    #[test]
    fn what_was_seen_long_ago_is_there_only_once_it_was() {
        let mut series = Series::default();
        assert!(series.ago(Duration::ZERO).is_none());
        for second in 0..4 {
            series.push(at(second));
        }
        assert_eq!(series.ago(Duration::from_secs(2)).map(|sample| sample.elapsed.as_secs()), Some(1));
        assert!(series.ago(Duration::from_secs(4)).is_none());
        assert_eq!(series.ago_at_most(Duration::from_secs(4)).map(|sample| sample.elapsed.as_secs()), Some(0));
        assert_eq!(series.within(Duration::from_secs(1)).count(), 2);
    }
}
