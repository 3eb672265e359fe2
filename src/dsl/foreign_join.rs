//! Joins of tables by a key that stands in the rows.

use std::rc::Rc;
use std::sync::Arc;

use super::route::Repartition;
use super::stateful::{StoreSlot, ViewOf, store};
use super::stream::Stream;
use super::table::Table;
use crate::codec::{Data, Key};
use crate::operators::foreign::answer::Answer;
use crate::operators::foreign::ask::Ask;
use crate::operators::foreign::gather::{Gather, Gathered};
use crate::operators::foreign::serve::Serve;
use crate::operators::foreign::subscribe::Subscribe;
use crate::operators::view::View;
use crate::operators::{Change, Edge, Out};
use crate::topology::circles::leads_to;
use crate::topology::graph::{NodeId, NodeKind, Wire};

/// The stores between the left table and the result.
const KEPT: NodeKind = NodeKind::Stateful { emission: None, keeps_before: false };

impl<K: Key, V: Data> Table<K, V> {
    /// Each row with the row of `other` that it names: `foreign` finds that one's key in it, `f` makes the result. It changes
    /// with either side. A row without a foreign key, or whose foreign key has no row, has no result.
    ///
    /// The rows travel to the tasks of `other` and the results back, through topics of our own: the tables need not have
    /// equally many partitions. A row of `other` may be named by any number of rows; its changes go to them in portions,
    /// with other work and commits in between. In between, and while rows change faster than they travel, results may
    /// show an older state of one side; in the end they are right. A result's time is the larger of both sides'.
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const ORDERS: Topic<u64, String> = Topic::new("orders");
    /// # const CUSTOMERS: Topic<String, String> = Topic::new("customers");
    /// # const NAMED: Topic<u64, String> = Topic::new("named");
    /// let b = Builder::new("named");
    /// let (orders, customers) = (b.table(ORDERS), b.table(CUSTOMERS));
    /// // The value of an order is the number of its customer.
    /// orders.join_by(&customers, |_, customer| Some(customer.clone()), |id, _, name| format!("{id} for {name}")).to(NAMED);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// driver.send(&ORDERS, &7, &"c1".to_owned(), 1)?;
    /// driver.send(&CUSTOMERS, &"c1".to_owned(), &"Ada".to_owned(), 2)?;
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&NAMED)?, [(7, "7 for Ada".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn join_by<FK: Key, V2: Data, O: Data>(
        &self,
        other: &Table<FK, V2>,
        foreign: impl Fn(&K, &V) -> Option<FK> + Send + Sync + 'static,
        f: impl Fn(&K, &V, &V2) -> O + Send + Sync + 'static,
    ) -> Table<K, O> {
        self.join_foreign("join-by", false, other, foreign, move |key, value, row| row.map(|row| f(key, value, row)))
    }

    /// As [`join_by`](Self::join_by), and a row without a foreign key, or whose foreign key has no row, is joined with
    /// `None`.
    #[track_caller]
    pub fn left_join_by<FK: Key, V2: Data, O: Data>(
        &self,
        other: &Table<FK, V2>,
        foreign: impl Fn(&K, &V) -> Option<FK> + Send + Sync + 'static,
        f: impl Fn(&K, &V, Option<&V2>) -> O + Send + Sync + 'static,
    ) -> Table<K, O> {
        self.join_foreign("left-join-by", true, other, foreign, move |key, value, row| Some(f(key, value, row)))
    }

    #[track_caller]
    fn join_foreign<FK: Key, V2: Data, O: Data>(
        &self,
        label: &'static str,
        alone: bool,
        other: &Table<FK, V2>,
        foreign: impl Fn(&K, &V) -> Option<FK> + Send + Sync + 'static,
        f: impl Fn(&K, &V, Option<&V2>) -> Option<O> + Send + Sync + 'static,
    ) -> Table<K, O> {
        if let Some(mistake) = self.not_of_one_builder(other) {
            self.graph.borrow_mut().mistakes.push(mistake.clone());
            other.graph.borrow_mut().mistakes.push(mistake);
            return Table { graph: Rc::clone(&self.graph), node: self.node, edge: Edge::new(), view: None };
        }
        // The rows go to the other table's task: where records come from there to this one's, they would go in a circle.
        let circle = leads_to(&self.graph.borrow(), other.node, self.node);
        let copy = circle.then(|| other.elsewhere());
        let (right, shuffled) = copy.as_ref().map_or((other, None), |(table, sink)| (table, Some(*sink)));
        let asks = self.asks(alone, foreign);
        let f = move |key: &K, value: &V, row: Option<&V2>| f(key, value, row).filter(|value| !value.is_null());
        let (answers, served) = asks.stream.served(&right.with_view(), alone, f);
        let slot = StoreSlot::of(self.graph.borrow().next());
        let rows = slot.view();
        let view: ViewOf<K, O> = Arc::new(move |wiring| View::Derived(Box::new(Gathered(rows(wiring)))));
        let kind = NodeKind::Stateful { emission: None, keeps_before: true };
        let (node, edge) = answers
            .stream
            .add(label, kind, move |wiring, _, out: Out<K, Change<O>>| Gather::new(slot.stand(wiring), out));
        let mut graph = self.graph.borrow_mut();
        graph.node_mut(node).value_type = std::any::type_name::<O>();
        for (part, suffix) in [
            (asks.from, "versions"),
            (asks.sink, "by-foreign-key"),
            (served, "subscriptions"),
            (answers.sink, "by-key"),
        ] {
            graph.make_part(node, part, suffix);
        }
        if let Some(sink) = shuffled {
            graph.make_part(node, sink, "other-side");
            graph.make_part(node, right.node, "other-side-copy");
        }
        drop(graph);
        Table { graph: Rc::clone(&self.graph), node, edge, view: Some(view) }
    }

    /// The changes of this table, on their way to the tasks of their foreign keys.
    #[track_caller]
    fn asks<FK: Key>(
        &self,
        alone: bool,
        foreign: impl Fn(&K, &V) -> Option<FK> + Send + Sync + 'static,
    ) -> Shuffled<Vec<u8>, Ask<K, V>> {
        self.graph.borrow_mut().want_before(self.node);
        let foreign = Arc::new(foreign);
        let changes: Stream<K, Change<V>> = Stream::new(Rc::clone(&self.graph), self.node, self.edge.clone(), false);
        let (node, edge) = changes.add("versions", KEPT, move |wiring, id, out| {
            Subscribe::new(wiring.name(id), Arc::clone(&foreign), alone, store(wiring, id, false), out)
        });
        let asks = Stream::new(Rc::clone(&self.graph), node, edge, true);
        let asks = Shuffled::new(asks, "by-foreign-key");
        // Their keys are the bytes of foreign keys: they meet those of the other table.
        self.graph.borrow_mut().node_mut(asks.stream.node).placed_by = Some(std::any::type_name::<FK::Codec>());
        asks
    }

    /// The same table in tasks of its own, by its key, and the shuffle that brings it there.
    #[track_caller]
    fn elsewhere(&self) -> (Self, NodeId) {
        let shuffled = Shuffled::new(self.to_stream(), "other-side");
        (shuffled.stream.latest("copy", |value| value), shuffled.sink)
    }
}

/// A stream behind a shuffle of its own.
struct Shuffled<K, V> {
    stream: Stream<K, V>,
    /// The node before the shuffle.
    from: NodeId,
    /// The node that writes the repartition topic.
    sink: NodeId,
}

impl<K: Key, V: Data> Shuffled<K, V> {
    #[track_caller]
    fn new(stream: Stream<K, V>, label: &'static str) -> Self {
        let (from, sink) = (stream.node, stream.graph.borrow().next());
        Self {
            stream: Repartition { stream, partitions: None, name: None, ahead: false }.through(label, true),
            from,
            sink,
        }
    }
}

impl<K: Key, V: Data> Stream<Vec<u8>, Ask<K, V>> {
    /// What the tasks of a right table answer, on its way to the tasks of the left keys; and the node that answers.
    #[track_caller]
    fn served<FK: Key, V2: Data, O: Data>(
        &self,
        (right, view): &(Table<FK, V2>, ViewOf<FK, V2>),
        alone: bool,
        f: impl Fn(&K, &V, Option<&V2>) -> Option<O> + Send + Sync + 'static,
    ) -> (Shuffled<K, Answer<O>>, NodeId) {
        self.graph.borrow_mut().want_before(right.node);
        let (f, edge, id) = (Arc::new(f), Edge::new(), self.graph.borrow().next());
        let (below, view) = (edge.clone(), Arc::clone(view));
        let (asks, changes) = (self.edge.clone(), right.edge.clone());
        let wire: Wire = Box::new(move |wiring| {
            let (name, rows, right) = (wiring.name(id), store(wiring, id, false), view(wiring));
            let serve = Serve::new(name, right, rows, Arc::clone(&f), (alone, wiring.options().portion), below.take());
            let (ask, change, look) = serve.ports();
            wiring.join(&asks, ask);
            wiring.join(&changes, change);
            wiring.add_clock(Box::new(look));
        });
        let node = self.node::<K, Answer<O>>("subscriptions", KEPT, vec![self.node, right.node], wire);
        let answers = Stream::new(Rc::clone(&self.graph), node, edge, true);
        (Shuffled::new(answers, "by-key"), node)
    }
}
