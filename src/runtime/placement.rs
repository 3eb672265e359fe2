//! Which tasks a set of partitions makes, and which partitions a task needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::record::TopicPartition;
use crate::topology::{Layout, TaskId};

/// The tasks that read any of these partitions, in order.
pub(crate) fn tasks_of(layout: &Layout, partitions: &[TopicPartition]) -> Vec<TaskId> {
    let mut tasks = BTreeSet::new();
    for TopicPartition { topic, partition } in partitions {
        for (sub, layout) in layout.subs.iter().enumerate() {
            if layout.inputs.iter().any(|input| input.topic == *topic) {
                tasks.insert(TaskId { sub, partition: *partition });
            }
        }
    }
    tasks.into_iter().collect()
}

/// A task's stores with their changelog partitions.
pub(crate) fn changelogs_of(layout: &Layout, task: TaskId) -> Vec<(String, TopicPartition)> {
    let stores = layout.subs[task.sub].stores.iter().map(|store| store.name.to_string());
    stores.zip(layout.changelogs_of(task)).collect()
}

/// All partitions of the users' topics that are read.
pub(crate) fn source_partitions(layout: &Layout) -> Vec<TopicPartition> {
    partitions_where(layout, |_, upstream| upstream.is_none())
}

/// The partitions of the repartition topics, those first whose upstreams read nothing but what comes earlier.
pub(crate) fn repartition_stages(layout: &Layout) -> Vec<Vec<TopicPartition>> {
    let mut done: BTreeSet<usize> = BTreeSet::new();
    let mut stages = Vec::new();
    loop {
        // A sub-topology is ready once everything that it reads has been dealt with. What is left over in a cycle
        // makes a last stage of its own.
        let ready: BTreeSet<usize> = (0..layout.subs.len())
            .filter(|sub| !done.contains(sub))
            .filter(|sub| layout.subs[*sub].inputs.iter().all(|i| i.upstream.is_none_or(|up| done.contains(&up))))
            .collect();
        let stage =
            if ready.is_empty() { (0..layout.subs.len()).filter(|s| !done.contains(s)).collect() } else { ready };
        if stage.is_empty() {
            return stages;
        }
        let partitions = partitions_where(layout, |sub, upstream| upstream.is_some() && stage.contains(&sub));
        if !partitions.is_empty() {
            stages.push(partitions);
        }
        done.extend(stage);
    }
}

fn partitions_where(layout: &Layout, wanted: impl Fn(usize, Option<usize>) -> bool) -> Vec<TopicPartition> {
    let mut found = BTreeSet::new();
    for (number, sub) in layout.subs.iter().enumerate() {
        for input in sub.inputs.iter().filter(|input| wanted(number, input.upstream)) {
            found.extend((0..sub.partitions).map(|p| TopicPartition::new(Arc::clone(&input.topic), p)));
        }
    }
    found.into_iter().collect()
}

/// True where a topic is a repartition topic of this layout.
pub(crate) fn is_repartition(layout: &Layout, topic: &str) -> bool {
    let mut inputs = layout.subs.iter().flat_map(|sub| &sub.inputs);
    inputs.any(|input| input.upstream.is_some() && &*input.topic == topic)
}
