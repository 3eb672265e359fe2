//! Joins of tables by their key.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::stateful::ViewOf;
use super::table::Table;
use crate::codec::{Data, Key};
use crate::operators::Edge;
use crate::operators::table_table_join::{Joined, Joining, Needs, ports};
use crate::operators::view::View;
use crate::topology::Mistake;
use crate::topology::graph::{NodeKind, Wire};

/// What the store of a side is called that needs one of its own.
const LEFT: &str = "left-side";
const RIGHT: &str = "right-side";

impl<K: Key, V: Data> Table<K, V> {
    /// The rows that both tables have, each made of the two: a table, which changes with either side. A row's time is the
    /// larger of both sides'. It has no store of its own; what looks rows up in it looks them up in both sides.
    ///
    /// The topics of both sides must have equally many partitions, and their keys must be written by one codec.
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const PRICES: Topic<String, i64> = Topic::new("prices");
    /// # const STOCK: Topic<String, i64> = Topic::new("stock");
    /// # const WORTH: Topic<String, i64> = Topic::new("worth");
    /// let b = Builder::new("worth");
    /// b.table(PRICES).join(&b.table(STOCK), |_, price, pieces| price * pieces).to(WORTH);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// driver.send(&PRICES, &"tea".to_owned(), &3, 1)?;
    /// driver.send(&STOCK, &"tea".to_owned(), &100, 2)?;
    /// driver.send(&STOCK, &"wine".to_owned(), &7, 3)?;
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&WORTH)?, [("tea".to_owned(), 300)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn join<V2: Data, O: Data>(
        &self,
        other: &Table<K, V2>,
        f: impl Fn(&K, &V, &V2) -> O + Send + Sync + 'static,
    ) -> Table<K, O> {
        self.join_table("join", other, Needs::Both, move |key, left, right| match (left, right) {
            (Some(left), Some(right)) => f(key, left, right),
            _ => unreachable!("an inner join needs both sides"),
        })
    }

    /// As [`join`](Self::join), and a row of this table that the other has no row for is joined with `None`.
    #[track_caller]
    pub fn left_join<V2: Data, O: Data>(
        &self,
        other: &Table<K, V2>,
        f: impl Fn(&K, &V, Option<&V2>) -> O + Send + Sync + 'static,
    ) -> Table<K, O> {
        self.join_table("left-join", other, Needs::Left, move |key, left, right| match left {
            Some(left) => f(key, left, right),
            None => unreachable!("a left join needs the left side"),
        })
    }

    /// As [`join`](Self::join), and a row of either table that the other has no row for is joined with `None`. At least
    /// one of the two is there.
    #[track_caller]
    pub fn outer_join<V2: Data, O: Data>(
        &self,
        other: &Table<K, V2>,
        f: impl Fn(&K, Option<&V>, Option<&V2>) -> O + Send + Sync + 'static,
    ) -> Table<K, O> {
        self.join_table("outer-join", other, Needs::Either, f)
    }

    #[track_caller]
    fn join_table<V2: Data, O: Data>(
        &self,
        label: &'static str,
        other: &Table<K, V2>,
        needs: Needs,
        f: impl Fn(&K, Option<&V>, Option<&V2>) -> O + Send + Sync + 'static,
    ) -> Table<K, O> {
        let edge = Edge::new();
        if let Some(mistake) = self.not_of_one_builder(other) {
            self.graph.borrow_mut().mistakes.push(mistake.clone());
            other.graph.borrow_mut().mistakes.push(mistake);
            return Table { graph: Rc::clone(&self.graph), node: self.node, edge, view: None };
        }
        let joining = Joining::new(needs, Arc::new(f));
        let (left, left_view) = self.to_be_joined(other, LEFT);
        let (right, right_view) = other.to_be_joined(self, RIGHT);
        let mut graph = self.graph.borrow_mut();
        graph.want_before(left.node);
        graph.want_before(right.node);
        drop(graph);
        let (one, two, below) = (left.edge.clone(), right.edge.clone(), edge.clone());
        let (first, second, own) = (Arc::clone(&left_view), Arc::clone(&right_view), joining.clone());
        let wire: Wire = Box::new(move |wiring| {
            let (left, right) = ports(first(wiring), second(wiring), &own, below.take());
            // In reverse, as everything is wired.
            wiring.join(&two, right);
            wiring.join(&one, left);
        });
        let node = left.add::<O>(label, NodeKind::Stateless, wire);
        let mut graph = self.graph.borrow_mut();
        graph.node_mut(node).parents.push(right.node);
        for side in [left.node, right.node] {
            if let label @ (LEFT | RIGHT) = graph.node(side).label {
                graph.make_part(node, side, label);
            }
        }
        drop(graph);
        let view: ViewOf<K, O> = Arc::new(move |wiring| {
            let (left, right) = (left_view(wiring), right_view(wiring));
            View::Derived(Box::new(Joined::new(left, right, joining.clone())))
        });
        Table { graph: Rc::clone(&self.graph), node, edge, view: Some(view) }
    }

    /// This table, such that a join with `other` can look rows up in it. Where `other` comes from one of the stores that
    /// the rows lie in, as in a join of a table with itself, it gets a store of its own: an update would otherwise be seen
    /// on this side before this side has handed it on.
    #[track_caller]
    fn to_be_joined<V2: Data>(&self, other: &Table<K, V2>, label: &'static str) -> (Self, ViewOf<K, V>) {
        let graph = self.graph.borrow();
        let above = |store| graph.below(store)[other.node.0];
        let before_the_other = graph.stores_of(self.node).into_iter().any(above);
        drop(graph);
        if before_the_other { self.kept(label).with_view() } else { self.with_view() }
    }

    #[track_caller]
    pub(super) fn not_of_one_builder<K2: Key, V2: Data>(&self, other: &Table<K2, V2>) -> Option<Mistake> {
        let at = Location::caller();
        let message = "tables of two builders cannot be joined: declare both with one";
        (!Rc::ptr_eq(&self.graph, &other.graph)).then(|| Mistake::at(at, message))
    }
}
