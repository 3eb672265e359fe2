//! What nodes are called, from the structure alone: a new line elsewhere never changes the name of a store or a topic.
//!
//! - A source is called as its topic.
//! - `.named()` wins, and what lies below starts from that name.
//! - What holds bytes is called by where it hangs, the nearest named or byte-holding node or source above it, and what it
//!   is: `demo.purchases-reduce`. The repartition topic that grouping makes is `demo.purchases-by-reduce`; a name given to
//!   the grouping is the topic's name. Two equal names are a mistake that asks for a `.named()`: a running number would
//!   move the bytes of one to the other as soon as a line is inserted.
//! - Stateless operators leave no trace in the names below them. They have names only for people (errors, pictures), with
//!   a number where there are several.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::graph::{Graph, Node, NodeId, NodeKind};
use super::validate::Mistake;

/// Why Kafka does not take `name` as a topic's name.
#[must_use]
pub fn topic_name_mistake(name: &str) -> Option<String> {
    const LONGEST: usize = 249;
    if name.is_empty() {
        return Some("it is empty".into());
    }
    if name == "." || name == ".." {
        return Some("`.` and `..` are not allowed".into());
    }
    if name.len() > LONGEST {
        return Some(format!("it has {} characters, and {LONGEST} are allowed", name.len()));
    }
    let bad = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))?;
    Some(format!("it contains {bad:?}; letters, digits, `.`, `_` and `-` are allowed"))
}

/// The names of all nodes, in order of declaration.
pub(super) fn assign(graph: &Graph, mistakes: &mut Vec<Mistake>) -> Vec<Arc<str>> {
    let mut naming = Naming::default();
    for (_, node) in graph.iter() {
        naming.add(node);
    }
    let Naming { mut names, .. } = naming;
    find_ties(graph, &names, mistakes);
    number(graph, &mut names);
    names.into_iter().map(Into::into).collect()
}

#[derive(Default)]
struct Naming {
    names: Vec<String>,
    /// What the names below a node start with.
    anchors: Vec<String>,
}

impl Naming {
    fn add(&mut self, node: &Node) {
        let above = self.above(node);
        let (name, anchor) = match (&node.kind, &node.named) {
            // The reading half has its own name in pictures, and hands its topic's name or anchor down.
            (NodeKind::RepartitionSource { sink }, _) => {
                let NodeId(sink) = *sink;
                (format!("{}-source", self.names[sink]), self.anchors[sink].clone())
            }
            (_, Some(named)) => (named.clone(), named.clone()),
            (NodeKind::Source { topic, .. } | NodeKind::GlobalSource { topic, .. }, None) => {
                (topic.clone(), topic.clone())
            }
            (NodeKind::Sink { topic: Some(topic), .. }, None) => (format!("to-{topic}"), above),
            // Grouping is no step of its own to the user: what follows is called as if it were not there.
            (NodeKind::Stateful { .. } | NodeKind::RepartitionSink { implied: false, .. }, None) => {
                let name = format!("{above}-{}", node.label);
                (name.clone(), name)
            }
            (_, None) => (format!("{above}-{}", node.label), above),
        };
        self.names.push(name);
        self.anchors.push(anchor);
    }

    /// What a node hangs on. Below a merge, all that comes together, in alphabetical order.
    fn above(&self, node: &Node) -> String {
        let mut anchors: Vec<&str> = node.parents.iter().map(|parent| self.anchors[parent.0].as_str()).collect();
        anchors.sort_unstable();
        anchors.dedup();
        anchors.join("-")
    }
}

/// Stores and repartition topics with equal names, or with that of anything that the user named.
fn find_ties(graph: &Graph, names: &[String], mistakes: &mut Vec<Mistake>) {
    let mut holders: BTreeMap<(&str, bool), NodeId> = BTreeMap::new();
    let mut given_names: BTreeMap<&str, NodeId> = BTreeMap::new();
    for (id, node) in graph.iter() {
        let name = names[id.0].as_str();
        if node.kind.holds_bytes() {
            let is_store = matches!(node.kind, NodeKind::Stateful { .. });
            if let Some(mistake) = topic_name_mistake(name) {
                mistakes.push(Mistake::at(node.location, format!("{name:?} cannot be a name: {mistake}")));
            }
            if let Some(other) = holders.insert((name, is_store), id) {
                let other = graph.node(other);
                let what = if is_store { "stores" } else { "repartition topics" };
                let message = if node.named.is_some() && other.named.is_some() {
                    format!("two {what} are called {name:?}: give each its own name")
                } else {
                    format!("two {what} would be called {name:?}: tell them apart with .named()")
                };
                mistakes.push(Mistake::between(node.location, other.location, message));
                continue;
            }
        }
        if let Some(given) = &node.named
            && let Some(other) = given_names.insert(given, id)
        {
            let other = graph.node(other);
            // A store may share its name with the repartition topic in front of it.
            if other.kind.holds_bytes() && node.kind.holds_bytes() {
                continue;
            }
            mistakes.push(Mistake::between(
                node.location,
                other.location,
                format!("two operators are called {given:?}: give each its own name"),
            ));
        }
    }
}

/// Tells nodes that hold nothing apart, for people.
fn number(graph: &Graph, names: &mut [String]) {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for (id, node) in graph.iter() {
        if node.kind.holds_bytes() || node.named.is_some() {
            taken.entry(names[id.0].clone()).or_insert(1);
        }
    }
    for (id, node) in graph.iter() {
        if node.kind.holds_bytes() || node.named.is_some() {
            continue;
        }
        let count = taken.entry(names[id.0].clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            names[id.0] = format!("{}-{count}", names[id.0]);
        }
    }
}
