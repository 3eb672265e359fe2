//! The plan: which nodes run together as one sub-topology, what each reads, writes and keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::describe::short_type;
use super::graph::{Graph, Node, NodeId, NodeKind};
use crate::operators::source::BadInput;

/// What was declared, before any broker is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The topology's name.
    pub name: String,
    /// The sub-topologies, in order of their first node.
    pub subs: Vec<SubTopology>,
    /// The repartition topics between them.
    pub repartitions: Vec<Repartition>,
    /// The global tables, in order of declaration.
    pub globals: Vec<GlobalTopic>,
    /// A stable hash of everything that two processes of one group must agree on.
    pub fingerprint: u64,
    /// True where a record may name its own topic.
    pub writes_anywhere: bool,
    pub(crate) names: Vec<Arc<str>>,
}

/// Nodes that are joined without a repartition topic between them: they run in one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubTopology {
    /// Its name: that of its first input (topic or repartition) in alphabetical order. Directories and edges go by it, never by a number.
    pub name: Arc<str>,
    /// Its nodes, in order of declaration.
    pub nodes: Vec<NodeId>,
    /// What it reads, tables before the streams that are looked up in them: of equal times the first goes first.
    pub inputs: Vec<Input>,
    /// The stores that it owns.
    pub stores: Vec<Arc<str>>,
    /// The users' topics that it writes, without dead letters and those chosen record by record.
    pub outputs: Vec<String>,
}

/// A topic that a sub-topology reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The node that reads it.
    pub node: NodeId,
    /// Which topic.
    pub kind: InputKind,
    /// True where two ways from it meet again: its records then go one at a time, or batches would change their order.
    pub one_by_one: bool,
    /// What happens to a record that cannot be used. A repartition topic has that of the topics it comes from where
    /// they agree, else [`BadInput::Fail`].
    pub policy: BadInput,
}

/// A topic of which every process holds all rows. It is no input: no task reads it, and no group shares it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalTopic {
    /// The node that stands for it.
    pub node: NodeId,
    /// The topic as declared.
    pub topic: String,
    /// What happens to a row that cannot be read.
    pub policy: BadInput,
}

/// Which topic an input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A user's topic, as declared.
    Topic(String),
    /// The place of a repartition topic in [`Plan::repartitions`].
    Repartition(usize),
}

/// A topic between two sub-topologies, ours alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repartition {
    /// Its name, without application and suffix; the edge's name as well.
    pub name: Arc<str>,
    /// The sub-topology that writes it.
    pub from: usize,
    /// The sub-topology that reads it.
    pub to: usize,
    /// The partition count that the user asked for.
    pub partitions: Option<u32>,
    /// The line that declared it.
    pub declared_at: String,
}

impl Plan {
    pub(super) fn sources(&self) -> Vec<&str> {
        let inputs = self.subs.iter().flat_map(|sub| &sub.inputs);
        let streams = inputs.filter_map(|input| match &input.kind {
            InputKind::Topic(topic) => Some(topic.as_str()),
            InputKind::Repartition(_) => None,
        });
        streams.chain(self.globals.iter().map(|global| global.topic.as_str())).collect()
    }

    pub(super) fn sinks(&self) -> Vec<&str> {
        let mut sinks: BTreeSet<&str> = self.subs.iter().flat_map(|sub| &sub.outputs).map(String::as_str).collect();
        sinks.extend(self.subs.iter().flat_map(|sub| &sub.inputs).filter_map(|input| input.policy.dead_letters()));
        sinks.into_iter().collect()
    }
}

