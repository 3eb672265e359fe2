//! Tables that keep what their rows were, and joins with the row as of a record's own time.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::stateful::{HistorySlot, ViewOf, store};
use super::stream::{Item, Stream};
use super::table::Table;
use crate::codec::{Data, Key};
use crate::operators::versions::{JoinAsOf, Latest, Versions, Wait};
use crate::operators::view::View;
use crate::operators::{Change, Edge};
use crate::topology::Mistake;
use crate::topology::graph::{Graph, NodeId, NodeKind};

/// A table that keeps what its rows were: the versions of each key by event time, for
/// [`join_as_of`](Stream::join_as_of).
///
/// - A change is put at its own event time, whenever it comes; there is one version a key and time, of two the later to
///   come. A deletion (a null value) is a version as well.
/// - A version is kept for the history after it was replaced, in event time: counted back from the slowest of the table's
///   own watermark and those of the joins that look it up, without those that are idle. So a stream that is behind still
///   finds what was valid at its time. The version that is valid where the history begins is kept, however old it is.
/// - A change that comes further behind its own source partition than the history is not stored: it is dropped, and counted
///   as `late`. Where time had gone on without its partition, as after a silence, and the history begins after it, it is
///   dropped as `expired`.
/// - Its store has one row a version and one to forget it by, both in the changelog until they are forgotten.
#[must_use = "a table that nothing looks up does nothing: join a stream with it"]
pub struct VersionedTable<K: Key, V: Data> {
    graph: Rc<RefCell<Graph>>,
    node: NodeId,
    edge: Edge<K, Change<V>>,
    slot: HistorySlot<K, V>,
    history: Duration,
    grace: Option<Duration>,
}

impl<K: Key, V: Data> Clone for VersionedTable<K, V> {
    fn clone(&self) -> Self {
        let Self { node, history, grace, .. } = *self;
        Self { graph: Rc::clone(&self.graph), node, edge: self.edge.clone(), slot: self.slot.clone(), history, grace }
    }
}

impl<K: Key, V: Data> VersionedTable<K, V> {
    /// Names the store, and with it the changelog and what lies below.
    #[track_caller]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.graph.borrow_mut().give_name(self.node, name.into());
        self
    }

    /// The newest version of each key, by event time: a change that comes when there is a newer one is not handed on. Every
    /// other one is, by itself. It needs no store of its own.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const PRICES: Topic<String, i64> = Topic::new("prices");
    /// # const NEWEST: Topic<String, i64> = Topic::new("newest");
    /// let b = Builder::new("newest");
    /// let minute = Duration::from_secs(60);
    /// b.source(PRICES).versioned_table(minute).latest().to(NEWEST);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for (price, time) in [(10, 1_000), (30, 3_000), (20, 2_000)] {
    ///     driver.send(&PRICES, &"tea".to_owned(), &price, time)?;
    /// }
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&NEWEST)?, [("tea".to_owned(), 10), ("tea".to_owned(), 30)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn latest(&self) -> Table<K, V> {
        let slot = self.slot.clone();
        let view: ViewOf<K, V> = Arc::new(move |wiring| View::Derived(Box::new(Latest(slot.share(wiring)))));
        Table { graph: Rc::clone(&self.graph), node: self.node, edge: self.edge.clone(), view: Some(view) }
    }

    /// The same table, for joins that wait: a record is held back until the watermark has passed its time by `grace`, so
    /// that changes which come up to that late still count. See [`join_as_of`](Stream::join_as_of). The history must be at
    /// least as long.
    #[track_caller]
    pub fn with_grace(&self, grace: Duration) -> Self {
        if grace > self.history {
            let message = format!(
                "a grace of {grace:?} is longer than the table's history of {:?}: what a record has waited for would be \
                 forgotten; keep a longer history",
                self.history
            );
            let table = self.graph.borrow().node(self.node).location;
            self.graph.borrow_mut().mistakes.push(Mistake::between(Location::caller(), table, message));
        }
        Self { grace: Some(grace), ..self.clone() }
    }
}

