//! The handles of a thread's metrics, looked up once and used once a batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{Counter, IntCounter, IntGauge};

use crate::broker::Outgoing;
use crate::metrics::{DropCounters, TopologyMetrics};
use crate::operators::Passed;
use crate::record::TopicPartition;

/// Counts what comes into an operator.
pub(crate) struct OperatorMeter {
    records: IntCounter,
    /// What has come along each of its edges, and how much of it has been told.
    passed: Vec<Passed>,
    told: u64,
}

impl OperatorMeter {
    pub(crate) fn new(metrics: &TopologyMetrics, (operator, passed): (String, Vec<Passed>)) -> Self {
        Self { records: metrics.operator_records(&operator), passed, told: 0 }
    }

    /// What has come since the last time is committed.
    pub(crate) fn committed(&mut self) {
        let passed = self.passed.iter().map(Passed::get).fold(0, u64::wrapping_add);
        let fresh = passed.wrapping_sub(std::mem::replace(&mut self.told, passed));
        if fresh > 0 {
            self.records.inc_by(fresh);
        }
    }
}

/// Counts the time that a stream thread works.
pub(crate) struct Busy {
    seconds: Counter,
    since: Duration,
}

impl Busy {
    pub(crate) fn new(metrics: &TopologyMetrics, thread: usize, now: Duration) -> Self {
        Self { seconds: metrics.busy_seconds(thread), since: now }
    }

    /// The thread has worked until now.
    pub(crate) fn worked(&mut self, now: Duration) {
        let worked = now.saturating_sub(std::mem::replace(&mut self.since, now));
        self.seconds.inc_by(worked.as_secs_f64());
    }

    /// The thread has waited until now.
    pub(crate) fn waited(&mut self, now: Duration) {
        self.since = now;
    }
}

/// The handles of one input partition.
pub(crate) struct InputMeters {
    pub(crate) records: IntCounter,
    pub(crate) drops: DropCounters,
    pub(crate) dead_letters: IntCounter,
    pub(crate) lag: IntGauge,
    pub(crate) left_out: IntCounter,
    metrics: TopologyMetrics,
}

impl InputMeters {
    pub(crate) fn new(metrics: &TopologyMetrics, input: &TopicPartition) -> Self {
        Self {
            records: metrics.records_in(&input.topic),
            drops: metrics.drops(&input.topic),
            dead_letters: metrics.dead_letters(&input.topic),
            lag: metrics.lag(&input.topic, input.partition),
            left_out: metrics.left_out(&input.topic),
            metrics: metrics.clone(),
        }
    }

    /// Counts what operators have refused as too late: seldom, so nothing is kept at hand for it.
    pub(crate) fn count_late(&self, late: Vec<(Arc<str>, u64)>) {
        for (operator, count) in late {
            self.metrics.late_records(&operator).inc_by(count);
        }
    }
}

/// Counts records on their way out, by topic.
pub(crate) fn count_out(sent: &mut BTreeMap<Arc<str>, u64>, out: &Outgoing) {
    let mut counts = vec![0_u64; out.topics().len()];
    for record in out.iter() {
        counts[record.topic.index()] += 1;
    }
    for (topic, count) in out.topics().iter().zip(counts).filter(|(_, count)| *count > 0) {
        *sent.entry(Arc::clone(topic)).or_default() += count;
    }
}
