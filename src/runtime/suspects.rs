//! Finding the one record that a transaction fails on, so that it alone goes by its policy.
//!
//! An operator that fails names its input; that record is then known bad, the transaction is aborted, and the rerun
//! treats it by its source's policy when its turn comes. A failure that names nobody (the broker refused an aggregate
//! that many records went into, a user's function panicked) is found by halving: the rerun may only take half as many
//! inputs into a transaction, down to one, which is then the culprit. Each transaction that succeeds allows twice as
//! many again. So no other record is lost or repeated, and the search takes about log2(n) transactions.

use std::collections::BTreeMap;

use crate::operators::DropReason;
use crate::record::{Offset, TopicPartition};

/// The place of an input record: partition, offset, and which record of its message.
pub(crate) type Suspect = (TopicPartition, Offset, u32);

/// What is known about records that make transactions fail.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    known: BTreeMap<Suspect, Known>,
    limit: Option<usize>,
    failures: u32,
}

/// What is known of a record that makes transactions fail.
#[derive(Debug)]
struct Known {
    verdict: (DropReason, String),
    operator: String,
}

/// What a failed transaction tells.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// The input that the failure names, if it does.
    pub(crate) culprit: Option<Suspect>,
    /// The only input of the transaction, if it had just one.
    pub(crate) only: Option<Suspect>,
    /// How many inputs the transaction had.
    pub(crate) inputs: usize,
    /// What sort of failure.
    pub(crate) reason: DropReason,
    /// Its text.
    pub(crate) message: String,
    /// Which operator failed; empty where that is not known.
    pub(crate) operator: String,
}

impl Suspects {
    /// How many inputs the next transaction may take.
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }

    /// Why the record at a place must not be processed, if it must not.
    pub(crate) fn verdict(
        &self,
        partition: &TopicPartition,
        offset: Offset,
        index: u32,
    ) -> Option<(DropReason, String)> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&(partition.clone(), offset, index)).map(|known| known.verdict.clone())
    }

    /// Which operator has refused the record at a place.
    pub(crate) fn operator_of(&self, place: &Suspect) -> Option<&str> {
        self.known.get(place).map(|known| known.operator.as_str()).filter(|operator| !operator.is_empty())
    }

    /// Learns from a failed transaction; gives the number of failures since the last success.
    pub(crate) fn learn(&mut self, evidence: Evidence) -> u32 {
        self.failures += 1;
        match evidence.culprit.or(evidence.only) {
            Some(place) => {
                let verdict = (evidence.reason, evidence.message);
                self.known.insert(place, Known { verdict, operator: evidence.operator });
            }
            None => self.limit = Some((evidence.inputs / 2).max(1)),
        }
        self.failures
    }

    /// A transaction with so many inputs has been committed.
    pub(crate) fn committed(&mut self) {
        self.failures = 0;
        self.limit = self.limit.and_then(|limit| limit.checked_mul(2)).filter(|limit| *limit < 1 << 20);
    }

    /// Forgets known records before a position that has been committed.
    pub(crate) fn forget_before(&mut self, partition: &TopicPartition, offset: Offset) {
        if !self.known.is_empty() {
            self.known.retain(|(of, at, _), _| of != partition || *at >= offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: Offset) -> Suspect {
        (TopicPartition::new("in", 0), offset, 0)
    }

    fn evidence(culprit: Option<Offset>, only: Option<Offset>, inputs: usize) -> Evidence {
        let (culprit, only) = (culprit.map(place), only.map(place));
        Evidence { culprit, only, inputs, reason: DropReason::Refused, message: "no".into(), operator: "sink".into() }
    }

    #[test]
    fn a_failure_that_names_nobody_halves_the_transaction_down_to_the_culprit() {
        let mut suspects = Suspects::default();
        suspects.learn(evidence(None, None, 5));
        assert_eq!(suspects.limit(), 2);
        suspects.learn(evidence(None, None, 2));
        assert_eq!(suspects.limit(), 1);
        suspects.learn(evidence(None, Some(7), 1));
        assert!(suspects.verdict(&TopicPartition::new("in", 0), 7, 0).is_some());
        assert_eq!(suspects.operator_of(&place(7)), Some("sink"));
    }

    #[test]
    fn transactions_grow_again_after_a_success_and_known_records_are_forgotten_once_committed() {
        let mut suspects = Suspects::default();
        suspects.learn(evidence(None, None, 1 << 19));
        suspects.committed();
        suspects.committed();
        assert_eq!(suspects.limit(), usize::MAX);
        suspects.learn(evidence(Some(3), None, 9));
        suspects.forget_before(&TopicPartition::new("in", 0), 4);
        assert!(suspects.verdict(&TopicPartition::new("in", 0), 3, 0).is_none());
    }
}
