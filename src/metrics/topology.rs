//! The metrics of one topology: handles to be taken once and used once a batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Counter, CounterVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Families;
use crate::operators::{DropReason, Drops};
use crate::time::Timestamp;

/// The metrics of one topology. Cloning shares them.
///
/// What has no further label is counted by a call; what has one is a handle ([`IntCounter`], [`IntGauge`]) that is
/// looked up once and kept.
#[derive(Clone)]
pub struct TopologyMetrics(Arc<Inner>);

struct Inner {
    name: String,
    records_in: Family<IntCounter>,
    records_out: Family<IntCounter>,
    dropped: Family<DropCounters>,
    dead_letters: Family<IntCounter>,
    late: Family<IntCounter>,
    lag: Family<IntGauge, (Arc<str>, u32)>,
    watermark: Family<IntGauge, (Arc<str>, u32)>,
    watermark_age: Family<IntGauge>,
    /// By task: who holds it back.
    held_back: Family<Arc<str>>,
    left_out: Family<IntCounter>,
    commit_failures: Family<IntCounter>,
    restore_remaining: Family<IntGauge>,
    cache_bytes: Family<IntGauge>,
    committed_bytes: Family<IntGauge>,
    disk_bytes: Family<IntGauge>,
    global_rows: Family<IntGauge>,
    tasks: Family<IntGauge>,
    operator_records: Family<IntCounter>,
    busy: Family<Counter, usize>,
    vectors: Vectors,
    commit_duration: Histogram,
    restore_duration: Histogram,
    committed: IntCounter,
    aborted: IntCounter,
    restored: IntCounter,
    rebalances: IntCounter,
    paused: IntGauge,
}

/// The vectors that handles are made from and taken out of.
struct Vectors {
    records_in: IntCounterVec,
    records_out: IntCounterVec,
    dropped: IntCounterVec,
    dead_letters: IntCounterVec,
    late: IntCounterVec,
    lag: IntGaugeVec,
    watermark: IntGaugeVec,
    watermark_age: IntGaugeVec,
    held_back: IntGaugeVec,
    left_out: IntCounterVec,
    commit_failures: IntCounterVec,
    restore_remaining: IntGaugeVec,
    cache_bytes: IntGaugeVec,
    committed_bytes: IntGaugeVec,
    disk_bytes: IntGaugeVec,
    global_rows: IntGaugeVec,
    tasks: IntGaugeVec,
    operator_records: IntCounterVec,
    busy: CounterVec,
    findings: IntGaugeVec,
}

/// The handles of one metric by label, kept so that what they stand at can be told without rendering.
type Family<M, L = Arc<str>> = Mutex<BTreeMap<L, M>>;

fn handle<M: Clone, L: Ord>(family: &Family<M, L>, label: L, make: impl FnOnce() -> M) -> M {
    family.lock().unwrap_or_else(PoisonError::into_inner).entry(label).or_insert_with(make).clone()
}

fn sum<M, L>(family: &Family<M, L>, value: impl Fn(&M) -> u64) -> u64 {
    family.lock().unwrap_or_else(PoisonError::into_inner).values().map(value).sum()
}

fn values(family: &Family<IntCounter>) -> Vec<(Arc<str>, u64)> {
    let family = family.lock().unwrap_or_else(PoisonError::into_inner);
    family.iter().map(|(label, counter)| (Arc::clone(label), counter.get())).collect()
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was committed.
    Committed,
    /// It was aborted.
    Aborted,
}

/// One counter a reason, for the records of one source topic.
#[derive(Clone)]
pub struct DropCounters(Arc<[IntCounter]>);

impl DropCounters {
    /// Adds what an operator has counted.
    pub fn add(&self, drops: &Drops) {
        for (reason, counter) in DropReason::ALL.iter().zip(self.0.iter()) {
            let count = drops.get(*reason);
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }

    /// How many records there have been for a reason.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        DropReason::ALL.iter().zip(self.0.iter()).find(|(each, _)| **each == reason).map_or(0, |(_, count)| count.get())
    }