impl<K: Key, V: Data> Stream<K, V> {
    /// The values of each key by their event time, as a table that keeps them for `history`: see [`VersionedTable`]. A null
    /// deletes the row (where `V` is an `Option`). Where the key may have changed since the records were placed by it, they
    /// are shuffled first.
    #[track_caller]
    pub fn to_versioned_table(&self, history: Duration) -> VersionedTable<K, V> {
        self.placed("by-table").versions("to-versioned-table", history, Some)
    }
}

impl<K: Key, V: Data> Stream<K, Option<V>> {
    /// As [`to_versioned_table`](Self::to_versioned_table), and `None` deletes the row.
    #[track_caller]
    pub fn to_versioned_table_with_tombstones(&self, history: Duration) -> VersionedTable<K, V> {
        self.placed("by-table").versions("to-versioned-table", history, |value| value)
    }
}

impl<K: Key, I: Item> Stream<K, I> {
    /// Keeps what `of` finds in each record as a version of its key.
    #[track_caller]
    pub(super) fn versions<V: Data>(
        &self,
        label: &'static str,
        history: Duration,
        of: impl Fn(I) -> Option<V> + Send + Sync + 'static,
    ) -> VersionedTable<K, V> {
        let of = Arc::new(of);
        let slot = HistorySlot::of(self.graph.borrow().next(), history);
        let own = slot.clone();
        let kind = NodeKind::Stateful { emission: None, keeps_before: false };
        let (node, edge) = self.add(label, kind, move |wiring, node, out| {
            let (stand, (_, tells_before)) = (own.stand(wiring), wiring.updates(node));
            Versions::new(wiring.name(node), stand, Arc::clone(&of), tells_before, out)
        });
        self.graph.borrow_mut().node_mut(node).value_type = std::any::type_name::<V>();
        self.graph.borrow_mut().agree(Some(node), format!("history {history:?}"));
        VersionedTable { graph: Rc::clone(&self.graph), node, edge, slot, history, grace: None }
    }
}

