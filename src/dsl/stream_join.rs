//! Joins of two streams by key and event time.

use std::any::Any;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::stateful::store;
use super::stream::{Item, Stream};
use crate::codec::{Data, Key};
use crate::operators::Edge;
use crate::operators::stream_join::{Side, StreamJoin};
use crate::topology::graph::{Node, NodeId, NodeKind};
use crate::topology::{Mistake, Wiring};
use crate::window::{JoinWindow, Reach};

/// What kind of join it is: what it is called, what its stores are called, which sides have results by themselves.
#[derive(Clone, Copy)]
struct Kind {
    label: &'static str,
    stores: [&'static str; 2],
    pads: [bool; 2],
}

const INNER: Kind = Kind { label: "join", stores: ["join-left", "join-right"], pads: [false, false] };
const LEFT: Kind = Kind { label: "left-join", stores: ["left-join-left", "left-join-right"], pads: [true, false] };
const OUTER: Kind = Kind { label: "outer-join", stores: ["outer-join-left", "outer-join-right"], pads: [true, true] };

impl<K: Key, V: Data> Stream<K, V> {
    /// Each pair of a record of this stream and one of `other` with the same key that lie close enough together in event
    /// time, once: `f(key, value, other's value)`. A pair has the later time of the two. Of several that match all pairs
    /// come out; a stream may be joined with itself.
    ///
    /// - A stream whose key may have changed is shuffled first, as in grouping. Both must have equally many partitions, and
    ///   their keys must be written by one codec.
    /// - A record that comes so late that every window is over which it could be in is dropped and counted as `late`. That
    ///   is decided by its own source partition, the same for both sides: [`JoinWindow`].
    /// - A record that met nobody is counted as `join_miss` when its window is over. A null value is dropped and counted as
    ///   `null_value`, a null key as `null_key`.
    /// - The records that may still meet others are kept in two stores, which are called by the streams, or by the join
    ///   where it is [`named`](Self::named). Time passes the join later, by the larger bound of the window and its grace.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream::testing::Driver;
    /// use millstream::window::JoinWindow;
    /// use millstream::{Builder, Topic};
    /// const ORDERS: Topic<String, String> = Topic::new("orders");
    /// const PAYMENTS: Topic<String, u64> = Topic::new("payments");
    /// const PAID: Topic<String, String> = Topic::new("paid");
    /// let b = Builder::new("paid");
    /// let (orders, payments) = (b.source(ORDERS).stream(), b.source(PAYMENTS).stream());
    /// let within_the_hour = JoinWindow::of(Duration::from_hours(1));
    /// orders.join_within(&payments, within_the_hour, |_, what, amount| format!("{what} for {amount}")).to(PAID);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// driver.send(&ORDERS, &"17".to_owned(), &"tea".to_owned(), 1_000)?;
    /// driver.send(&PAYMENTS, &"17".to_owned(), &12, 60_000)?;
    /// driver.send(&PAYMENTS, &"18".to_owned(), &99, 61_000)?;
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&PAID)?, [("17".to_owned(), "tea for 12".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn join_within<V2: Data, O: Item>(
        &self,
        other: &Stream<K, V2>,
        window: JoinWindow,
        f: impl Fn(&K, &V, &V2) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        self.joined(other, window, INNER, move |key, value, other| Some(f(key, value?, other?)))
    }

    /// As [`join_within`](Self::join_within), and each record of this stream that met nobody as well, by itself:
    /// `f(key, value, None)`, at its own time, once the watermark of both streams says that no partner can come any more.
    /// So there is never both a pair and a `None` for one record. A null key meets nobody, at once. A record of `other` that
    /// met nobody is counted as `join_miss`.
    ///
    /// Time passes the join later, by both bounds of the window and its grace. Records at the end of a stream wait until
    /// time goes on in both: see [`advance_by_clock_after`](super::Source::advance_by_clock_after) for streams that fall
    /// silent.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::window::JoinWindow;
    /// # use millstream::{Builder, Topic};
    /// # const ORDERS: Topic<String, String> = Topic::new("orders");
    /// # const PAYMENTS: Topic<String, u64> = Topic::new("payments");
    /// # const DUE: Topic<String, String> = Topic::new("due");
    /// let b = Builder::new("due");
    /// let (orders, payments) = (b.source(ORDERS).stream(), b.source(PAYMENTS).stream());
    /// orders
    ///     .left_join_within(&payments, JoinWindow::of(Duration::from_secs(10)), |_, what, amount| match amount {
    ///         Some(amount) => format!("{what} for {amount}"),
    ///         None => format!("{what} is due"),
    ///     })
    ///     .to(DUE);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// driver.send(&ORDERS, &"17".to_owned(), &"tea".to_owned(), 1_000)?;
    /// driver.send(&ORDERS, &"18".to_owned(), &"milk".to_owned(), 30_000)?;
    /// driver.send(&PAYMENTS, &"18".to_owned(), &2, 30_001)?;
    /// driver.settle()?;
    /// let due = [("17".to_owned(), "tea is due".to_owned()), ("18".to_owned(), "milk for 2".to_owned())];
    /// assert_eq!(driver.take_values(&DUE)?, due);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn left_join_within<V2: Data, O: Item>(
        &self,
        other: &Stream<K, V2>,
        window: JoinWindow,
        f: impl Fn(&K, &V, Option<&V2>) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        self.joined(other, window, LEFT, move |key, value, other| Some(f(key, value?, other)))
    }

    /// As [`left_join_within`](Self::left_join_within), for both streams: each record of either that met nobody comes out
    /// by itself. Of the two values at least one is there.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::window::JoinWindow;
    /// # use millstream::{Builder, Topic};
    /// # const SENT: Topic<String, u64> = Topic::new("sent");
    /// # const RECEIVED: Topic<String, u64> = Topic::new("received");
    /// # const COMPARED: Topic<String, String> = Topic::new("compared");
    /// let b = Builder::new("compared");
    /// let (sent, received) = (b.source(SENT).stream(), b.source(RECEIVED).stream());
    /// sent.outer_join_within(&received, JoinWindow::of(Duration::from_secs(10)), |_, sent, received| {
    ///     format!("{sent:?} {received:?}")
    /// })
    /// .to(COMPARED);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// driver.send(&SENT, &"a".to_owned(), &1, 0)?;
    /// driver.send(&RECEIVED, &"b".to_owned(), &2, 5)?;
    /// driver.send(&SENT, &"c".to_owned(), &3, 60_000)?;
    /// driver.send(&RECEIVED, &"c".to_owned(), &3, 60_000)?;
    /// driver.settle()?;
    /// let compared: Vec<String> = driver.take_values(&COMPARED)?.into_iter().map(|(_, text)| text).collect();
    /// assert_eq!(compared, ["Some(1) None", "None Some(2)", "Some(3) Some(3)"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn outer_join_within<V2: Data, O: Item>(
        &self,
        other: &Stream<K, V2>,
        window: JoinWindow,
        f: impl Fn(&K, Option<&V>, Option<&V2>) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        self.joined(other, window, OUTER, move |key, value, other| Some(f(key, value, other)))
    }