    fn total(&self) -> u64 {
        self.0.iter().map(IntCounter::get).sum()
    }
}

/// What has been counted by label, at one moment: for whoever observes the topology. Rows are in the order of their labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Records processed, by topic.
    pub records_in: Vec<(Arc<str>, u64)>,
    /// Records written, by topic.
    pub records_out: Vec<(Arc<str>, u64)>,
    /// Records that did not go the usual way, by source topic and reason. What there was none of is left out.
    pub dropped: Vec<(Arc<str>, DropReason, u64)>,
    /// Records routed to a dead letter topic, by source topic.
    pub dead_letters: Vec<(Arc<str>, u64)>,
    /// Records that came too late, by operator.
    pub late: Vec<(Arc<str>, u64)>,
    /// What is known of the partitions that this process reads.
    pub partitions: Vec<PartitionCounts>,
    /// Commits that failed, by kind.
    pub commit_failures: Vec<(Arc<str>, u64)>,
    /// Transactions committed.
    pub committed: u64,
    /// Transactions aborted.
    pub aborted: u64,
    /// Records that came into operators, by their names.
    pub operators: Vec<(Arc<str>, u64)>,
    /// For how many seconds the stream threads have worked, together; `None` where that is not measured.
    pub busy_seconds: Option<f64>,
    /// How many commits have been timed, and how many seconds they took together.
    pub commits_timed: (u64, f64),
}

/// What is known of a partition that this process reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionCounts {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number.
    pub partition: u32,
    /// How many of its records wait.
    pub lag: u64,
    /// How far event time has come in it, to the second.
    pub watermark: Option<Timestamp>,
}

/// The sums over all labels at one moment: what the demo's screen shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records processed.
    pub records_in: u64,
    /// Records written.
    pub records_out: u64,
    /// Records that did not go the usual way.
    pub dropped: u64,
    /// Records routed to a dead letter topic.
    pub dead_letters: u64,
    /// Records that wait.
    pub lag: u64,
    /// Transactions committed.
    pub committed: u64,
    /// Transactions aborted.
    pub aborted: u64,
}

impl TopologyMetrics {
    pub(super) fn new(families: &Families, name: &str) -> Self {
        let vectors = Vectors {
            records_in: families.records_in.clone(),
            records_out: families.records_out.clone(),
            dropped: families.dropped.clone(),
            dead_letters: families.dead_letters.clone(),
            late: families.late.clone(),
            lag: families.lag.clone(),
            watermark: families.watermark.clone(),
            watermark_age: families.watermark_age.clone(),
            held_back: families.held_back.clone(),
            left_out: families.left_out.clone(),
            commit_failures: families.commit_failures.clone(),
            restore_remaining: families.restore_remaining.clone(),
            cache_bytes: families.cache_bytes.clone(),
            committed_bytes: families.committed_bytes.clone(),
            disk_bytes: families.disk_bytes.clone(),
            global_rows: families.global_rows.clone(),
            tasks: families.tasks.clone(),
            operator_records: families.operator_records.clone(),
            busy: families.busy.clone(),
            findings: families.findings.clone(),
        };
        Self(Arc::new(Inner {
            name: name.to_owned(),
            records_in: Family::default(),
            records_out: Family::default(),
            dropped: Family::default(),
            dead_letters: Family::default(),
            late: Family::default(),
            lag: Family::default(),
            watermark: Family::default(),
            watermark_age: Family::default(),
            held_back: Family::default(),
            left_out: Family::default(),
            commit_failures: Family::default(),
            restore_remaining: Family::default(),
            cache_bytes: Family::default(),
            committed_bytes: Family::default(),
            disk_bytes: Family::default(),
            global_rows: Family::default(),
            tasks: Family::default(),
            operator_records: Family::default(),
            busy: Family::default(),
            commit_duration: families.commit_duration.with_label_values(&[name]),
            restore_duration: families.restore_duration.with_label_values(&[name]),
            committed: families.transactions.with_label_values(&[name, "committed"]),
            aborted: families.transactions.with_label_values(&[name, "aborted"]),
            restored: families.restored.with_label_values(&[name]),
            rebalances: families.rebalances.with_label_values(&[name]),
            paused: families.paused.with_label_values(&[name]),
            vectors,
        }))
    }

