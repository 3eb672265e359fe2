//! Records did not go the usual way: bad input, no partner, too late.

use std::sync::Arc;
use std::time::Duration;

use super::Story;
use super::words::{number, some, span};
use crate::operators::DropReason;
use crate::watch::report::{Pair, read};
use crate::watch::sample::Sample;
use crate::watch::view::{Finding, FindingKind, Severity, TopicRole};

/// It is looked back over this time.
pub(super) const OVER: Duration = Duration::from_mins(5);
/// Late records are a warning from this part of all records on, 1 in so many, ...
pub(super) const LATE_ONE_IN: u64 = 100;
/// ... where there are at least so many.
pub(super) const LATE_FEWEST: u64 = 10;

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    let Some(before) = story.series.ago_at_most(OVER) else { return Vec::new() };
    let pair = Pair { before, now };
    let late = late(story, pair);
    // Operators that name themselves say it themselves.
    let told = !late.is_empty();
    dropped(story, pair)
        .into_iter()
        .filter(|(reason, _)| !(told && is_late(*reason)))
        .map(|(_, found)| found)
        .chain(late)
        .collect()
}

fn is_late(reason: DropReason) -> bool {
    matches!(reason, DropReason::Late | DropReason::Expired)
}

/// Since when records have gone that way: the sample with which the count began to grow within the time.
fn since<'a>(story: &'a Story<'_>, pair: Pair<'a>, count: impl Fn(&Sample) -> u64) -> &'a Sample {
    let start = count(pair.before);
    story.series.holds_since(|sample| count(sample) > start).unwrap_or(pair.now)
}

fn dropped(story: &Story<'_>, pair: Pair<'_>) -> Vec<(DropReason, Finding)> {
    let count = |sample: &Sample, topic: &Arc<str>, reason: DropReason| {
        let mut rows = sample.counts.dropped.iter();
        rows.find(|row| row.0 == *topic && row.1 == reason).map_or(0, |row| row.2)
    };
    let mut found = Vec::new();
    for (topic, reason, total) in &pair.now.counts.dropped {
        let grown = total.saturating_sub(count(pair.before, topic, *reason));
        // What has come before is no fault of anybody's: to leave it out was asked for.
        if grown == 0 || *reason == DropReason::Duplicate {
            continue;
        }
        let since = since(story, pair, |sample| count(sample, topic, *reason)).wall;
        let (severity, why) = meaning(*reason);
        let time = span(pair.now.since(pair.before));
        found.push((
            *reason,
            Finding {
                kind: FindingKind::Dropping,
                severity,
                since,
                subject: Some(format!("{topic}: {}", reason.label())),
                what: format!(
                    "{} of {topic} did not go the usual way in the last {time}: {}.",
                    some(grown, "record"),
                    reason.label()
                ),
                why: why.into(),
                remedy: where_to_look(story, topic, severity),
            },
        ));
    }
    found
}

/// Whether a reason is a fault in the data, or what the topology was told to do; and what it means.
fn meaning(reason: DropReason) -> (Severity, &'static str) {
    let (fault, told) = (Severity::Warning, Severity::Info);
    match reason {
        DropReason::Unreadable => (fault, "Their bytes are not what the topic's codec reads."),
        DropReason::NullKey => (fault, "They have no key where one is needed."),
        DropReason::NullValue => (fault, "They have no value where one is needed."),
        DropReason::NegativeTimestamp => (fault, "Their event time lies before 1970, or they have none."),
        DropReason::TooFarAhead => (fault, "Their event time lies further in the future than their source allows."),
        DropReason::Overflow => (fault, "A number grew beyond what its type holds exactly."),
        DropReason::TooLarge => (fault, "A result is larger than its topic allows."),
        DropReason::Refused => (fault, "The broker refused a result of theirs."),
        DropReason::Rejected => (fault, "A function of the topology refused them."),
        DropReason::Panicked => (fault, "A function of the topology panicked on them."),
        DropReason::Unwritable => (fault, "A result could not be written in its topic's format."),
        DropReason::NothingToTakeBack => (fault, "A row left a group of its table that has no value to take it from."),
        DropReason::NoBranch => (told, "No branch took them."),
        DropReason::JoinMiss => (told, "An inner join found no partner for them."),
        DropReason::OutOfDate => (told, "They are older than the row that they would have overwritten."),
        DropReason::Late | DropReason::Expired => (told, "Their time was over when they came."),
        DropReason::Duplicate => (told, "Equal ones have passed before."),
    }
}

fn where_to_look(story: &Story<'_>, topic: &str, severity: Severity) -> String {
    if severity == Severity::Info {
        return "If that is not meant to be, look at their keys and times: the last of them are listed with the refused records.".into();
    }
    match story.facts.dead_letters.get(topic) {
        Some(dead) => format!("Their original bytes are in {dead}, with the reason and the place in headers. Mend what writes them."),
        None => "The last of them are listed with the refused records, with their offsets. Mend what writes them; a dead letter \
                 topic keeps their bytes (--bad-input dead-letter=TOPIC)."
            .into(),
    }
}

