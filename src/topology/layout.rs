//! A plan, fitted to a broker: actual names, how many tasks there are, and which topics of our own they need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::wiring::TaskId;
use crate::operators::source::BadInput;
use crate::record::TopicPartition;

/// The topics' actual names where they are not the declared ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Renames(BTreeMap<String, String>);

impl Renames {
    /// The topic that was declared as `declared` is called `actual`.
    pub fn add(&mut self, declared: impl Into<String>, actual: impl Into<String>) {
        self.0.insert(declared.into(), actual.into());
    }

    /// The actual name of a topic.
    #[must_use]
    pub fn actual<'a>(&'a self, declared: &'a str) -> &'a str {
        self.get(declared).unwrap_or(declared)
    }

    /// The actual name of a topic that has another than it was declared with.
    #[must_use]
    pub fn get(&self, declared: &str) -> Option<&str> {
        self.0.get(declared).map(String::as_str)
    }

    /// The pairs of declared and actual name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(declared, actual)| (declared.as_str(), actual.as_str()))
    }
}

impl<D: Into<String>, A: Into<String>> FromIterator<(D, A)> for Renames {
    fn from_iter<I: IntoIterator<Item = (D, A)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(declared, actual)| (declared.into(), actual.into())).collect())
    }
}

/// The plan, fitted to a broker: actual names and partition counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// The application: the beginning of every internal topic's name.
    pub application: String,
    /// The sub-topologies, in the plan's order.
    pub subs: Vec<SubLayout>,
    /// The global tables, in the plan's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub globals: Vec<GlobalLayout>,
    /// The topics that are ours: repartition topics first, then changelogs.
    pub internal: Vec<InternalTopic>,
    /// The users' topics that are written, dead letters included, by actual name.
    pub outputs: Vec<Arc<str>>,
    /// The actual names.
    pub renames: Renames,
    /// The plan's fingerprint together with the actual names. Members of one group must agree on it. Partition counts
    /// are not in it: a topic may grow.
    pub fingerprint: u64,
}

/// A sub-topology, fitted to a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubLayout {
    /// Its name.
    pub name: Arc<str>,
    /// How many tasks it has: the partition count of each of its inputs.
    pub partitions: u32,
    /// What it reads.
    pub inputs: Vec<InputLayout>,
    /// The stores of each of its tasks.
    pub stores: Vec<StoreLayout>,
}

/// A topic that a sub-topology reads, fitted to a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputLayout {
    /// Its actual name.
    pub topic: Arc<str>,
    /// For a repartition topic: the sub-topology whose tasks write it. `None` for a user's topic.
    pub upstream: Option<usize>,
    /// What happens to a record that cannot be used, with the actual name of the topic for dead letters.
    pub policy: BadInput,
}

/// A topic of which every process holds all rows, fitted to a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GlobalLayout {
    /// Its actual name.
    pub topic: Arc<str>,
    /// What happens to a row that cannot be read.
    pub policy: BadInput,
}

/// A store of a sub-topology, fitted to a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreLayout {
    /// Its name.
    pub name: Arc<str>,
    /// The actual name of its changelog.
    pub changelog: Arc<str>,
}

/// What an internal topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InternalKind {
    /// Carries re-keyed records from one sub-topology to another; purged once they are committed.
    Repartition,
    /// Holds a store's rows; compacted.
    Changelog,
}

/// A topic that is ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InternalTopic {
    /// Its actual name.
    pub name: Arc<str>,
    /// The name of the repartition or the store.
    pub of: Arc<str>,
    /// What it is for.
    pub kind: InternalKind,
    /// How many partitions it has, or is to get.
    pub partitions: u32,
}

impl InternalTopic {
    /// The settings that the topic is created with, and that are checked at the start, by Kafka's names.
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, String> {
        let cleanup = match self.kind {
            InternalKind::Repartition => "delete",
            InternalKind::Changelog => "compact",
        };
        let after_max = i64::MAX.to_string();
        [
            ("cleanup.policy", cleanup),
            ("retention.ms", "-1"),
            ("message.timestamp.type", "CreateTime"),
            ("message.timestamp.after.max.ms", &after_max),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }
}

impl Layout {
    /// The repartition topic called `name` (without application and suffix).
    #[must_use]
    pub fn repartition(&self, name: &str) -> Option<&InternalTopic> {
        self.internal.iter().find(|topic| topic.kind == InternalKind::Repartition && &*topic.of == name)
    }

    /// All tasks, sub-topology by sub-topology.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> {
        let subs = self.subs.iter().enumerate();
        subs.flat_map(|(sub, of)| (0..of.partitions).map(move |partition| TaskId { sub, partition }))
    }

    /// The name of a task's directory: by the sub-topology's name, which does not shift as its number may.
    #[must_use]
    pub fn task_name(&self, task: TaskId) -> String {
        format!("{}-{}", self.subs[task.sub].name, task.partition)
    }

    /// The partitions that a task reads, in the order of its sources.
    #[must_use]
    pub fn inputs_of(&self, task: TaskId) -> Vec<TopicPartition> {
        let inputs = self.subs[task.sub].inputs.iter();
        inputs.map(|input| TopicPartition::new(Arc::clone(&input.topic), task.partition)).collect()
    }

    /// True where records of sub-topology `above` come to `below` through repartition topics, by whatever way. Of one and
    /// the same it is true where its own records come back to it.
    #[must_use]
    pub fn feeds(&self, above: usize, below: usize) -> bool {
        let (mut seen, mut next) = (BTreeSet::new(), vec![below]);
        while let Some(sub) = next.pop() {
            for upstream in self.subs[sub].inputs.iter().filter_map(|input| input.upstream) {
                if upstream == above {
                    return true;
                }
                if seen.insert(upstream) {
                    next.push(upstream);
                }
            }
        }
        false
    }

    /// From how many partitions of users' topics records meet in each task of a sub-topology, by whatever way.
    #[must_use]
    pub fn meeting(&self, sub: usize) -> u32 {
        let inputs = self.subs[sub].inputs.iter();
        let from = |upstream: usize| self.subs[upstream].partitions.saturating_mul(self.meeting(upstream));
        inputs.map(|input| input.upstream.map_or(1, from)).fold(0, u32::saturating_add)
    }

    /// The changelog partitions of a task, in the order of its stores.
    #[must_use]
    pub fn changelogs_of(&self, task: TaskId) -> Vec<TopicPartition> {
        let stores = self.subs[task.sub].stores.iter();
        stores.map(|store| TopicPartition::new(Arc::clone(&store.changelog), task.partition)).collect()
    }

    /// All topics that are read, by actual name: what every member of the group subscribes to.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<&str> {
        self.subs.iter().flat_map(|sub| &sub.inputs).map(|input| &*input.topic).collect()
    }
}