    fn counter(&self, family: &Family<IntCounter>, vector: &IntCounterVec, label: &str) -> IntCounter {
        handle(family, label.into(), || vector.with_label_values(&[&self.0.name, label]))
    }

    fn gauge(&self, family: &Family<IntGauge>, vector: &IntGaugeVec, label: &str) -> IntGauge {
        handle(family, label.into(), || vector.with_label_values(&[&self.0.name, label]))
    }

    /// Records processed from a topic.
    #[must_use]
    pub fn records_in(&self, topic: &str) -> IntCounter {
        self.counter(&self.0.records_in, &self.0.vectors.records_in, topic)
    }

    /// Records written to a topic.
    #[must_use]
    pub fn records_out(&self, topic: &str) -> IntCounter {
        self.counter(&self.0.records_out, &self.0.vectors.records_out, topic)
    }

    /// Records from a source topic that did not go the usual way.
    #[must_use]
    pub fn drops(&self, topic: &str) -> DropCounters {
        handle(&self.0.dropped, topic.into(), || {
            let counter = |reason: &DropReason| {
                self.0.vectors.dropped.with_label_values(&[self.0.name.as_str(), topic, reason.label()])
            };
            DropCounters(DropReason::ALL.iter().map(counter).collect())
        })
    }

    /// Records from a source topic that went to a dead letter topic.
    #[must_use]
    pub fn dead_letters(&self, topic: &str) -> IntCounter {
        self.counter(&self.0.dead_letters, &self.0.vectors.dead_letters, topic)
    }

    /// Records that an operator refused as late.
    #[must_use]
    pub fn late_records(&self, operator: &str) -> IntCounter {
        self.counter(&self.0.late, &self.0.vectors.late, operator)
    }

    /// Records of a partition that wait.
    #[must_use]
    pub fn lag(&self, topic: &str, partition: u32) -> IntGauge {
        handle(&self.0.lag, (topic.into(), partition), || {
            self.0.vectors.lag.with_label_values(&[self.0.name.as_str(), topic, &partition.to_string()])
        })
    }

    /// How far event time has come in a partition.
    #[must_use]
    pub fn watermark(&self, topic: &str, partition: u32) -> IntGauge {
        handle(&self.0.watermark, (topic.into(), partition), || {
            self.0.vectors.watermark.with_label_values(&[self.0.name.as_str(), topic, &partition.to_string()])
        })
    }

    /// By how many seconds event time in a task is behind the clock; `None` while no time is expected to go on.
    pub fn watermark_age(&self, task: &str, seconds: Option<i64>) {
        let Inner { name, watermark_age, vectors, .. } = &*self.0;
        if let Some(seconds) = seconds {
            self.gauge(watermark_age, &vectors.watermark_age, task).set(seconds);
        } else if watermark_age.lock().unwrap_or_else(PoisonError::into_inner).remove(task).is_some() {
            let _ = vectors.watermark_age.remove_label_values(&[name.as_str(), task]);
        }
    }

