//! State is being restored: how much is left, and for how long.

use std::time::Duration;

use super::Story;
use super::trend::{slope, until_gone};
use super::words::{some, span};
use crate::watch::sample::Sample;
use crate::watch::view::{Finding, FindingKind, Severity};

/// What is shorter is not said.
pub(super) const AFTER: Duration = Duration::from_secs(5);
/// For so long nothing has come of it: then it is stuck.
pub(super) const STUCK_AFTER: Duration = Duration::from_mins(1);
/// The estimate is from this time.
const RECENTLY: Duration = Duration::from_secs(30);

fn is_restoring(sample: &Sample) -> bool {
    sample.tasks.iter().any(|task| &*task.state == "restoring")
}

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    let Some(since) = story.series.holds_since(is_restoring) else { return Vec::new() };
    if now.since(since) < AFTER {
        return Vec::new();
    }
    let left = now.restore_remaining();
    let tasks: Vec<&str> =
        now.tasks.iter().filter(|task| &*task.state == "restoring").map(|task| &*task.name).collect();
    let same = story.series.holds_since(|sample| is_restoring(sample) && sample.restore_remaining() == left);
    let stands = same.map_or(Duration::ZERO, |same| now.since(same));
    let lefts = story.series.within(RECENTLY).filter(|sample| sample.elapsed >= since.elapsed);
    let slope = slope(lefts.map(|sample| (sample.elapsed, sample.restore_remaining())));
    let estimate = slope.and_then(|slope| until_gone(left, slope)).filter(|_| left > 0);
    let stuck = stands >= STUCK_AFTER;
    vec![Finding {
        kind: FindingKind::Restoring,
        severity: if stuck { Severity::Warning } else { Severity::Info },
        since: since.wall,
        subject: None,
        what: format!(
            "{} restored: {} to go{}.",
            if let [one] = tasks[..] { format!("Task {one} is being") } else { format!("{} tasks are being", tasks.len()) },
            some(left, "changelog record"),
            match estimate {
                _ if stuck => format!(", and none was read for {}", span(stands)),
                Some(time) => format!(", about {}", span(time)),
                None => String::new(),
            }
        ),
        why: "Their state is not on this machine, or not up to date: they read it from the changelogs before they process anything.".into(),
        remedy: if stuck {
            "See in the log what the broker answers.".into()
        } else {
            "Nothing has to be done. With a --state-dir on a volume that stays with the process the next start is quicker.".into()
        },
    }]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{task, tell, wall};
    use super::*;
    use crate::watch::sample::TaskSample;

    fn restores(left: impl Fn(u64) -> u64) -> impl Fn(u64, &mut Sample) {
        move |second, sample| {
            let restore_remaining = left(second);
            let state = if restore_remaining > 0 { "restoring" } else { "running" };
            sample.tasks =
                vec![TaskSample { state: state.into(), restore_remaining, ..task("count-0") }, task("count-1")];
        }
    }

    #[test]
    fn a_restore_says_how_much_is_left_and_for_how_long() {
        let story = |second: u64| 100_000_u64.saturating_sub(second * 1_000);
        assert_eq!(tell(find, 0..200, restores(story)).0, [5..100]);
        let (_, found) = tell(find, 0..41, restores(story));
        assert_eq!((found[0].severity, found[0].since), (Severity::Info, wall(0)));
        assert_eq!(found[0].what, "Task count-0 is being restored: 60,000 changelog records to go, about 60 s.");
    }

    #[test]
    fn a_restore_that_does_not_go_on_becomes_a_warning() {
        let (_, found) = tell(find, 0..100, restores(|second| 500 - second.min(20)));
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(found[0].what.contains("480 changelog records to go, and none was read for"), "{}", found[0].what);
    }

    #[test]
    fn what_takes_a_moment_is_not_said() {
        assert_eq!(tell(find, 0..60, restores(|second| 4_u64.saturating_sub(second))).0, []);
    }
}
