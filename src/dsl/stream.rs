//! The stream handle, and how operators are added to it.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use crate::operators::{Edge, Out, Push};
use crate::topology::Wiring;
use crate::topology::graph::{Graph, Node, NodeId, NodeKind, Wire};

/// What can flow between operators. Only what is written or grouped needs more: [`Data`](crate::Data),
/// [`Key`](crate::Key).
pub trait Item: Clone + Send + 'static {}

impl<T: Clone + Send + 'static> Item for T {}

/// A stream of records with keys `K` and values `V`.
///
/// The handle adds operators to a topology; it holds no records. Every use sees every record.
#[must_use = "a stream that nothing reads does nothing: write it with .to(), or use it up with .for_each()"]
pub struct Stream<K, V> {
    pub(super) graph: Rc<RefCell<Graph>>,
    pub(super) node: NodeId,
    pub(super) edge: Edge<K, V>,
    /// True where the key may have changed since the records were last placed by it.
    pub(super) rekeyed: bool,
}

impl<K, V> Clone for Stream<K, V> {
    fn clone(&self) -> Self {
        Self { graph: Rc::clone(&self.graph), node: self.node, edge: self.edge.clone(), rekeyed: self.rekeyed }
    }
}

impl<K: 'static, V: 'static> Stream<K, V> {
    pub(super) const fn new(graph: Rc<RefCell<Graph>>, node: NodeId, edge: Edge<K, V>, rekeyed: bool) -> Self {
        Self { graph, node, edge, rekeyed }
    }

    /// Names this step: in errors and pictures, and at the beginning of the names of stores and topics below it.
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// let b = Builder::new("words");
    /// let words = b.source(LINES).stream().rekey(|_, line| line.clone()).named("words");
    /// let _ = words.group_by_key().count();
    /// let stores: Vec<_> = b.build().unwrap().plan().subs.iter().flat_map(|sub| sub.stores.clone()).collect();
    /// assert_eq!(&*stores[0], "words-count");
    /// ```
    #[track_caller]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.graph.borrow_mut().give_name(self.node, name.into());
        self
    }

    /// Adds an operator with one input and one output.
    #[track_caller]
    pub(super) fn add<K2: 'static, V2: 'static, P: Push<K, V> + 'static>(
        &self,
        label: &'static str,
        kind: NodeKind,
        make: impl Fn(&mut Wiring<'_>, NodeId, Out<K2, V2>) -> P + Send + Sync + 'static,
    ) -> (NodeId, Edge<K2, V2>) {
        let (above, edge) = (self.edge.clone(), Edge::new());
        let below = edge.clone();
        let id = self.graph.borrow().next();
        let wire: Wire = Box::new(move |wiring| {
            let port = make(wiring, id, below.take());
            wiring.join(&above, port);
        });
        self.node::<K2, V2>(label, kind, vec![self.node], wire);
        (id, edge)
    }

    /// Adds a stateless operator. It may change the key if `rekeyed` says so.
    #[track_caller]
    pub(super) fn step<K2: 'static, V2: 'static, P: Push<K, V> + 'static>(
        &self,
        label: &'static str,
        rekeyed: bool,
        make: impl Fn(Arc<str>, Out<K2, V2>) -> P + Send + Sync + 'static,
    ) -> Stream<K2, V2> {
        let (node, edge) = self.add(label, NodeKind::Stateless, move |wiring, id, out| make(wiring.name(id), out));
        Stream::new(Rc::clone(&self.graph), node, edge, self.rekeyed || rekeyed)
    }

    /// Adds a node whose records are `K2` and `V2`.
    #[track_caller]
    pub(super) fn node<K2, V2>(&self, label: &'static str, kind: NodeKind, parents: Vec<NodeId>, wire: Wire) -> NodeId {
        self.graph.borrow_mut().add(Node {
            kind,
            label,
            named: None,
            key_type: std::any::type_name::<K2>(),
            value_type: std::any::type_name::<V2>(),
            location: Location::caller(),
            parents,
            placed_by: None,
            wire,
        })
    }
}
