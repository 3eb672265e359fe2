//! A reader outside every group.

use std::sync::Arc;
use std::time::Duration;

use super::MemoryBroker;
use super::bell::Bell;
use super::faults::{Fault, Operation, crash};
use super::fetching::Cursors;
use crate::broker::{Batch, Fetched, Reader};
use crate::error::Result;
use crate::record::{Offset, TopicPartition};

pub(super) struct MemoryReader {
    broker: MemoryBroker,
    bell: Arc<Bell>,
    cursors: Cursors,
}

impl MemoryReader {
    pub(super) fn new(broker: MemoryBroker, from: &[(TopicPartition, Offset)]) -> Result<Self> {
        let bell = Arc::default();
        let mut cursors = Cursors::default();
        cursors.assign(&broker, &bell, from)?;
        Ok(Self { broker, bell, cursors })
    }
}

impl Reader for MemoryReader {
    fn fetch(&mut self, partition: usize, max: usize, into: &mut Batch) -> Result<Fetched> {
        match self.broker.ask("", Operation::Read) {
            Fault::CrashBefore | Fault::CrashAfter => Err(crash(Operation::Read)),
            Fault::LostRequest | Fault::LostReply => self.cursors.nothing(partition),
            _ => self.cursors.fetch(&self.broker, partition, max, into),
        }
    }

    fn seek(&mut self, to: &[(TopicPartition, Offset)]) -> Result<()> {
        self.cursors.seek(&self.broker, to)
    }

    fn wait(&mut self, timeout: Duration) {
        self.broker.sleep(&self.bell, timeout);
    }
}

impl Drop for MemoryReader {
    fn drop(&mut self) {
        self.cursors.unassign(&self.broker, &self.bell);
    }
}
