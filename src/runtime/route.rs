//! The last look at outgoing records before they are sent: each gets its partition, and none is larger than its topic
//! allows, since the broker's refusal would come after the whole batch and cost the transaction.

use std::collections::HashMap;
use std::sync::Arc;

use crate::broker::partitioner::partition_of;
use crate::broker::{Broker, Outgoing};
use crate::error::{Error, ErrorKind, Result};
use crate::record::InputNumber;

use super::patience::patiently;

/// What Kafka allows for a record where the topic does not say: `max.message.bytes` of a broker left as it is.
const DEFAULT_MAX_MESSAGE_BYTES: usize = 1_048_588;

/// What a record batch of one record weighs besides its key and value, generously.
const BATCH_OVERHEAD: usize = 128;

/// Knows the partitions and limits of the topics that are written to.
pub(crate) struct Router {
    broker: Arc<dyn Broker>,
    topics: HashMap<Arc<str>, Route>,
    turn: u32,
}

#[derive(Clone, Copy)]
struct Route {
    partitions: u32,
    max_message_bytes: usize,
}

/// A record that no topic takes.
#[derive(Debug)]
pub(crate) struct TooLarge {
    pub(crate) input: InputNumber,
    pub(crate) message: String,
}

impl Router {
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, topics: HashMap::new(), turn: 0 }
    }

    /// Gives each record its partition. `Ok(Err(_))` names the first record that is too large for its topic.
    ///
    /// # Errors
    /// When a topic does not exist or the broker cannot be asked about it.
    pub(crate) fn place(&mut self, out: &mut Outgoing) -> Result<std::result::Result<(), TooLarge>> {
        let routes = out.topics().iter().map(|topic| self.route(topic)).collect::<Result<Vec<Route>>>()?;
        // Records without a key go round robin by batch, as Java's sticky partitioner has it.
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn;
        let placed: std::result::Result<(), std::convert::Infallible> = out.place(|topic, key| {
            let partitions = routes[topic.index()].partitions;
            Ok(key.map_or(turn % partitions, |key| partition_of(key, partitions)))
        });
        let Ok(()) = placed;
        let too_large = out.iter().find(|record| {
            let size = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            size + BATCH_OVERHEAD > routes[record.topic.index()].max_message_bytes
        });
        Ok(too_large.map_or(Ok(()), |record| {
            let size = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            let topic = out.topic_name(record.topic);
            let limit = routes[record.topic.index()].max_message_bytes;
            let message = format!("a record of {size} bytes for topic {topic}, whose max.message.bytes is {limit}");
            Err(TooLarge { input: record.input, message })
        }))
    }

    fn route(&mut self, topic: &Arc<str>) -> Result<Route> {
        if let Some(route) = self.topics.get(topic) {
            return Ok(*route);
        }
        let described = patiently("looking up an output topic", || self.broker.describe_topics(&[topic]))?
            .remove(&**topic)
            .ok_or_else(|| {
                Error::new(ErrorKind::Topic, format!("output topic {topic} does not exist"))
                    .remedy("create it: a topic that is chosen record by record is not created by the application")
            })?;
        let limit = described.settings.get("max.message.bytes").and_then(|bytes| bytes.parse().ok());
        let route =
            Route { partitions: described.partitions, max_message_bytes: limit.unwrap_or(DEFAULT_MAX_MESSAGE_BYTES) };
        self.topics.insert(Arc::clone(topic), route);
        Ok(route)
    }
}
