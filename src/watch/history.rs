//! How a topology went on over the last ten minutes, a value a step.

use std::collections::VecDeque;

use super::HISTORY_STEP;
use super::facts::Facts;
use super::report::{Pair, read, written};
use super::sample::{LENGTH, Sample};
use super::view::{History, TopicRole};
use crate::time::Timestamp;

/// The last steps of a topology.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The last sample that made a step.
    last: Option<Sample>,
    steps: VecDeque<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    time: Timestamp,
    in_rate: f64,
    out_rate: f64,
    lag: u64,
    watermark_age_ms: Option<u64>,
}

/// The step that a time is in, by the wall clock: so that steps of several processes are the same.
fn step_of(time: Timestamp) -> Timestamp {
    let step = i64::try_from(HISTORY_STEP.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(time.millis().div_euclid(step) * step)
}

impl Steps {
    /// Takes in what was seen now. With the first sample of a step the one before it is complete.
    pub(super) fn push(&mut self, facts: &Facts, now: &Sample) {
        let time = step_of(now.wall);
        let Some(before) = &self.last else {
            self.last = Some(now.clone());
            return;
        };
        if step_of(before.wall) == time {
            return;
        }
        let pair = Pair { before, now };
        let step = Step {
            time,
            in_rate: pair.rate_of(read, facts, TopicRole::Source),
            out_rate: pair.rate_of(written, facts, TopicRole::Output),
            lag: now.lag(),
            watermark_age_ms: now.tasks.iter().filter_map(|task| task.age(now.wall)).max(),
        };
        self.last = Some(now.clone());
        // A wall clock that was set back begins anew.
        while self.steps.back().is_some_and(|last| last.time >= time) {
            self.steps.pop_back();
        }
        self.steps.push_back(step);
        let most = usize::try_from(LENGTH.as_secs() / HISTORY_STEP.as_secs()).unwrap_or(usize::MAX);
        while self.steps.len() > most {
            self.steps.pop_front();
        }
    }

    /// All steps, oldest first.
    pub(super) fn history(&self, name: &str) -> History {
        History {
            name: name.to_owned(),
            time: self.steps.iter().map(|step| step.time).collect(),
            in_rate: self.steps.iter().map(|step| step.in_rate).collect(),
            out_rate: self.steps.iter().map(|step| step.out_rate).collect(),
            lag: self.steps.iter().map(|step| step.lag).collect(),
            watermark_age_ms: self.steps.iter().map(|step| step.watermark_age_ms).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::watch::sample::tests::at;

    fn facts() -> Facts {
        let topics = [("in".into(), TopicRole::Source), ("out".into(), TopicRole::Output)];
        Facts { name: "totals".into(), topics: topics.into(), ..Facts::default() }
    }

    #[test]
    fn a_step_has_the_rates_since_the_one_before() {
        let mut steps = Steps::default();
        for second in 0..=11 {
            let mut sample = at(second);
            sample.counts.records_in = vec![("in".into(), second * 10), ("ours".into(), second * 1_000)];
            sample.counts.records_out = vec![("out".into(), second)];
            steps.push(&facts(), &sample);
        }
        let history = steps.history("totals");
        assert_eq!(history.time.iter().map(|time| time.millis() % 100_000).collect::<Vec<_>>(), [5_000, 10_000]);
        assert_eq!((history.in_rate, history.out_rate), (vec![10.0, 10.0], vec![1.0, 1.0]));
        assert_eq!(history.watermark_age_ms, [None, None]);
    }

    #[test]
    fn the_history_is_bounded_and_outlives_a_clock_that_is_set_back() {
        let mut steps = Steps::default();
        for second in 0..1_000 {
            steps.push(&facts(), &at(second));
        }
        assert_eq!(steps.history("totals").time.len(), 120);
        let mut early = at(1_000);
        early.wall = early.wall.minus(Duration::from_mins(5));
        steps.push(&facts(), &early);
        let times = steps.history("totals").time;
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    }
}
