//! The stores of a topology, as whoever asks for state from outside sees them.

use std::sync::Arc;

use super::Topology;
use super::describe::short_type;
use super::graph::NodeKind;
use crate::operators::lookup::Lookup;

/// A store of a topology.
#[derive(Clone, Debug)]
pub struct StoreDescription {
    /// Its name.
    pub name: Arc<str>,
    /// The place of its sub-topology in the plan's.
    pub sub: usize,
    /// The operator that owns it.
    pub operator: &'static str,
    /// The type of its keys, without paths.
    pub key: String,
    /// The type of its values, without paths.
    pub value: String,
    /// How it can be asked; `None` where what is in it is of use to its operator alone.
    pub lookup: Option<Lookup>,
}

impl StoreDescription {
    /// Why it cannot be asked, if it cannot.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        let why = match self.operator {
            _ if self.lookup.is_some() => return None,
            "store" | "timers" => "it belongs to a processor, which may keep a key in any partition",
            _ => "it holds what its operator works with, and no table",
        };
        Some(format!("{} ({})", why, self.operator))
    }
}

impl Topology {
    /// Its stores, in order of declaration.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreDescription> {
        let subs = self.plan.subs.iter().enumerate();
        let nodes = subs.flat_map(|(sub, of)| of.nodes.iter().map(move |id| (sub, *id)));
        let stores = nodes.filter(|(_, id)| matches!(self.graph.node(*id).kind, NodeKind::Stateful { .. }));
        let describe = |(sub, id): (usize, super::graph::NodeId)| {
            let node = self.graph.node(id);
            StoreDescription {
                name: Arc::clone(&self.plan.names[id.0]),
                sub,
                operator: node.label,
                key: short_type(node.key_type),
                value: short_type(node.value_type),
                lookup: self.graph.lookup(id),
            }
        };
        stores.map(describe).collect()
    }
}
