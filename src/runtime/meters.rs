//! The handles of a thread's metrics, looked up once and used once a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::{IntCounter, IntGauge};

use crate::broker::Outgoing;
use crate::metrics::{DropCounters, TopologyMetrics};
use crate::record::TopicPartition;

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
