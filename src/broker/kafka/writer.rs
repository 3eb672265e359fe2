//! A writer to real Kafka, without transactions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::admin::Admin;
use super::errors::{error, error_at};
use super::native::producer::{Origin, Topic};
use super::native::{Client, Code, Role};
use super::producer::refusal;
use super::settings::Properties;
use crate::broker::partitioner::partition_of;
use crate::broker::{Outgoing, Partitioning, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::record::TopicPartition;

/// How long a record may be on its way before it counts as not written.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug)]
pub(super) struct KafkaWriter {
    /// Before the client: a topic goes before what it was made from.
    topics: HashMap<Arc<str>, Known>,
    client: Arc<Client>,
    admin: Arc<Admin>,
}

#[derive(Debug)]
struct Known {
    topic: Topic,
    partitions: u32,
    /// Where the next record without a key goes; it stays for one batch, so that batches are full.
    turn: u32,
}

impl KafkaWriter {
    pub(super) fn new(properties: &Properties, admin: &Arc<Admin>) -> Result<Self> {
        let mut settings = vec![
            ("client.id", "millstream-writer".to_owned()),
            ("enable.idempotence", "true".to_owned()),
            ("message.timeout.ms", PATIENCE.as_millis().to_string()),
        ];
        let defaults =
            [("linger.ms", "5"), ("queue.buffering.max.kbytes", "65536"), ("queue.buffering.max.messages", "500000")];
        let defaults = defaults.into_iter().filter(|(name, _)| !properties.sets(name));
        settings.extend(defaults.map(|(name, value)| (name, value.to_owned())));
        let client = Arc::new(properties.client(Role::Producer, &settings)?);
        Ok(Self { topics: HashMap::new(), client, admin: Arc::clone(admin) })
    }

    fn know(&mut self, name: &Arc<str>) -> Result<()> {
        if self.topics.contains_key(name) {
            return Ok(());
        }
        let missing = || {
            Error::new(ErrorKind::Topic, format!("topic {name} does not exist"))
                .remedy("create it, or correct its name")
        };
        let partitions = self.admin.partitions(&[name])?.get(&**name).copied().ok_or_else(missing)?;
        let topic = Topic::new(&self.client, name).ok_or_else(missing)?;
        self.topics.insert(Arc::clone(name), Known { topic, partitions: partitions.max(1), turn: 0 });
        Ok(())
    }

    fn refused(&self) -> Result<()> {
        if let Some(fatal) = self.client.fatal() {
            return Err(error("writing", &fatal));
        }
        match self.client.take_refused().first() {
            Some(first) => Err(refusal(first).error),
            None => Ok(()),
        }
    }
}

impl Writer for KafkaWriter {
    fn send(&mut self, records: &Outgoing) -> Result<()> {
        for name in records.topics() {
            self.know(name)?;
        }
        for known in self.topics.values_mut() {
            known.turn = (known.turn + 1) % known.partitions;
        }
        for record in records.iter() {
            let name = records.topic_name(record.topic);
            let Some(known) = self.topics.get(name) else { continue };
            let partition = match (record.partitioning, record.partitioning.placed(record.key)) {
                (Partitioning::Fixed(partition), _) => partition,
                (_, Some(key)) => partition_of(key, known.partitions),
                (_, None) => known.turn,
            };
            let origin = Origin { task: 0, input: record.input };
            while let Err(failure) = known.topic.produce(partition, &record, origin) {
                if failure.code != Code::QueueFull {
                    let at = TopicPartition::new(Arc::clone(name), partition);
                    return Err(error_at("a record cannot be written", &failure, &at, None));
                }
                self.client.serve_reports(Duration::from_millis(100));
            }
        }
        self.client.serve_reports(Duration::ZERO);
        self.refused()
    }

    fn flush(&mut self) -> Result<()> {
        let flushed = self.client.flush(PATIENCE + Duration::from_secs(10));
        self.client.take_ends(std::iter::empty());
        self.refused()?;
        flushed.map_err(|failure| error("the records could not be written in time", &failure))
    }
}
