//! One application that is observed.

use std::time::Duration;

use super::facts::Facts;
use super::findings::{self, Story};
use super::history::Steps;
use super::keeper::Keeper;
use super::report;
use super::sample::{Sample, Series};
use super::view::{FindingKind, History, TopologyView};
use crate::metrics::{Metrics, TopologyMetrics};
use crate::runtime::Watch;
use crate::time::Timestamp;

/// An application, and what has been seen of it.
pub(super) struct Subject {
    watch: Watch,
    metrics: TopologyMetrics,
    facts: Facts,
    series: Series,
    steps: Steps,
    keeper: Keeper,
}

impl Subject {
    pub(super) fn new(name: &str, watch: Watch, metrics: &Metrics) -> Self {
        let facts = Facts::of(name, watch.layout());
        let (series, steps, keeper) = (Series::default(), Steps::default(), Keeper::default());
        Self { watch, metrics: metrics.topology(name), facts, series, steps, keeper }
    }

    /// Looks at it. `address` is where other processes reach this one.
    pub(super) fn look(&mut self, elapsed: Duration, wall: Timestamp, address: Option<&str>) -> Option<TopologyView> {
        let (status, counts) = (self.watch.status(), self.metrics.counts());
        let sample = Sample::of(status, counts, elapsed, wall, self.series.last());
        self.steps.push(&self.facts, &sample);
        if self.series.last().is_none() {
            self.series.push(sample.before_any_record());
        }
        self.series.push(sample);
        let story = Story { facts: &self.facts, series: &self.series, before: self.keeper.findings() };
        let found = findings::all(&story);
        for change in self.keeper.take(found, elapsed) {
            change.tell(&self.facts.name);
        }
        for kind in FindingKind::ALL {
            let said = self.keeper.findings().iter().any(|finding| finding.kind == *kind);
            self.metrics.finding(kind.label(), said);
        }
        report::topology(&self.facts, &self.series, address, self.keeper.findings().to_vec())
    }

    pub(super) fn history(&self) -> History {
        self.steps.history(&self.facts.name)
    }
}
