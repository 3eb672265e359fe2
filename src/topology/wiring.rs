//! Makes the operators of one task: the wires of a sub-topology are called from the last declared node to the first, so
//! that every operator finds what lies downstream of it already there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::describe::shown_name;
use super::graph::{Graph, NodeId, NodeKind};
use super::layout::{Layout, Renames, SubLayout};
use super::plan::edge_fingerprint;
use super::plan::{Plan, SubTopology};
use crate::codec::marker::{Activity, Marker};
use crate::operators::source::{BadInput, SourcePort};
use crate::operators::stores::StorePort;
use crate::operators::{ClockPort, Edge, Emission, Passed, Push};
use crate::state::TaskState;
use crate::time::Timestamp;

/// One task: a sub-topology and a partition number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The place of the sub-topology in [`Plan`]'s and in the [`Layout`]'s.
    pub sub: usize,
    /// The partition that it reads of each input.
    pub partition: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.sub, self.partition)
    }
}

/// Settings of a task's operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskOptions {
    /// When tables hand updates on that do not say so themselves.
    pub emission: Emission,
    /// How many bytes of decoded rows each store may keep.
    pub cache_bytes: usize,
    /// How many keys a `combine()` may hold before it hands them on early.
    pub combine_keys: usize,
    /// How many subscribers a join by a foreign key tells of changes before other work has its turn.
    pub portion: usize,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self { emission: Emission::EachCommit, cache_bytes: 64 << 20, combine_keys: 100_000, portion: 4096 }
    }
}

/// What a task is made with.
#[derive(Clone, Copy)]
pub struct TaskContext<'a> {
    /// The plan, fitted to the broker.
    pub layout: &'a Layout,
    /// Which task.
    pub task: TaskId,
    /// The task's state, as of its last commit.
    pub state: &'a TaskState,
    /// Settings.
    pub options: &'a TaskOptions,
}

/// The operators of one task.
pub struct WiredTask {
    /// One an input, in the order of [`SubLayout::inputs`].
    pub sources: Vec<Box<dyn SourcePort>>,
    /// One a store, in the order of [`SubLayout::stores`].
    pub stores: Vec<Box<dyn StorePort>>,
    /// What is done by the time of day.
    pub clocks: Vec<Box<dyn ClockPort>>,
    /// How many records have come into each node, by its name in a [`Description`](super::describe::Description).
    pub counts: Vec<(String, Vec<Passed>)>,
}

/// A task while it is being made.
pub struct Wiring<'a> {
    context: TaskContext<'a>,
    graph: &'a Graph,
    plan: &'a Plan,
    sub: &'a SubTopology,
    sources: Vec<Box<dyn SourcePort>>,
    stores: Vec<Box<dyn StorePort>>,
    clocks: Vec<Box<dyn ClockPort>>,
    counts: BTreeMap<NodeId, Vec<Passed>>,
    /// The node whose turn it is.
    node: NodeId,
}

impl<'a> Wiring<'a> {
    pub(super) fn new(context: &TaskContext<'a>, graph: &'a Graph, plan: &'a Plan, sub: &'a SubTopology) -> Self {
        Self {
            context: *context,
            graph,
            plan,
            sub,
            sources: Vec::new(),
            stores: Vec::new(),
            clocks: Vec::new(),
            counts: BTreeMap::new(),
            node: NodeId(0),
        }
    }

    pub(super) fn finish(mut self) -> WiredTask {
        // They come in reverse order of declaration; the inputs have an order of their own.
        let mut places: Vec<usize> = (0..self.sub.inputs.len()).collect();
        places.sort_by_key(|place| std::cmp::Reverse(self.sub.inputs[*place].node));
        let mut sources: Vec<_> = places.into_iter().zip(self.sources).collect();
        sources.sort_by_key(|(place, _)| *place);
        self.sources = sources.into_iter().map(|(_, source)| source).collect();
        // An operator may make several stores, whatever was declared between them.
        let places = &self.sub.stores;
        self.stores.sort_by_key(|store| places.iter().position(|name| **name == *store.name()));
        debug_assert_eq!(self.sources.len(), self.sub.inputs.len(), "each input has its source");
        debug_assert_eq!(self.stores.len(), self.sub.stores.len(), "each store has its port");
        self.clocks.reverse();
        let shown = |(id, counts)| (shown_name(&self.plan.names, self.graph, id), counts);
        let counts = self.counts.into_iter().map(shown).collect();
        WiredTask { sources: self.sources, stores: self.stores, clocks: self.clocks, counts }
    }

    /// Calls the wire of a node.
    pub(super) fn wire(&mut self, id: NodeId) {
        self.node = id;
        (self.graph.node(id).wire)(self);
    }

