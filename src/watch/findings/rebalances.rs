//! The group gives out the partitions again and again; or it gives out none.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Story;
use super::words::{number, span};
use crate::runtime::AppState;
use crate::watch::sample::Sample;
use crate::watch::view::{Finding, FindingKind, Severity};

/// It is looked back over this time.
pub(super) const OVER: Duration = Duration::from_mins(6);
/// In so many of its minutes there was a new assignment.
pub(super) const MINUTES: usize = 4;
/// Or there were so many for each stream thread.
pub(super) const EACH: u64 = 10;
/// For so long it has waited for its first partitions.
pub(super) const JOINING_AFTER: Duration = Duration::from_mins(1);

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    joining(story, now).or_else(|| again(story, now)).into_iter().collect()
}

fn again(story: &Story<'_>, now: &Sample) -> Option<Finding> {
    let samples: Vec<&Sample> = story.series.within(OVER).collect();
    let changes: Vec<&Sample> =
        samples.windows(2).filter(|pair| pair[1].rebalances > pair[0].rebalances).map(|pair| pair[1]).collect();
    let minutes: BTreeSet<u64> = changes.iter().map(|sample| now.since(sample).as_secs() / 60).collect();
    let count = now.rebalances.saturating_sub(samples.first()?.rebalances);
    let threads = u64::try_from(now.threads.max(1)).unwrap_or(1);
    // What lies back for minutes is over. When threads join, each new one gives all of them new partitions.
    let still = changes.last().is_some_and(|last| now.since(last) < OVER / 3);
    if !still || (minutes.len() < MINUTES && count < EACH * threads.max(2)) {
        return None;
    }
    let lost = super::failures_within(story, OVER).into_iter().any(|(kind, _)| &*kind == "lost");
    Some(Finding {
        kind: FindingKind::RebalanceLoop,
        severity: Severity::Warning,
        since: changes.first().map_or(now.wall, |first| first.wall),
        subject: None,
        what: format!(
            "The group has given this process new partitions {} times in {}: the work stops each time.",
            number(count),
            span(now.since(samples.first()?))
        ),
        why: if lost {
            "This process has lost its membership: it was silent for longer than the session timeout, or another process has \
             the same instance id."
                .into()
        } else {
            "A process of the group is restarted again and again, or drops out because it is silent for longer than the \
             session timeout."
                .into()
        },
        remedy: "Look for the process that restarts and at how its log ends. If none does, give --session-timeout more than \
                 the longest pause, and each process an --instance or --state-dir of its own."
            .into(),
    })
}

fn joining(story: &Story<'_>, now: &Sample) -> Option<Finding> {
    let since = story.series.holds_since(|sample| sample.state == AppState::Starting)?;
    (now.since(since) >= JOINING_AFTER).then(|| Finding {
        kind: FindingKind::Joining,
        severity: Severity::Warning,
        since: since.wall,
        subject: None,
        what: format!("It has waited for partitions for {}.", span(now.since(since))),
        why: "The group has not given it any yet: the brokers do not answer, or the group waits for a member that is silent."
            .into(),
        remedy: "See in the log what the broker answers. A member that ended without leaving is waited for as long as its \
                 session timeout."
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{counted, tell, wall};
    use super::*;

    fn rebalances(count: impl Fn(u64) -> u64) -> impl Fn(u64, &mut Sample) {
        move |second, sample| {
            sample.threads = 2;
            sample.rebalances = count(second);
        }
    }

    #[test]
    fn a_process_that_is_restarted_every_minute_is_found() {
        let (when, found) = tell(find, 0..300, rebalances(|second| 2 + second / 60));
        assert!(when.len() == 1 && (180..=240).contains(&when[0].start), "{when:?}");
        assert!(
            found[0].what.starts_with("The group has given this process new partitions 4 times"),
            "{}",
            found[0].what
        );
        assert!(found[0].why.starts_with("A process of the group is restarted"));
    }

    #[test]
    fn a_quick_loop_is_found_before_minutes_have_passed() {
        let (when, _) = tell(find, 0..100, rebalances(|second| second / 3));
        assert!(when[0].start < 70, "{when:?}");
    }

    #[test]
    fn a_lost_membership_is_named() {
        let lost = |second: u64, sample: &mut Sample| {
            rebalances(|second| second / 30)(second, sample);
            sample.counts.commit_failures = vec![counted("lost", second / 100)];
        };
        let (_, found) = tell(find, 0..300, lost);
        assert!(found[0].why.contains("lost its membership"), "{}", found[0].why);
    }

    #[test]
    fn a_start_and_a_rolling_restart_of_three_are_not_found() {
        assert_eq!(tell(find, 0..600, rebalances(|second| second.min(8))).0, []);
        assert_eq!(tell(find, 0..600, rebalances(|second| 2 + 2 * (second / 50).min(3))).0, []);
    }

    #[test]
    fn a_loop_that_is_over_is_not_said_for_long() {
        let (when, _) = tell(find, 0..600, rebalances(|second| second.min(300) / 30));
        assert!(when.len() == 1 && (350..=430).contains(&when[0].end), "{when:?}");
    }

    #[test]
    fn a_process_that_gets_no_partitions_is_found() {
        let starting = |second: u64, sample: &mut Sample| {
            sample.state = if second < 100 { AppState::Starting } else { AppState::Running };
        };
        let (when, _) = tell(find, 0..120, starting);
        assert_eq!(when, [60..100]);
        let (_, found) = tell(find, 0..90, starting);
        assert_eq!(found[0].since, wall(0));
    }
}
