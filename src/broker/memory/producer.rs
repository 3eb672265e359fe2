//! A member's producer: with transactions, or without.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use super::MemoryBroker;
use super::errors;
use super::faults::{Fault, Operation};
use super::group::MemberId;
use super::sending::{Portion, sort};
use super::state::State;
use super::topics::Slot;
use super::transactions::{Ending, Epoch, Fencing};
use crate::broker::{CommitFailure, CommittedOffset, Guarantee, MemberOptions, Outgoing, Refusal};
use crate::error::{Error, ErrorKind, Place};
use crate::record::{Offset, TopicPartition};

/// Kafka's `offset.metadata.max.bytes`.
const MAX_METADATA: usize = 4096;

pub(super) struct Producer {
    group: String,
    instance: String,
    /// `None` without transactions.
    transactional: Option<(String, Epoch)>,
    /// The offset after the last record, for each partition written to since the last commit.
    written: BTreeMap<Slot, Offset>,
    refusals: Vec<Refusal>,
    /// Records may be missing, so that only an abort helps.
    failed: Option<Error>,
    /// A commit or a recycling was not answered, so that nothing may be sent before the producer was replaced.
    unsettled: bool,
}

type Written = Vec<(TopicPartition, Offset)>;

impl Producer {
    /// Takes the transactional id, and so ends what is open under it.
    pub(super) fn new(broker: &MemoryBroker, options: &MemberOptions) -> Self {
        let MemberOptions { group, instance, transactional_id, guarantee, transaction_timeout, .. } = options;
        let exactly_once = *guarantee == Guarantee::ExactlyOnce;
        let transactional = exactly_once.then(|| {
            let epoch = broker.state().init_producer(transactional_id, *transaction_timeout);
            (transactional_id.clone(), epoch)
        });
        let (group, instance) = (group.clone(), instance.clone());
        Self {
            group,
            instance,
            transactional,
            written: BTreeMap::new(),
            refusals: Vec::new(),
            failed: None,
            unsettled: false,
        }
    }

    pub(super) fn send(
        &mut self,
        broker: &MemoryBroker,
        task: u32,
        records: &Outgoing,
        fault: Fault,
    ) -> Result<(), CommitFailure> {
        let directory = self.checked(broker)?.directory(records);
        let unplaced = |_: Option<&[u8]>, _| Err(errors::misuse("a member's record must have its partition"));
        let refusals = &mut self.refusals;
        let refused = if let Fault::Refuse { record } = fault { Some(record) } else { None };
        let portions = sort(records, &directory, refused, unplaced, |record, error| {
            refusals.push(Refusal { task, input: record.input, error });
        });
        if !portions.is_empty() {
            self.append(broker, portions)?;
        }
        Ok(())
    }

    fn append(&mut self, broker: &MemoryBroker, portions: Vec<Portion>) -> Result<(), CommitFailure> {
        let mut state = self.checked(broker)?;
        let slots = portions.iter().map(|portion| portion.slot);
        let producer = self.transactional.as_ref().and_then(|(id, _)| state.enlist(id, broker.now(), slots));
        state.append(portions, producer, |slot, end| {
            self.written.insert(slot, end);
        });
        Ok(())
    }

    /// Records may have been lost: nothing can be committed before an abort.
    pub(super) fn fail(&mut self) -> CommitFailure {
        let error = errors::timed_out(Operation::Send);
        self.failed = Some(error.clone());
        CommitFailure::Abort(error, Vec::new())
    }

    /// From now on only a new producer can go on.
    pub(super) fn retire(&mut self) {
        self.unsettled = true;
    }

