//! A source that had records all the time has none now.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Story;
use super::words::span;
use crate::runtime::AppState;
use crate::watch::sample::{Sample, value};
use crate::watch::view::{Finding, FindingKind, Severity, TopicRole};

/// For so long nothing has come.
pub(super) const AFTER: Duration = Duration::from_mins(2);
/// Before that records came in each of so many minutes in a row.
pub(super) const MINUTES: u64 = 3;

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    if now.paused || now.state != AppState::Running {
        return Vec::new();
    }
    let sources = story.facts.topics.iter().filter(|(_, role)| **role == TopicRole::Source);
    sources.filter_map(|(topic, _)| of_topic(story, now, topic)).collect()
}

fn of_topic(story: &Story<'_>, now: &Sample, topic: &str) -> Option<Finding> {
    let count = |sample: &Sample| value(&sample.counts.records_in, topic);
    let since = story.series.holds_since(|sample| count(sample) == count(now))?;
    let known = story.before.iter().find(|f| f.kind == FindingKind::Silent && f.subject.as_deref() == Some(topic));
    let waits = now.counts.partitions.iter().any(|of| *of.topic == *topic && of.lag > 0);
    // What is waited for longer than anybody remembers is still waited for.
    if waits || now.since(since) < AFTER || (known.is_none() && !came_regularly(story, since, count)) {
        return None;
    }
    let begun = known.map_or(since.wall, |known| known.since);
    let lasted = Duration::from_millis(now.wall.millis_since(begun));
    Some(Finding {
        kind: FindingKind::Silent,
        severity: Severity::Info,
        since: begun,
        subject: Some(topic.to_owned()),
        what: format!("Nothing has come from {topic} for {}, where records came all the time before.", span(lasted)),
        why: "Its producer has stopped, or has nothing to write. All that there was has been processed.".into(),
        remedy: "If more should come, look at what writes to it. The last windows stay open until time goes on: \
                 `.advance_by_clock_after(…)` at the source lets it follow the clock."
            .into(),
    })
}

/// In each of the minutes before, records came.
fn came_regularly(story: &Story<'_>, since: &Sample, count: impl Fn(&Sample) -> u64) -> bool {
    let earlier: Vec<&Sample> = story.series.backwards().filter(|sample| sample.elapsed <= since.elapsed).collect();
    let grown = earlier.windows(2).filter(|pair| count(pair[0]) > count(pair[1]));
    let minutes: BTreeSet<u64> = grown.map(|pair| since.since(pair[0]).as_secs() / 60).collect();
    (0..MINUTES).all(|minute| minutes.contains(&minute))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{counted, tell, waiting, wall};
    use super::*;

    fn comes(count: impl Fn(u64) -> u64) -> impl Fn(u64, &mut Sample) {
        move |second, sample| sample.counts.records_in = vec![counted("in", count(second))]
    }

    #[test]
    fn a_source_that_falls_silent_is_found_for_as_long_as_it_lasts() {
        let (when, found) = tell(find, 0..3_000, comes(|second| if second < 2_000 { second.min(300) } else { 301 }));
        assert_eq!(when.len(), 1, "{when:?}");
        assert!((420..=430).contains(&when[0].start) && when[0].end == 2_000, "{when:?}");
        assert_eq!(found, []);
        let (_, found) = tell(find, 0..1_500, comes(|second| second.min(300)));
        assert!(found[0].since.millis_since(wall(300)) <= 5_000);
        assert!(found[0].what.starts_with("Nothing has come from in for 19 min"), "{}", found[0].what);
    }

    #[test]
    fn a_source_from_which_little_comes_is_not_found() {
        assert_eq!(tell(find, 0..2_000, comes(|second| second / 150)).0, []);
        assert_eq!(tell(find, 0..2_000, comes(|second| second.min(30) * 1_000)).0, []);
    }

    #[test]
    fn what_waits_is_no_silence() {
        let stuck = |second: u64, sample: &mut Sample| {
            comes(|second| second.min(300))(second, sample);
            sample.counts.partitions = vec![waiting("in", 0, 4)];
        };
        assert_eq!(tell(find, 0..800, stuck).0, []);
    }
}
