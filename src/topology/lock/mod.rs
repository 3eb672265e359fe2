//! The lock file: what was deployed last, kept beside the code, so that a change of it is seen before it is deployed.
//!
//! A store and an internal topic outlive the processes under their names. Names come from the structure or from the user,
//! so a change elsewhere does not move them; a change in the wrong place can still leave a store behind, or read its rows
//! as something else. [`Lock`] holds what a topology was like, and [`Lock::compare`] says what a changed one keeps,
//! creates, changes and leaves behind.
//!
//! The file is JSON, sorted, one line a field, so that a review shows what a change does:
//!
//! ```json
//! {
//!   "version": 1,
//!   "topologies": {
//!     "counts": {
//!       "fingerprint": "7c6b6ae1a9a5b8f0",
//!       "sources": { "visits": { "operator": "source", "sub_topology": "visits", "key": "String", "value": "String" } },
//!       "stores": { "visits-count": { "operator": "count", "sub_topology": "visits", "key": "String", "value": "u64" } }
//!     }
//!   }
//! }
//! ```
//!
//! The application's id is not in it: one file does for all places where the topologies are deployed.

mod compare;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use compare::{Change, Comparison, Difference, PartKind, Verdict};

use super::Topology;
use super::describe::short_type;
use super::graph::{Node, NodeId, NodeKind};
use crate::error::{Error, ErrorKind, Result};

/// The layout of the file.
const VERSION: u32 = 1;

/// What was deployed last, by topology.
///
/// ```
/// use millstream::topology::lock::{Lock, Verdict};
/// use millstream::{Builder, Topic};
/// const VISITS: Topic<String, String> = Topic::new("visits");
/// let b = Builder::new("counts");
/// b.source(VISITS).stream().group_by_key().count();
/// let before = b.build().unwrap();
/// let b = Builder::new("counts");
/// b.source(VISITS).stream().group_by_key().count().named("visits-of");
/// let after = b.build().unwrap();
///
/// let mut lock = Lock::default();
/// lock.set(&before);
/// assert!(lock.check(&before).is_ok());
/// let comparison = lock.compare(&after);
/// let stores: Vec<(Verdict, &str)> =
///     comparison.differences.iter().filter(|d| d.verdict != Verdict::Keep).map(|d| (d.verdict, &*d.name)).collect();
/// assert_eq!(stores, [(Verdict::Create, "visits-of"), (Verdict::Orphan, "visits-count")]);
/// assert!(comparison.is_risky());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    topologies: BTreeMap<String, Locked>,
}

impl Default for Lock {
    /// Nothing was deployed yet.
    fn default() -> Self {
        Self { version: VERSION, topologies: BTreeMap::new() }
    }
}

/// What a topology was like. Names are without the application's, as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Locked {
    /// The plan's fingerprint, in hexadecimal.
    pub fingerprint: String,
    /// What members must agree on that belongs to no source and to no store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
    /// The users' topics that are read.
    pub sources: BTreeMap<String, Part>,
    /// The repartition topics.
    pub repartitions: BTreeMap<String, Part>,
    /// The stores, each with a changelog.
    pub stores: BTreeMap<String, Part>,
    /// The users' topics that are written; `*` for those that records name themselves. Dead letters are not in it.
    pub sinks: BTreeMap<String, Part>,
}

/// A source, a repartition topic, a store or a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The operator that it belongs to: `reduce`, `count`, …
    pub operator: String,
    /// The sub-topology that it belongs to; of a repartition topic, the one that writes it.
    pub sub_topology: String,
    /// The type of its keys, without paths.
    pub key: String,
    /// The type of its values, without paths.
    pub value: String,
    /// What members must agree on, such as sizes of windows and grace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
    /// Of a repartition topic: the partition count that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
}

