//! There are more stream threads than partitions.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Story;
use super::words::{number, some};
use crate::runtime::AppState;
use crate::watch::sample::Sample;
use crate::watch::view::{Finding, FindingKind, Severity};

/// For so long threads have had no task.
pub(super) const AFTER: Duration = Duration::from_mins(1);

/// How many threads have no task.
fn without(sample: &Sample) -> usize {
    let with: BTreeSet<usize> = sample.tasks.iter().map(|task| task.thread).collect();
    sample.threads.saturating_sub(with.len())
}

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    let idle = |sample: &Sample| sample.state == AppState::Running && without(sample) > 0;
    let Some(since) = story.series.holds_since(idle).filter(|since| now.since(since) >= AFTER) else {
        return Vec::new();
    };
    let (threads, idle, pieces) = (now.threads, without(now), story.facts.pieces);
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    vec![Finding {
        kind: FindingKind::NoTasks,
        severity: Severity::Info,
        since: since.wall,
        subject: None,
        what: if idle == threads {
            "This process has no tasks: it stands by.".into()
        } else {
            format!("{} of {} here have no tasks.", number(count(idle)), some(count(threads), "stream thread"))
        },
        why: format!(
            "A partition is the smallest piece of work, and no topic that is read has more than {pieces}: what is above that, \
             over all processes of the group, has nothing to do."
        ),
        remedy: "Nothing is wrong: they take over where others end. Fewer threads (--threads) do the same work.".into(),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{task, tell};
    use super::*;
    use crate::watch::sample::TaskSample;

    fn threads(threads: usize, with: usize) -> impl Fn(u64, &mut Sample) {
        move |_, sample| {
            sample.threads = threads;
            sample.tasks = (0..with).map(|thread| TaskSample { thread, ..task("read-0") }).collect();
        }
    }

    #[test]
    fn threads_without_tasks_are_found_after_a_minute() {
        let (when, found) = tell(find, 0..100, threads(4, 2));
        assert_eq!(when, [60..100]);
        assert_eq!(found[0].what, "2 of 4 stream threads here have no tasks.");
        assert!(found[0].why.contains("no topic that is read has more than 2"), "{}", found[0].why);
        assert_eq!(tell(find, 0..100, threads(2, 0)).1[0].what, "This process has no tasks: it stands by.");
    }

    #[test]
    fn threads_that_all_have_tasks_or_get_them_soon_are_not_found() {
        assert_eq!(tell(find, 0..100, threads(2, 2)).0, []);
        let soon = |second: u64, sample: &mut Sample| threads(2, if second < 40 { 1 } else { 2 })(second, sample);
        assert_eq!(tell(find, 0..100, soon).0, []);
    }
}