    /// Leaves a port of the node, whose turn it is, in a parent's edge: what comes along there is counted as its own.
    pub fn join<K, V>(&mut self, above: &Edge<K, V>, port: impl Push<K, V> + 'static) {
        self.count(above);
        above.join(Box::new(port));
    }

    /// Counts what comes along an edge as the records of the node whose turn it is. Before the edge is taken.
    pub fn count<K, V>(&mut self, edge: &Edge<K, V>) {
        self.counts.entry(self.node).or_default().push(edge.passed());
    }

    /// A source is ready.
    pub fn add_source(&mut self, source: Box<dyn SourcePort>) {
        self.sources.push(source);
    }

    /// A store is ready.
    pub fn add_store(&mut self, store: Box<dyn StorePort>) {
        self.stores.push(store);
    }

    /// Something that goes by the time of day is ready.
    pub fn add_clock(&mut self, clock: Box<dyn ClockPort>) {
        self.clocks.push(clock);
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self, node: NodeId) -> Arc<str> {
        Arc::clone(&self.plan.names[node.0])
    }

    /// The task's partition.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.context.task.partition
    }

    /// The task's state.
    #[must_use]
    pub fn state(&self) -> &'a TaskState {
        self.context.state
    }

    /// When a table's updates go out, and whether it must tell the values before.
    #[must_use]
    pub fn updates(&self, node: NodeId) -> (Emission, bool) {
        match self.graph.node(node).kind {
            NodeKind::Stateful { emission, keeps_before } => {
                (emission.unwrap_or(self.options().emission), keeps_before)
            }
            _ => (self.options().emission, false),
        }
    }

    /// The store of the timers of a table's rows, and after how long these end; `None` where they stay.
    #[must_use]
    pub fn expiry(&self, node: NodeId) -> Option<(NodeId, Duration)> {
        self.graph.expiry(node)
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &'a TaskOptions {
        self.context.options
    }

    /// The place of an input among the task's, and whether its records must go one by one.
    ///
    /// # Panics
    /// When `node` is no source of this sub-topology.
    #[must_use]
    pub fn input(&self, node: NodeId) -> (u32, bool) {
        let place = self.sub.inputs.iter().position(|input| input.node == node).expect("a source of this sub-topology");
        (u32::try_from(place).expect("fewer inputs than a u32 counts"), self.sub.inputs[place].one_by_one)
    }

    /// What happens to bad input of a source, with actual topic names.
    #[must_use]
    pub fn policy(&self, node: NodeId) -> BadInput {
        let (place, _) = self.input(node);
        self.layout_sub().inputs[place as usize].policy.clone()
    }

    /// The actual name of a user's topic.
    #[must_use]
    pub fn topic(&self, declared: &str) -> Arc<str> {
        self.context.layout.renames.actual(declared).into()
    }

    /// The topics' actual names.
    #[must_use]
    pub fn renames(&self) -> &'a Renames {
        &self.context.layout.renames
    }

    /// What this task's markers on the repartition that `sink` writes begin with.
    #[must_use]
    pub fn marker(&self, sink: NodeId) -> Marker {
        let edge = edge_fingerprint(&self.plan.names[sink.0]);
        let (task, tasks) = (self.partition(), self.layout_sub().partitions);
        Marker { edge, task, tasks, watermark: Timestamp::MIN, activity: Activity::Active }
    }

    /// How many tasks write the repartition topic that a source reads.
    #[must_use]
    pub fn upstream_tasks(&self, source: NodeId) -> u32 {
        let (place, _) = self.input(source);
        let upstream = self.layout_sub().inputs[place as usize].upstream;
        upstream.map_or(0, |sub| self.context.layout.subs[sub].partitions)
    }

    /// True where all records of the task come from one partition of one topic of the user's: their order is then the same
    /// in every run.
    #[must_use]
    pub fn one_partition(&self) -> bool {
        self.context.layout.meeting(self.context.task.sub) == 1
    }

    /// The actual name and the partition count of the repartition topic that `sink` writes.
    ///
    /// # Panics
    /// When `sink` is not the writing half of a repartition.
    #[must_use]
    pub fn repartition(&self, sink: NodeId) -> (Arc<str>, u32) {
        let name = &self.plan.names[sink.0];
        let found = self.context.layout.repartition(name).expect("a repartition topic of this plan");
        (Arc::clone(&found.name), found.partitions)
    }

    /// The actual name of a store's changelog.
    ///
    /// # Panics
    /// When `node` owns no store of this sub-topology.
    #[must_use]
    pub fn changelog(&self, node: NodeId) -> Arc<str> {
        let name = &self.plan.names[node.0];
        let store = self.layout_sub().stores.iter().find(|store| store.name == *name).expect("a store of this task");
        Arc::clone(&store.changelog)
    }

    fn layout_sub(&self) -> &'a SubLayout {
        &self.context.layout.subs[self.context.task.sub]
    }
}