fn late(story: &Story<'_>, pair: Pair<'_>) -> Vec<Finding> {
    let sources = story.facts.topics.iter().filter(|(_, role)| **role == TopicRole::Source);
    let came: u64 = sources.map(|(topic, _)| pair.grown(read, topic)).sum();
    let rows = |sample: &Sample| sample.counts.late.clone();
    let grown = |name: &Arc<str>| {
        let of = |sample: &Sample| crate::watch::sample::value(&rows(sample), name);
        (of(pair.now).saturating_sub(of(pair.before)), since(story, pair, of).wall)
    };
    let mut found = Vec::new();
    for (name, _) in &pair.now.counts.late {
        let (count, since) = grown(name);
        if count == 0 {
            continue;
        }
        let many = count >= LATE_FEWEST && count.saturating_mul(LATE_ONE_IN) >= came;
        found.push(Finding {
            kind: FindingKind::Late,
            severity: if many { Severity::Warning } else { Severity::Info },
            since,
            subject: Some(name.to_string()),
            what: format!(
                "{} came too late for {name} in the last {}, of {} that were read.",
                some(count, "record"),
                span(pair.now.since(pair.before)),
                number(came)
            ),
            why: "Within their partition they are older than its source's disorder and the operator's grace allow: their windows \
                  are closed."
                .into(),
            remedy: "If that many are meant to count, give the source more `.out_of_order_by(…)` or the windows more grace; \
                     results come that much later."
                .into(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{counted, facts, tell, wall};
    use super::*;
    use crate::watch::sample::Series;
    use crate::watch::sample::tests::at;

    fn drops(reason: DropReason, count: impl Fn(u64) -> u64) -> impl Fn(u64, &mut Sample) {
        move |second, sample| {
            let rows = [("in".into(), reason, count(second))];
            sample.counts.dropped = rows.into_iter().filter(|row| row.2 > 0).collect();
        }
    }

    #[test]
    fn bad_input_is_a_warning_for_five_minutes() {
        let (when, found) = tell(find, 0..200, drops(DropReason::Unreadable, |second| second.clamp(100, 103) - 100));
        assert_eq!(when, [101..200]);
        assert_eq!((found[0].severity, found[0].subject.as_deref()), (Severity::Warning, Some("in: unreadable")));
        assert_eq!(found[0].what, "3 records of in did not go the usual way in the last 3 min: unreadable.");
        assert!(found[0].since.millis_since(wall(101)) <= 5_000);
        assert!(found[0].remedy.contains("--bad-input"), "{}", found[0].remedy);
        let (when, _) = tell(find, 0..600, drops(DropReason::Unreadable, |second| second.clamp(100, 103) - 100));
        assert!(when.len() == 1 && (400..=410).contains(&when[0].end), "{when:?}");
    }

    #[test]
    fn the_topic_with_the_dead_letters_is_named() {
        let mut facts = facts();
        facts.dead_letters = [("in".into(), "in.bad".into())].into();
        let mut series = Series::default();
        for second in 0..3 {
            let mut sample = at(second);
            drops(DropReason::NullKey, |second| second)(second, &mut sample);
            series.push(sample);
        }
        let now = series.last().expect("some");
        let found = find(&Story { facts: &facts, series: &series, before: &[] }, now);
        assert!(found[0].remedy.starts_with("Their original bytes are in in.bad"), "{}", found[0].remedy);
    }

    #[test]
    fn what_the_topology_was_told_to_leave_out_is_no_fault() {
        let (_, found) = tell(find, 0..100, drops(DropReason::JoinMiss, |second| second));
        assert_eq!(found[0].severity, Severity::Info);
        assert_eq!(tell(find, 0..100, drops(DropReason::Duplicate, |second| second)).0, []);
    }

    #[test]
    fn what_was_before_anybody_looked_is_not_found() {
        assert_eq!(tell(find, 0..100, drops(DropReason::Unreadable, |_| 7)).0, []);
    }

    fn late_by(late: impl Fn(u64) -> u64) -> impl Fn(u64, &mut Sample) {
        move |second, sample| {
            sample.counts.records_in = vec![counted("in", second * 100), counted("ours", second * 50)];
            sample.counts.late = vec![counted("windows", late(second))];
            sample.counts.dropped = vec![("ours".into(), DropReason::Late, late(second))];
        }
    }

    #[test]
    fn late_records_are_a_warning_where_they_are_many() {
        let (_, found) = tell(find, 0..101, late_by(|second| second * 2));
        assert_eq!(found.len(), 1, "the count by reason is the same records");
        assert_eq!((found[0].kind, found[0].severity), (FindingKind::Late, Severity::Warning));
        assert_eq!(found[0].what, "200 records came too late for windows in the last 100 s, of 10,000 that were read.");
        let (_, found) = tell(find, 0..101, late_by(|second| second / 2));
        assert_eq!(found[0].severity, Severity::Info);
        assert_eq!(tell(find, 0..101, late_by(|_| 0)).0, []);
    }
}
