//! Tables with fewer updates, and streams with fewer records.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::stateful::store;
use super::stream::{Item, Stream};
use super::table::Table;
use super::windowed::WindowedTable;
use crate::codec::{Data, Key};
use crate::operators::Out;
use crate::operators::dedup::Dedup;
use crate::operators::suppress::Suppress;
use crate::operators::timed::Timed;
use crate::time::Timestamp;
use crate::topology::graph::NodeKind;
use crate::window::Windowed;

/// Nothing is held back beyond its time: whether updates go out with the commit does not matter here.
const KIND: NodeKind = NodeKind::Stateful { emission: None, keeps_before: false };

impl<K: Key, V: Data> Table<K, V> {
    /// Lets an update of a key wait for `limit` in event time; meanwhile newer updates take its place. It goes out as soon
    /// as the watermark is `limit` after the time of the first that waited. Deletions wait and go out as well.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const CLICKS: Topic<String, String> = Topic::new("clicks");
    /// # const COUNTS: Topic<String, u64> = Topic::new("counts");
    /// let b = Builder::new("calm");
    /// b.source(CLICKS).stream().group_by_key().count().suppress_for(Duration::from_millis(10)).to(COUNTS);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for time in [0, 3, 10, 19] {
    ///     driver.send(&CLICKS, &"a".to_owned(), &String::new(), time)?;
    ///     driver.settle()?;
    /// }
    /// assert_eq!(driver.take_values(&COUNTS)?, [("a".to_owned(), 3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn suppress_for(&self, limit: Duration) -> Table<K, V> {
        self.suppress("suppress-for", true, limit, move |_, time| time.plus(limit))
    }

    #[track_caller]
    fn suppress(
        &self,
        label: &'static str,
        deletions: bool,
        hold: Duration,
        due: impl Fn(&K, Timestamp) -> Timestamp + Clone + Send + Sync + 'static,
    ) -> Table<K, V> {
        let above = Stream::new(Rc::clone(&self.graph), self.node, self.edge.clone(), false);
        let (node, edge) = above.add(label, KIND, move |wiring, node, out: Out<K, _>| {
            let (store, changelog) = store(wiring, node, false);
            Suppress::new(Timed::new(store, changelog), due.clone(), deletions, hold, out)
        });
        self.graph.borrow_mut().node_mut(node).value_type = std::any::type_name::<V>();
        self.graph.borrow_mut().agree(Some(node), format!("hold {hold:?}"));
        Table { graph: Rc::clone(&self.graph), node, edge, view: None }
    }
}

impl<I: Key, A: Data, K, V> WindowedTable<Windowed<I>, A, K, V> {
    /// The last result of each window only, once it has closed. Windows that only ever need that are cheaper with
    /// [`on_close`](super::WindowedBy::on_close); this is for tables whose updates are wanted as well. A session that
    /// became part of another is not told.
    #[track_caller]
    pub fn until_close(&self) -> Table<Windowed<I>, A> {
        let closing = self.closing;
        let due = move |key: &Windowed<I>, _| closing.at(key.window.end);
        self.table.suppress("until-close", false, self.hold, due)
    }
}

impl<K: Item, V: Item> Stream<K, V> {
    /// Lets each record pass once where it may come again: a record is a duplicate if one for which `identity` gives the
    /// same has passed, and their event times are at most `within` apart. Duplicates are counted as `duplicate`. A record
    /// that is more than `within` behind its own source partition is dropped and counted as `late`: what it might be a
    /// duplicate of has been forgotten.
    ///
    /// Duplicates are found within a partition: records that may be equal must have equal keys.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const ORDERS: Topic<String, String> = Topic::new("orders");
    /// # const ONCE: Topic<String, String> = Topic::new("once");
    /// let b = Builder::new("once");
    /// b.source(ORDERS).stream().dedup(Duration::from_secs(60), |_, order| order.clone()).to(ONCE);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for (order, time) in [("7", 0), ("8", 10), ("7", 20), ("7", 60_021)] {
    ///     driver.send(&ORDERS, &"a".to_owned(), &order.to_owned(), time)?;
    /// }
    /// driver.settle()?;
    /// let orders: Vec<String> = driver.take_values(&ONCE)?.into_iter().map(|(_, order)| order).collect();
    /// assert_eq!(orders, ["7", "8", "7"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn dedup<I: Key>(&self, within: Duration, identity: impl Fn(&K, &V) -> I + Send + Sync + 'static) -> Self {
        let identity = Arc::new(identity);
        let (node, edge) = self.add("dedup", KIND, move |wiring, node, out: Out<K, V>| {
            let (store, changelog) = store(wiring, node, false);
            Dedup::new(wiring.name(node), Arc::clone(&identity), within, Timed::new(store, changelog), out)
        });
        self.graph.borrow_mut().agree(Some(node), format!("within {within:?}"));
        Stream::new(Rc::clone(&self.graph), node, edge, self.rekeyed)
    }
}
