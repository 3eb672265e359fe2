//! Aggregations.

use serde::Serialize;

/// When a table hands its updates on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Emission {
    /// The newest value of each changed key, once before each commit.
    #[default]
    EachCommit,
    /// Every update by itself.
    EachUpdate,
}
