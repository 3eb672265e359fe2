//! What the runtime counts, for Prometheus and for the demo's screen.
//!
//! Nothing here costs anything per record: a stream thread takes its handles once ([`TopologyMetrics::records_in`] and
//! the like) and adds to them once a batch or a commit.

pub mod names;
mod redis;
mod topology;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{CounterVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

pub use prometheus::{Counter, Histogram, IntCounter, IntGauge};
pub use redis::RedisMetrics;
pub use topology::{Counts, DropCounters, Outcome, PartitionCounts, TopologyMetrics, Totals};

use names::Definition;

/// All metrics of a process, with a registry of its own. Cloning shares them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    families: Families,
    topologies: Mutex<BTreeMap<String, TopologyMetrics>>,
}

/// The metrics of `names`, not yet bound to a topology.
struct Families {
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
    commit_duration: HistogramVec,
    transactions: IntCounterVec,
    commit_failures: IntCounterVec,
    restore_duration: HistogramVec,
    restored: IntCounterVec,
    restore_remaining: IntGaugeVec,
    cache_bytes: IntGaugeVec,
    committed_bytes: IntGaugeVec,
    disk_bytes: IntGaugeVec,
    global_rows: IntGaugeVec,
    rebalances: IntCounterVec,
    tasks: IntGaugeVec,
    redis: redis::Families,
    operator_records: IntCounterVec,
    busy: CounterVec,
    paused: IntGaugeVec,
    findings: IntGaugeVec,
}

