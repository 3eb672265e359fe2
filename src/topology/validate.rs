//! The mistakes of a declaration: all at once, each with the user's own line.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::describe::short_type;
use super::graph::{Graph, Node, NodeKind};
use super::names::topic_name_mistake;
use crate::error::{Error, ErrorKind};
use crate::operators::source::BadInput;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, and what to do.
    pub message: String,
    /// The line that it is about.
    pub at: Option<&'static Location<'static>>,
    /// The other line, where two do not go together.
    pub and: Option<&'static Location<'static>>,
}

impl Mistake {
    /// A mistake of one line.
    #[must_use]
    pub fn at(location: &'static Location<'static>, message: impl Into<String>) -> Self {
        Self { message: message.into(), at: Some(location), and: None }
    }

    /// Two lines that do not go together; the later one first.
    #[must_use]
    pub fn between(
        location: &'static Location<'static>,
        other: &'static Location<'static>,
        message: impl Into<String>,
    ) -> Self {
        Self { message: message.into(), at: Some(location), and: Some(other) }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{}:{}: ", at.file(), at.line())?;
        }
        f.write_str(&self.message)?;
        if let Some(and) = self.and {
            write!(f, " (the other is at {}:{})", and.file(), and.line())?;
        }
        Ok(())
    }
}

/// All mistakes of a topology's declaration.
#[derive(Clone, PartialEq, Eq)]
pub struct Mistakes {
    topology: String,
    mistakes: Vec<Mistake>,
}

impl Mistakes {
    pub(super) fn new(topology: String, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.at.map(|at| (at.file(), at.line(), at.column())));
        Self { topology, mistakes }
    }

    /// The mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.mistakes.iter()
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "topology {:?} has {count} mistake{plural}:", self.topology)?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl fmt::Debug for Mistakes {
    /// As [`Display`](fmt::Display): this is what an `unwrap` shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Mistakes {}

impl From<Mistakes> for Error {
    fn from(mistakes: Mistakes) -> Self {
        Self::new(ErrorKind::Topology, mistakes.to_string())
    }
}

/// Finds what the names and the DSL have not found.
pub(super) fn check(name: &str, graph: &Graph, names: &[Arc<str>], mistakes: &mut Vec<Mistake>) {
    if let Some(mistake) = topic_name_mistake(name) {
        let message = format!("{name:?} cannot be a topology's name: {mistake}");
        mistakes.push(Mistake { message, at: None, and: None });
    }
    let reads = |(_, node): (_, &Node)| matches!(node.kind, NodeKind::Source { .. });
    if !graph.iter().any(reads) {
        let only = if graph.is_empty() { "" } else { " but global tables, which do nothing by themselves" };
        let message = format!("it reads nothing{only}: begin with source()");
        mistakes.push(Mistake { message, at: None, and: None });
    }
    let mut read: BTreeMap<&str, &Node> = BTreeMap::new();
    let mut global: BTreeMap<&str, &Node> = BTreeMap::new();
    for (id, node) in graph.iter() {
        match &node.kind {
            NodeKind::Source { topic, policy } => {
                check_topic(node, topic, mistakes);
                if let Some(dead) = policy.dead_letters() {
                    check_topic(node, dead, mistakes);
                }
                if let Some(first) = read.insert(topic, node) {
                    let message = format!("topic {topic} is read twice: read it once and use that stream twice");
                    mistakes.push(Mistake::between(node.location, first.location, message));
                }
            }
            NodeKind::GlobalSource { topic, policy } => {
                check_topic(node, topic, mistakes);
                check_global(node, topic, policy, global.insert(topic, node), mistakes);
            }
            NodeKind::Sink { topic: Some(topic), .. } => check_topic(node, topic, mistakes),
            NodeKind::RepartitionSink { partitions: Some(0), .. } => {
                let message = format!("repartition topic {} cannot have 0 partitions", names[id.0]);
                mistakes.push(Mistake::at(node.location, message));
            }
            _ => {}
        }
    }
    check_placing(graph, mistakes);
    super::circles::check(graph, mistakes);
    for (id, node) in graph.iter() {
        // Sub-topologies are called by what they read, and so are their directories.
        if matches!(node.kind, NodeKind::RepartitionSink { .. })
            && let Some(source) = read.get(&*names[id.0])
        {
            let message = format!("a repartition topic and the topic {} have one name: choose another", names[id.0]);
            mistakes.push(Mistake::between(node.location, source.location, message));
        }
    }
    for (topic, table) in &global {
        if let Some(source) = read.get(topic) {
            let message = format!(
                "topic {topic} is read as a stream and as a global table: join with one topology, process it in another"
            );
            mistakes.push(Mistake::between(table.location, source.location, message));
        }
    }
    for (_, node) in graph.iter() {
        let written = match &node.kind {
            NodeKind::Sink { topic, .. } => topic.as_deref(),
            NodeKind::Source { policy, .. } => policy.dead_letters(),
            _ => None,
        };
        if let Some(topic) = written
            && let Some(source) = read.get(topic)
        {
            let message = format!(
                "topic {topic} is both written and read: its records would come round again; \
                 use the stream itself, or repartition()"
            );
            mistakes.push(Mistake::between(node.location, source.location, message));
        }
    }
}

/// Records meet by key: equal keys must have been placed by the same bytes.
fn check_placing(graph: &Graph, mistakes: &mut Vec<Mistake>) {
    for (_, node) in graph.iter() {
        if node.parents.len() < 2 || matches!(node.kind, NodeKind::Merge) {
            continue;
        }
        let placings: Vec<_> = node.parents.iter().flat_map(|parent| graph.placings(*parent)).collect();
        let Some((first, _)) = placings.first() else { continue };
        if let Some((other, source)) = placings.iter().find(|(codec, _)| codec != first) {
            let message = format!(
                "keys that meet here are written by different codecs, {} and {}: equal keys would lie in different \
                 partitions; put repartition() before it on one side",
                short_type(first),
                short_type(other)
            );
            mistakes.push(Mistake::between(node.location, graph.node(*source).location, message));
        }
    }
}

fn check_global(node: &Node, topic: &str, policy: &BadInput, other: Option<&Node>, mistakes: &mut Vec<Mistake>) {
    if let Some(first) = other {
        let message = format!("two global tables of topic {topic}: declare it once and join with that");
        mistakes.push(Mistake::between(node.location, first.location, message));
    }
    if policy.dead_letters().is_some() {
        let message = format!(
            "a global table has no dead letters: every process reads all of {topic} at every start, and would send them \
             again; skip them or stop"
        );
        mistakes.push(Mistake::at(node.location, message));
    }
}

fn check_topic(node: &Node, topic: &str, mistakes: &mut Vec<Mistake>) {
    if let Some(mistake) = topic_name_mistake(topic) {
        mistakes.push(Mistake::at(node.location, format!("{topic:?} cannot be a topic's name: {mistake}")));
    }
}
