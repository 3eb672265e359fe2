//! Tables of streams and of other tables.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::stateful::{StoreSlot, beside, store};
use super::stream::{Item, Stream};
use super::table::Table;
use crate::codec::{Data, Key};
use crate::operators::expiry::Alive;
use crate::operators::latest::Latest;
use crate::operators::latest_by_time::{Deletions, LatestByTime};
use crate::operators::lookup::Lookup;
use crate::operators::on_change::OnChange;
use crate::operators::table_filter::TableFilter;
use crate::operators::table_map::TableMap;
use crate::operators::timed::Timed;
use crate::operators::view::{Kept, Mapped, View};
use crate::operators::{Change, Edge};
use crate::topology::Mistake;
use crate::topology::graph::{NodeId, NodeKind, Wire};

impl<K: Key, V: Data> Stream<K, V> {
    /// The newest value of each key, as a table. The newest is the last to come, whatever its time. A null deletes the row
    /// (where `V` is an `Option`). Where the key may have changed since the records were placed by it, they are shuffled
    /// first.
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const SEEN: Topic<NoKey, String> = Topic::new("seen");
    /// # const LAST: Topic<u64, String> = Topic::new("last");
    /// let b = Builder::new("last-by-length");
    /// b.source(SEEN).stream().rekey(|_, word| word.len() as u64).to_table().named("last").to(LAST);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for word in ["one", "two", "three"] {
    ///     driver.send(&SEEN, &NoKey, &word.to_owned(), 0)?;
    /// }
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&LAST)?, [(3, "two".to_owned()), (5, "three".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn to_table(&self) -> Table<K, V> {
        self.placed("by-table").latest("to-table", Some)
    }

    /// As [`to_table`](Self::to_table), and the newest is the one with the largest event time: an older record does not
    /// overwrite it, and is counted as `out_of_date`. Of records of one time the last to come wins.
    ///
    /// Nor does an older record bring back what was deleted: a deletion is remembered, with the table's changelogs, until
    /// time is `remember` past it. A record of a key without a row that lies further than that behind its own source
    /// partition is therefore dropped, and counted as `late`. `Duration::MAX` remembers every deletion for good and drops
    /// nothing.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const SEEN: Topic<String, String> = Topic::new("seen");
    /// # const LAST: Topic<String, String> = Topic::new("last");
    /// let b = Builder::new("last");
    /// let seen = b.source(SEEN).out_of_order_by(Duration::from_secs(60)).stream();
    /// seen.to_table_by_time(Duration::from_secs(3600)).to(LAST);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for (place, time) in [("London", 5_000), ("Paris", 9_000), ("Rome", 7_000)] {
    ///     driver.send(&SEEN, &"Ada".to_owned(), &place.to_owned(), time)?;
    /// }
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&LAST)?, [("Ada".to_owned(), "Paris".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn to_table_by_time(&self, remember: Duration) -> Table<K, V> {
        self.placed("by-table").latest_by_time("to-table", remember, Some)
    }

    /// The records placed by their key, through a repartition topic if need be.
    #[track_caller]
    pub(super) fn placed(&self, label: &'static str) -> Self {
        if !self.rekeyed {
            return self.clone();
        }
        self.repartition().through(label, true)
    }
}

impl<K: Key, V: Data> Stream<K, Option<V>> {
    /// As [`to_table`](Self::to_table), and `None` deletes the row: a table again of what
    /// [`to_stream`](Table::to_stream) made.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const PRICES: Topic<String, Option<i64>> = Topic::new("prices");
    /// # const CENTS: Topic<String, i64> = Topic::new("cents");
    /// let b = Builder::new("cents");
    /// let prices = b.source(PRICES).stream().to_table_with_tombstones();
    /// prices.map_values(|_, price| price * 100).to(CENTS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn to_table_with_tombstones(&self) -> Table<K, V> {
        self.placed("by-table").latest("to-table", |value| value)
    }
}

impl<K: Key, I: Item> Stream<K, I> {
    /// Keeps what `of` finds in the newest record of each key.
    #[track_caller]
    pub(super) fn latest<V: Data>(
        &self,
        label: &'static str,
        of: impl Fn(I) -> Option<V> + Send + Sync + 'static,
    ) -> Table<K, V> {
        let of = Arc::new(of);
        let slot = StoreSlot::of(self.graph.borrow().next());
        let view = Some(slot.view());
        let kind = NodeKind::Stateful { emission: None, keeps_before: false };
        let (node, edge) =
            self.add(label, kind, move |wiring, _, out| Latest::new(slot.table(wiring, out), Arc::clone(&of)));
        self.keeps::<V>(node);
        Table { graph: Rc::clone(&self.graph), node, edge, view }
    }
}

impl<K: Key, I: Item> Stream<K, I> {
    /// Keeps what `of` finds in the newest record of each key by its time.
    #[track_caller]
    pub(super) fn latest_by_time<V: Data>(
        &self,
        label: &'static str,
        remember: Duration,
        of: impl Fn(I) -> Option<V> + Send + Sync + 'static,
    ) -> Table<K, V> {
        let of = Arc::new(of);
        let NodeId(next) = self.graph.borrow().next();
        let (slot, deletions) = (StoreSlot::of(NodeId(next)), NodeId(next + 1));
        let view = Some(slot.view());
        let kind = NodeKind::Stateful { emission: None, keeps_before: false };
        let (node, edge) = self.add(label, kind, move |wiring, _, out| {
            let (store, changelog) = store(wiring, deletions, false);
            let deletions = Deletions::new(Timed::new(store, changelog), remember);
            LatestByTime::new(slot.table(wiring, out), deletions, Arc::clone(&of))
        });
        beside::<K, i64>(&mut self.graph.borrow_mut(), node, "deletions");
        self.keeps::<V>(node);
        self.graph.borrow_mut().agree(Some(node), format!("remembers deletions for {remember:?}"));
        Table { graph: Rc::clone(&self.graph), node, edge, view }
    }

    /// `node` keeps the newest of the stream's records.
    fn keeps<V: Data>(&self, node: NodeId) {
        let mut graph = self.graph.borrow_mut();
        // To people a table's values are what is in it, not the changes on its edges.
        graph.node_mut(node).value_type = std::any::type_name::<V>();
        graph.queried(node, Lookup::rows::<K, V>());
        graph.may_expire(node);
    }
}

impl<K: Key, V: Data> Table<K, V> {
    /// The rows that `keep` holds for. A row that it no longer holds for is deleted downstream; one that it never held for
    /// is not told at all (where Kafka Streams sends a tombstone for each of its updates).
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const STOCK: Topic<String, i64> = Topic::new("stock");
    /// # const LOW: Topic<String, i64> = Topic::new("low");
    /// let b = Builder::new("low");
    /// b.table(STOCK).filter(|_, left| *left < 10).to(LOW);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn filter(&self, keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        let keep = Arc::new(keep);
        self.graph.borrow_mut().want_before(self.node);
        let (above, edge, own) = (self.edge.clone(), Edge::new(), Arc::clone(&keep));
        let below = edge.clone();
        let wire: Wire = Box::new(move |wiring| wiring.join(&above, TableFilter::new(Arc::clone(&own), below.take())));
        let node = self.add::<V>("filter", NodeKind::Stateless, wire);
        let view = self.view.clone().map(|of| -> super::stateful::ViewOf<K, V> {
            Arc::new(move |wiring| View::Derived(Box::new(Kept::new(of(wiring), Arc::clone(&keep)))))
        });
        Self { graph: Rc::clone(&self.graph), node, edge, view }
    }

    /// The rows that `drop` does not hold for.
    #[track_caller]
    pub fn filter_not(&self, drop: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter(move |key, value| !drop(key, value))
    }

    /// The same rows with other values. A null that `f` gives (`Option` as the value's type) deletes the row. `f` may be
    /// called again for the same row: when it is looked up, and where something downstream asks what it was before.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const PRICES: Topic<String, i64> = Topic::new("prices");
    /// # const CENTS: Topic<String, i64> = Topic::new("cents");
    /// let b = Builder::new("cents");
    /// b.table(PRICES).map_values(|_, price| price * 100).to(CENTS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn map_values<V2: Data>(&self, f: impl Fn(&K, &V) -> V2 + Send + Sync + 'static) -> Table<K, V2> {
        let f = Arc::new(f);
        let (above, edge, own) = (self.edge.clone(), Edge::new(), Arc::clone(&f));
        let below = edge.clone();
        let wire: Wire = Box::new(move |wiring| wiring.join(&above, TableMap::new(Arc::clone(&own), below.take())));
        let node = self.add::<V2>("map-values", NodeKind::Stateless, wire);
        let view = self.view.clone().map(|of| -> super::stateful::ViewOf<K, V2> {
            Arc::new(move |wiring| View::Derived(Box::new(Mapped::new(of(wiring), Arc::clone(&f)))))
        });
        Table { graph: Rc::clone(&self.graph), node, edge, view }
    }

    /// The updates that change a row's value: one that leaves it as it was is not handed on, nor is the deletion of a row
    /// that is not there. Without it every update is, as in Kafka Streams.
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const STOCK: Topic<String, i64> = Topic::new("stock");
    /// # use millstream::Json;
    /// # #[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
    /// # struct InStock(bool);
    /// # impl millstream::Data for InStock { type Codec = Json; }
    /// # const KNOWN: Topic<String, InStock> = Topic::new("in-stock");
    /// let b = Builder::new("in-stock");
    /// b.table(STOCK).map_values(|_, left| InStock(*left > 0)).on_change().to(KNOWN);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for left in [3, 2, 0] {
    ///     driver.send(&STOCK, &"tea".to_owned(), &left, 0)?;
    ///     driver.settle()?;
    /// }
    /// let told: Vec<InStock> = driver.take_values(&KNOWN)?.into_iter().map(|(_, known)| known).collect();
    /// assert_eq!(told, [InStock(true), InStock(false)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn on_change(&self) -> Self
    where
        V: PartialEq,
    {
        self.graph.borrow_mut().want_before(self.node);
        let (above, edge) = (self.edge.clone(), Edge::new());
        let below = edge.clone();
        let wire: Wire = Box::new(move |wiring| wiring.join(&above, OnChange::new(below.take())));
        let node = self.add::<V>("on-change", NodeKind::Stateless, wire);
        Self { graph: Rc::clone(&self.graph), node, edge, view: self.view.clone() }
    }

    /// Deletes rows that have not been updated for `after`, in event time: with a tombstone downstream, in the table's
    /// changelog and in what is looked up in it. What comes for the key after that begins anew. The tombstone's time is
    /// that of the last update and `after`; it goes out as soon as the watermark has come that far, a few thousand at once.
    ///
    /// A record that itself lies so far behind its own source partition is left out and counted as `late`: its row would be
    /// deleted at once. Rows of a topology that had no such limit before get theirs with their next update.
    ///
    /// A table that keeps its rows itself, of a topic, a stream or an aggregation of one stream or table, deletes them there:
    /// this table and every other use of it. Of any other table this makes one [with a store of its
    /// own](Self::materialized), whose rows end while those above stay.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const CLICKS: Topic<String, String> = Topic::new("clicks");
    /// # const ACTIVE: Topic<String, Option<u64>> = Topic::new("active");
    /// let b = Builder::new("active");
    /// let counts = b.source(CLICKS).stream().group_by_key().count().expire_after(Duration::from_secs(60));
    /// counts.to_stream().to(ACTIVE);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for (user, time) in [("ada", 0), ("ada", 59_000), ("carl", 119_000), ("ada", 119_500)] {
    ///     driver.send(&CLICKS, &user.to_owned(), &String::new(), time)?;
    ///     driver.settle()?;
    /// }
    /// let told: Vec<_> = driver.take_values(&ACTIVE)?.into_iter().map(|(user, n)| format!("{user} {n:?}")).collect();
    /// assert_eq!(told, ["ada Some(1)", "ada Some(2)", "carl Some(1)", "ada None", "ada Some(1)"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn expire_after(&self, after: Duration) -> Self {
        if !self.graph.borrow().can_expire(self.node) {
            return self.materialized().expire_after(after);
        }
        let mut graph = self.graph.borrow_mut();
        let mistake = match (graph.expiry(self.node), after.as_millis()) {
            (Some((_, before)), _) => {
                Some(format!("expires after {after:?}, and after {before:?} before: one is enough"))
            }
            (None, 0) => Some("rows that expire at once are never there: give at least a millisecond".to_owned()),
            (None, _) => None,
        };
        if let Some(mistake) = mistake {
            graph.mistakes.push(Mistake::at(std::panic::Location::caller(), mistake));
            drop(graph);
            return self.clone();
        }
        let timers = beside::<K, Alive>(&mut graph, self.node, "expiry");
        graph.expire(self.node, timers, after);
        graph.agree(Some(self.node), format!("expires after {after:?}"));
        drop(graph);
        self.clone()
    }

    /// The same table in a store of its own: its rows are then looked up there, and not made anew each time.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const PRICES: Topic<String, i64> = Topic::new("prices");
    /// # const CENTS: Topic<String, i64> = Topic::new("cents");
    /// let b = Builder::new("cents");
    /// let cents = b.table(PRICES).map_values(|_, price| price * 100).materialized().named("cents");
    /// # cents.to(CENTS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn materialized(&self) -> Self {
        self.kept("materialized")
    }

    /// The same table in a store of its own.
    #[track_caller]
    pub(super) fn kept(&self, label: &'static str) -> Self {
        let changes: Stream<K, Change<V>> = Stream::new(Rc::clone(&self.graph), self.node, self.edge.clone(), false);
        changes.latest(label, |change: Change<V>| change.new)
    }

    /// The same table, such that its rows can be looked up.
    #[track_caller]
    pub(super) fn with_view(&self) -> (Self, super::stateful::ViewOf<K, V>) {
        match &self.view {
            Some(view) => (self.clone(), Arc::clone(view)),
            None => self.materialized().with_view(),
        }
    }
}
