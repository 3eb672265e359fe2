//! Keeps findings from one look to the next: since when, when one began, and when it is over. What comes and goes within
//! seconds is one finding.

use std::time::Duration;

use super::view::{Finding, FindingKind, Severity};

/// The findings that are said.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// The worst first.
    findings: Vec<Finding>,
    /// When each was found last.
    found: Vec<Duration>,
}

/// What is new about a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It has begun, or has become worse.
    Begun(Finding),
    /// It is over.
    Ended(Finding),
}

/// For how long a finding stays that is not found any more.
fn lingers(kind: FindingKind) -> Duration {
    match kind {
        // Somebody has done it, and wants to see that it is done; or it cannot come and go.
        FindingKind::Failed | FindingKind::Paused | FindingKind::Unreachable => Duration::ZERO,
        // Over a time of minutes already.
        FindingKind::Dropping | FindingKind::Late | FindingKind::CommitsFail | FindingKind::RebalanceLoop => {
            Duration::ZERO
        }
        FindingKind::NoProgress | FindingKind::Restoring | FindingKind::Joining | FindingKind::Silent => {
            Duration::from_secs(2)
        }
        FindingKind::LagGrows | FindingKind::CatchingUp | FindingKind::WatermarkHeld | FindingKind::NoTasks => {
            Duration::from_secs(15)
        }
    }
}

impl Keeper {
    /// What is found now, and what was a moment ago; the worst first.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Takes in what was found at `now`. Gives what has changed.
    pub(super) fn take(&mut self, found: Vec<Finding>, now: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        let before = std::mem::take(&mut self.findings).into_iter().zip(std::mem::take(&mut self.found));
        let mut before: Vec<(Finding, Duration)> = before.collect();
        let mut kept: Vec<(Finding, Duration)> = Vec::new();
        for mut finding in found {
            match before.iter().position(|(known, _)| same(known, &finding)) {
                Some(place) => {
                    let (known, _) = before.swap_remove(place);
                    finding.since = known.since;
                    if finding.severity > known.severity {
                        changes.push(Change::Begun(finding.clone()));
                    }
                }
                None => changes.push(Change::Begun(finding.clone())),
            }
            kept.push((finding, now));
        }
        for (finding, at) in before {
            if now.saturating_sub(at) < lingers(finding.kind) {
                kept.push((finding, at));
            } else {
                changes.push(Change::Ended(finding));
            }
        }
        kept.sort_by(|(one, _), (other, _)| super::order(one, other));
        (self.findings, self.found) = kept.into_iter().unzip();
        changes
    }
}

fn same(one: &Finding, other: &Finding) -> bool {
    one.kind == other.kind && one.subject == other.subject
}

impl Change {
    /// Says it in the log.
    pub(super) fn tell(&self, topology: &str) {
        match self {
            Self::Begun(Finding { kind, severity, what, why, remedy, .. }) => {
                let kind = kind.label();
                match severity {
                    Severity::Error => tracing::error!(topology, kind, "{what} {why} {remedy}"),
                    Severity::Warning => tracing::warn!(topology, kind, "{what} {why} {remedy}"),
                    Severity::Info => tracing::info!(topology, kind, "{what} {why} {remedy}"),
                }
            }
            Self::Ended(Finding { kind, what, .. }) => {
                tracing::info!(topology, kind = kind.label(), "over: {what}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn finding(kind: FindingKind, since: i64) -> Finding {
        Finding {
            kind,
            severity: Severity::Warning,
            since: Timestamp::from_millis(since),
            subject: Some("totals-0".into()),
            what: "A.".into(),
            why: "B.".into(),
            remedy: "C.".into(),
        }
    }

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn a_finding_begins_once_and_keeps_the_time_at_which_it_began() {
        let mut keeper = Keeper::default();
        let first = finding(FindingKind::LagGrows, 1);
        assert_eq!(keeper.take(vec![first.clone()], at(0)), [Change::Begun(first.clone())]);
        let again = Finding { what: "More.".into(), ..finding(FindingKind::LagGrows, 9) };
        assert_eq!(keeper.take(vec![again], at(1)), []);
        assert_eq!((keeper.findings()[0].since, keeper.findings()[0].what.as_str()), (first.since, "More."));
    }

    #[test]
    fn what_comes_and_goes_within_seconds_is_one_finding() {
        let mut keeper = Keeper::default();
        let kind = FindingKind::LagGrows;
        keeper.take(vec![finding(kind, 1)], at(0));
        for second in 1..10 {
            let found = if second % 3 == 0 { vec![finding(kind, 7)] } else { Vec::new() };
            assert_eq!(keeper.take(found, at(second)), []);
            assert_eq!(keeper.findings(), [finding(kind, 1)]);
        }
        assert_eq!(keeper.take(Vec::new(), at(23)), []);
        assert_eq!(keeper.take(Vec::new(), at(24)), [Change::Ended(finding(kind, 1))]);
        assert_eq!(keeper.findings(), []);
    }

    #[test]
    fn what_somebody_has_done_is_over_at_once() {
        let mut keeper = Keeper::default();
        keeper.take(vec![finding(FindingKind::Paused, 1)], at(0));
        assert_eq!(keeper.take(Vec::new(), at(1)), [Change::Ended(finding(FindingKind::Paused, 1))]);
    }

    #[test]
    fn what_becomes_worse_is_said_again_and_the_worst_stands_first() {
        let mut keeper = Keeper::default();
        keeper.take(vec![finding(FindingKind::Late, 1), finding(FindingKind::NoProgress, 1)], at(0));
        let worse = Finding { severity: Severity::Error, ..finding(FindingKind::Late, 1) };
        let found = vec![finding(FindingKind::NoProgress, 1), worse.clone()];
        assert_eq!(keeper.take(found, at(1)), [Change::Begun(worse.clone())]);
        assert_eq!(keeper.findings()[0], worse);
    }
}
