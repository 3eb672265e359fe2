//! The table handle.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;

use super::stateful::ViewOf;
use super::stream::Stream;
use super::topic::IntoTopic;
use crate::codec::{Data, Key};
use crate::operators::aggregate::Emission;
use crate::operators::sink::{ChangesToTopic, Sink};
use crate::operators::to_stream::ToStream;
use crate::operators::{Change, Edge};
use crate::topology::graph::{Graph, Node, NodeId, NodeKind, Wire};
use crate::topology::topics::Shows;

/// A table: the newest value of each key. One that comes from a topic, a stream or an aggregation has a store with a
/// changelog; what [`filter`](Self::filter) and [`map_values`](Self::map_values) make of it needs none, and is made anew of
/// its rows when they are looked up.
pub struct Table<K: Key, V: Data> {
    pub(super) graph: Rc<RefCell<Graph>>,
    pub(super) node: NodeId,
    pub(super) edge: Edge<K, Change<V>>,
    /// How others look rows up in it; `None` where it has no rows that can be looked up.
    pub(super) view: Option<ViewOf<K, V>>,
}

impl<K: Key, V: Data> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self { graph: Rc::clone(&self.graph), node: self.node, edge: self.edge.clone(), view: self.view.clone() }
    }
}

impl<K: Key, V: Data> Table<K, V> {
    /// Names the store, and with it the changelog and what lies below.
    #[track_caller]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.graph.borrow_mut().give_name(self.node, name.into());
        self
    }

    /// Hands every update on by itself, where usually only the newest of each key goes out before a commit.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const VISITS: Topic<String, String> = Topic::new("visits");
    /// # const COUNTS: Topic<String, u64> = Topic::new("counts");
    /// let b = Builder::new("counts");
    /// b.source(VISITS).stream().group_by_key().count().emit_each_update().to(COUNTS);
    /// # b.build().unwrap();
    /// ```
    pub fn emit_each_update(self) -> Self {
        if let NodeKind::Stateful { emission, .. } = &mut self.graph.borrow_mut().node_mut(self.node).kind {
            *emission = Some(Emission::EachUpdate);
        }
        self
    }

    /// The updates as a stream; `None` is a deleted row. They have the time of the row and the headers of the record that
    /// led to them.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const VISITS: Topic<String, String> = Topic::new("visits");
    /// # const MANY: Topic<String, Option<u64>> = Topic::new("many");
    /// let b = Builder::new("many");
    /// let counts = b.source(VISITS).stream().group_by_key().count();
    /// counts.to_stream().filter(|_, count| count.is_some_and(|count| count >= 100)).to(MANY);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn to_stream(&self) -> Stream<K, Option<V>> {
        let (above, edge) = (self.edge.clone(), Edge::new());
        let below = edge.clone();
        let wire: Wire = Box::new(move |wiring| wiring.join(&above, ToStream::new(below.take())));
        let node = self.add::<V>("to-stream", NodeKind::Stateless, wire);
        Stream::new(Rc::clone(&self.graph), node, edge, false)
    }

    /// Writes the updates to `topic`; a deleted row is a null. The topic should be compacted.
    #[track_caller]
    pub fn to<T: IntoTopic<K, V>>(&self, topic: T) {
        let topic = topic.into_topic().name().to_owned();
        let (above, name) = (self.edge.clone(), topic.clone());
        let id = self.graph.borrow().next();
        self.graph.borrow_mut().shown(&topic, Shows::of::<K, V, T::KeyCodec, T::ValueCodec>());
        let wire: Wire = Box::new(move |wiring| {
            let (key, value) = (T::KeyCodec::default(), T::ValueCodec::default());
            let write = ChangesToTopic(wiring.topic(&name));
            wiring.join(&above, Sink::<K, Change<V>, _, _, _>::new(wiring.name(id), write, key, value));
        });
        self.add::<V>("to", NodeKind::Sink { topic: Some(topic), updates: true }, wire);
    }

    #[track_caller]
    pub(super) fn add<V2>(&self, label: &'static str, kind: NodeKind, wire: Wire) -> NodeId {
        self.graph.borrow_mut().add(Node {
            kind,
            label,
            named: None,
            key_type: std::any::type_name::<K>(),
            value_type: std::any::type_name::<V2>(),
            location: Location::caller(),
            parents: vec![self.node],
            placed_by: None,
            wire,
        })
    }
}
