//! Which records a task has dropped since its last commit: some of them, and the newest rather than older ones.

use std::sync::Arc;

use super::{DropReason, Drops};
use crate::record::InputNumber;
use crate::time::Timestamp;

/// How many notes are kept. Twice as many records as that are noted one by one; of more, each second, each fourth and so on.
const MOST: usize = 64;

/// Notes of dropped records. A flood of them costs little more than counting them.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    pub(crate) kept: Vec<Note>,
    /// The records that were noted or passed over, by reason.
    pub(crate) drops: Drops,
    seen: u64,
    /// Noted are those of which the lowest bits are none of these.
    mask: u64,
}

/// A dropped record.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) reason: DropReason,
    pub(crate) operator: Option<Arc<str>>,
    pub(crate) input: InputNumber,
    pub(crate) timestamp: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) message: Option<String>,
}

/// What is only found out where a record is noted.
pub(crate) struct Noting {
    pub(crate) operator: Option<Arc<str>>,
    pub(crate) input: InputNumber,
    pub(crate) timestamp: Timestamp,
    pub(crate) message: Option<String>,
}

impl Notes {
    /// Notes a record, or passes it over.
    pub(crate) fn note(&mut self, reason: DropReason, at: Timestamp, note: impl FnOnce() -> Noting) {
        self.drops.count(reason);
        self.seen += 1;
        if self.seen & self.mask != 0 {
            return;
        }
        if self.kept.len() == MOST {
            self.kept.drain(..MOST / 2);
            self.mask = self.mask << 1 | 1;
        }
        let Noting { operator, input, timestamp, message } = note();
        self.kept.push(Note { reason, operator, input, timestamp, at, message });
    }

    /// The notes, and begins anew.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Forgets all notes.
    pub(crate) fn clear(&mut self) {
        if self.seen > 0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_few_are_noted_and_the_newest_among_them() {
        let mut notes = Notes::default();
        for number in 0..1_000_000 {
            let note = || Noting {
                operator: None,
                input: InputNumber(number),
                timestamp: Timestamp::from_millis(0),
                message: None,
            };
            notes.note(DropReason::Late, Timestamp::from_millis(1), note);
        }
        assert!((MOST / 2..=MOST).contains(&notes.kept.len()), "{}", notes.kept.len());
        let last = notes.kept.last().map(|note| note.input.0);
        assert!(last > Some(900_000), "{last:?}");
        assert_eq!(notes.drops.get(DropReason::Late), 1_000_000);
    }
}
