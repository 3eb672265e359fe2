//! The nodes of a declared topology: data, but for the wire that makes the operator of one task.

use std::collections::BTreeMap;
use std::panic::Location;
use std::time::Duration;

use super::topics::Shows;
use super::validate::Mistake;
use super::wiring::Wiring;
use crate::operators::aggregate::Emission;
use crate::operators::global_table::GlobalPort;
use crate::operators::lookup::Lookup;
use crate::operators::source::BadInput;

/// The place of a node in its [`Graph`], in order of declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

/// What a node is to the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Reads a user's topic.
    Source {
        /// The topic as declared.
        topic: String,
        /// What happens to input that cannot be used.
        policy: BadInput,
    },
    /// Reads the repartition topic that `sink` writes.
    RepartitionSource {
        /// The other half.
        sink: NodeId,
    },
    /// Holds all rows of a user's topic, once for the whole process. It has no parents, and no task runs it.
    GlobalSource {
        /// The topic as declared.
        topic: String,
        /// What happens to rows that cannot be read.
        policy: BadInput,
    },
    /// Looks up rows of a global table. The table is no parent: nothing flows from it.
    GlobalJoin {
        /// The table's node.
        table: NodeId,
    },
    /// Keeps nothing between two commits.
    Stateless,
    /// Several inputs that become one.
    Merge,
    /// Owns a store, which has the node's name.
    Stateful {
        /// When updates are handed on; `None` leaves it to the task's options.
        emission: Option<Emission>,
        /// True where something downstream needs the value before an update.
        keeps_before: bool,
    },
    /// Writes a user's topic.
    Sink {
        /// The topic as declared; `None` where each record names its own.
        topic: Option<String>,
        /// True where the records are a table's updates: the newest of a key takes the place of those before it.
        updates: bool,
    },
    /// Writes a repartition topic, whose name is the node's.
    RepartitionSink {
        /// The partition count that the user asked for.
        partitions: Option<u32>,
        /// True where grouping made it, false where the user wrote `repartition()`.
        implied: bool,
    },
}

impl NodeKind {
    /// True where bytes outlive a process under this node's name: a store, a repartition topic.
    #[must_use]
    pub fn holds_bytes(&self) -> bool {
        matches!(self, Self::Stateful { .. } | Self::RepartitionSink { .. })
    }
}

