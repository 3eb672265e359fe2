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
}

impl InputMeters {
    pub(crate) fn new(metrics: &TopologyMetrics, input: &TopicPartition) -> Self {
        Self {
            records: metrics.records_in(&input.topic),
            drops: metrics.drops(&input.topic),
            dead_letters: metrics.dead_letters(&input.topic),
            lag: metrics.lag(&input.topic, input.partition),
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
