//! It was told to pause.

use super::Story;
use crate::watch::sample::Sample;
use crate::watch::view::{Finding, FindingKind, Severity};

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    if !now.paused {
        return Vec::new();
    }
    let since = story.series.holds_since(|sample| sample.paused).unwrap_or(now).wall;
    vec![Finding {
        kind: FindingKind::Paused,
        severity: Severity::Info,
        since,
        subject: None,
        what: "It is paused in this process: nothing is processed here, and what comes waits.".into(),
        why: "Somebody has asked for it.".into(),
        remedy: "Resume it on the page, or start the process again, which does not remember it.".into(),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{tell, wall};
    use super::*;

    #[test]
    fn a_pause_is_said_from_when_it_was_asked_for_until_it_is_over() {
        let pauses = |second: u64, sample: &mut Sample| sample.paused = (10..20).contains(&second);
        assert_eq!(tell(find, 0..30, pauses).0, [10..20]);
        assert_eq!(tell(find, 0..15, pauses).1[0].since, wall(10));
    }
}