/// Makes the operator of one task and leaves it in its parent's edge.
pub type Wire = Box<dyn Fn(&mut Wiring<'_>) + Send + Sync>;

/// Makes the table of a global topic for the process that runs the topology.
pub(crate) type OpenGlobal = Box<dyn Fn() -> Box<dyn GlobalPort> + Send + Sync>;

/// A node.
pub struct Node {
    /// What it is to the plan.
    pub kind: NodeKind,
    /// The operator: `filter`, `reduce`, …
    pub label: &'static str,
    /// The name that the user gave.
    pub named: Option<String>,
    /// The type of the keys that come out.
    pub key_type: &'static str,
    /// The type of the values that come out.
    pub value_type: &'static str,
    /// The line that declared it.
    pub location: &'static Location<'static>,
    /// Where its records come from.
    pub parents: Vec<NodeId>,
    /// The codec whose bytes of the key have decided the records' partition; `None` where that is as with the parents.
    pub placed_by: Option<&'static str>,
    pub(crate) wire: Wire,
}

/// All nodes, parents before children.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// What members of one group must agree on besides the structure: of a node, or of the whole topology.
    terms: Vec<(Option<NodeId>, String)>,
    /// What makes the tables of the global topics, in order of declaration.
    globals: Vec<(NodeId, OpenGlobal)>,
    /// How the stores of tables can be asked from outside.
    lookups: Vec<(NodeId, Lookup)>,
    /// What the bytes of the users' topics say, by the topics' names as declared.
    shows: BTreeMap<String, Shows>,
    /// Streams, each with the table that its records are looked up in.
    looks_up: Vec<(NodeId, NodeId)>,
    /// Tables whose rows may end by themselves, and of those that do: the store of their timers, and after how long.
    expiries: BTreeMap<NodeId, Option<(NodeId, Duration)>>,
    /// Nodes that belong to an operator made of several, and what they add to its name.
    parts: Vec<(NodeId, NodeId, &'static str)>,
    /// Mistakes that the DSL saw while nodes were declared.
    pub(crate) mistakes: Vec<Mistake>,
}

impl Graph {
    /// The place that the next node gets.
    #[must_use]
    pub fn next(&self) -> NodeId {
        NodeId(self.nodes.len())
    }

    /// Appends a node.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = self.next();
        debug_assert!(node.parents.iter().all(|parent| *parent < id), "parents come before children");
        self.nodes.push(node);
        id
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// A node, to be changed.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0]
    }

    /// Gives a node the user's name. What reads a repartition topic has no name but the topic's.
    #[track_caller]
    pub(crate) fn give_name(&mut self, id: NodeId, name: String) {
        let id = match self.node(id).kind {
            NodeKind::RepartitionSource { sink } => sink,
            _ => id,
        };
        let node = &self.nodes[id.0];
        if let Some(other) = node.named.as_ref().filter(|other| **other != name) {
            let message = format!("named {name:?}, and {other:?} before: one name is enough");
            self.mistakes.push(Mistake::between(Location::caller(), node.location, message));
        }
        for (_, part, suffix) in self.parts.iter().filter(|(whole, ..)| *whole == id) {
            self.nodes[part.0].named = Some(format!("{name}-{suffix}"));
        }
        self.nodes[id.0].named = Some(name);
    }

    /// The node is a global table, which is made by `open`.
    pub(crate) fn add_global(&mut self, node: NodeId, open: OpenGlobal) {
        self.globals.push((node, open));
    }

    /// Makes the tables of all global topics, in order of declaration.
    pub(crate) fn open_globals(&self) -> Vec<Box<dyn GlobalPort>> {
        self.globals.iter().map(|(_, open)| open()).collect()
    }

    /// The joins that look into a global table.
    pub(crate) fn joins_of(&self, global: NodeId) -> Vec<NodeId> {
        let looks = |node: &Node| node.kind == NodeKind::GlobalJoin { table: global };
        self.iter().filter(|(_, node)| looks(node)).map(|(id, _)| id).collect()
    }

    /// `part` holds bytes for the operator `whole`: the name that the user gives that one is the beginning of its own.
    pub(crate) fn make_part(&mut self, whole: NodeId, part: NodeId, suffix: &'static str) {
        self.parts.push((whole, part, suffix));
    }

    /// Members of one group must agree on `term`, of a node or of the whole topology: it is part of the fingerprint.
    pub(crate) fn agree(&mut self, node: Option<NodeId>, term: String) {
        self.terms.push((node, term));
    }

    /// The store of `node` is a table, which can be asked from outside.
    pub(crate) fn queried(&mut self, node: NodeId, lookup: Lookup) {
        self.lookups.push((node, lookup));
    }

    /// How the store of `node` can be asked, if it can.
    pub(crate) fn lookup(&self, node: NodeId) -> Option<Lookup> {
        self.lookups.iter().find(|(of, _)| *of == node).map(|(_, lookup)| *lookup)
    }

    /// What the bytes of a user's topic say. The first that declares it counts.
    pub(crate) fn shown(&mut self, topic: &str, shows: Shows) {
        self.shows.entry(topic.to_owned()).or_insert(shows);
    }

    /// What the bytes of a user's topic say, where it is known.
    pub(crate) fn shows(&self, topic: &str) -> Option<Shows> {
        self.shows.get(topic).copied()
    }

    /// True where a topic is read as a table and as nothing else.
    pub(crate) fn read_as_table(&self, topic: &str) -> bool {
        let reads = |node: &Node| matches!(&node.kind, NodeKind::Source { topic: of, .. } if of == topic);
        let table = |label: &str| matches!(label, "table" | "versioned-table");
        let below = self.iter().filter(|(_, node)| reads(node)).flat_map(|(id, _)| self.children(id));
        let labels: Vec<&str> = below.map(|child| self.node(child).label).collect();
        !labels.is_empty() && labels.into_iter().all(table)
    }

    /// Records of `stream` are looked up in `table`: of equal times the table's go first, whichever was declared first.
    pub(crate) fn looks_up(&mut self, stream: NodeId, table: NodeId) {
        self.looks_up.push((stream, table));
    }

    /// True where the records of `source` come to a table before those of a stream that are looked up in it.
    pub(super) fn goes_first(&self, source: NodeId) -> bool {
        let below = self.below(source);
        self.looks_up.iter().any(|(stream, table)| below[table.0] && !below[stream.0])
    }

    /// What is to be agreed on for `node`; `None` is the whole topology.
    pub(crate) fn terms(&self, node: Option<NodeId>) -> impl Iterator<Item = &str> {
        self.terms.iter().filter(move |(of, _)| *of == node).map(|(_, term)| term.as_str())
    }

    /// All nodes, in order of declaration.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(place, node)| (NodeId(place), node))
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True where nothing was declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The children of a node within its sub-topology, in order of declaration.
    #[must_use]
    pub fn children(&self, id: NodeId) -> Vec<NodeId> {
        self.iter().filter(|(_, node)| node.parents.contains(&id)).map(|(child, _)| child).collect()
    }

    /// Something below `table` asks what each row was before an update: whoever keeps the rows must tell.
    pub(crate) fn want_before(&mut self, table: NodeId) {
        let mut open = vec![table];
        while let Some(id) = open.pop() {
            let node = self.node_mut(id);
            if let NodeKind::Stateful { keeps_before, .. } = &mut node.kind {
                *keeps_before = true;
            }
            // What holds updates back, and what is made of other tables, tells what it is told.
            if matches!(node.kind, NodeKind::Stateless) || matches!(node.label, "suppress-for" | "until-close") {
                open.extend(node.parents.clone());
            }
        }
    }

    /// The table that `node` keeps can let its rows end by itself.
    pub(crate) fn may_expire(&mut self, node: NodeId) {
        self.expiries.insert(node, None);
    }

    /// True where the table that `node` keeps can let its rows end by itself.
    pub(crate) fn can_expire(&self, node: NodeId) -> bool {
        self.expiries.contains_key(&node)
    }

    /// The rows that `node` keeps end `after` their last update; their timers are in the store `timers`.
    pub(crate) fn expire(&mut self, node: NodeId, timers: NodeId, after: Duration) {
        self.expiries.insert(node, Some((timers, after)));
    }

    /// The store of a table's timers, and after how long its rows end, where they do.
    pub(crate) fn expiry(&self, node: NodeId) -> Option<(NodeId, Duration)> {
        self.expiries.get(&node).copied().flatten()
    }

    /// The stores that a table's rows lie in.
    #[must_use]
    pub fn stores_of(&self, table: NodeId) -> Vec<NodeId> {
        let (mut stores, mut open) = (Vec::new(), vec![table]);
        while let Some(id) = open.pop() {
            let node = self.node(id);
            if matches!(node.kind, NodeKind::Stateful { .. }) {
                stores.push(id);
            } else {
                open.extend(&node.parents);
            }
        }
        stores
    }

    /// The codecs by whose bytes of the key the records of a node were placed, and where that was declared.
    pub(super) fn placings(&self, id: NodeId) -> Vec<(&'static str, NodeId)> {
        let node = self.node(id);
        match node.placed_by {
            Some(codec) => vec![(codec, id)],
            None => node.parents.iter().flat_map(|parent| self.placings(*parent)).collect(),
        }
    }

    /// True where the records of a stream are a table's updates, with the table's own keys.
    #[must_use]
    pub fn hands_on_updates(&self, mut stream: NodeId) -> bool {
        loop {
            let node = self.node(stream);
            match (node.label, node.parents.first()) {
                ("to-stream", _) => return true,
                ("filter" | "map-values" | "peek", Some(parent)) => stream = *parent,
                _ => return false,
            }
        }
    }

    /// For each node: is it `from` or below it, without crossing a repartition topic?
    #[must_use]
    pub fn below(&self, from: NodeId) -> Vec<bool> {
        let mut below = vec![false; self.len()];
        below[from.0] = true;
        for (id, node) in self.iter() {
            below[id.0] |= node.parents.iter().any(|parent| below[parent.0]);
        }
        below
    }
}
