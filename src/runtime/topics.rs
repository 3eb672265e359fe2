//! The users' topics of an application that runs, to be watched from outside.

use std::sync::Arc;

use crate::broker::{Broker, Isolation, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};
use crate::time::Clock;
use crate::topology::topics::TopicDescription;
use crate::topology::{Renames, Topology};

/// A topic of an application.
#[derive(Clone, Debug)]
pub struct AppTopic {
    /// Its name on the broker.
    pub name: String,
    /// What the topology says of it.
    pub of: TopicDescription,
}

/// The topics of one application. Clones are of the same one.
#[derive(Clone)]
pub struct Topics {
    topology: Arc<str>,
    all: Arc<[AppTopic]>,
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
}

/// A topic that is read, outside of every group, as it is committed.
pub struct Following {
    /// Reads the partitions, in order of their numbers.
    pub reader: Box<dyn Reader>,
    /// Where reading begins in each of them.
    pub from: Vec<(TopicPartition, Offset)>,
}

impl Topics {
    pub(crate) fn new(
        topology: &Topology,
        renames: &Renames,
        broker: &Arc<dyn Broker>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let actual = |of: TopicDescription| AppTopic { name: renames.actual(&of.topic).to_owned(), of };
        let all = topology.described_topics().into_iter().map(actual).collect();
        let (broker, clock) = (Arc::clone(broker), Arc::clone(clock));
        Self { topology: topology.name().into(), all, broker, clock }
    }

    /// The topology's name.
    #[must_use]
    pub fn topology(&self) -> &str {
        &self.topology
    }

    /// Its topics, in order of declaration, dead letters last.
    #[must_use]
    pub fn all(&self) -> &[AppTopic] {
        &self.all
    }

    /// The application's clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Reads a topic from about `records` before its end on, over all partitions together. Blocks while the broker is
    /// asked.
    ///
    /// # Errors
    /// When there is no such topic, or the broker cannot be reached or refuses.
    pub fn follow(&self, topic: &str, records: u32) -> Result<Following> {
        let described = self.broker.describe_topics(&[topic])?;
        let Some(partitions) = described.get(topic).map(|topic| topic.partitions) else {
            return Err(Error::new(ErrorKind::Topic, format!("topic {topic} does not exist")));
        };
        let partitions: Vec<_> = (0..partitions).map(|number| TopicPartition::new(topic, number)).collect();
        let from = self.before_the_end(&partitions, records)?;
        Ok(Following { reader: self.broker.reader(&from)?, from })
    }

    /// The offsets about `records` before the ends of these partitions, over all of them together.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub fn before_the_end(&self, partitions: &[TopicPartition], records: u32) -> Result<Vec<(TopicPartition, Offset)>> {
        let ends = self.broker.end_offsets(partitions, Isolation::ReadCommitted)?;
        let starts = self.broker.start_offsets(partitions)?;
        let each = i64::from(records) / i64::try_from(partitions.len()).unwrap_or(i64::MAX).max(1);
        let offsets = ends.into_iter().zip(starts).map(|(end, start)| (end - each).max(start));
        Ok(partitions.iter().cloned().zip(offsets).collect())
    }
}
