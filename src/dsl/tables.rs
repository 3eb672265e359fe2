//! Tables of streams and of other tables.

use std::rc::Rc;
use std::sync::Arc;

use super::stateful::StoreSlot;
use super::stream::{Item, Stream};
use super::table::Table;
use crate::codec::{Data, Key};
use crate::operators::latest::Latest;
use crate::operators::lookup::Lookup;
use crate::operators::table_filter::TableFilter;
use crate::operators::table_map::TableMap;
use crate::operators::view::{Kept, Mapped, View};
use crate::operators::{Change, Edge};
use crate::topology::graph::{NodeKind, Wire};

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
            self.add(label, kind, move |wiring, _, out| Latest::new(slot.stand(wiring), Arc::clone(&of), out));
        self.graph.borrow_mut().node_mut(node).value_type = std::any::type_name::<V>();
        self.graph.borrow_mut().queried(node, Lookup::rows::<K, V>());
        Table { graph: Rc::clone(&self.graph), node, edge, view }
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
        let wire: Wire = Box::new(move |_| above.join(Box::new(TableFilter::new(Arc::clone(&own), below.take()))));
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
        let wire: Wire = Box::new(move |_| above.join(Box::new(TableMap::new(Arc::clone(&own), below.take()))));
        let node = self.add::<V2>("map-values", NodeKind::Stateless, wire);
        let view = self.view.clone().map(|of| -> super::stateful::ViewOf<K, V2> {
            Arc::new(move |wiring| View::Derived(Box::new(Mapped::new(of(wiring), Arc::clone(&f)))))
        });
        Table { graph: Rc::clone(&self.graph), node, edge, view }
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
        let changes: Stream<K, Change<V>> = Stream::new(Rc::clone(&self.graph), self.node, self.edge.clone(), false);
        changes.latest("materialized", |change: Change<V>| change.new)
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
