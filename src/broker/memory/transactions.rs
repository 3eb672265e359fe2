//! The transaction coordinator: one entry a `transactional.id`, its epoch and its open transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use super::errors;
use super::log::ProducerId;
use super::state::State;
use super::topics::Slot;
use crate::broker::CommittedOffset;
use crate::error::Error;

/// Counts up with every producer that takes a transactional id; only the newest one may write.
pub(super) type Epoch = u64;

#[derive(Debug)]
pub(super) struct Transactional {
    producer: ProducerId,
    epoch: Epoch,
    /// The last step of the epoch was the coordinator's, because of a transaction timeout.
    timed_out: bool,
    timeout: Duration,
    pub(super) open: Option<Transaction>,
}

#[derive(Debug)]
pub(super) struct Transaction {
    since: Duration,
    partitions: BTreeSet<Slot>,
    /// Group and offset, pending until the end.
    offsets: Vec<(String, CommittedOffset)>,
    ending: Option<Ending>,
}

/// A commit that has been asked for and takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The request is under way: it counts only if the epoch is still the same when it arrives, at this call.
    UnderWay(u64),
    /// The coordinator has decided: it is committed, and can be seen from this call on.
    Prepared(u64),
}

impl Transaction {
    /// True where offsets of this partition become known with the commit.
    pub(super) fn holds_offset(&self, group: &str, partition: &crate::record::TopicPartition) -> bool {
        self.offsets.iter().any(|(of, offset)| of == group && offset.partition == *partition)
    }
}

/// Why a producer may not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fencing {
    /// Another producer has the transactional id.
    Newer,
    /// The broker aborted its transaction because of its age.
    TimedOut,
}

impl Fencing {
    pub(super) fn error(self, transactional_id: &str) -> Error {
        match self {
            Self::Newer => errors::fenced_producer(transactional_id),
            Self::TimedOut => errors::transaction_timed_out(transactional_id),
        }
    }
}

impl State {
    /// Kafka's `InitProducerId`: ends what is open under the id, and fences whoever had it.
    pub(super) fn init_producer(&mut self, id: &str, timeout: Duration) -> Epoch {
        let prepared = self.transaction(id).is_some_and(|open| matches!(open.ending, Some(Ending::Prepared(_))));
        self.end_transaction(id, prepared);
        let producer = ProducerId(self.producers.len() as u64);
        let fresh = Transactional { producer, epoch: 0, timed_out: false, timeout, open: None };
        let entry = self.producers.entry(id.to_owned()).or_insert(fresh);
        entry.epoch += 1;
        entry.timed_out = false;
        entry.timeout = timeout;
        entry.epoch
    }

    /// Whether a producer still has its transactional id.
    pub(super) fn check_epoch(&self, id: &str, epoch: Epoch) -> Result<(), Fencing> {
        match self.producers.get(id) {
            Some(entry) if entry.epoch == epoch => Ok(()),
            Some(entry) if entry.timed_out && entry.epoch == epoch + 1 => Err(Fencing::TimedOut),
            _ => Err(Fencing::Newer),
        }
    }

    /// Adds partitions to the open transaction, opening one where there is none, and gives the id to write with.
    pub(super) fn enlist(&mut self, id: &str, now: Duration, slots: impl Iterator<Item = Slot>) -> Option<ProducerId> {
        let entry = self.producers.get_mut(id)?;
        let deadline = now.saturating_add(entry.timeout);
        let open = entry.open.get_or_insert_with(|| {
            self.deadline = self.deadline.min(deadline);
            Transaction { since: now, partitions: BTreeSet::new(), offsets: Vec::new(), ending: None }
        });
        open.partitions.extend(slots);
        Some(entry.producer)
    }

    /// Kafka's `TxnOffsetCommit`: the offsets stay pending until the transaction ends.
    pub(super) fn enlist_offsets(&mut self, id: &str, now: Duration, group: &str, offsets: &[CommittedOffset]) {
        self.enlist(id, now, std::iter::empty());
        if let Some(open) = self.producers.get_mut(id).and_then(|entry| entry.open.as_mut()) {
            open.offsets.extend(offsets.iter().map(|offset| (group.to_owned(), offset.clone())));
        }
    }

    /// Lets the commit of the open transaction happen at a later call.
    pub(super) fn delay_end(&mut self, id: &str, ending: Ending) {
        if let Some(open) = self.producers.get_mut(id).and_then(|entry| entry.open.as_mut()) {
            open.ending = Some(ending);
        }
    }

    /// Ends the open transaction, if there is one: the markers, and the offsets if it is committed.
    pub(super) fn end_transaction(&mut self, id: &str, commit: bool) {
        let Some(entry) = self.producers.get_mut(id) else { return };
        let Some(open) = entry.open.take() else { return };
        let producer = entry.producer;
        if commit {
            self.committed += 1;
            for (group, offset) in open.offsets {
                self.store_offset(&group, offset);
            }
        } else {
            self.aborted += 1;
        }
        for slot in open.partitions {
            self.topics.log_mut(slot).finish(producer, commit);
            self.tidy(slot);
        }
    }

    /// Aborts transactions older than their timeout and fences their producers.
    pub(super) fn expire_transactions(&mut self, now: Duration) {
        let late = self.producers.iter().filter(|(_, entry)| entry.deadline().is_some_and(|deadline| deadline < now));
        for id in late.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.time_out(&id);
        }
    }

    /// Aborts the open transaction and fences its producer, as after a transaction timeout.
    pub(super) fn time_out(&mut self, id: &str) {
        let ongoing = self.transaction(id).is_some_and(|open| !matches!(open.ending, Some(Ending::Prepared(_))));
        if ongoing {
            self.end_transaction(id, false);
            if let Some(entry) = self.producers.get_mut(id) {
                entry.epoch += 1;
                entry.timed_out = true;
            }
        }
    }

    /// Lets delayed commits happen whose time has come.
    pub(super) fn finish_delayed(&mut self, call: u64) {
        let due = self.producers.iter().filter(|(_, entry)| entry.due().is_some_and(|due| due <= call));
        for id in due.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.end_transaction(&id, true);
        }
    }

    fn transaction(&self, id: &str) -> Option<&Transaction> {
        self.producers.get(id)?.open.as_ref()
    }
}

impl Transactional {
    /// When its open transaction is too old; never once its end is decided.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let open = self.open.as_ref().filter(|open| !matches!(open.ending, Some(Ending::Prepared(_))))?;
        Some(open.since.saturating_add(self.timeout))
    }

    fn due(&self) -> Option<u64> {
        match self.open.as_ref()?.ending? {
            Ending::UnderWay(call) | Ending::Prepared(call) => Some(call),
        }
    }
}
