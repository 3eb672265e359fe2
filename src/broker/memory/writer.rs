//! A writer without transactions.

use super::MemoryBroker;
use super::faults::{Operation, around};
use super::sending::sort;
use crate::broker::partitioner::partition_of;
use crate::broker::{Outgoing, Writer};
use crate::error::Result;

pub(super) struct MemoryWriter {
    broker: MemoryBroker,
    round_robin: u32,
}

impl MemoryWriter {
    pub(super) fn new(broker: MemoryBroker) -> Self {
        Self { broker, round_robin: 0 }
    }

    fn append(&mut self, records: &Outgoing) -> Result<()> {
        let directory = self.broker.state().directory(records);
        let choose = |key: Option<&[u8]>, partitions| {
            Ok(key.map_or_else(|| next(&mut self.round_robin) % partitions, |key| partition_of(key, partitions)))
        };
        let mut refused = None;
        let portions = sort(records, &directory, None, choose, |_, error| {
            refused.get_or_insert(error);
        });
        self.broker.state().append(portions, None, |_, _| ());
        refused.map_or(Ok(()), Err)
    }
}

impl Writer for MemoryWriter {
    /// Appends all records but the refused ones, and gives the error of the first refused one.
    fn send(&mut self, records: &Outgoing) -> Result<()> {
        let fault = self.broker.ask("", Operation::Write);
        around(fault, Operation::Write, || self.append(records))
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn next(counter: &mut u32) -> u32 {
    *counter = counter.wrapping_add(1);
    *counter
}
