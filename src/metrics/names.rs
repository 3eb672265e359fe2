//! Every metric: its name, its labels and its help, in one place. The table in the documentation is made from here.
//!
//! Names are `millstream_…`, units are the base units (seconds, bytes, records), and every metric carries the label
//! `topology`. Records per second, hit rates and the like are for the query language: here are only counters, gauges
//! and histograms.

use std::fmt::Write as _;

/// What sort of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often values fell into which range.
    Histogram,
}

/// A metric as it is declared.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name, with the unit.
    pub name: &'static str,
    /// What it says, for the person who reads a dashboard.
    pub help: &'static str,
    /// What sort it is.
    pub kind: Kind,
    /// Its labels; the first is always `topology`.
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Definition = Definition {
            name: concat!("millstream_", $name),
            help: $help,
            kind: Kind::$kind,
            labels: &["topology" $(, $label)*],
        };)*

        /// All metrics of a topology, in the order of the documentation.
        pub const ALL: &[&Definition] = &[$(&$constant),*];
    };
}

metrics! {
    RECORDS_IN = Counter "records_in_total" ["topic"]
        "Records read from a topic and processed, counted when their transaction commits.";
    RECORDS_OUT = Counter "records_out_total" ["topic"]
        "Messages written to a topic, counted when their transaction commits. One message of a repartition topic carries many \
         records, which the reading side counts.";
    RECORDS_DROPPED = Counter "records_dropped_total" ["topic", "reason"]
        "Records that did not go the usual way, by the source topic they came from and the reason.";
    DEAD_LETTERS = Counter "dead_letters_total" ["topic"]
        "Records routed to a dead letter topic, by the source topic they came from.";
    OPERATOR_RECORDS = Counter "operator_records_total" ["operator"]
        "Records that came into an operator, or that a source handed on, counted when their transaction commits. The operators are named as `/topology` names them.";
    LATE_RECORDS = Counter "late_records_total" ["operator"]
        "Records that came to an operator when their time was over; nearly all operators refuse them.";
    LAG = Gauge "lag_records" ["topic", "partition"]
        "Committed records of an input partition that are not processed yet.";
    WATERMARK = Gauge "watermark_timestamp_seconds" ["topic", "partition"]
        "How far event time has come in an input partition, as seconds since 1970; what it is behind the clock is its age.";
    WATERMARK_AGE = Gauge "watermark_age_seconds" ["task"]
        "How far event time in a task is behind the clock: what it has not passed yet cannot close. Not there while all that it reads is idle, when no time is expected to go on.";
    WATERMARK_HELD_BACK = Gauge "watermark_held_back_seconds" ["task", "by"]
        "By how much the one that has come least far, a partition or a task upstream, holds back the one that has come farthest. One that has not been heard of stands at 1970.";
    LEFT_OUT = Counter "idle_partitions_total" ["topic"]
        "How often a partition of a source topic was left out, so that time went on without it, as nothing had come for too long.";
    COMMIT_DURATION = Histogram "commit_duration_seconds" []
        "How long a commit took, from the last record until the broker confirmed it.";
    TRANSACTIONS = Counter "transactions_total" ["outcome"]
        "Transactions that ended, by outcome: committed or aborted.";
    COMMIT_FAILURES = Counter "commit_failures_total" ["kind"]
        "Commits that failed, by kind: abort, lost, unknown or fatal.";
    RESTORE_DURATION = Histogram "restore_duration_seconds" []
        "How long it took to bring a task's state up to date before it ran.";
    RESTORED_RECORDS = Counter "restored_records_total" []
        "Changelog records read to bring state up to date.";
    RESTORE_REMAINING = Gauge "restore_remaining_records" ["task"]
        "Changelog records that a task still has to read before it runs.";
    CACHE_BYTES = Gauge "cache_bytes" ["task"]
        "Memory that a task's caches of decoded rows hold.";
    COMMITTED_BYTES = Gauge "store_committed_bytes" ["task"]
        "Committed changes of a task that are in memory and not on disk yet.";
    DISK_BYTES = Gauge "store_disk_bytes" ["task"]
        "What a task's local store takes on disk.";
    GLOBAL_ROWS = Gauge "global_table_rows" ["topic"]
        "Rows of a global table, all of which are in the memory of this process.";
    REBALANCES = Counter "rebalances_total" []
        "How often the group gave this process a new set of partitions.";
    TASKS = Gauge "tasks" ["state"]
        "Tasks of this process by state.";
    REDIS_DELIVERED = Counter "redis_delivered_total" ["sink"]
        "Records whose commands Redis has answered. One that is delivered again after a failure counts again.";
    REDIS_FAILURES = Counter "redis_failures_total" ["sink", "kind"]
        "Attempts to connect or deliver that failed and are made again, by kind: unreachable, timeout, disconnected, denied, unavailable or refused.";
    REDIS_UNHEARD = Counter "redis_unheard_total" ["sink"]
        "Messages that Redis took while nobody was subscribed to their channel: it keeps none.";
    REDIS_LOST = Counter "redis_lost_records_total" ["sink"]
        "Offsets that the topic's retention deleted before they were delivered.";
    REDIS_LAG = Gauge "redis_lag_records" ["sink"]
        "Records of this process's partitions that are not delivered yet; offsets of transactions' marks count as well.";
    REDIS_CONNECTIONS = Gauge "redis_connections" ["sink"]
        "Connections to Redis that work, as of the last answer: 1, or 0 while deliveries wait for Redis.";
    BUSY = Counter "busy_seconds_total" ["thread"]
        "How long a stream thread worked. The rest of the time it waited for something to do: near one second a second, it is as fast as it gets.";
    PAUSED = Gauge "paused" []
        "1 while this process was told to pause and processes nothing, else 0.";
    FINDINGS = Gauge "findings" ["kind"]
        "1 while the process finds that something is stuck or goes wrong, by kind, else 0. The kinds are in `docs/stuck.md`.";
}

/// The table of all metrics as Markdown: the whole of `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         What `/metrics` gives, in Prometheus' text format. This table is made from `src/metrics/names.rs`; a test keeps it\n\
         current. Rates are for the query: records per second are `rate(millstream_records_in_total[1m])`. Besides these\n\
         there are the usual `process_…` metrics (CPU, memory, open files, start time).\n\n\
         | Metric | Type | Labels | What it says |\n|---|---|---|---|\n",
    );
    for Definition { name, help, kind, labels } in ALL {
        let kind = format!("{kind:?}").to_lowercase();
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {help} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_say_their_unit() {
        let units =
            ["_total", "_seconds", "_bytes", "_records", "_rows", "_tasks", "_connections", "_paused", "_findings"];
        for Definition { name, kind, help, labels } in ALL {
            assert!(name.starts_with("millstream_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(units.iter().any(|unit| name.ends_with(unit)), "{name} does not say its unit");
            assert!(help.ends_with('.'), "the help of {name} is not a sentence");
            assert_eq!(labels.first(), Some(&"topology"), "{name}");
        }
    }

    #[test]
    fn no_name_is_used_twice() {
        let mut names: Vec<_> = ALL.iter().map(|definition| definition.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn the_documentation_lists_the_metrics_as_they_are() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, markdown(), "docs/metrics.md is not current: run `UPDATE_DOCS=1 cargo test metrics`");
    }
}
