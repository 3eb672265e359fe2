//! The plan for people and their tools: as text in the format of Kafka Streams' `TopologyDescription`, which tools exist
//! for, as a mermaid flow chart, and as data for JSON.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::Topology;
use super::graph::{Graph, Node, NodeId, NodeKind};

/// A topology as data; serializes to JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The topology's name.
    pub name: String,
    /// Its fingerprint, in hexadecimal.
    pub fingerprint: String,
    /// Its sub-topologies.
    pub sub_topologies: Vec<SubDescription>,
    /// Its global tables: held by every process, read by no task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub global_tables: Vec<NodeDescription>,
}

/// A sub-topology.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubDescription {
    /// Its name.
    pub name: String,
    /// Its nodes, in order of declaration.
    pub nodes: Vec<NodeDescription>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeDescription {
    /// Its name.
    pub name: String,
    /// Whether it reads, processes or writes.
    pub role: Role,
    /// The operator.
    pub operator: &'static str,
    /// The topic that it reads or writes; a repartition topic without the application's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Of a store: whether it can be asked from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queryable: Option<bool>,
    /// The type of the keys that come out, without paths.
    pub key: String,
    /// The type of the values that come out, without paths.
    pub value: String,
    /// The line that declared it.
    pub declared_at: String,
    /// Where its records come from.
    pub from: Vec<String>,
    /// Where they go.
    pub to: Vec<String>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads a topic.
    Source,
    /// Processes records.
    Processor,
    /// Writes a topic.
    Sink,
}

impl Topology {
    /// The topology as data.
    #[must_use]
    pub fn description(&self) -> Description {
        let subs = self.plan.subs.iter().map(|sub| SubDescription {
            name: sub.name.to_string(),
            nodes: sub.nodes.iter().map(|id| self.describe_node(*id)).collect(),
        });
        Description {
            name: self.name.clone(),
            fingerprint: format!("{:016x}", self.plan.fingerprint),
            sub_topologies: subs.collect(),
            global_tables: self.plan.globals.iter().map(|global| self.describe_node(global.node)).collect(),
        }
    }

