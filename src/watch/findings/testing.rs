//! Stories for the findings' tests: a topology is told second by second.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Finder, Story};
use crate::metrics::PartitionCounts;
use crate::record::TopicPartition;
use crate::time::Timestamp;
use crate::watch::facts::Facts;
use crate::watch::keeper::Keeper;
use crate::watch::sample::tests::at;
use crate::watch::sample::{Sample, Series, TaskSample};
use crate::watch::view::{Finding, TopicRole};

/// A topology that reads `in`, by way of `ours`, in two tasks each, and writes `out`.
pub(super) fn facts() -> Facts {
    let role = |(topic, role): (&str, TopicRole)| (topic.into(), role);
    let topics = [("in", TopicRole::Source), ("ours", TopicRole::Repartition), ("out", TopicRole::Output)];
    let reads =
        |(task, topic, partition): (&str, &str, u32)| (task.into(), vec![TopicPartition::new(topic, partition)]);
    let inputs = [("read-0", "in", 0), ("read-1", "in", 1), ("count-0", "ours", 0), ("count-1", "ours", 1)];
    Facts {
        name: "counts".into(),
        topics: topics.map(role).into(),
        pieces: 2,
        inputs: inputs.map(reads).into(),
        dead_letters: [].into(),
    }
}

/// A task that runs.
pub(super) fn task(name: &str) -> TaskSample {
    TaskSample {
        name: name.into(),
        thread: 0,
        state: "running".into(),
        lag: Some(0),
        processed: 0,
        watermark: None,
        held_by: None,
        held_back: Duration::ZERO,
        restore_remaining: 0,
    }
}

/// So many records of a partition wait.
pub(super) fn waiting(topic: &str, partition: u32, lag: u64) -> PartitionCounts {
    PartitionCounts { topic: topic.into(), partition, lag, watermark: None }
}

pub(super) fn counted(label: &str, count: u64) -> (Arc<str>, u64) {
    (label.into(), count)
}

/// The wall clock so many seconds after the start.
pub(super) fn wall(second: u64) -> Timestamp {
    at(second).wall
}

/// Tells the story, and gives in which seconds the finding was there, and what was found at the end of it.
pub(super) fn tell(
    find: Finder,
    seconds: Range<u64>,
    scene: impl Fn(u64, &mut Sample),
) -> (Vec<Range<u64>>, Vec<Finding>) {
    let (facts, mut series, mut keeper) = (facts(), Series::default(), Keeper::default());
    let mut spans: Vec<Range<u64>> = Vec::new();
    let mut found = Vec::new();
    for second in seconds {
        let mut sample = at(second);
        scene(second, &mut sample);
        series.push(sample);
        let now = series.last().expect("there is one");
        found = find(&Story { facts: &facts, series: &series, before: keeper.findings() }, now);
        keeper.take(found.clone(), Duration::from_secs(second));
        match spans.last_mut() {
            _ if found.is_empty() => {}
            Some(span) if span.end == second => span.end = second + 1,
            _ => spans.push(second..second + 1),
        }
    }
    (spans, found)
}