impl Lock {
    /// Reads a lock file; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, is no lock file, or was written by a later version.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(format!("the lock file {} cannot be read", path.display())).caused_by(error)),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        /// Read first: what else a later version writes is not known.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let unreadable = |error: serde_json::Error| {
            wrong(format!("{} is no lock file of millstream's", path.display()))
                .caused_by(error)
                .remedy("take it from version control, or delete it and write it anew")
        };
        let Version { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != VERSION {
            let message = format!("{} has layout {version}, and layout {VERSION} is read here", path.display());
            return Err(wrong(message).remedy("use the version of millstream that has written it, or write it anew"));
        }
        serde_json::from_str(text).map_err(unreadable)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let cannot =
            |error: io::Error| wrong(format!("the lock file {} cannot be written", path.display())).caused_by(error);
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        fs::write(&new, self.text()).and_then(|()| fs::rename(&new, path)).map_err(cannot)
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        // Plain data of our own: it always has a text.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What is known of a topology.
    #[must_use]
    pub fn get(&self, topology: &str) -> Option<&Locked> {
        self.topologies.get(topology)
    }

    /// Accepts a topology as it is declared now.
    pub fn set(&mut self, topology: &Topology) {
        self.topologies.insert(topology.name().to_owned(), Locked::of(topology));
    }

    /// What `topology` keeps, creates, changes and leaves behind of what is locked. Of one that is not locked, everything
    /// is created.
    #[must_use]
    pub fn compare(&self, topology: &Topology) -> Comparison {
        compare::compare(topology.name(), self.get(topology.name()), &Locked::of(topology))
    }

    /// Makes sure that `topology` is what is locked, to the letter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], with what differs.
    pub fn check(&self, topology: &Topology) -> Result<()> {
        if self.get(topology.name()).is_none() {
            return Err(wrong(format!("topology {} is not in the lock file", topology.name())));
        }
        let comparison = self.compare(topology);
        if comparison.is_same() {
            return Ok(());
        }
        let differences = comparison.in_short().join("; ");
        Err(wrong(format!("topology {} is not what the lock file says: {differences}", topology.name())))
    }
}

impl Locked {
    /// What a topology is like.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        let mut locked = Self { fingerprint: format!("{:016x}", topology.plan.fingerprint), ..Self::default() };
        locked.terms.extend(topology.graph.terms(None).map(str::to_owned));
        for sub in &topology.plan.subs {
            for id in &sub.nodes {
                locked.add(topology, &sub.name, *id);
            }
        }
        for global in &topology.plan.globals {
            // No sub-topology reads it.
            locked.add(topology, "every process", global.node);
        }
        locked
    }

    fn add(&mut self, topology: &Topology, sub: &str, id: NodeId) {
        let node = topology.graph.node(id);
        let name = topology.plan.names[id.0].to_string();
        let terms: Vec<String> = topology.graph.terms(Some(id)).map(str::to_owned).collect();
        let mut part = Part::of(node, sub, terms);
        match &node.kind {
            NodeKind::Source { topic, .. } | NodeKind::GlobalSource { topic, .. } => {
                _ = self.sources.insert(topic.clone(), part);
            }
            NodeKind::Stateful { .. } => _ = self.stores.insert(name, part),
            NodeKind::RepartitionSink { partitions, .. } => {
                part.partitions = *partitions;
                self.repartitions.insert(name, part);
            }
            NodeKind::Sink { topic, .. } => {
                // Several operators may write one topic: the first is told.
                self.sinks.entry(topic.clone().unwrap_or_else(|| "*".to_owned())).or_insert(part);
            }
            NodeKind::RepartitionSource { .. }
            | NodeKind::GlobalJoin { .. }
            | NodeKind::Stateless
            | NodeKind::Merge => {
                // Their names are for people and may move with the next line.
                self.terms.extend(part.terms.iter().map(|term| format!("{} in {sub}: {term}", node.label)));
            }
        }
    }
}

impl Part {
    fn of(node: &Node, sub: &str, terms: Vec<String>) -> Self {
        Self {
            operator: node.label.to_owned(),
            sub_topology: sub.to_owned(),
            key: short_type(node.key_type),
            value: short_type(node.value_type),
            terms,
            partitions: None,
        }
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}
