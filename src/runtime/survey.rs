//! What of an application lies on the broker: its internal topics, and those that nobody declares any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::broker::{Broker, Isolation};
use crate::error::Result;
use crate::record::TopicPartition;
use crate::topology::{InternalKind, Renames, Topology};

/// Whose topics to look for.
#[derive(Clone, Debug, Default)]
pub struct Whose {
    /// The application's id.
    pub application: String,
    /// The topics' actual names.
    pub topics: Renames,
    /// Other topologies that may run under the same application: the topics of `sales-daily` begin as those of `sales` do,
    /// and are no orphans of it.
    pub others: Vec<String>,
}

/// What of an application lies on the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// The group.
    pub group: String,
    /// The internal topics that the topology needs.
    pub internal: Vec<TopicFound>,
    /// Topics that are called as this application's internal topics are, and that the topology does not need.
    pub orphans: Vec<TopicFound>,
    /// Why the topology could not run on these topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A topic that is there, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicFound {
    /// Its actual name.
    pub name: String,
    /// What it is for, by its name.
    pub kind: InternalKind,
    /// How many partitions it has; `None` where it is not there.
    pub partitions: Option<u32>,
    /// How many offsets it spans. In a compacted topic, and one of transactions, fewer records are left.
    pub offsets: u64,
}

impl Whose {
    /// The group of a topology.
    #[must_use]
    pub fn group(&self, topology: &str) -> String {
        format!("{}-{topology}", self.application)
    }

    /// True where a topic begins as those of this topology do, but is another's.
    fn is_others(&self, topology: &str, topic: &str) -> bool {
        let longer = |other: &&String| other.strip_prefix(topology).is_some_and(|rest| rest.starts_with('-'));
        let begins = |other: &String| topic.starts_with(&format!("{}-", self.group(other)));
        self.others.iter().filter(longer).any(begins)
    }
}

/// Looks for the internal topics of `topology`.
///
/// # Errors
/// When the broker cannot be reached or refuses.
pub fn survey(topology: &Topology, broker: &dyn Broker, whose: &Whose) -> Result<Survey> {
    let group = whose.group(topology.name());
    let there = broker.list_topics()?;
    let users: Vec<&str> = topology.sources().into_iter().chain(topology.sinks()).collect();
    let users: Vec<&str> = users.into_iter().map(|topic| whose.topics.actual(topic)).collect();
    let needed = topology.topics(&group, &whose.topics);
    let internal = needed.iter().filter(|topic| !users.contains(&topic.as_str()));
    let internal = internal.map(|name| found(broker, name, &there)).collect::<Result<_>>()?;
    let begin = format!("{group}-");
    let strays = there.keys().filter(|name| {
        name.starts_with(&begin)
            && kind_of(name).is_some()
            && !needed.contains(name)
            && !whose.is_others(topology.name(), name)
    });
    let orphans = strays.map(|name| found(broker, name, &there)).collect::<Result<_>>()?;
    let counts = needed.iter().filter_map(|name| Some((name.clone(), *there.get(name)?))).collect();
    let problem = topology.layout(&group, &whose.topics, &counts).err().map(|error| error.to_string());
    Ok(Survey { group, internal, orphans, problem })
}

fn found(broker: &dyn Broker, name: &str, there: &BTreeMap<String, u32>) -> Result<TopicFound> {
    let partitions = there.get(name).copied();
    let topic: Arc<str> = name.into();
    let all: Vec<TopicPartition> =
        (0..partitions.unwrap_or(0)).map(|number| TopicPartition::new(Arc::clone(&topic), number)).collect();
    let starts = broker.start_offsets(&all)?;
    let ends = broker.end_offsets(&all, Isolation::ReadUncommitted)?;
    let offsets = starts.iter().zip(&ends).map(|(start, end)| end.abs_diff(*start)).sum();
    let kind = kind_of(name).unwrap_or(InternalKind::Changelog);
    Ok(TopicFound { name: name.to_owned(), kind, partitions, offsets })
}

/// What a topic with this name is for, where it is called as internal topics are.
pub(super) fn kind_of(topic: &str) -> Option<InternalKind> {
    match topic {
        topic if topic.ends_with("-repartition") => Some(InternalKind::Repartition),
        topic if topic.ends_with("-changelog") => Some(InternalKind::Changelog),
        _ => None,
    }
}
