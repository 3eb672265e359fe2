//! What a run has left out or put aside, told at its end: without a look at the metrics nobody would know.

use crate::metrics::Metrics;

/// Says of each topology how many records did not go the usual way, and why, where there were any.
pub(super) fn tell<'a>(metrics: &Metrics, topologies: impl IntoIterator<Item = &'a str>) {
    for topology in topologies {
        let metrics = metrics.topology(topology);
        let dropped: Vec<String> =
            metrics.dropped().iter().map(|(reason, count)| format!("{count} {}", reason.label())).collect();
        if !dropped.is_empty() {
            let dead_letters = metrics.totals().dead_letters;
            tracing::warn!(topology, dead_letters, "records that did not go the usual way: {}", dropped.join(", "));
        }
    }
}
