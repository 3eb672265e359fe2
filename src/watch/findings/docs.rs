//! Holds the table of `docs/stuck.md` against the thresholds.

use super::words::{number, span};
use super::{commits_fail, dropping, lag, no_progress, no_tasks, rebalances, restoring, silent, watermark_held};
use crate::watch::view::FindingKind;

#[test]
fn the_documentation_names_every_finding_with_its_thresholds() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/stuck.md")).expect("it is there");
    let row = |kind: FindingKind| {
        let begins = format!("| `{}` |", kind.label());
        text.lines().find(|line| line.starts_with(&begins)).unwrap_or_else(|| panic!("no row for {}", kind.label()))
    };
    for kind in FindingKind::ALL {
        assert_eq!(row(*kind).matches(" | ").count(), 3, "{}", row(*kind));
    }
    let thresholds = [
        (FindingKind::NoProgress, vec![span(no_progress::AFTER), span(no_progress::NOT_RUNNING_AFTER)]),
        (
            FindingKind::CommitsFail,
            vec![commits_fail::FEWEST.to_string(), span(commits_fail::OVER), span(commits_fail::NONE_FOR)],
        ),
        (
            FindingKind::RebalanceLoop,
            vec![rebalances::MINUTES.to_string(), span(rebalances::OVER), rebalances::EACH.to_string()],
        ),
        (FindingKind::Joining, vec![span(rebalances::JOINING_AFTER)]),
        (FindingKind::WatermarkHeld, vec![span(watermark_held::AFTER), span(watermark_held::BY)]),
        (FindingKind::LagGrows, vec![span(lag::OVER), number(lag::FEWEST), span(lag::WORTH)]),
        (FindingKind::CatchingUp, vec![number(lag::FEWEST), span(lag::WORTH)]),
        (FindingKind::Dropping, vec![span(dropping::OVER)]),
        (
            FindingKind::Late,
            vec![span(dropping::OVER), format!("{} %", 100 / dropping::LATE_ONE_IN), dropping::LATE_FEWEST.to_string()],
        ),
        (FindingKind::Restoring, vec![span(restoring::AFTER), span(restoring::STUCK_AFTER)]),
        (FindingKind::Silent, vec![span(silent::AFTER), silent::MINUTES.to_string()]),
        (FindingKind::NoTasks, vec![span(no_tasks::AFTER)]),
    ];
    for (kind, texts) in thresholds {
        for text in texts {
            assert!(row(kind).contains(&text), "the row of {} does not say {text}", kind.label());
        }
    }
}
