//! What was declared, as data, and how a task is made of it.
//!
//! - [`graph`]: the nodes, each with the line that declared it.
//! - [`names`]: what nodes, stores and internal topics are called, from the structure alone.
//! - [`mod@plan`], the sub-topologies.
//! - [`layout`]: the plan, once the broker's partition counts are known: the tasks and our own topics.
//! - [`validate`]: all mistakes of a declaration at once.
//! - [`wiring`]: the operators of one task.
//! - [`stores`]: the stores, for whoever asks for state.
//! - [`topics`]: the users' topics, for whoever watches them.
//! - [`describe`]: the plan for people.
//! - [`lock`]: what was deployed last, and what a change does to it.

pub(crate) mod circles;
pub mod describe;
pub mod graph;
pub mod layout;
pub mod lock;
pub mod names;
pub mod plan;
mod resolve;
pub mod stores;
#[cfg(test)]
mod tests;
pub mod topics;
pub mod validate;
pub mod wiring;

use std::sync::{Mutex, PoisonError};

pub use layout::{GlobalLayout, InputLayout, InternalKind, InternalTopic, Layout, Renames, StoreLayout, SubLayout};
pub use plan::{GlobalTopic, InputKind, Plan, Repartition, SubTopology, edge_fingerprint};
pub use validate::{Mistake, Mistakes};
pub use wiring::{TaskContext, TaskId, TaskOptions, WiredTask, Wiring};

use crate::error::Result;
use crate::operators::global_table::GlobalPort;
use graph::{Graph, NodeId, NodeKind};
use std::collections::BTreeMap;

/// A declared topology without mistakes: what the runtime runs. Shared by all threads of a process.
///
/// ```
/// use millstream::{Builder, NoKey, Topic};
/// const LINES: Topic<NoKey, String> = Topic::new("lines");
/// const LOUD: Topic<NoKey, String> = Topic::new("loud");
/// let b = Builder::new("shout");
/// b.source(LINES).stream().map_values(|line| line.to_uppercase()).to(LOUD);
/// let topology = b.build().unwrap();
/// assert_eq!(topology.sources(), ["lines"]);
/// ```
pub struct Topology {
    name: String,
    graph: Graph,
    plan: Plan,
    /// Two tasks wired at once would find each other's ports in the edges.
    wiring: Mutex<()>,
}

impl Topology {
    /// Checks a declaration and plans it.
    ///
    /// # Errors
    /// All [`Mistakes`] of the declaration.
    pub(crate) fn new(name: String, mut graph: Graph) -> Result<Self, Mistakes> {
        let mut mistakes = std::mem::take(&mut graph.mistakes);
        let names = names::assign(&graph, &mut mistakes);
        validate::check(&name, &graph, &names, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(Mistakes::new(name, mistakes));
        }
        let plan = plan::plan(&name, &graph, &names);
        Ok(Self { name, graph, plan, wiring: Mutex::default() })
    }

    /// The name it was declared under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plan: sub-topologies with their inputs, outputs and stores.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The users' topics that are read, by the names they were declared under, in order of declaration; those of global
    /// tables last.
    #[must_use]
    pub fn sources(&self) -> Vec<&str> {
        self.plan.sources()
    }

    /// The users' topics that are written, dead letters included, without those chosen record by record.
    #[must_use]
    pub fn sinks(&self) -> Vec<&str> {
        self.plan.sinks()
    }

    /// True where all that is written to a topic are tables' updates, under the tables' own keys: the newest record of a
    /// key is then all there is to know of it.
    #[must_use]
    pub fn writes_updates(&self, topic: &str) -> bool {
        let written = self.graph.iter().filter_map(|(_, node)| match &node.kind {
            NodeKind::Sink { topic: Some(to), updates } if to == topic => Some(*updates),
            NodeKind::Source { policy, .. } if policy.dead_letters() == Some(topic) => Some(false),
            _ => None,
        });
        written.reduce(|one, other| one && other).unwrap_or(false)
    }

    /// The actual names of all topics that the topology has to do with, ours included: what to ask the broker for before
    /// [`layout`](Self::layout).
    #[must_use]
    pub fn topics(&self, application: &str, renames: &Renames) -> Vec<String> {
        resolve::topics(&self.plan, application, renames)
    }

    /// Fits the plan to a broker: `renames` gives the topics' actual names, `counts` the partition counts of the topics
    /// that exist, by actual name (internal topics included, where they exist already).
    ///
    /// # Errors
    /// When a source is missing from `counts`, counts that must be equal are not, or a name is not a topic's name.
    pub fn layout(&self, application: &str, renames: &Renames, counts: &BTreeMap<String, u32>) -> Result<Layout> {
        resolve::layout(&self.plan, application, renames, counts)
    }

    /// Makes the operators of one task, with fresh state on top of `context.state`.
    ///
    /// # Panics
    /// When `context` is not of a layout of this topology.
    #[must_use]
    pub fn task(&self, context: &TaskContext<'_>) -> WiredTask {
        let _alone = self.wiring.lock().unwrap_or_else(PoisonError::into_inner);
        let sub = &self.plan.subs[context.task.sub];
        let mut wiring = Wiring::new(context, &self.graph, &self.plan, sub);
        for node in sub.nodes.iter().rev() {
            wiring.wire(*node);
        }
        wiring.finish()
    }

    /// Makes the global tables of the process that runs the topology, in the plan's order: tasks that are wired from now
    /// on join with these.
    pub(crate) fn open_globals(&self) -> Vec<Box<dyn GlobalPort>> {
        self.graph.open_globals()
    }

    /// The line that declared a node: `file:line`.
    #[must_use]
    pub fn declared_at(&self, node: NodeId) -> String {
        let at = self.graph.node(node).location;
        format!("{}:{}", at.file(), at.line())
    }
}
