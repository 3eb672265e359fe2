//! Bugs of operators that a simulation has to find, behind a switch that only tests have.

use super::Cx;
use super::repartition::Open;
use crate::time::Timestamp;

/// A bug of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A record is late by the watermark of the task instead of that of its own partition.
    LateByTask,
    /// A marker goes out before the records that it comes after.
    MarkerFirst,
}

impl Cx {
    /// How far behind a record is taken to be, with the flaw or without.
    pub(super) fn behind(&self, behind: u64, edge: Timestamp, timestamp: Timestamp) -> u64 {
        if self.flaw == Some(Flaw::LateByTask) { edge.millis_since(timestamp) } else { behind }
    }

    /// A frame for the markers alone where the flaw wants them ahead of the records.
    pub(super) fn markers_first(&self, open: &Open) -> Option<Open> {
        (self.flaw == Some(Flaw::MarkerFirst) && !open.frame.is_empty()).then(Open::default)
    }
}
