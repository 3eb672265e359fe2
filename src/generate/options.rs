//! What a generator is asked for.

use crate::time::Timestamp;

/// What a generator is asked for; how fast its records are written is another matter ([`Pace`](super::Pace)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The same seed gives the same records.
    pub seed: u64,
    /// The event time of the first record.
    pub start: Timestamp,
    /// Records a second of event time.
    pub rate: f64,
    /// What goes wrong with them.
    pub faults: Faults,
    /// How often a record of a table, such as a product, is written again with a change: a share of the records, from 0
    /// to 1. A generator without tables has no use for it.
    pub changes: f64,
}

/// How much of what goes wrong: each is a share of the records, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Records that go to one key above its own share.
    pub skew: f64,
    /// Records whose event time lies back, by up to `late_by_millis`.
    pub late: f64,
    /// How far a late record lies back at most, in milliseconds.
    pub late_by_millis: u64,
    /// Records that are written twice.
    pub duplicate: f64,
    /// Records whose key field is null.
    pub null_key: f64,
    /// Records whose value is cut off in the middle.
    pub broken: f64,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self =
        Self { skew: 0.0, late: 0.0, late_by_millis: 900_000, duplicate: 0.0, null_key: 0.0, broken: 0.0 };
}

impl Default for Faults {
    fn default() -> Self {
        Self::NONE
    }
}
