//! Records on their way out of the logs: collected under the lock, copied outside of it.

use std::sync::Arc;

use super::MemoryBroker;
use super::bell::Bell;
use super::errors;
use super::log::{Found, Records};
use super::topics::Slot;
use crate::broker::{Batch, Fetched, RawRecord};
use crate::error::Result;
use crate::record::{Offset, TopicPartition};

/// Where a member or reader is in each of its partitions.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    cursors: Vec<(Slot, Offset)>,
    found: Vec<(Offset, Records)>,
}

impl Cursors {
    /// Takes partitions; `bell` rings when there is more in them, and now.
    pub(super) fn assign(
        &mut self,
        broker: &MemoryBroker,
        bell: &Arc<Bell>,
        from: &[(TopicPartition, Offset)],
    ) -> Result<()> {
        self.unassign(broker, bell);
        let mut state = broker.state();
        let slots = from.iter().map(|(partition, offset)| Ok((state.topics.slot(partition)?, *offset)));
        self.cursors = slots.collect::<Result<_>>()?;
        self.cursors.iter().for_each(|(slot, _)| state.topics.log_mut(*slot).listen(bell));
        bell.ring();
        Ok(())
    }

    /// Gives all partitions up.
    pub(super) fn unassign(&mut self, broker: &MemoryBroker, bell: &Arc<Bell>) {
        let mut state = broker.state();
        self.cursors.drain(..).for_each(|(slot, _)| state.topics.log_mut(slot).unlisten(bell));
    }

    /// Moves to other offsets of partitions that are assigned.
    pub(super) fn seek(&mut self, broker: &MemoryBroker, to: &[(TopicPartition, Offset)]) -> Result<()> {
        let state = broker.state();
        for (partition, offset) in to {
            let slot = state.topics.slot(partition)?;
            let cursor = self.cursors.iter_mut().find(|(assigned, _)| *assigned == slot);
            let unassigned = || errors::misuse(&format!("cannot seek in {partition}, which is not assigned"));
            cursor.ok_or_else(unassigned)?.1 = *offset;
        }
        Ok(())
    }

    /// What a fetch gives whose answer was lost.
    pub(super) fn nothing(&self, number: usize) -> Result<Fetched> {
        let (_, position) = *self.cursors.get(number).ok_or_else(|| not_assigned(number))?;
        Ok(Fetched { records: 0, position, stable_end: -1, high_watermark: -1 })
    }

    /// Appends at most `max` records of the `number`-th partition to `into`.
    pub(super) fn fetch(
        &mut self,
        broker: &MemoryBroker,
        number: usize,
        max: usize,
        into: &mut Batch,
    ) -> Result<Fetched> {
        let (slot, from) = *self.cursors.get(number).ok_or_else(|| not_assigned(number))?;
        let (all, stable_end, high_watermark) = self.collect(broker, slot, from, max)?;
        let mut position = from;
        let mut left = max;
        let mut complete = all;
        for (base, records) in self.found.drain(..) {
            let wanted = records.iter().map(|record| (base + record.offset, record)).filter(|(at, _)| *at >= from);
            for (offset, record) in wanted {
                if left == 0 {
                    complete = false;
                    break;
                }
                into.push(&RawRecord { offset, ..record });
                position = offset + 1;
                left -= 1;
            }
        }
        if complete {
            position = position.max(stable_end);
        }
        self.cursors[number].1 = position;
        Ok(Fetched { records: max - left, position, stable_end, high_watermark })
    }

    fn collect(
        &mut self,
        broker: &MemoryBroker,
        slot: Slot,
        from: Offset,
        max: usize,
    ) -> Result<(bool, Offset, Offset)> {
        self.found.clear();
        let state = broker.state();
        let log = state.topics.log(slot);
        match log.read(from, max, &mut self.found) {
            Found::Readable { all } => Ok((all, log.stable_end(), log.end)),
            Found::OutOfRange => Err(errors::out_of_range(state.topics.partition(slot), from, log.start, log.end)),
        }
    }
}

fn not_assigned(number: usize) -> crate::Error {
    errors::misuse(&format!("cannot fetch partition number {number}: fewer are assigned"))
}
