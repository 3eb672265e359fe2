//! The last records that did not go the usual way, for people to see: which they were, where, and why. Never what was in them.

use std::collections::{BTreeMap, VecDeque};
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
    /// The operator that refused it; `None` where it was the source, or an operator without a name of its own.
    pub operator: Option<String>,
    /// What is wrong with it, as far as that can be said without showing what is in it.
    pub message: Option<String>,
}

/// The last records that did not go the usual way. Where there is no room for one more, the oldest of the reason goes that is
/// there most often: a flood of duplicates does not wash away the one record that could not be read.
#[derive(Debug, Default)]
pub(crate) struct Ring(Mutex<VecDeque<Refused>>);

impl Ring {
    /// Enters records, the newest last.
    pub(crate) fn enter(&self, refused: impl IntoIterator<Item = Refused>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in refused {
            if kept.len() == KEPT
                && let Some(place) = most_often(&kept)
            {
                kept.remove(place);
            }
            kept.push_back(one);
        }
    }

    /// What is kept, the newest last.
    pub(crate) fn last(&self) -> Vec<Refused> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The oldest of the reason that is there most often.
fn most_often(kept: &VecDeque<Refused>) -> Option<usize> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in kept {
        *counts.entry(&one.reason).or_default() += 1;
    }
    let (reason, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    kept.iter().position(|one| one.reason == reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reason: &str, offset: Offset) -> Refused {
        Refused {
            at: Timestamp::from_millis(1),
            task: "t-0".into(),
            topic: "in".into(),
            partition: 0,
            offset: Some(offset),
            timestamp: None,
            reason: reason.into(),
            operator: None,
            message: None,
        }
    }

    #[test]
    fn a_flood_for_one_reason_leaves_what_came_for_another() {
        let ring = Ring::default();
        ring.enter([of("unreadable", 7)]);
        ring.enter((0..1_000).map(|offset| of("late", offset)));
        let kept = ring.last();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0], of("unreadable", 7));
        assert_eq!(kept[KEPT - 1], of("late", 999));
    }
}