    /// The state, if this producer may still write.
    fn checked<'a>(&self, broker: &'a MemoryBroker) -> Result<MutexGuard<'a, State>, CommitFailure> {
        if self.unsettled {
            let message = "a commit or a recycling has not been answered: recycle the member before it goes on";
            return Err(CommitFailure::Fatal(errors::misuse(message)));
        }
        let state = broker.state();
        let Some((id, epoch)) = &self.transactional else { return Ok(state) };
        match state.check_epoch(id, *epoch) {
            Ok(()) => Ok(state),
            Err(fencing @ Fencing::Newer) => Err(CommitFailure::Fatal(fencing.error(id))),
            Err(fencing @ Fencing::TimedOut) => Err(CommitFailure::Abort(fencing.error(id), Vec::new())),
        }
    }

    pub(super) fn commit(
        &mut self,
        broker: &MemoryBroker,
        right: Option<(MemberId, u32)>,
        offsets: &[CommittedOffset],
        fault: Fault,
    ) -> Result<Written, CommitFailure> {
        let calls = broker.calls();
        let mut state = self.checked(broker)?;
        if let Some(first) = self.refusals.first() {
            return Err(CommitFailure::Abort(first.error.clone(), self.refusals.clone()));
        }
        if let Some(error) = &self.failed {
            return Err(CommitFailure::Abort(error.clone(), Vec::new()));
        }
        self.check_offsets(&state, right, offsets)?;
        let known = match self.transactional.clone() {
            Some((id, _)) => {
                state.enlist_offsets(&id, broker.now(), &self.group, offsets);
                end(&mut state, &id, calls, fault)
            }
            None => self.store(&mut state, offsets, fault),
        };
        if known {
            let written = std::mem::take(&mut self.written);
            Ok(written.into_iter().map(|(slot, end)| (state.topics.partition(slot), end)).collect())
        } else {
            self.unsettled = true;
            Err(CommitFailure::Unknown(errors::timed_out(Operation::Commit)))
        }
    }

    fn check_offsets(
        &self,
        state: &State,
        right: Option<(MemberId, u32)>,
        offsets: &[CommittedOffset],
    ) -> Result<(), CommitFailure> {
        if offsets.is_empty() {
            let message = "a commit must have an offset, or the group cannot check the member's right to it";
            return Err(CommitFailure::Fatal(errors::misuse(message)));
        }
        let lost = || CommitFailure::Lost(errors::old_generation(&self.group, &self.instance));
        let (member, generation) = right.ok_or_else(lost)?;
        let group = state.groups.get(&self.group).ok_or_else(lost)?;
        group.check(&self.group, &self.instance, member, generation).map_err(CommitFailure::Lost)?;
        for offset in offsets {
            state.topics.slot(&offset.partition).map_err(|error| CommitFailure::Abort(error, Vec::new()))?;
            if offset.metadata.len() > MAX_METADATA {
                return Err(CommitFailure::Abort(metadata_too_large(offset), Vec::new()));
            }
        }
        Ok(())
    }

    /// Commits offsets without a transaction; false where the caller does not learn of it.
    fn store(&self, state: &mut State, offsets: &[CommittedOffset], fault: Fault) -> bool {
        if fault != Fault::LostRequest {
            for offset in offsets {
                state.store_offset(&self.group, offset.clone());
            }
        }
        !matches!(fault, Fault::LostRequest | Fault::LostReply)
    }

    pub(super) fn abort(&mut self, broker: &MemoryBroker) -> crate::Result<()> {
        if let Some((id, epoch)) = &self.transactional {
            if self.unsettled {
                return Err(errors::misuse(
                    "a commit or a recycling has not been answered: only recycling the member helps",
                ));
            }
            let mut state = broker.state();
            state.check_epoch(id, *epoch).map_err(|fencing| fencing.error(id))?;
            state.end_transaction(id, false);
        }
        self.written.clear();
        self.refusals.clear();
        self.failed = None;
        Ok(())
    }
}

/// Commits the open transaction, unless `fault` has something else in mind; false where the caller does not learn of it.
fn end(state: &mut State, id: &str, calls: u64, fault: Fault) -> bool {
    match fault {
        Fault::LostRequest => {}
        Fault::DelayedCommit { calls: later } => state.delay_end(id, Ending::UnderWay(calls + later)),
        Fault::PreparedCommit { calls: later } => state.delay_end(id, Ending::Prepared(calls + later)),
        _ => state.end_transaction(id, true),
    }
    !matches!(fault, Fault::LostRequest | Fault::LostReply | Fault::DelayedCommit { .. } | Fault::PreparedCommit { .. })
}

fn metadata_too_large(offset: &CommittedOffset) -> Error {
    let message = format!(
        "OFFSET_METADATA_TOO_LARGE: the text beside the offset has {} bytes, the most is {MAX_METADATA}",
        offset.metadata.len()
    );
    let place = Place { partition: Some(offset.partition.clone()), offset: Some(offset.offset), ..Place::default() };
    Error::new(ErrorKind::Broker, message).at(place).remedy("commit less text")
}
