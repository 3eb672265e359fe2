//! Records wait for a task, and it processes none; or it never comes to run.

use std::time::Duration;

use super::words::{some, span};
use super::{Story, failures_within};
use crate::runtime::AppState;
use crate::watch::sample::{Sample, TaskSample};
use crate::watch::view::{Finding, FindingKind, Severity};

/// For so long records have waited and none was processed. More than the silence after which a source is left out, unless it
/// says otherwise: records of the others may well wait for that.
pub(super) const AFTER: Duration = Duration::from_secs(45);
/// For so long a task has waited to run at all.
pub(super) const NOT_RUNNING_AFTER: Duration = Duration::from_mins(1);

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    if now.paused || !matches!(now.state, AppState::Running | AppState::Restoring) {
        return Vec::new();
    }
    let stuck = |task: &TaskSample| if task.is_running() { stands(story, now, task) } else { waits(story, now, task) };
    now.tasks.iter().filter_map(stuck).collect()
}

/// A task that runs and processes nothing, although records wait for it.
fn stands(story: &Story<'_>, now: &Sample, task: &TaskSample) -> Option<Finding> {
    let lag = |sample: &Sample| lag_of(story, sample, &task.name);
    let same = |sample: &Sample| {
        let then = sample.task(&task.name);
        !sample.paused
            && then.is_some_and(|then| then.is_running() && then.processed == task.processed)
            && lag(sample) > 0
    };
    let since = story.series.holds_since(same)?;
    let lasted = now.since(since);
    if lasted < AFTER {
        return None;
    }
    let (why, remedy) = reason(story, now, task, lasted);
    let (name, thread, waiting) = (&task.name, task.thread, some(lag(now), "record"));
    Some(Finding {
        kind: FindingKind::NoProgress,
        severity: Severity::Error,
        since: since.wall,
        subject: Some(name.to_string()),
        what: format!(
            "Task {name} on thread {thread} has processed nothing for {}, and {waiting} wait for it.",
            span(lasted)
        ),
        why,
        remedy,
    })
}

/// What is fetched counts, also where a thread that is stuck has not come to report it.
fn lag_of(story: &Story<'_>, sample: &Sample, task: &str) -> u64 {
    let inputs = story.facts.inputs.get(task).map_or(&[][..], Vec::as_slice);
    let partitions = sample.counts.partitions.iter();
    let of_task = partitions.filter(|partition| {
        inputs.iter().any(|input| input.partition == partition.partition && input.topic == partition.topic)
    });
    of_task.map(|partition| partition.lag).sum()
}

/// Why it stands, and what to do: the first that fits.
fn reason(story: &Story<'_>, now: &Sample, task: &TaskSample, lasted: Duration) -> (String, String) {
    let reports = |sample: &Sample| sample.reports.get(task.thread).copied();
    let silent = story.series.holds_since(|sample| reports(sample) == reports(now)).map(|since| now.since(since));
    if let Some(silent) = silent.filter(|silent| *silent >= AFTER / 2) {
        return (
            format!(
                "Thread {} has been inside one call for {}: a function of the topology that does not return, or a call to the broker.",
                task.thread,
                span(silent)
            ),
            "Look at what that thread does: a function that waits for another service needs a timeout of its own. If the \
             brokers do not answer, the log says so."
                .into(),
        );
    }
    let failures: u64 = failures_within(story, lasted).iter().map(|(_, count)| count).sum();
    if failures > 0 {
        return (
            format!("Its transactions do not get through: {} failed in this time.", some(failures, "commit")),
            "The log names the broker's answer to each. What was processed is taken back and tried again until it succeeds."
                .into(),
        );
    }
    match task.held_by.as_deref() {
        Some(by) if story.facts.inputs.contains_key(by) => (
            format!("Records are taken in the order of their event time, and task {by} upstream, which has come least far, may still send earlier ones."),
            format!("Look at task {by}: it has to go on, or to say that it has nothing more. If it is in another process, that process may be down or paused."),
        ),
        Some(by) => (
            format!("Records are taken in the order of their event time, and {by} has come least far."),
            "If its producer is silent: a partition is left out after `.idle_after(…)` at its source, 30 s unless set. If a producer \
             keeps a transaction open there, nothing after its beginning can be read, and it is not left out: look for one that hangs."
                .to_owned(),
        ),
        None => (
            "It could not be told: no commit has failed, and no partition holds it back.".into(),
            "See in the log what the broker answers, and whether a producer keeps a transaction open.".into(),
        ),
    }
}

