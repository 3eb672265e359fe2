//! Commits fail.

use std::time::Duration;

use super::words::{some, span};
use super::{Story, failures_within};
use crate::watch::sample::Sample;
use crate::watch::view::{Finding, FindingKind, Severity};

/// It is looked back over this time.
pub(super) const OVER: Duration = Duration::from_mins(5);
/// So many have failed in it: single ones come with rebalances and restarts of brokers.
pub(super) const FEWEST: u64 = 3;
/// Nothing was committed for so long, while commits failed: then it is an error.
pub(super) const NONE_FOR: Duration = Duration::from_secs(30);

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    let failures = failures_within(story, OVER);
    let count: u64 = failures.iter().map(|(_, count)| count).sum();
    if count < FEWEST {
        return Vec::new();
    }
    let Some(before) = story.series.ago_at_most(OVER) else { return Vec::new() };
    let committed = now.counts.committed.saturating_sub(before.counts.committed);
    let none = story.series.ago(NONE_FOR).is_some_and(|then| {
        then.counts.committed == now.counts.committed && then.counts.commit_failures != now.counts.commit_failures
    });
    let (main, _) = failures.iter().max_by_key(|(_, count)| *count).cloned().unwrap_or_default();
    let kinds: Vec<String> = failures.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    vec![Finding {
        kind: FindingKind::CommitsFail,
        severity: if none { Severity::Error } else { Severity::Warning },
        since: story
            .series
            .holds_since(|sample| sample.counts.commit_failures != before.counts.commit_failures)
            .unwrap_or(now)
            .wall,
        subject: None,
        what: format!(
            "{} failed in the last {} ({}), {}.",
            some(count, "commit"),
            span(now.since(before)),
            kinds.join(", "),
            if none {
                format!("and none has succeeded for {}", span(NONE_FOR))
            } else {
                format!("{} succeeded", some(committed, "other"))
            }
        ),
        why: why(&main).into(),
        remedy: remedy(&main).into(),
    }]
}

/// By the kind that the metrics count it as.
fn why(kind: &str) -> &'static str {
    match kind {
        "abort" => {
            "The broker has refused what was written, or the transaction: nothing of it counts, and its records are processed again."
        }
        "lost" => {
            "The group had given the partitions to others before the commit came, or another process has the same transactional id."
        }
        "unknown" => {
            "The broker has not answered in time whether it has committed. It is settled before anything goes on, and nothing is done twice."
        }
        _ => "The producer cannot go on; the application stops.",
    }
}

fn remedy(kind: &str) -> &'static str {
    match kind {
        "lost" => {
            "Look for processes that restart or pause for longer than --session-timeout, and for two with the same --instance."
        }
        "unknown" => "Look at the load and the log of the brokers, and at the network to them.",
        _ => {
            "The log names the broker's answer to each, and the record where it is one record's fault. Missing rights and full disks of brokers are common causes."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{counted, tell};
    use super::*;

    fn fails(count: impl Fn(u64) -> u64, committed: impl Fn(u64) -> u64) -> impl Fn(u64, &mut Sample) {
        move |second, sample| {
            sample.counts.commit_failures = vec![counted("abort", count(second)), counted("unknown", 0)];
            sample.counts.committed = committed(second);
        }
    }

    #[test]
    fn some_commits_that_fail_are_a_warning_until_minutes_have_passed() {
        let (when, found) = tell(find, 0..200, fails(|second| (second / 20).min(5), |second| second * 10));
        assert_eq!(when, [60..200]);
        assert_eq!(
            (found[0].severity, found[0].what.as_str()),
            (Severity::Warning, "5 commits failed in the last 3 min (5 abort), 1,990 others succeeded.")
        );
        let (when, _) = tell(find, 0..600, fails(|second| (second / 20).min(5), |second| second * 10));
        assert!(when.len() == 1 && (360..410).contains(&when[0].end), "{when:?}");
    }

    #[test]
    fn when_none_succeeds_it_is_an_error() {
        let (_, found) = tell(find, 0..200, fails(|second| second / 10, |_| 7));
        assert_eq!(found[0].severity, Severity::Error);
        assert!(found[0].what.contains("and none has succeeded for 30 s"), "{}", found[0].what);
    }

    #[test]
    fn single_failures_are_not_found() {
        assert_eq!(tell(find, 0..600, fails(|second| second / 200, |second| second)).0, []);
    }
}