/// Plans a graph without mistakes.
pub(super) fn plan(name: &str, graph: &Graph, names: &[Arc<str>]) -> Plan {
    let groups = groups(graph);
    let sub_of = |node: NodeId| groups.iter().position(|nodes| nodes.contains(&node)).unwrap_or_default();
    let mut repartitions: Vec<Repartition> = Vec::new();
    let mut readers: Vec<NodeId> = Vec::new();
    for (id, node) in graph.iter() {
        let NodeKind::RepartitionSource { sink } = node.kind else { continue };
        let NodeKind::RepartitionSink { partitions, .. } = graph.node(sink).kind else { continue };
        let at = graph.node(sink).location;
        let declared_at = format!("{}:{}", at.file(), at.line());
        let name = Arc::clone(&names[sink.0]);
        repartitions.push(Repartition { name, from: sub_of(sink), to: sub_of(id), partitions, declared_at });
        readers.push(id);
    }
    let subs: Vec<SubTopology> =
        groups.iter().map(|nodes| sub_topology(graph, names, &readers, nodes.clone())).collect();
    let writes_anywhere = graph.iter().any(|(_, node)| matches!(node.kind, NodeKind::Sink { topic: None, .. }));
    let names = names.to_vec();
    let globals = globals(graph);
    let mut plan = Plan { name: name.to_owned(), subs, repartitions, globals, fingerprint: 0, writes_anywhere, names };
    plan.fingerprint = fingerprint(&plan, graph);
    plan
}

/// The nodes of each sub-topology. Nodes hang together by their parents; the halves of a repartition do not.
pub(super) fn groups(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut group: Vec<usize> = (0..graph.len()).collect();
    for (id, node) in graph.iter() {
        for parent in &node.parents {
            let (a, b) = (group[id.0], group[parent.0]);
            let (low, high) = (a.min(b), a.max(b));
            group.iter_mut().filter(|of| **of == high).for_each(|of| *of = low);
        }
    }
    let mut groups: BTreeMap<usize, Vec<NodeId>> = BTreeMap::new();
    for (place, of) in group.into_iter().enumerate() {
        groups.entry(of).or_default().push(NodeId(place));
    }
    // A global table hangs on nothing, and nothing hangs on it.
    groups.retain(|first, _| !matches!(graph.node(NodeId(*first)).kind, NodeKind::GlobalSource { .. }));
    groups.into_values().collect()
}

fn globals(graph: &Graph) -> Vec<GlobalTopic> {
    let global = |(node, of): (NodeId, &Node)| match &of.kind {
        NodeKind::GlobalSource { topic, policy } => {
            Some(GlobalTopic { node, topic: topic.clone(), policy: policy.clone() })
        }
        _ => None,
    };
    graph.iter().filter_map(global).collect()
}

fn sub_topology(graph: &Graph, names: &[Arc<str>], readers: &[NodeId], nodes: Vec<NodeId>) -> SubTopology {
    let mut inputs = Vec::new();
    let mut stores = Vec::new();
    let mut outputs = Vec::new();
    for id in &nodes {
        let kind = match &graph.node(*id).kind {
            NodeKind::Source { topic, .. } => InputKind::Topic(topic.clone()),
            NodeKind::RepartitionSource { .. } => {
                InputKind::Repartition(readers.iter().position(|reader| reader == id).unwrap_or_default())
            }
            NodeKind::Stateful { .. } => {
                stores.push(Arc::clone(&names[id.0]));
                continue;
            }
            NodeKind::Sink { topic: Some(topic), .. } => {
                if !outputs.contains(topic) {
                    outputs.push(topic.clone());
                }
                continue;
            }
            _ => continue,
        };
        inputs.push(Input { node: *id, kind, one_by_one: meets(graph, *id), policy: policy(graph, *id) });
    }
    inputs.sort_by_key(|input| !graph.goes_first(input.node));
    let first = inputs.iter().map(|input| match graph.node(input.node).kind {
        NodeKind::RepartitionSource { sink: NodeId(sink) } => &names[sink],
        _ => &names[input.node.0],
    });
    let first = first.min();
    let name = first.or_else(|| nodes.first().map(|node| &names[node.0])).cloned().unwrap_or_default();
    SubTopology { name, nodes, inputs, stores, outputs }
}

