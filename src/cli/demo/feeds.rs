//! What is written for the demos: each generator once, however many of them read it.

use std::time::Duration;

use crate::cli::catalog::Demo;
use crate::generate::{Faults, Options};
use crate::time::Timestamp;

/// A generator, and how fast it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Feed {
    /// The generator, by name.
    pub(super) generator: &'static str,
    /// Records a second of the clock.
    pub(super) rate: f64,
    /// Seconds of event time a second of the clock.
    pub(super) speed: f64,
}

/// What a generator's tables hold changes after so many of its records: with fifty a second, every ten seconds.
const CHANGES: f64 = 0.002;

/// How long a demo may run until its event time, which runs ahead, has come to the time of day.
const DAY: Duration = Duration::from_hours(24);

/// The feeds of some demos. Of those that share a generator the fastest counts; `rate` is that of each where it is given.
pub(super) fn feeds(demos: &[&Demo], rate: Option<f64>) -> Vec<Feed> {
    let mut feeds: Vec<Feed> = Vec::new();
    for demo in demos {
        let asked = rate.unwrap_or(demo.rate);
        match feeds.iter_mut().find(|feed| feed.generator == demo.generator) {
            Some(feed) => {
                feed.rate = feed.rate.max(asked);
                feed.speed = feed.speed.max(demo.speed);
            }
            None => feeds.push(Feed { generator: demo.generator, rate: asked, speed: demo.speed }),
        }
    }
    feeds
}

impl Feed {
    /// What its generator is asked for. Where event time runs faster than the clock it begins in the past.
    pub(super) fn options(&self, seed: u64, now: Timestamp) -> Options {
        let ahead = Duration::try_from_secs_f64((self.speed - 1.0) * DAY.as_secs_f64()).unwrap_or_default();
        Options { seed, start: now.minus(ahead), rate: self.rate / self.speed, faults: Faults::NONE, changes: CHANGES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo(generator: &'static str, rate: f64, speed: f64) -> Demo {
        Demo { topology: "t", generator, topic: "o", rank_by: "n", columns: &[], rate, speed }
    }

    #[test]
    fn a_generator_runs_once_as_fast_as_the_fastest_wants_it() {
        let demos = [demo("sales", 50.0, 1.0), demo("sensors", 20.0, 5.0), demo("sales", 10.0, 60.0)];
        let all: Vec<&Demo> = demos.iter().collect();
        let sales = Feed { generator: "sales", rate: 50.0, speed: 60.0 };
        let sensors = Feed { generator: "sensors", rate: 20.0, speed: 5.0 };
        assert_eq!(feeds(&all, None), [sales, sensors]);
        assert_eq!(feeds(&all[..1], None), [Feed { speed: 1.0, ..sales }]);
        assert_eq!(feeds(&all, Some(7.0)), [Feed { rate: 7.0, ..sales }, Feed { rate: 7.0, ..sensors }]);
    }

    #[test]
    fn faster_event_time_begins_in_the_past_and_has_fewer_records_a_second() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let usual = Feed { generator: "sales", rate: 50.0, speed: 1.0 }.options(3, now);
        assert_eq!((usual.seed, usual.start, usual.rate), (3, now, 50.0));
        let fast = Feed { generator: "sales", rate: 50.0, speed: 5.0 }.options(3, now);
        assert_eq!((fast.start, fast.rate), (now.minus(4 * DAY), 10.0));
    }
}