impl<K: Key, V: Data> Stream<K, V> {
    /// Each record with the table's row of its key as it was at the record's own event time: the newest version that is not
    /// later, and not one that came in between the two topics by chance. A record without a row is dropped and counted as
    /// `join_miss`; so is one from before the table's history, unless its row has not changed since. One with a null value
    /// is dropped as `null_value`. A change of the table makes no result. The result has the record's time and headers.
    ///
    /// A change that comes after a record concerns it no more, although it may have been valid at its time. Where that
    /// matters, [`with_grace`](VersionedTable::with_grace) lets records wait:
    ///
    /// - A record goes as soon as the watermark has passed its time by the grace; it needs no other record to push it out.
    ///   The watermark is the lesser of both sides', so a table that is behind is waited for, other than by a join without
    ///   grace. A silent table is waited for until it is left out as idle: say how long that may take with
    ///   [`idle_after`](super::Source::idle_after) at its source. While both are silent, records wait.
    /// - If no change of the table is further out of order than the grace, every record meets the row that was truly valid
    ///   at its time, whatever the order in which the two sides came.
    /// - Results go in order of time, and before the watermark that releases them, which they hold back by the grace.
    /// - A record that lies further than the grace behind its own source partition is joined at once. It is not dropped, only
    ///   counted in `late_records_total`.
    /// - Records that wait are in a store with a changelog.
    ///
    /// Where the stream's key may have changed since its records were placed by it, they are shuffled first. The topics of
    /// both sides must have equally many partitions, and their keys must be written by one codec.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// # const PRICES: Topic<String, i64> = Topic::new("prices");
    /// # const COSTS: Topic<String, i64> = Topic::new("costs");
    /// let b = Builder::new("costs");
    /// let prices = b.source(PRICES).versioned_table(Duration::from_secs(3600));
    /// let prices = prices.with_grace(Duration::from_secs(10));
    /// b.source(ORDERS).stream().join_as_of(&prices, |_, count, price| count * price).to(COSTS);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// let tea = "tea".to_owned();
    /// driver.send(&PRICES, &tea, &3, 1_000)?;
    /// driver.send(&ORDERS, &tea, &10, 5_000)?;
    /// driver.settle()?;
    /// // Comes late, and was valid when the order was made.
    /// driver.send(&PRICES, &tea, &4, 4_000)?;
    /// driver.send(&PRICES, &tea, &5, 16_000)?;
    /// driver.send(&ORDERS, &tea, &1, 16_000)?;
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&COSTS)?, [(tea, 40)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn join_as_of<T: Data, O: Item>(
        &self,
        table: &VersionedTable<K, T>,
        f: impl Fn(&K, V, &T) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        self.join_versions("join-as-of", table, move |key, value, row| row.map(|row| f(key, value, row)))
    }

    /// As [`join_as_of`](Self::join_as_of), and a record without a row is joined with `None`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{Builder, Topic};
    /// # const ORDERS: Topic<String, i64> = Topic::new("orders");
    /// # const PRICES: Topic<String, i64> = Topic::new("prices");
    /// # const COSTS: Topic<String, Option<i64>> = Topic::new("costs");
    /// let b = Builder::new("costs");
    /// let prices = b.source(PRICES).versioned_table(Duration::from_secs(3600));
    /// let orders = b.source(ORDERS).stream();
    /// orders.left_join_as_of(&prices, |_, count, price| price.map(|price| count * price)).to(COSTS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn left_join_as_of<T: Data, O: Item>(
        &self,
        table: &VersionedTable<K, T>,
        f: impl Fn(&K, V, Option<&T>) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        self.join_versions("left-join-as-of", table, move |key, value, row| Some(f(key, value, row)))
    }

    #[track_caller]
    fn join_versions<T: Data, O: Item>(
        &self,
        label: &'static str,
        table: &VersionedTable<K, T>,
        f: impl Fn(&K, V, Option<&T>) -> Option<O> + Send + Sync + 'static,
    ) -> Stream<K, O> {
        let edge: Edge<K, O> = Edge::new();
        if super::join::of_two_builders(&self.graph, &table.graph) {
            return Stream::new(Rc::clone(&self.graph), self.node, edge, false);
        }
        let stream = self.placed("by-join");
        stream.graph.borrow_mut().looks_up(stream.node, table.node);
        let id = stream.graph.borrow().next();
        let (f, slot, parents) = (Arc::new(f), table.slot.clone(), vec![stream.node, table.node]);
        let (above, versions, below) = (stream.edge.clone(), table.edge.clone(), edge.clone());
        let node = match table.grace {
            None => stream.node::<K, O>(
                label,
                NodeKind::Stateless,
                parents,
                Box::new(move |wiring| {
                    wiring.join(&above, JoinAsOf::new(slot.share(wiring), Arc::clone(&f), below.take()));
                }),
            ),
            Some(grace) => stream.node::<K, O>(
                label,
                NodeKind::Stateful { emission: None, keeps_before: false },
                parents,
                Box::new(move |wiring| {
                    let (name, waiting) = (wiring.name(id), store(wiring, id, false));
                    let by = (Arc::clone(&f), grace);
                    let wait = Wait::new(name, waiting, slot.share(wiring), by, below.take());
                    let (records, changes) = wait.ends();
                    wiring.join(&above, records);
                    wiring.join(&versions, changes);
                }),
            ),
        };
        if let Some(grace) = table.grace {
            stream.graph.borrow_mut().agree(Some(node), format!("grace {grace:?}"));
        }
        Stream::new(stream.graph, node, edge, false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Driver, text};
    use super::*;
    use crate::{Builder, Topic};

    const TABLE: Topic<String, String> = Topic::new("table");
    const STREAM: Topic<String, String> = Topic::new("stream");
    const OUT: Topic<String, String> = Topic::new("out");
    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_grace_longer_than_the_history_is_a_mistake_with_both_lines() {
        let b = Builder::new("test");
        let table = b.source(TABLE).versioned_table(MINUTE);
        let at = line!() + 1;
        let waits = table.with_grace(2 * MINUTE);
        b.source(STREAM).stream().join_as_of(&waits, |_, _, row| row.clone()).to(OUT);
        let Err(mistakes) = b.build() else { panic!("it is a mistake") };
        let mistakes: Vec<_> = mistakes.iter().collect();
        assert_eq!(mistakes.len(), 1);
        let lines = [mistakes[0].at, mistakes[0].and].map(|at| at.unwrap().line());
        assert_eq!(lines, [at, at - 2]);
        assert!(mistakes[0].message.contains("grace of 120s is longer than the table's history of 60s"));
    }

    #[test]
    fn tables_of_another_builder_are_a_mistake_of_both() {
        let (b, other) = (Builder::new("one"), Builder::new("other"));
        let table = other.source(TABLE).versioned_table(MINUTE);
        b.source(STREAM).stream().join_as_of(&table, |_, _, row| row.clone()).to(OUT);
        assert!(b.build().is_err() && other.build().is_err());
    }

    #[test]
    fn history_and_grace_are_agreed_on_by_the_members_of_a_group() {
        let of = |history, grace| {
            let b = Builder::new("test");
            let table = b.source(TABLE).versioned_table(history).with_grace(grace);
            b.source(STREAM).stream().join_as_of(&table, |_, _, row| row.clone()).named("joined").to(OUT);
            b.build().unwrap().plan().fingerprint
        };
        assert_ne!(of(MINUTE, MINUTE), of(2 * MINUTE, MINUTE));
        assert_ne!(of(2 * MINUTE, MINUTE), of(2 * MINUTE, 2 * MINUTE));
    }

    #[test]
    fn the_latest_versions_are_a_table_like_any_other() {
        let b = Builder::new("test");
        let table = b.source(TABLE).versioned_table(MINUTE).named("versions");
        let long = table.latest().filter(|_, value| value.len() > 1);
        long.to(OUT);
        let joined = |_: &String, record: String, row: &String| format!("{record}{row}");
        b.source(STREAM).stream().join(&long, joined).to(Topic::<String, String>::new("joined"));
        let mut driver = Driver::new(&b.build().unwrap());
        for (value, time) in [("aa", 10), ("b", 5), ("cc", 7), ("d", 20)] {
            driver.send("table", text("k", value, time));
            driver.send("stream", text("k", "1", time));
            driver.run();
        }
        // A change that is not the newest is not handed on; the last one does not pass the filter any more.
        assert_eq!(driver.texts("out"), ["k=aa@10", "k=-@20"]);
        assert_eq!(driver.texts("joined"), ["k=1aa@10", "k=1aa@5", "k=1aa@7"]);
        assert_eq!(driver.stores(0), [("versions".to_owned(), "app-versions-changelog".to_owned())]);
    }

    #[test]
    fn several_joins_look_up_one_table_with_and_without_grace() {
        let b = Builder::new("test");
        let table = b.source(TABLE).versioned_table(MINUTE);
        let stream = b.source(STREAM).stream();
        let joined = |_: &String, record: String, row: &String| format!("{record}{row}");
        stream.join_as_of(&table, joined).to(OUT);
        let waited = stream.join_as_of(&table.with_grace(Duration::from_millis(10)), joined).named("waited");
        waited.to(Topic::<String, String>::new("waited"));
        let mut driver = Driver::new(&b.build().unwrap());
        for (topic, value, time) in
            [("table", "a", 1), ("stream", "1", 5), ("table", "b", 12), ("table", "c", 4), ("stream", "2", 12)]
        {
            driver.send(topic, text("k", value, time));
            driver.run();
        }
        assert_eq!(driver.texts("out"), ["k=1a@5", "k=2b@12"]);
        assert!(driver.texts("waited").is_empty());
        driver.send("table", text("k", "d", 16));
        driver.send("stream", text("k", "3", 16));
        assert_eq!(driver.run().texts("waited"), ["k=1c@5"]);
    }
}
