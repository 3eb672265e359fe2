//! Many records wait: more come than are processed, or they become fewer.

use std::time::Duration;

use super::Story;
use super::trend::{slope, until_gone};
use super::words::{number, rate, some, span};
use crate::runtime::AppState;
use crate::watch::report::{Pair, busy, read};
use crate::watch::sample::{Sample, Series};
use crate::watch::view::{Finding, FindingKind, Severity, TopicRole};

/// Over this time it is judged whether more wait.
pub(super) const OVER: Duration = Duration::from_mins(3);
/// Fewer records than this are not worth a word.
pub(super) const FEWEST: u64 = 1_000;
/// Nor is what is processed within this time.
pub(super) const WORTH: Duration = Duration::from_secs(10);
/// Over this time it is judged whether fewer wait.
const RECENTLY: Duration = Duration::from_secs(30);

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    if now.paused || now.state != AppState::Running {
        return Vec::new();
    }
    let of = |topic: Option<&str>, sample: &Sample| waiting(sample, topic);
    if grows(story.series, |sample| of(None, sample)) {
        let worst = story.facts.topics.keys().filter(|topic| grows(story.series, |sample| of(Some(topic), sample)));
        let worst = worst.max_by_key(|topic| waiting(now, Some(topic)));
        return worst.and_then(|topic| falling_behind(story, now, topic)).into_iter().collect();
    }
    catching_up(story, now).into_iter().collect()
}

/// Records that wait of a topic, or of all.
fn waiting(sample: &Sample, topic: Option<&str>) -> u64 {
    let partitions = sample.counts.partitions.iter();
    partitions.filter(|of| topic.is_none_or(|topic| *of.topic == *topic)).map(|of| of.lag).sum()
}

/// Of three equal parts of the time the last has more waiting than the first at every moment, and ends with more than it
/// began: a heap that came at once and is being worked off does not grow. Nor is what came during a pause held against it.
fn grows(series: &Series, lag: impl Fn(&Sample) -> u64) -> bool {
    if series.length() < OVER || series.within(OVER).any(|sample| sample.paused) {
        return false;
    }
    let lags = |from: Duration, to: Duration| {
        let skipped = series.last().map_or(Duration::ZERO, |last| last.elapsed).saturating_sub(to);
        let part = series.within(from).filter(move |sample| sample.elapsed <= skipped);
        part.map(|sample| (sample.elapsed, lag(sample))).collect::<Vec<_>>()
    };
    let (early, recent) = (lags(OVER, OVER / 3 * 2), lags(OVER / 3, Duration::ZERO));
    let most = early.iter().map(|(_, lag)| *lag).max();
    let least = recent.iter().map(|(_, lag)| *lag).min();
    let end = recent.last().map_or(0, |(_, lag)| *lag);
    most.zip(least).is_some_and(|(most, least)| least > most.saturating_add(FEWEST / 10))
        && end >= FEWEST
        && slope(recent.into_iter()).is_some_and(|slope| slope > 0.0)
}

fn falling_behind(story: &Story<'_>, now: &Sample, topic: &str) -> Option<Finding> {
    let before = story.series.ago(OVER)?;
    let pair = Pair { before, now };
    let done = pair.rate(pair.grown(read, topic));
    let lag = waiting(now, Some(topic));
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    if (lag as f64) < done * WORTH.as_secs_f64() {
        return None;
    }
    let growth = slope(story.series.within(OVER).map(|sample| (sample.elapsed, waiting(sample, Some(topic)))))?;
    let repartition = story.facts.is(topic, TopicRole::Repartition);
    let things = if repartition { "message" } else { "record" };
    let busy = busy(pair);
    Some(Finding {
        kind: FindingKind::LagGrows,
        severity: Severity::Warning,
        since: before.wall,
        subject: Some(topic.to_owned()),
        what: format!("{} of {topic} wait, and they become {} more a second.", some(lag, things), rate(growth)),
        why: format!(
            "Over the last {} {} records a second of it were processed, and more came{}.",
            span(OVER),
            rate(done),
            busy.map_or_else(String::new, |busy| format!(
                "; the stream threads worked {:.0} % of the time",
                busy * 100.0
            ))
        ),
        remedy: remedy(story, now, busy),
    })
}

/// More threads help where those that there are have no time left, and there are partitions for more.
fn remedy(story: &Story<'_>, now: &Sample, busy: Option<f64>) -> String {
    let pieces = story.facts.pieces;
    let threads = u32::try_from(now.threads).unwrap_or(u32::MAX);
    if busy.is_some_and(|busy| busy < 0.5) {
        "The threads have time left: look at how long commits take and at what the tasks wait for (held by) rather than for more threads."
            .into()
    } else if threads >= pieces {
        format!(
            "This process has a thread for each of the {pieces} partitions already. What is left is a faster machine, a topic with \
             more partitions, or less work a record: combine() before a shuffle, for one."
        )
    } else {
        format!("Give it more threads (--threads) or processes, up to one thread for each of the {pieces} partitions.")
    }
}