    /// The topology as text, in the format of Kafka Streams' `Topology.describe()`.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const VISITS: Topic<String, String> = Topic::new("visits");
    /// # const COUNTS: Topic<String, u64> = Topic::new("counts");
    /// let b = Builder::new("counts");
    /// b.source(VISITS).stream().group_by_key().count().to(COUNTS);
    /// let text = b.build().unwrap().describe();
    /// let lines: Vec<&str> = text.lines().collect();
    /// assert_eq!(lines[..4], [
    ///     "Topologies:",
    ///     "   Sub-topology: 0",
    ///     "    Source: visits (topics: [visits])",
    ///     "      --> visits-count",
    /// ]);
    /// ```
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::from("Topologies:\n ");
        let description = self.description();
        for (place, sub) in description.sub_topologies.iter().enumerate() {
            let _ = writeln!(text, "  Sub-topology: {place}");
            for node in &sub.nodes {
                let NodeDescription { name, role, .. } = node;
                let topic = node.topic.as_deref().unwrap_or("chosen by record");
                let _ = match role {
                    Role::Source => writeln!(text, "    Source: {name} (topics: [{topic}])"),
                    Role::Processor => {
                        writeln!(
                            text,
                            "    Processor: {name} (stores: [{}])",
                            node.store.as_deref().unwrap_or_default()
                        )
                    }
                    Role::Sink => writeln!(text, "    Sink: {name} (topic: {topic})"),
                };
                if *role != Role::Sink {
                    let _ = writeln!(text, "      --> {}", list(&node.to));
                }
                if *role != Role::Source {
                    let _ = writeln!(text, "      <-- {}", list(&node.from));
                }
            }
            text.push('\n');
        }
        for (place, table) in description.global_tables.iter().enumerate() {
            let place = description.sub_topologies.len() + place;
            let (name, topic) = (&table.name, table.topic.as_deref().unwrap_or_default());
            let _ = writeln!(text, "  Sub-topology: {place} for global store (will not generate tasks)");
            let _ = writeln!(text, "    Source: {name} (topics: [{topic}])\n      --> {}\n", list(&table.to));
        }
        text
    }

    /// The topology as a mermaid flow chart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut chart = String::from("flowchart TD\n");
        self.draw(&mut chart, "", 1);
        chart
    }

    /// Several topologies as one mermaid flow chart, each in a frame that has its name.
    #[must_use]
    pub fn mermaid_of_all(topologies: &[Self]) -> String {
        let mut chart = String::from("flowchart TD\n");
        for (place, topology) in topologies.iter().enumerate() {
            let _ = writeln!(chart, "  subgraph t{place}[\"{}\"]", topology.name());
            topology.draw(&mut chart, &format!("t{place}"), 2);
            chart.push_str("  end\n");
        }
        chart
    }

    /// Draws it into a chart, `depth` frames deep. What `prefix` is put before has no equal in the chart.
    fn draw(&self, chart: &mut String, prefix: &str, depth: usize) {
        let indent = "  ".repeat(depth);
        for (place, sub) in self.plan.subs.iter().enumerate() {
            let _ = writeln!(chart, "{indent}subgraph {prefix}s{place}[\"{}\"]", sub.name);
            for id in &sub.nodes {
                let (NodeId(number), node) = (*id, self.describe_node(*id));
                let NodeDescription { name, topic, .. } = &node;
                let _ = write!(chart, "{indent}  {prefix}n{number}");
                let _ = match (node.role, &node.store) {
                    (Role::Source | Role::Sink, _) => {
                        writeln!(chart, "([\"{}\"])", topic.as_deref().unwrap_or("chosen by record"))
                    }
                    (Role::Processor, Some(store)) => writeln!(chart, "[(\"{store}\")]"),
                    (Role::Processor, None) => writeln!(chart, "[\"{name}\"]"),
                };
            }
            let _ = writeln!(chart, "{indent}end");
        }
        for global in &self.plan.globals {
            let NodeId(number) = global.node;
            let _ = writeln!(chart, "{indent}{prefix}n{number}[(\"global table of {}\")]", global.topic);
        }
        for (NodeId(number), node) in self.graph.iter() {
            for NodeId(parent) in &node.parents {
                let _ = writeln!(chart, "{indent}{prefix}n{parent} --> {prefix}n{number}");
            }
            if let NodeKind::GlobalJoin { table: NodeId(table) } = node.kind {
                let _ = writeln!(chart, "{indent}{prefix}n{table} -.-> {prefix}n{number}");
            }
            if let NodeKind::RepartitionSource { sink: NodeId(sink) } = node.kind {
                let _ = writeln!(chart, "{indent}{prefix}n{sink} -.-> {prefix}n{number}");
            }
        }
    }

    fn describe_node(&self, id: NodeId) -> NodeDescription {
        let node = self.graph.node(id);
        let (role, topic) = match &node.kind {
            NodeKind::Source { topic, .. } | NodeKind::GlobalSource { topic, .. } => {
                (Role::Source, Some(topic.clone()))
            }
            NodeKind::RepartitionSource { sink } => (Role::Source, Some(self.repartition_topic(*sink))),
            NodeKind::Sink { topic, .. } => (Role::Sink, topic.clone()),
            NodeKind::RepartitionSink { .. } => (Role::Sink, Some(self.repartition_topic(id))),
            NodeKind::Stateless | NodeKind::Merge | NodeKind::Stateful { .. } | NodeKind::GlobalJoin { .. } => {
                (Role::Processor, None)
            }
        };
        let store = matches!(node.kind, NodeKind::Stateful { .. }).then(|| self.plan.names[id.0].to_string());
        let queryable = store.is_some().then(|| self.graph.lookup(id).is_some());
        NodeDescription {
            queryable,
            name: shown_name(&self.plan.names, &self.graph, id),
            role,
            operator: node.label,
            topic,
            store,
            key: short_type(node.key_type),
            value: short_type(node.value_type),
            declared_at: self.declared_at(id),
            from: Self::sources_of(node).map(|id| shown_name(&self.plan.names, &self.graph, id)).collect(),
            to: self.targets_of(id).into_iter().map(|id| shown_name(&self.plan.names, &self.graph, id)).collect(),
        }
    }

    /// Where a node's records and rows come from.
    fn sources_of(node: &Node) -> impl Iterator<Item = NodeId> {
        let table = match node.kind {
            NodeKind::GlobalJoin { table } => Some(table),
            _ => None,
        };
        node.parents.iter().copied().chain(table)
    }

    /// Where a node's records go; of a global table, the joins that look into it.
    fn targets_of(&self, id: NodeId) -> Vec<NodeId> {
        match self.graph.node(id).kind {
            NodeKind::GlobalSource { .. } => self.graph.joins_of(id),
            _ => self.graph.children(id),
        }
    }

    /// A repartition topic may have the name of the store behind it, so its halves say which they are.
    fn repartition_topic(&self, sink: NodeId) -> String {
        format!("{}-repartition", self.plan.names[sink.0])
    }
}

/// The name of a node in a description.
pub(super) fn shown_name(names: &[Arc<str>], graph: &Graph, id: NodeId) -> String {
    match graph.node(id).kind {
        NodeKind::RepartitionSink { .. } => format!("{}-sink", names[id.0]),
        _ => names[id.0].to_string(),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// A type's name without the paths in it.
pub(crate) fn short_type(name: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in name.chars() {
        match c {
            ':' => word.clear(),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                out.push_str(&std::mem::take(&mut word));
                out.push(c);
            }
        }
    }
    out + &word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_shown_without_their_paths() {
        assert_eq!(
            short_type("core::option::Option<(alloc::string::String, my_app::v2::Total)>"),
            "Option<(String, Total)>"
        );
    }
}
