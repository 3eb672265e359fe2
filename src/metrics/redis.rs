//! The metrics of an output to Redis.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{counter, gauge, names};

/// The metrics of all outputs to Redis, not yet bound to one.
pub(super) struct Families {
    delivered: IntCounterVec,
    failures: IntCounterVec,
    unheard: IntCounterVec,
    lost: IntCounterVec,
    lag: IntGaugeVec,
    connections: IntGaugeVec,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            delivered: counter(registry, &names::REDIS_DELIVERED),
            failures: counter(registry, &names::REDIS_FAILURES),
            unheard: counter(registry, &names::REDIS_UNHEARD),
            lost: counter(registry, &names::REDIS_LOST),
            lag: gauge(registry, &names::REDIS_LAG),
            connections: gauge(registry, &names::REDIS_CONNECTIONS),
        }
    }
}

/// The metrics of one output to Redis.
#[derive(Clone)]
pub struct RedisMetrics {
    /// Records whose commands Redis has answered.
    pub delivered: IntCounter,
    /// Messages that nobody has heard.
    pub unheard: IntCounter,
    /// Offsets that were deleted before they were delivered.
    pub lost: IntCounter,
    /// Records that are not delivered yet.
    pub lag: IntGauge,
    /// 1 while Redis answers.
    pub connections: IntGauge,
    failures: IntCounterVec,
    labels: [String; 2],
}

impl RedisMetrics {
    pub(super) fn new(families: &Families, topology: &str, sink: &str) -> Self {
        let labels = [topology, sink];
        Self {
            delivered: families.delivered.with_label_values(&labels),
            unheard: families.unheard.with_label_values(&labels),
            lost: families.lost.with_label_values(&labels),
            lag: families.lag.with_label_values(&labels),
            connections: families.connections.with_label_values(&labels),
            failures: families.failures.clone(),
            labels: labels.map(str::to_owned),
        }
    }

    /// An attempt failed, in this way.
    pub fn failed(&self, kind: &str) {
        let [topology, sink] = &self.labels;
        self.failures.with_label_values(&[topology.as_str(), sink, kind]).inc();
    }

    /// How many attempts have failed in this way.
    #[must_use]
    pub fn failures(&self, kind: &str) -> u64 {
        let [topology, sink] = &self.labels;
        self.failures.with_label_values(&[topology.as_str(), sink, kind]).get()
    }
}
