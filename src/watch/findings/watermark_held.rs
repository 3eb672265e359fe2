//! One partition, or one task upstream, holds event time back although the others go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Story;
use super::words::{some, span};
use crate::runtime::AppState;
use crate::watch::sample::{Sample, TaskSample};
use crate::watch::view::{Finding, FindingKind, Severity};

/// For so long time has stood still behind it.
pub(super) const AFTER: Duration = Duration::from_mins(1);
/// By so much it holds back.
pub(super) const BY: Duration = Duration::from_mins(1);
/// The others have gone on by so much meanwhile.
const OTHERS: Duration = Duration::from_secs(10);

/// What one holds back.
struct Held<'a> {
    tasks: Vec<&'a TaskSample>,
    since: &'a Sample,
}

pub(super) fn find(story: &Story<'_>, now: &Sample) -> Vec<Finding> {
    if now.paused || !matches!(now.state, AppState::Running | AppState::Restoring) {
        return Vec::new();
    }
    let mut by_holder: BTreeMap<&Arc<str>, Held<'_>> = BTreeMap::new();
    for task in now.tasks.iter().filter(|task| task.is_running()) {
        let Some((by, since)) = held(story, now, task) else { continue };
        let held = by_holder.entry(root(now, by)).or_insert_with(|| Held { tasks: Vec::new(), since });
        held.tasks.push(task);
        if since.elapsed < held.since.elapsed {
            held.since = since;
        }
    }
    by_holder.iter().map(|(by, held)| finding(story, now, by, held)).collect()
}

/// Who holds the task back, and since when, where that is worth a word.
fn held<'a>(story: &'a Story<'_>, now: &'a Sample, task: &'a TaskSample) -> Option<(&'a Arc<str>, &'a Sample)> {
    let by = task.held_by.as_ref().filter(|_| task.held_back >= BY)?;
    let same = |sample: &Sample| {
        let then = sample.task(&task.name).filter(|then| then.is_running() && !sample.paused);
        then.is_some_and(|then| then.held_by.as_ref() == Some(by) && then.watermark == task.watermark)
    };
    let since = story.series.holds_since(same)?;
    let went_on = task.held_back.saturating_sub(since.task(&task.name)?.held_back);
    (now.since(since) >= AFTER && went_on >= OTHERS).then_some((by, since))
}

/// Who holds back a task that holds back others is the one to look at.
fn root<'a>(now: &'a Sample, by: &'a Arc<str>) -> &'a Arc<str> {
    let mut holder = by;
    // Tasks may feed each other in a circle.
    for _ in 0..10 {
        match now.task(holder).and_then(|task| task.held_by.as_ref()) {
            Some(above) => holder = above,
            None => break,
        }
    }
    holder
}

fn finding(story: &Story<'_>, now: &Sample, by: &str, held: &Held<'_>) -> Finding {
    let most = held.tasks.iter().max_by_key(|task| task.held_back);
    let (back, stands) = most.map_or((Duration::ZERO, None), |task| (task.held_back, task.watermark));
    let at = stands.map_or_else(|| "nothing has been heard of it yet".to_owned(), |at| format!("it stands at {at}"));
    let apart = if stands.is_some() { format!(" by {}", span(back)) } else { String::new() };
    let mut names = held.tasks.iter().map(|task| &*task.name);
    let first = names.next().unwrap_or_default();
    let others = u64::try_from(names.count()).unwrap_or(0);
    let tasks = if others == 0 { format!("task {first}") } else { format!("task {first} and {others} more") };
    let (why, remedy) = reason(story, now, by);
    Finding {
        kind: FindingKind::WatermarkHeld,
        severity: Severity::Warning,
        since: held.since.wall,
        subject: Some(by.to_owned()),
        what: format!(
            "{by} holds event time back{apart} in {tasks}: {at}, for {} now, while others go on. Windows and joins wait for it.",
            span(now.since(held.since))
        ),
        why,
        remedy,
    }
}

