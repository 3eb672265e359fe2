//! A reader of real Kafka, outside of every group.

use std::sync::Arc;
use std::time::Duration;

use super::errors::error;
use super::native::Role;
use super::native::queue::Queue;
use super::reading::{self, Reading};
use super::settings::Properties;
use super::signal::Signal;
use crate::broker::{Batch, Fetched, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};

#[derive(Debug)]
pub(super) struct KafkaReader {
    reading: Reading,
    group_queue: Queue,
    signal: Arc<Signal>,
}

impl KafkaReader {
    pub(super) fn new(properties: &Properties, from: &[(TopicPartition, Offset)]) -> Result<Self> {
        let mut settings = reading::settings(|name| properties.sets(name));
        // librdkafka assigns nothing without a group's name, though nothing is ever committed under it.
        settings.push(("group.id", "millstream-reader".to_owned()));
        settings.push(("client.id", "millstream-reader".to_owned()));
        let client = Arc::new(properties.client(Role::Consumer, &settings)?);
        client.join_queues().map_err(|failure| error("connecting", &failure))?;
        let signal = Arc::new(Signal::default());
        let group_queue = Queue::of_group(&client, &signal)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "librdkafka has no main queue"))?;
        let mut reading = Reading::new(client, Arc::clone(&signal));
        reading.assign(from)?;
        Ok(Self { reading, group_queue, signal })
    }
}

impl Reader for KafkaReader {
    fn fetch(&mut self, partition: usize, max: usize, into: &mut Batch) -> Result<Fetched> {
        if self.group_queue.take_ring() {
            for (failure, at) in self.reading.serve()? {
                tracing::debug!(partition = ?at, "reading: {}", failure.text);
            }
        }
        self.reading.fetch(partition, max, into)
    }

    fn seek(&mut self, to: &[(TopicPartition, Offset)]) -> Result<()> {
        self.reading.seek(to)
    }

    fn wait(&mut self, timeout: Duration) {
        self.signal.wait(timeout);
    }
}