/// From a quick commit in memory to a broker that hangs.
const COMMIT_BUCKETS: &[f64] =
    &[0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// From nothing to do to an hour of replay.
const RESTORE_BUCKETS: &[f64] = &[0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

impl Metrics {
    /// Metrics that all stand at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let families = Families {
            records_in: counter(&registry, &names::RECORDS_IN),
            records_out: counter(&registry, &names::RECORDS_OUT),
            dropped: counter(&registry, &names::RECORDS_DROPPED),
            dead_letters: counter(&registry, &names::DEAD_LETTERS),
            late: counter(&registry, &names::LATE_RECORDS),
            lag: gauge(&registry, &names::LAG),
            watermark: gauge(&registry, &names::WATERMARK),
            watermark_age: gauge(&registry, &names::WATERMARK_AGE),
            held_back: gauge(&registry, &names::WATERMARK_HELD_BACK),
            left_out: counter(&registry, &names::LEFT_OUT),
            commit_duration: histogram(&registry, &names::COMMIT_DURATION, COMMIT_BUCKETS),
            transactions: counter(&registry, &names::TRANSACTIONS),
            commit_failures: counter(&registry, &names::COMMIT_FAILURES),
            restore_duration: histogram(&registry, &names::RESTORE_DURATION, RESTORE_BUCKETS),
            restored: counter(&registry, &names::RESTORED_RECORDS),
            restore_remaining: gauge(&registry, &names::RESTORE_REMAINING),
            cache_bytes: gauge(&registry, &names::CACHE_BYTES),
            committed_bytes: gauge(&registry, &names::COMMITTED_BYTES),
            disk_bytes: gauge(&registry, &names::DISK_BYTES),
            global_rows: gauge(&registry, &names::GLOBAL_ROWS),
            rebalances: counter(&registry, &names::REBALANCES),
            tasks: gauge(&registry, &names::TASKS),
            redis: redis::Families::new(&registry),
            operator_records: counter(&registry, &names::OPERATOR_RECORDS),
            busy: seconds(&registry, &names::BUSY),
            paused: gauge(&registry, &names::PAUSED),
            findings: gauge(&registry, &names::FINDINGS),
        };
        #[cfg(target_os = "linux")]
        enter(&registry, prometheus::process_collector::ProcessCollector::for_self());
        Self(Arc::new(Inner { registry, families, topologies: Mutex::default() }))
    }

    /// The metrics of a topology; the same handles every time.
    #[must_use]
    pub fn topology(&self, name: &str) -> TopologyMetrics {
        let mut topologies = self.0.topologies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = topologies.get(name) {
            return known.clone();
        }
        let metrics = TopologyMetrics::new(&self.0.families, name);
        topologies.insert(name.to_owned(), metrics.clone());
        metrics
    }

    /// The metrics of an output of a topology to Redis.
    #[must_use]
    pub fn redis(&self, topology: &str, sink: &str) -> RedisMetrics {
        RedisMetrics::new(&self.0.families.redis, topology, sink)
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut text) {
            tracing::warn!(%error, "the metrics could not be rendered completely");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Enters a metric in the registry. It fails only for a name that is not valid or is taken; the names are constants, and
/// a test makes and renders them all.
fn enter(registry: &Registry, collector: impl Collector + 'static) {
    registry.register(Box::new(collector)).expect("every metric is declared once, under a valid name");
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    enter(registry, collector.clone());
    collector
}

fn counter(registry: &Registry, definition: &Definition) -> IntCounterVec {
    let vector = IntCounterVec::new(Opts::new(definition.name, definition.help), definition.labels);
    register(registry, vector.expect("a valid name"))
}

fn seconds(registry: &Registry, definition: &Definition) -> CounterVec {
    let vector = CounterVec::new(Opts::new(definition.name, definition.help), definition.labels);
    register(registry, vector.expect("a valid name"))
}

fn gauge(registry: &Registry, definition: &Definition) -> IntGaugeVec {
    let vector = IntGaugeVec::new(Opts::new(definition.name, definition.help), definition.labels);
    register(registry, vector.expect("a valid name"))
}

fn histogram(registry: &Registry, definition: &Definition, buckets: &[f64]) -> HistogramVec {
    let options = HistogramOpts::new(definition.name, definition.help).buckets(buckets.to_vec());
    register(registry, HistogramVec::new(options, definition.labels).expect("a valid name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::{DropReason, Drops};
    use std::time::Duration;

    /// Touches every metric once, so that all of them render.
    fn all_touched() -> String {
        let metrics = Metrics::new();
        let topology = metrics.topology("totals");
        topology.records_in("in").inc_by(5);
        topology.records_out("out").inc_by(4);
        let mut drops = Drops::default();
        drops.count(DropReason::NullKey);
        topology.drops("in").add(&drops);
        topology.dead_letters("in").inc();
        topology.late_records("windows").inc();
        topology.lag("in", 0).set(7);
        topology.watermark("in", 0).set(1_700_000_000);
        topology.watermark_age("0_1", Some(12));
        topology.held_back("0_1", Some(("in-3", 5)));
        topology.left_out("in").inc();
        topology.commit_took(Duration::from_millis(3));
        topology.transaction(Outcome::Committed);
        topology.commit_failure("lost");
        topology.restore_took(Duration::from_secs(2));
        topology.restored_records().inc_by(9);
        topology.restore_remaining("0_1").set(3);
        topology.cache_bytes("0_1").set(1);
        topology.committed_bytes("0_1").set(2);
        topology.disk_bytes("0_1").set(3);
        topology.global_rows("products").set(4);
        topology.rebalances().inc();
        topology.tasks([("running", 2)]);
        let sink = metrics.redis("totals", "ticker");
        sink.delivered.inc();
        sink.failed("timeout");
        topology.operator_records("windows").inc_by(6);
        topology.busy_seconds(0).inc_by(0.25);
        topology.paused(true);
        topology.finding("no_progress", true);
        metrics.render()
    }

    #[test]
    fn every_metric_renders_with_its_help() {
        let text = all_touched();
        for definition in names::ALL {
            assert!(text.contains(&format!("# HELP {} {}\n", definition.name, definition.help)), "{}", definition.name);
        }
        assert!(text.contains("millstream_lag_records{partition=\"0\",topic=\"in\",topology=\"totals\"} 7"), "{text}");
        assert!(text.contains("reason=\"null_key\""), "{text}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_is_among_the_metrics() {
        assert!(Metrics::new().render().contains("process_resident_memory_bytes"));
    }

    #[test]
    fn a_topology_has_the_same_counters_every_time() {
        let metrics = Metrics::new();
        metrics.topology("a").records_in("in").inc();
        metrics.topology("a").records_in("in").inc();
        assert_eq!(metrics.topology("a").totals().records_in, 2);
        assert_eq!(metrics.topology("b").totals().records_in, 0);
    }
}