/// Why it holds time back, and what to do.
fn reason(story: &Story<'_>, now: &Sample, by: &str) -> (String, String) {
    let partition = now.counts.partitions.iter().find(|of| format!("{}-{}", of.topic, of.partition) == by);
    if let Some(partition) = partition {
        return if partition.lag > 0 {
            (
                format!("{} of it wait, and what is processed of it does not take time on.", some(partition.lag, "record")),
                "If it processes nothing there is a finding of its own that says why. Else look at the event times that its \
                 producer writes: they stand still, or lie far in the past."
                    .into(),
            )
        } else {
            (
                "Nothing comes from it that takes time on: its producer is silent or writes old event times, and it has not \
                 been silent for long enough to be left out."
                    .into(),
                "Look at the producer of that partition. A partition that may be silent is left out after `.idle_after(…)` at its \
                 source, 30 s unless set, once no transaction is open in it; `.advance_by_clock_after(…)` lets its time follow \
                 the clock."
                    .into(),
            )
        };
    }
    if let Some(task) = now.task(by) {
        return (
            format!(
                "It is {} on thread {} of this process and has not said that time goes on.",
                task.state, task.thread
            ),
            "What is said of that task here comes first.".into(),
        );
    }
    let known = story.facts.inputs.contains_key(by);
    (
        if known {
            format!("Task {by} upstream is in another process, or in none, and has not said that time goes on.")
        } else {
            "It is not read by this process.".into()
        },
        "Look at the process that has it: is it down, paused, restoring, or does it fall behind?".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{task, tell, waiting, wall};
    use super::*;
    use crate::time::Timestamp;

    /// Partition 1 of `in` stands still from the tenth second on; task `count-0` is downstream of it.
    fn stands(second: u64, sample: &mut Sample) {
        let stood = second.min(10);
        let held = |name: &str, by: &str, back: u64| TaskSample {
            watermark: Some(Timestamp::from_millis(0).plus(Duration::from_secs(1_000 + stood))),
            held_by: Some(by.into()),
            held_back: Duration::from_secs(back),
            ..task(name)
        };
        sample.tasks = vec![
            held("count-0", "read-1", second - stood),
            held("count-1", "read-1", second - stood),
            held("read-1", "in-1", 0),
        ];
        sample.counts.partitions = vec![waiting("in", 0, 0), waiting("in", 1, 0)];
    }

    #[test]
    fn the_partition_that_holds_time_back_is_named_once_for_all_that_wait() {
        let (when, found) = tell(find, 0..200, stands);
        assert_eq!(when.len(), 1);
        assert!((70..77).contains(&when[0].start), "{when:?}");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].subject.as_deref(), Some("in-1"));
        assert!(found[0].since.millis_since(wall(10)) <= 5_000, "{}", found[0].since);
        assert!(
            found[0].what.starts_with(
                "in-1 holds event time back by 3 min in task count-0 and 1 more: it stands at 1970-01-01T00:16:50Z"
            ),
            "{}",
            found[0].what
        );
        assert!(found[0].remedy.contains("idle_after"), "{}", found[0].remedy);
    }

    #[test]
    fn a_backfill_in_which_one_partition_lies_far_behind_and_goes_on_is_not_found() {
        let skewed = |second: u64, sample: &mut Sample| {
            stands(second, sample);
            for task in &mut sample.tasks {
                task.watermark = Some(Timestamp::from_millis(0).plus(Duration::from_secs(second / 20)));
                task.held_back = Duration::from_hours(240);
            }
        };
        assert_eq!(tell(find, 0..400, skewed).0, []);
    }

    #[test]
    fn a_stream_in_which_all_is_quiet_is_not_found() {
        let quiet = |second: u64, sample: &mut Sample| {
            stands(second.min(90), sample);
            for task in &mut sample.tasks {
                task.held_back = Duration::from_secs(90);
            }
        };
        assert_eq!(tell(find, 0..400, quiet).0, []);
    }

    #[test]
    fn a_partition_that_is_left_out_in_time_is_not_found() {
        let left_out = |second: u64, sample: &mut Sample| {
            stands(second, sample);
            if second > 45 {
                sample.tasks.iter_mut().for_each(|task| task.held_by = None);
            }
        };
        assert_eq!(tell(find, 0..200, left_out).0, []);
    }

    #[test]
    fn a_task_upstream_that_is_not_here_is_the_one_to_look_at() {
        let elsewhere = |second: u64, sample: &mut Sample| {
            stands(second, sample);
            sample.tasks.pop();
        };
        let (_, found) = tell(find, 0..100, elsewhere);
        assert_eq!(found[0].subject.as_deref(), Some("read-1"));
        assert!(found[0].why.contains("in another process"), "{}", found[0].why);
    }
}
