//! The last records that did not go the usual way, for people to see: which they were, where, and why. Never what was in them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::record::Offset;
use crate::time::Timestamp;

/// How many an application keeps.
const KEPT: usize = 200;

/// A record that was dropped, came too late, was skipped or went to a dead letter topic. Nothing of its key or value is in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When, by the time of day.
    pub at: Timestamp,
    /// The task that read it.
    pub task: String,
    /// The topic that the task read it from: a user's topic, or a repartition topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset; `None` where only a number of records is known.
    pub offset: Option<Offset>,
    /// Its event time, where that is known.
    pub timestamp: Option<Timestamp>,
    /// Why, as the label `reason` of `millstream_records_dropped_total` has it.
    pub reason: String,
    /// The operator that refused it; `None` where it was the source.
    pub operator: Option<String>,
    /// What is wrong with it, as far as that can be said without showing what is in it.
    pub message: Option<String>,
}

/// The last records that did not go the usual way.
#[derive(Debug, Default)]
pub(crate) struct Ring(Mutex<VecDeque<Refused>>);

impl Ring {
    /// Enters records, the newest last.
    pub(crate) fn enter(&self, refused: impl IntoIterator<Item = Refused>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in refused {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(one);
        }
    }

    /// What is kept, the newest last.
    pub(crate) fn last(&self) -> Vec<Refused> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