    #[track_caller]
    fn joined<V2: Data, O: Item>(
        &self,
        other: &Stream<K, V2>,
        window: JoinWindow,
        kind: Kind,
        f: impl Fn(&K, Option<&V>, Option<&V2>) -> Option<O> + Send + Sync + 'static,
    ) -> Stream<K, O> {
        let edge: Edge<K, O> = Edge::new();
        if !Rc::ptr_eq(&self.graph, &other.graph) {
            let message = "streams of two builders cannot be joined: declare both with one";
            let mistake = Mistake::at(Location::caller(), message);
            self.graph.borrow_mut().mistakes.push(mistake.clone());
            other.graph.borrow_mut().mistakes.push(mistake);
            return Stream::new(Rc::clone(&self.graph), self.node, edge, false);
        }
        let (left, right) = placed(self, other);
        let (above, below, f) = ((left.edge.clone(), right.edge.clone()), edge.clone(), Arc::new(f));
        let id = self.graph.borrow().next();
        let stores = [NodeId(id.0 + 1), NodeId(id.0 + 2)];
        let [pads_left, pads_right] = kind.pads;
        let hold = window.hold(pads_left || pads_right);
        let wire = move |wiring: &mut Wiring<'_>| {
            // In reverse, as everything is wired.
            let right = side(wiring, stores[1], window.right(), pads_right);
            let left = side(wiring, stores[0], window.left(), pads_left);
            let join = StreamJoin::new(wiring.name(id), Arc::clone(&f), (left, right), hold, below.take());
            let (left, right) = join.ports();
            wiring.join(&above.1, right);
            wiring.join(&above.0, left);
        };
        self.node::<K, O>(kind.label, NodeKind::Stateless, vec![left.node, right.node], Box::new(wire));
        // A store is a node of its own below the join, whose task makes it.
        let types = [std::any::type_name::<V>(), std::any::type_name::<V2>()];
        for (label, value_type) in kind.stores.into_iter().zip(types) {
            let location = Location::caller();
            let kind = NodeKind::Stateful { emission: None, keeps_before: false };
            let (key_type, parents) = (std::any::type_name::<K>(), vec![id]);
            let wire = Box::new(|_: &mut Wiring<'_>| ());
            let (named, placed_by) = (None, None);
            let node = Node { kind, label, named, key_type, value_type, location, parents, placed_by, wire };
            self.graph.borrow_mut().add(node);
        }
        self.graph.borrow_mut().agree(Some(id), format!("{} {window:?}", kind.label));
        Stream::new(Rc::clone(&self.graph), id, edge, false)
    }
}

/// Both streams, shuffled if need be: a stream that is joined with itself once.
#[track_caller]
fn placed<K: Key, V: Data, V2: Data>(one: &Stream<K, V>, other: &Stream<K, V2>) -> (Stream<K, V>, Stream<K, V2>) {
    let left = one.placed("by-join-left");
    let itself = if one.node == other.node { (&left as &dyn Any).downcast_ref::<Stream<K, V2>>() } else { None };
    let right = itself.cloned();
    (left, right.unwrap_or_else(|| other.placed("by-join-right")))
}

fn side<K: Key, V: Data>(wiring: &mut Wiring<'_>, id: NodeId, reach: Reach, pads: bool) -> Side<K, V> {
    let (store, changelog) = store(wiring, id, false);
    Side::new(store, changelog, reach, pads)
}
