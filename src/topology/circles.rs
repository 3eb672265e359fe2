//! Ways between sub-topologies. None may lead back to where it began: each task would wait for its own time.

use super::graph::{Graph, NodeId, NodeKind};
use super::plan::groups;
use super::validate::Mistake;

/// The sub-topology of each node, and those that each writes to: with the nodes of the repartition topics between them.
struct Ways {
    of: Vec<usize>,
    next: Vec<Vec<(usize, NodeId)>>,
}

impl Ways {
    fn new(graph: &Graph) -> Self {
        let groups = groups(graph);
        let mut of = vec![0; graph.len()];
        for (group, nodes) in groups.iter().enumerate() {
            for node in nodes {
                of[node.0] = group;
            }
        }
        let mut next = vec![Vec::new(); groups.len()];
        for (id, node) in graph.iter() {
            if let NodeKind::RepartitionSource { sink } = node.kind {
                next[of[sink.0]].push((of[id.0], sink));
            }
        }
        Self { of, next }
    }

    /// The sub-topologies that can be come to from one, itself among them.
    fn from(&self, start: usize) -> Vec<bool> {
        let mut seen = vec![false; self.next.len()];
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(self.next[at].iter().map(|(next, _)| *next));
            }
        }
        seen
    }
}

/// True where records of `from` may come to the sub-topology of `to`.
pub(crate) fn leads_to(graph: &Graph, from: NodeId, to: NodeId) -> bool {
    let ways = Ways::new(graph);
    ways.from(ways.of[from.0])[ways.of[to.0]]
}

/// Finds repartition topics that lead back to the sub-topology that writes them.
pub(super) fn check(graph: &Graph, mistakes: &mut Vec<Mistake>) {
    let ways = Ways::new(graph);
    for (start, next) in ways.next.iter().enumerate() {
        if let Some((_, sink)) = next.iter().find(|(next, _)| ways.from(*next)[start]) {
            let message = "the records of this shuffle come back to the task that sends them, where they meet those that \
                           were not shuffled: it would wait for its own time; put repartition() before that meeting on \
                           the other side";
            mistakes.push(Mistake::at(graph.node(*sink).location, message));
            return;
        }
    }
}