/// True where two ways from `source` meet again: at a node with several parents, or in one topic.
fn meets(graph: &Graph, source: NodeId) -> bool {
    let below = graph.below(source);
    let mut written: Vec<Option<&str>> = Vec::new();
    for (_, node) in graph.iter() {
        if node.parents.iter().filter(|parent| below[parent.0]).count() > 1 {
            return true;
        }
        if let NodeKind::Sink { topic, .. } = &node.kind
            && node.parents.iter().any(|parent| below[parent.0])
        {
            // A sink that chooses its topic record by record may choose any.
            let topic = topic.as_deref();
            if written.iter().any(|other| other.is_none() || topic.is_none() || *other == topic) {
                return true;
            }
            written.push(topic);
        }
    }
    false
}

/// The policy of a source; of a repartition topic, that of all its sources where they agree.
fn policy(graph: &Graph, source: NodeId) -> BadInput {
    let mut found: Vec<&BadInput> = Vec::new();
    let mut seen = vec![false; graph.len()];
    let mut open = vec![source];
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut seen[id.0], true) {
            continue;
        }
        match &graph.node(id).kind {
            NodeKind::Source { policy, .. } => found.push(policy),
            NodeKind::RepartitionSource { sink } => open.push(*sink),
            _ => open.extend(&graph.node(id).parents),
        }
    }
    match found.split_first() {
        Some((first, others)) if others.iter().all(|other| other == first) => (*first).clone(),
        _ => BadInput::Fail,
    }
}

/// Hashes what two processes of one group must agree on: what is read, written and kept, the types of what they hand to
/// each other, and the terms by which they work: sizes of windows, grace, how far out of order a source may be. Stateless operators are not part of it, nor lines, nor types' paths: a version with one filter more can
/// join, as one with another condition in the filter could.
fn fingerprint(plan: &Plan, graph: &Graph) -> u64 {
    let mut hash = Fnv::default();
    hash.text(&plan.name);
    graph.terms(None).for_each(|term| hash.text(&format!("agrees on {term}")));
    for sub in &plan.subs {
        hash.text("sub-topology");
        hash.text(&sub.name);
        for id in &sub.nodes {
            let node = graph.node(*id);
            match &node.kind {
                NodeKind::Source { topic, .. } => hash.text(&format!("reads {topic}")),
                NodeKind::Sink { topic, .. } => hash.text(&format!("writes {}", topic.as_deref().unwrap_or("*"))),
                NodeKind::Stateful { .. } | NodeKind::RepartitionSink { .. } => {
                    hash.text(&format!("{} {}", node.label, plan.names[id.0]));
                    hash.text(&short_type(node.key_type));
                    hash.text(&short_type(node.value_type));
                }
                NodeKind::RepartitionSource { .. }
                | NodeKind::GlobalSource { .. }
                | NodeKind::GlobalJoin { .. }
                | NodeKind::Stateless
                | NodeKind::Merge => {}
            }
            graph.terms(Some(*id)).for_each(|term| hash.text(&format!("by {term}")));
        }
    }
    plan.globals.iter().for_each(|global| hash.text(&format!("global table of {}", global.topic)));
    for repartition in &plan.repartitions {
        let partitions = repartition.partitions.unwrap_or(0);
        hash.text(&format!("{} {} {} {partitions}", repartition.name, repartition.from, repartition.to));
    }
    hash.0
}

/// FNV-1a, 64 bits: the same in every process and version, which the standard library's hashers do not promise.
pub(super) struct Fnv(pub(super) u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds a text, and an end mark so that two texts are not one.
    pub(super) fn text(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The number under which markers name an edge: a stable hash of the repartition's name.
#[must_use]
pub fn edge_fingerprint(repartition: &str) -> u64 {
    let mut hash = Fnv::default();
    hash.text(repartition);
    hash.0
}
