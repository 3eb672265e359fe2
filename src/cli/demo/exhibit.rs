//! One demo as it runs: what its topology has counted, and the newest of what it gives.

use std::time::Duration;

use super::board::Board;
use super::view::{Around, Pace, Snapshot};
use crate::cli::catalog::Demo;
use crate::error::Result;
use crate::metrics::{TopologyMetrics, Totals};

/// A demo as it runs.
pub(super) struct Exhibit {
    pub(super) demo: Demo,
    /// Seconds of event time a second of the clock.
    speed: f64,
    /// What its topology had counted at the last look.
    totals: Totals,
    records_a_second: f64,
    board: Board,
    inputs: &'static [&'static str],
    metrics: TopologyMetrics,
    pace: Pace,
}

impl Exhibit {
    pub(super) fn new(
        demo: Demo,
        speed: f64,
        inputs: &'static [&'static str],
        metrics: TopologyMetrics,
        board: Board,
    ) -> Self {
        let (totals, pace) = (Totals::default(), Pace::default());
        Self { demo, speed, totals, records_a_second: 0.0, board, inputs, metrics, pace }
    }

    /// Looks what has come since the last look. Of the records only those of the input topics count, or each would count
    /// again after a shuffle.
    pub(super) fn update(&mut self, elapsed: Duration) -> Result<()> {
        let records_in = self.inputs.iter().map(|topic| self.metrics.records_in(topic).get()).sum();
        self.totals = Totals { records_in, ..self.metrics.totals() };
        self.records_a_second = self.pace.of(elapsed, records_in);
        self.board.update()
    }

    /// What there is to see of it, as the demo at `place`.
    pub(super) fn snapshot<'a>(&'a self, around: &'a Around<'a>, place: usize) -> Snapshot<'a> {
        Snapshot {
            around,
            place,
            speed: self.speed,
            records_a_second: self.records_a_second,
            totals: self.totals,
            rank_by: self.demo.rank_by,
            columns: self.demo.columns,
            rows: self.board.ranked(),
        }
    }
}