/// A task that has not come to run.
fn waits(story: &Story<'_>, now: &Sample, task: &TaskSample) -> Option<Finding> {
    if ["restoring", "paused"].contains(&&*task.state) {
        return None;
    }
    let same = |sample: &Sample| sample.task(&task.name).is_some_and(|then| then.state == task.state);
    let since = story.series.holds_since(same)?;
    let lasted = now.since(since);
    let (name, state) = (&task.name, &task.state);
    (lasted >= NOT_RUNNING_AFTER).then(|| Finding {
        kind: FindingKind::NoProgress,
        severity: Severity::Error,
        since: since.wall,
        subject: Some(name.to_string()),
        what: format!("Task {name} does not run: it has been {state} for {}.", span(lasted)),
        why: if state.contains("global") {
            "No record is processed before this process has all rows of the global tables.".into()
        } else {
            "Another thread of this process has had the task and has not given its state back.".into()
        },
        remedy:
            "See in the log what the broker answers; if nothing goes on, start the process again: it loses nothing."
                .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{counted, task, tell, waiting, wall};
    use super::*;

    fn stuck(second: u64, sample: &mut Sample) {
        sample.tasks =
            vec![TaskSample { processed: second.min(10) * 100, held_by: Some("read-0".into()), ..task("count-1") }];
        sample.counts.partitions = vec![waiting("ours", 0, 0), waiting("ours", 1, 17)];
    }

    #[test]
    fn a_task_that_stands_still_while_records_wait_is_found_before_a_minute_has_passed() {
        let (when, found) = tell(find, 0..70, stuck);
        assert_eq!(when, [55..70]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].subject.as_deref(), found[0].since), (Some("count-1"), wall(10)));
        assert_eq!(
            found[0].what,
            "Task count-1 on thread 0 has processed nothing for 59 s, and 17 records wait for it."
        );
        assert!(found[0].why.contains("task read-0 upstream"), "{}", found[0].why);
    }

    #[test]
    fn one_record_now_and_then_is_progress() {
        let slow = |second: u64, sample: &mut Sample| {
            stuck(second, sample);
            sample.tasks[0].processed = second / 25;
        };
        assert_eq!(tell(find, 0..200, slow).0, []);
    }

    #[test]
    fn a_task_for_which_nothing_waits_may_rest() {
        let rests = |second: u64, sample: &mut Sample| {
            stuck(second, sample);
            sample.counts.partitions =
                vec![waiting("ours", 0, 17), waiting("ours", 1, u64::from(second.is_multiple_of(20)))];
        };
        assert_eq!(tell(find, 0..200, rests).0, []);
    }

    #[test]
    fn neither_a_pause_nor_a_restore_is_found() {
        let pauses = |second: u64, sample: &mut Sample| {
            stuck(second, sample);
            sample.paused = second > 20;
        };
        assert_eq!(tell(find, 0..200, pauses).0, []);
        let restores = |second: u64, sample: &mut Sample| {
            stuck(second, sample);
            sample.tasks[0].state = "restoring".into();
        };
        assert_eq!(tell(find, 0..200, restores).0, []);
    }

    #[test]
    fn a_thread_that_says_nothing_any_more_is_inside_a_call() {
        let hangs = |second: u64, sample: &mut Sample| {
            stuck(second, sample);
            sample.reports = vec![second.min(10) * 10];
        };
        let (_, found) = tell(find, 0..60, hangs);
        assert!(found[0].why.starts_with("Thread 0 has been inside one call for 49 s"), "{}", found[0].why);
    }

    #[test]
    fn commits_that_fail_are_named_as_the_reason() {
        let fails = |second: u64, sample: &mut Sample| {
            stuck(second, sample);
            sample.counts.commit_failures = vec![counted("abort", second / 10)];
        };
        let (_, found) = tell(find, 0..60, fails);
        assert!(found[0].why.contains("do not get through"), "{}", found[0].why);
    }

    #[test]
    fn a_task_that_never_comes_to_run_is_found() {
        let waits = |_: u64, sample: &mut Sample| {
            sample.state = AppState::Restoring;
            sample.tasks = vec![TaskSample { state: "waiting for the global tables".into(), ..task("read-0") }];
        };
        let (when, found) = tell(find, 0..100, waits);
        assert_eq!(when, [60..100]);
        assert_eq!(found[0].what, "Task read-0 does not run: it has been waiting for the global tables for 99 s.");
    }
}