/// A heap that is being worked off, as at the start of a backfill: not an error.
fn catching_up(story: &Story<'_>, now: &Sample) -> Option<Finding> {
    let lag = waiting(now, None);
    let before = story.series.ago(RECENTLY / 2)?;
    let lags = story.series.within(RECENTLY).map(|sample| (sample.elapsed, waiting(sample, None)));
    let slope = slope(lags)?;
    let left = until_gone(lag, slope)?;
    if lag < FEWEST || left < WORTH || waiting(before, None) < lag {
        return None;
    }
    let since = story.series.holds_since(|sample| waiting(sample, None) >= FEWEST)?;
    Some(Finding {
        kind: FindingKind::CatchingUp,
        severity: Severity::Info,
        since: since.wall,
        subject: None,
        what: format!(
            "{} records wait, {} fewer every second: caught up in about {}.",
            number(lag),
            rate(-slope),
            span(left)
        ),
        why: "It reads what came before it was started, or while it stood still.".into(),
        remedy: "Nothing has to be done.".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{counted, tell, waiting as partition};
    use super::*;

    /// So many wait in each second of it, and so many have been processed.
    fn lags(lag: impl Fn(u64) -> u64, a_second: u64) -> impl Fn(u64, &mut Sample) {
        move |second, sample| {
            sample.counts.partitions = vec![partition("in", 0, lag(second)), partition("ours", 0, 3)];
            sample.counts.records_in = vec![counted("in", a_second * second)];
        }
    }

    #[test]
    fn what_becomes_more_for_minutes_is_found() {
        let (when, found) = tell(find, 0..400, lags(|second| second * 50, 100));
        assert_eq!(when.len(), 1);
        assert!((180..190).contains(&when[0].start), "{when:?}");
        assert_eq!((found[0].kind, found[0].subject.as_deref()), (FindingKind::LagGrows, Some("in")));
        assert_eq!(found[0].what, "19,950 records of in wait, and they become 50 more a second.");
        assert!(found[0].remedy.contains("up to one thread for each of the 2 partitions"), "{}", found[0].remedy);
    }

    /// Paused from 100 s to 280 s, with so many waiting in each second of it.
    fn pauses(lag: impl Fn(u64) -> u64) -> impl Fn(u64, &mut Sample) {
        move |second, sample| {
            lags(&lag, 0)(second, sample);
            sample.counts.records_in = vec![counted("in", 50 * second.min(100) + 50 * second.saturating_sub(280))];
            sample.paused = (100..280).contains(&second);
        }
    }

    #[test]
    fn what_came_during_a_pause_is_not_growth() {
        let heap = |second: u64| match second {
            100..=280 => (second - 100) * 50,
            _ => 0,
        };
        assert_eq!(tell(find, 0..600, pauses(heap)).0, []);
        let (when, found) = tell(find, 0..600, pauses(|second| second * 200));
        assert!(when.len() == 1 && (450..470).contains(&when[0].start), "what grows after it is: {when:?}");
        assert_eq!(found[0].kind, FindingKind::LagGrows);
    }

    #[test]
    fn threads_that_have_time_left_are_not_what_is_missing() {
        let idle = |second: u64, sample: &mut Sample| {
            lags(|second| second * 50, 100)(second, sample);
            #[expect(clippy::cast_precision_loss, reason = "small")]
            sample.counts.busy_seconds.replace(second as f64 / 10.0);
        };
        let (_, found) = tell(find, 0..300, idle);
        assert!(found[0].why.contains("worked 10 % of the time"), "{}", found[0].why);
        assert!(found[0].remedy.starts_with("The threads have time left"), "{}", found[0].remedy);
    }

    #[test]
    fn a_backfill_is_told_with_its_end_and_is_no_fault() {
        let (when, found) = tell(find, 0..300, lags(|second| 1_000_000_u64.saturating_sub(second * 2_000), 2_000));
        assert!(when.len() == 1 && when[0].start < 20, "{when:?}");
        assert_eq!((found[0].kind, found[0].severity), (FindingKind::CatchingUp, Severity::Info));
        assert_eq!(found[0].what, "402,003 records wait, 2,000 fewer every second: caught up in about 3 min.");
        let until = tell(find, 0..600, lags(|second| 1_000_000_u64.saturating_sub(second * 2_000), 2_000)).0;
        assert!(until[0].end < 500, "{until:?}");
    }

    #[test]
    fn a_heap_that_comes_at_once_does_not_grow() {
        let heap = |second: u64| if second < 150 { 10 } else { 600_000_u64.saturating_sub((second - 150) * 1_000) };
        let (_, found) = tell(find, 0..290, lags(heap, 1_000));
        assert_eq!(found[0].kind, FindingKind::CatchingUp);
    }

    #[test]
    fn what_goes_up_and_down_is_not_found() {
        assert_eq!(tell(find, 0..600, lags(|second| second % 60 * 100, 1_000)).0, []);
    }

    #[test]
    fn what_is_worked_off_within_seconds_is_not_worth_a_word() {
        assert_eq!(tell(find, 0..600, lags(|second| 1_000 + second, 10_000)).0, []);
        assert_eq!(tell(find, 0..600, lags(|second| second, 1)).0, []);
    }
}
