//! The topology has failed.

use super::Story;
use crate::runtime::AppState;
use crate::watch::sample::Sample;
use crate::watch::view::{Finding, FindingKind, Severity};

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    if now.state != AppState::Failed {
        return Vec::new();
    }
    let since = story.series.holds_since(|sample| sample.state == AppState::Failed).unwrap_or(now).wall;
    let error = now.error.as_deref().unwrap_or("it has not said why").trim_end_matches('.');
    vec![Finding {
        kind: FindingKind::Failed,
        severity: Severity::Error,
        since,
        subject: None,
        what: "It has failed in this process and processes nothing here any more.".into(),
        why: format!("{}.", super::words::capital(error)),
        remedy:
            "Mend what the error names and start the process again: it goes on from what is committed, and nothing is \
                 lost or counted twice. Until then its partitions go to other processes of the group."
                .into(),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{tell, wall};
    use super::*;

    #[test]
    fn a_failure_says_its_error() {
        let fails = |second: u64, sample: &mut Sample| {
            if second >= 3 {
                sample.state = AppState::Failed;
                sample.error = Some("a record cannot be used (unreadable)".into());
            }
        };
        let (when, found) = tell(find, 0..10, fails);
        assert_eq!(when, [3..10]);
        assert_eq!((found[0].since, found[0].why.as_str()), (wall(3), "A record cannot be used (unreadable)."));
    }
}