    /// Who holds time back in a task, and by how many seconds: one at a time. `None` while nobody does.
    pub fn held_back(&self, task: &str, by: Option<(&str, i64)>) {
        let Inner { name, held_back, vectors, .. } = &*self.0;
        let mut known = held_back.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match by {
            Some((by, _)) if known.get(task).is_some_and(|before| &**before == by) => None,
            Some((by, _)) => known.insert(task.into(), by.into()),
            None => known.remove(task),
        };
        if let Some(before) = before {
            let _ = vectors.held_back.remove_label_values(&[name.as_str(), task, &*before]);
        }
        if let Some((by, seconds)) = by {
            vectors.held_back.with_label_values(&[name.as_str(), task, by]).set(seconds);
        }
    }

    /// How often a partition of a source topic was left out as idle.
    #[must_use]
    pub fn left_out(&self, topic: &str) -> IntCounter {
        self.counter(&self.0.left_out, &self.0.vectors.left_out, topic)
    }

    /// The partition is not ours any more: its lag is another process's to tell.
    pub fn forget_partition(&self, topic: &str, partition: u32) {
        self.0.watermark.lock().unwrap_or_else(PoisonError::into_inner).remove(&(topic.into(), partition));
        let _ = self.0.vectors.watermark.remove_label_values(&[self.0.name.as_str(), topic, &partition.to_string()]);
        self.0.lag.lock().unwrap_or_else(PoisonError::into_inner).remove(&(topic.into(), partition));
        // It may never have been told: then there is nothing to take away.
        let _ = self.0.vectors.lag.remove_label_values(&[self.0.name.as_str(), topic, &partition.to_string()]);
    }

    /// A commit took so long.
    pub fn commit_took(&self, duration: Duration) {
        self.0.commit_duration.observe(duration.as_secs_f64());
    }

    /// A transaction ended.
    pub fn transaction(&self, outcome: Outcome) {
        match outcome {
            Outcome::Committed => self.0.committed.inc(),
            Outcome::Aborted => self.0.aborted.inc(),
        }
    }

    /// A commit failed: `abort`, `lost`, `unknown` or `fatal`.
    pub fn commit_failure(&self, kind: &str) {
        self.counter(&self.0.commit_failures, &self.0.vectors.commit_failures, kind).inc();
    }

    /// A task's state was brought up to date in so long.
    pub fn restore_took(&self, duration: Duration) {
        self.0.restore_duration.observe(duration.as_secs_f64());
    }

    /// Changelog records read.
    #[must_use]
    pub fn restored_records(&self) -> IntCounter {
        self.0.restored.clone()
    }

    /// Changelog records that a task has still to read.
    #[must_use]
    pub fn restore_remaining(&self, task: &str) -> IntGauge {
        self.gauge(&self.0.restore_remaining, &self.0.vectors.restore_remaining, task)
    }

    /// The memory of a task's caches.
    #[must_use]
    pub fn cache_bytes(&self, task: &str) -> IntGauge {
        self.gauge(&self.0.cache_bytes, &self.0.vectors.cache_bytes, task)
    }

    /// A task's committed changes that are not on disk yet.
    #[must_use]
    pub fn committed_bytes(&self, task: &str) -> IntGauge {
        self.gauge(&self.0.committed_bytes, &self.0.vectors.committed_bytes, task)
    }

    /// A task's local store on disk.
    #[must_use]
    pub fn disk_bytes(&self, task: &str) -> IntGauge {
        self.gauge(&self.0.disk_bytes, &self.0.vectors.disk_bytes, task)
    }

    /// Rows of a global table in the memory of this process.
    #[must_use]
    pub fn global_rows(&self, topic: &str) -> IntGauge {
        self.gauge(&self.0.global_rows, &self.0.vectors.global_rows, topic)
    }

    /// The task is not ours any more: takes its gauges away.
    pub fn forget_task(&self, task: &str) {
        self.watermark_age(task, None);
        self.held_back(task, None);
        let Inner { name, vectors, .. } = &*self.0;
        for (family, vector) in [
            (&self.0.restore_remaining, &vectors.restore_remaining),
            (&self.0.cache_bytes, &vectors.cache_bytes),
            (&self.0.committed_bytes, &vectors.committed_bytes),
            (&self.0.disk_bytes, &vectors.disk_bytes),
        ] {
            family.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
            // It may never have been told: then there is nothing to take away.
            let _ = vector.remove_label_values(&[name.as_str(), task]);
        }
    }

