//! What a topology does now, made from what was seen of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::facts::Facts;
use super::sample::{Sample, Series, TaskSample, value};
use super::view::{
    CommitsView, DeadLettersView, DroppedView, Finding, OperatorView, PartitionView, ProcessView, TaskView, TopicRole,
    TopicView, TopologyView,
};
use crate::time::Timestamp;

/// Over which time rates are taken.
const RATES_OVER: Duration = Duration::from_secs(5);

/// As exactly as anybody looks: a thousandth.
fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

/// Two samples, to tell by how much something has grown a second.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) before: &'a Sample,
    pub(super) now: &'a Sample,
}

impl Pair<'_> {
    /// How much a second, for what grew by `difference`.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(super) fn rate(&self, difference: u64) -> f64 {
        let seconds = self.now.since(self.before).as_secs_f64();
        if seconds > 0.0 { rounded(difference as f64 / seconds) } else { 0.0 }
    }

    /// By how much the value of a label has grown.
    pub(super) fn grown(&self, rows: impl Fn(&Sample) -> &[(Arc<str>, u64)], label: &str) -> u64 {
        value(rows(self.now), label).saturating_sub(value(rows(self.before), label))
    }

    /// Records a second that came from, or went to, all topics of a role.
    pub(super) fn rate_of(&self, rows: impl Fn(&Sample) -> &[(Arc<str>, u64)], facts: &Facts, role: TopicRole) -> f64 {
        let topics = facts.topics.iter().filter(|(_, known)| **known == role);
        self.rate(topics.map(|(topic, _)| self.grown(&rows, topic)).sum())
    }
}

pub(super) fn read(sample: &Sample) -> &[(Arc<str>, u64)] {
    &sample.counts.records_in
}

pub(super) fn written(sample: &Sample) -> &[(Arc<str>, u64)] {
    &sample.counts.records_out
}

/// What the topology does now. `None` before anybody has looked.
pub(super) fn topology(
    facts: &Facts,
    series: &Series,
    address: Option<&str>,
    findings: Vec<Finding>,
) -> Option<TopologyView> {
    let now = series.last()?;
    let pair = Pair { before: series.ago_at_most(RATES_OVER)?, now };
    let dropped = now.counts.dropped.iter().map(|(topic, reason, count)| DroppedView {
        topic: topic.to_string(),
        reason: reason.label().to_owned(),
        count: *count,
    });
    let dead = now.counts.dead_letters.iter().filter(|(_, count)| *count > 0);
    Some(TopologyView {
        name: facts.name.clone(),
        state: now.state,
        error: now.error.clone(),
        processes: vec![process(pair, series.length(), address)],
        tasks: now.tasks.iter().map(|task| self::task(task, now.wall, address)).collect(),
        topics: facts.topics.iter().map(|(topic, role)| self::topic(pair, topic, *role)).collect(),
        operators: operators(pair),
        dropped: dropped.collect(),
        dead_letters: dead.map(|(topic, count)| DeadLettersView { topic: topic.to_string(), count: *count }).collect(),
        commits: commits(pair),
        findings,
    })
}

fn process(pair: Pair<'_>, uptime: Duration, address: Option<&str>) -> ProcessView {
    let now = pair.now;
    ProcessView {
        address: address.map(str::to_owned),
        here: true,
        state: Some(now.state),
        threads: now.threads,
        busy: busy(pair),
        rebalances: now.rebalances,
        uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
        error: now.error.clone(),
    }
}

/// The part of their time that the stream threads of this process worked.
pub(super) fn busy(Pair { before, now }: Pair<'_>) -> Option<f64> {
    let worked = now.counts.busy_seconds? - before.counts.busy_seconds.unwrap_or(0.0);
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let had = now.since(before).as_secs_f64() * now.threads as f64;
    (had > 0.0).then(|| rounded((worked / had).clamp(0.0, 1.0)))
}

fn task(task: &TaskSample, wall: Timestamp, address: Option<&str>) -> TaskView {
    TaskView {
        name: task.name.to_string(),
        process: address.map(str::to_owned),
        thread: task.thread,
        state: task.state.to_string(),
        lag: task.lag,
        processed: task.processed,
        watermark: task.watermark,
        watermark_age_ms: task.age(wall),
        held_by: task.held_by.as_deref().map(str::to_owned),
        held_back_ms: u64::try_from(task.held_back.as_millis()).unwrap_or(u64::MAX),
        restore_remaining: task.restore_remaining,
    }
}

fn topic(pair: Pair<'_>, topic: &str, role: TopicRole) -> TopicView {
    let partitions = pair.now.counts.partitions.iter().filter(|partition| *partition.topic == *topic);
    let view = |of: &crate::metrics::PartitionCounts| PartitionView {
        partition: of.partition,
        lag: Some(of.lag),
        watermark: of.watermark,
    };
    let partitions: Vec<PartitionView> = partitions.map(view).collect();
    let least = partitions.iter().filter_map(|partition| partition.watermark).min();
    TopicView {
        topic: topic.to_owned(),
        role,
        records_in: value(read(pair.now), topic),
        records_out: value(written(pair.now), topic),
        in_rate: pair.rate(pair.grown(read, topic)),
        out_rate: pair.rate(pair.grown(written, topic)),
        lag: partitions.iter().filter_map(|partition| partition.lag).reduce(u64::saturating_add),
        watermark_age_ms: least.map(|least| pair.now.wall.millis_since(least)),
        partitions,
    }
}

/// The operators through which records have come, and those that have refused some.
fn operators(pair: Pair<'_>) -> Vec<OperatorView> {
    let counts = &pair.now.counts;
    let names: BTreeSet<&Arc<str>> = counts.operators.iter().chain(&counts.late).map(|(name, _)| name).collect();
    let operator = |name: &Arc<str>| OperatorView {
        name: name.to_string(),
        records: value(&counts.operators, name),
        rate: pair.rate(pair.grown(|sample| &sample.counts.operators, name)),
        late: value(&counts.late, name),
    };
    names.into_iter().map(operator).collect()
}

fn commits(pair: Pair<'_>) -> CommitsView {
    let Pair { before, now } = pair;
    let committed = now.counts.committed.saturating_sub(before.counts.committed);
    CommitsView {
        committed: now.counts.committed,
        aborted: now.counts.aborted,
        rate: pair.rate(committed),
        mean_ms: mean_of(before, now).or_else(|| mean(now.counts.commits_timed)),
    }
}

/// How long the commits between two samples took, in milliseconds.
fn mean_of(before: &Sample, now: &Sample) -> Option<f64> {
    let ((few, earlier), (many, seconds)) = (before.counts.commits_timed, now.counts.commits_timed);
    mean((many.saturating_sub(few), seconds - earlier))
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn mean((count, seconds): (u64, f64)) -> Option<f64> {
    (count > 0).then(|| rounded(seconds * 1_000.0 / count as f64))
}