    /// How often the group gave this process a new set of partitions.
    #[must_use]
    pub fn rebalances(&self) -> IntCounter {
        self.0.rebalances.clone()
    }

    /// How many tasks are in which state; a state that is not named any more goes to zero.
    pub fn tasks<'a>(&self, by_state: impl IntoIterator<Item = (&'a str, i64)>) {
        for gauge in self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).values() {
            gauge.set(0);
        }
        for (state, count) in by_state {
            self.gauge(&self.0.tasks, &self.0.vectors.tasks, state).set(count);
        }
    }

    /// Records that came into an operator, by its name in [`Description`](crate::topology::describe::Description).
    #[must_use]
    pub fn operator_records(&self, operator: &str) -> IntCounter {
        self.counter(&self.0.operator_records, &self.0.vectors.operator_records, operator)
    }

    /// How long a stream thread has worked, in seconds.
    #[must_use]
    pub fn busy_seconds(&self, thread: usize) -> Counter {
        handle(&self.0.busy, thread, || {
            self.0.vectors.busy.with_label_values(&[self.0.name.as_str(), &thread.to_string()])
        })
    }

    /// Whether something of this kind is found to be stuck or to go wrong.
    pub fn finding(&self, kind: &str, found: bool) {
        self.0.vectors.findings.with_label_values(&[self.0.name.as_str(), kind]).set(found.into());
    }

    /// Whether this process was told to pause.
    pub fn paused(&self, paused: bool) {
        self.0.paused.set(paused.into());
    }

    /// How many records did not go the usual way, by reason, over all topics; reasons without any are left out.
    #[must_use]
    pub fn dropped(&self) -> Vec<(DropReason, u64)> {
        let by_reason = DropReason::ALL.map(|reason| (reason, sum(&self.0.dropped, |counters| counters.get(reason))));
        by_reason.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// What has been counted by label, at this moment.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Inner { records_in, records_out, dead_letters, late, commit_failures, committed, aborted, .. } = &*self.0;
        let timed = &self.0.commit_duration;
        Counts {
            records_in: values(records_in),
            records_out: values(records_out),
            dropped: self.dropped_by_topic(),
            dead_letters: values(dead_letters),
            late: values(late),
            partitions: self.partitions(),
            commit_failures: values(commit_failures),
            committed: committed.get(),
            aborted: aborted.get(),
            operators: values(&self.0.operator_records),
            busy_seconds: self.busy_total(),
            commits_timed: (timed.get_sample_count(), timed.get_sample_sum()),
        }
    }

    fn busy_total(&self) -> Option<f64> {
        let busy = self.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.values().map(Counter::get).reduce(|one, other| one + other)
    }

    fn dropped_by_topic(&self) -> Vec<(Arc<str>, DropReason, u64)> {
        let dropped = self.0.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let of_topic = |(topic, counters): (&Arc<str>, &DropCounters)| {
            DropReason::ALL.map(|reason| (Arc::clone(topic), reason, counters.get(reason)))
        };
        dropped.iter().flat_map(of_topic).filter(|(.., count)| *count > 0).collect()
    }

    fn partitions(&self) -> Vec<PartitionCounts> {
        let watermarks = self.0.watermark.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lag = self.0.lag.lock().unwrap_or_else(PoisonError::into_inner);
        let of_partition = |(place, lag): (&(Arc<str>, u32), &IntGauge)| PartitionCounts {
            topic: Arc::clone(&place.0),
            partition: place.1,
            lag: u64::try_from(lag.get()).unwrap_or(0),
            watermark: watermarks.get(place).map(|at| Timestamp::from_millis(at.get().saturating_mul(1_000))),
        };
        lag.iter().map(of_partition).collect()
    }

    /// The sums over all labels at this moment.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let Inner { records_in, records_out, dropped, dead_letters, lag, committed, aborted, .. } = &*self.0;
        Totals {
            records_in: sum(records_in, IntCounter::get),
            records_out: sum(records_out, IntCounter::get),
            dropped: sum(dropped, DropCounters::total),
            dead_letters: sum(dead_letters, IntCounter::get),
            lag: sum(lag, |gauge| u64::try_from(gauge.get()).unwrap_or(0)),
            committed: committed.get(),
            aborted: aborted.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_partition_that_moved_away_has_no_lag_here() {
        let metrics = Metrics::new();
        let topology = metrics.topology("totals");
        topology.lag("in", 3).set(9);
        assert_eq!(topology.totals().lag, 9);
        topology.forget_partition("in", 3);
        assert_eq!(topology.totals().lag, 0);
        assert!(!metrics.render().contains("partition=\"3\""));
    }

    #[test]
    fn one_at_a_time_holds_a_task_back_and_nobody_once_it_has_moved_away() {
        let metrics = Metrics::new();
        let topology = metrics.topology("totals");
        let lines = || {
            let text = metrics.render();
            let of = |line: &&str| line.starts_with("millstream_watermark") && line.contains("task=\"a-0\"");
            text.lines().filter(of).map(|line| line.replace("millstream_watermark_", "")).collect::<Vec<_>>()
        };
        topology.watermark_age("a-0", Some(70));
        for (by, seconds) in [("in-1", 60), ("in-1", 61), ("in-2", 3)] {
            topology.held_back("a-0", Some((by, seconds)));
        }
        let age = "age_seconds{task=\"a-0\",topology=\"totals\"} 70";
        assert_eq!(lines(), [age, "held_back_seconds{by=\"in-2\",task=\"a-0\",topology=\"totals\"} 3"]);
        topology.held_back("a-0", None);
        assert_eq!(lines(), [age]);
        topology.held_back("a-0", Some(("in-1", 9)));
        topology.forget_task("a-0");
        assert_eq!(lines(), [""; 0]);
    }

    #[test]
    fn what_was_counted_is_told_by_label() {
        let metrics = Metrics::new();
        let topology = metrics.topology("totals");
        topology.records_in("b").inc_by(2);
        topology.records_in("a").inc();
        topology.lag("a", 1).set(7);
        topology.lag("a", 0).set(0);
        topology.watermark("a", 1).set(60);
        let mut drops = Drops::default();
        drops.count(DropReason::NullKey);
        topology.drops("a").add(&drops);
        topology.commit_failure("lost");
        topology.commit_took(Duration::from_millis(500));
        let counts = topology.counts();
        assert_eq!(counts.records_in, [("a".into(), 1), ("b".into(), 2)]);
        assert_eq!(counts.dropped, [("a".into(), DropReason::NullKey, 1)]);
        assert_eq!(counts.commit_failures, [("lost".into(), 1)]);
        assert_eq!(counts.commits_timed, (1, 0.5));
        let place = |partition, lag, watermark| PartitionCounts { topic: "a".into(), partition, lag, watermark };
        assert_eq!(counts.partitions, [place(0, 0, None), place(1, 7, Some(Timestamp::from_millis(60_000)))]);
        topology.forget_partition("a", 1);
        assert_eq!(topology.counts().partitions, [place(0, 0, None)]);
    }

    #[test]
    fn a_state_without_tasks_shows_zero() {
        let metrics = Metrics::new();
        let topology = metrics.topology("totals");
        topology.tasks([("restoring", 2)]);
        topology.tasks([("running", 2)]);
        let text = metrics.render();
        assert!(text.contains("state=\"restoring\",topology=\"totals\"} 0"), "{text}");
        assert!(text.contains("state=\"running\",topology=\"totals\"} 2"), "{text}");
    }
}
