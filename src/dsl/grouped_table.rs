//! A table's rows in groups, on the way to another table.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::route::Repartition;
use super::stateful::StoreSlot;
use super::stream::Stream;
use super::table::Table;
use crate::codec::{Data, Key};
use crate::operators::aggregate::{Count, FromInitial, Reduce};
use crate::operators::delta::Delta;
use crate::operators::lookup::Lookup;
use crate::operators::regroup::Regroup;
use crate::operators::table_fold::{TableFold, TakingBack, Unfold};
use crate::operators::{Edge, Reject};
use crate::topology::graph::{NodeKind, Wire};

impl<K: Key, V: Data> Table<K, V> {
    /// Groups rows by a key made of each. What is made of a group follows its rows: a row that changes, moves to another
    /// group or is deleted is taken back as it was. `key` is called for that again, and must give the same for the same row.
    ///
    /// Groups are always shuffled through a repartition topic. While a row moves from one group to another there may be a
    /// moment in which it is in none: its two halves are updated by different tasks.
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const CITY_OF: Topic<String, Option<String>> = Topic::new("city-of");
    /// # const PEOPLE: Topic<String, u64> = Topic::new("people");
    /// let b = Builder::new("people");
    /// b.table(Topic::<String, String>::new("city-of")).group_by(|_, city| city.clone()).count().to(PEOPLE);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for (person, city) in [("Ada", "London"), ("Carl", "London"), ("Ada", "Turin")] {
    ///     driver.send(&CITY_OF, &person.to_owned(), &Some(city.to_owned()), 0)?;
    ///     driver.settle()?;
    /// }
    /// let people: Vec<_> = driver.take_values(&PEOPLE)?.into_iter().map(|(city, n)| format!("{city} {n}")).collect();
    /// assert_eq!(people, ["London 1", "London 2", "London 1", "Turin 1"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn group_by<K2: Key>(&self, key: impl Fn(&K, &V) -> K2 + Send + Sync + 'static) -> GroupedTable<K2, V> {
        self.regroup(move |of, value: V| (key(of, &value), value))
    }

    /// As [`group_by`](Self::group_by), with another value: only what the groups need has to travel. A row that gets a null
    /// (`Option` as the value's type) is in no group.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const WORTH: Topic<String, i64> = Topic::new("worth");
    /// # use millstream::codec::Json;
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Item { shelf: String, price: i64, count: i64 }
    /// # impl millstream::Data for Item { type Codec = Json; }
    /// # const ITEMS: Topic<String, Item> = Topic::new("items");
    /// let b = Builder::new("worth");
    /// b.table(ITEMS)
    ///     .group_by_with(|_, item| (item.shelf.clone(), item.price * item.count))
    ///     .reduce(|worth, more| *worth += more, |worth, less| *worth -= less)
    ///     .to(WORTH);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn group_by_with<K2: Key, V2: Data>(
        &self,
        place: impl Fn(&K, &V) -> (K2, V2) + Send + Sync + 'static,
    ) -> GroupedTable<K2, V2> {
        self.regroup(move |of, value: V| place(of, &value))
    }

    #[track_caller]
    fn regroup<K2: Key, V2: Data>(
        &self,
        f: impl Fn(&K, V) -> (K2, V2) + Send + Sync + 'static,
    ) -> GroupedTable<K2, V2> {
        self.graph.borrow_mut().want_before(self.node);
        let (f, above, edge) = (Arc::new(f), self.edge.clone(), Edge::new());
        let below = edge.clone();
        let wire: Wire = Box::new(move |wiring| wiring.join(&above, Regroup::new(Arc::clone(&f), below.take())));
        let node = Stream::new(Rc::clone(&self.graph), self.node, self.edge.clone(), false).node::<K2, V2>(
            "group-by",
            NodeKind::Stateless,
            vec![self.node],
            wire,
        );
        let deltas = Stream::new(Rc::clone(&self.graph), node, edge, true);
        GroupedTable { deltas, name: None, partitions: None, shuffled: Rc::default() }
    }
}

/// The groups behind the shuffle, once a table has asked for them.
type Shuffled<K, V> = Rc<RefCell<Option<Stream<K, Delta<V>>>>>;

/// A table's rows in groups. Every table made of it reads the same repartition topic.
#[must_use = "groups are nothing by themselves: call .reduce(), .count() or .aggregate()"]
pub struct GroupedTable<K: Key, V: Data> {
    deltas: Stream<K, Delta<V>>,
    name: Option<String>,
    partitions: Option<u32>,
    shuffled: Shuffled<K, V>,
}

impl<K: Key, V: Data> Clone for GroupedTable<K, V> {
    fn clone(&self) -> Self {
        let Self { deltas, name, partitions, shuffled } = self;
        Self { deltas: deltas.clone(), name: name.clone(), partitions: *partitions, shuffled: Rc::clone(shuffled) }
    }
}

impl<K: Key, V: Data> GroupedTable<K, V> {
    /// Names the repartition topic, and so what lies below it.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The repartition topic's partition count. Default: what its sources have.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// One value a group: that of the first row as it is, each other by `add(so_far, value)`; a row that changes, leaves or
    /// is deleted is taken back first, by `take_back(so_far, value_before)`. Rows come in any order. With `Option` as the
    /// value's type, `None` deletes the group's row, and the next that comes begins anew.
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const BALANCE: Topic<String, i64> = Topic::new("balance");
    /// # const TOTAL: Topic<String, i64> = Topic::new("total");
    /// let b = Builder::new("total");
    /// b.table(BALANCE)
    ///     .group_by(|account, _| account[..2].to_owned())
    ///     .reduce(|total, balance| *total += balance, |total, balance| *total -= balance)
    ///     .to(TOTAL);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for (account, balance) in [("DE-1", 10), ("DE-2", 5), ("DE-1", 7)] {
    ///     driver.send(&BALANCE, &account.to_owned(), &balance, 0)?;
    /// }
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&TOTAL)?, [("DE".to_owned(), 12)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn reduce(
        &self,
        add: impl Fn(&mut V, V) + Send + Sync + 'static,
        take_back: impl Fn(&mut V, V) + Send + Sync + 'static,
    ) -> Table<K, V> {
        self.try_reduce(
            move |so_far, value| {
                add(so_far, value);
                Ok(())
            },
            move |so_far, value| {
                take_back(so_far, value);
                Ok(())
            },
        )
    }

    /// As [`reduce`](Self::reduce); a row that a function refuses goes by its source's policy, and leaves no trace in the
    /// value. With a policy other than to fail the group then lacks that row, or still has what should be taken back.
    #[track_caller]
    pub fn try_reduce(
        &self,
        add: impl Fn(&mut V, V) -> Result<(), Reject> + Send + Sync + 'static,
        take_back: impl Fn(&mut V, V) -> Result<(), Reject> + Send + Sync + 'static,
    ) -> Table<K, V> {
        let back = move |_: &K, so_far: &mut V, value: V| take_back(so_far, value);
        self.table("by-reduce", "reduce", TakingBack(Reduce(add), back))
    }

    /// How many rows each group has. A group that has lost its last row has the count 0, and keeps it.
    #[track_caller]
    pub fn count(&self) -> Table<K, u64> {
        self.table("by-count", "count", Count)
    }

    /// One value a group, of any type: `initial()` before the first row, then each by `add(key, so_far, value)`; a row that
    /// changes, leaves or is deleted is taken back first, by `take_back(key, so_far, value_before)`. Rows come in any order.
    /// With `Option` as the result's type, `None` deletes the group's row, and the next that comes begins anew.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const BALANCE: Topic<String, i64> = Topic::new("balance");
    /// # const OVERDRAWN: Topic<String, i64> = Topic::new("overdrawn");
    /// let b = Builder::new("overdrawn");
    /// b.table(BALANCE)
    ///     .group_by(|account, _| account[..2].to_owned())
    ///     .aggregate(
    ///         || 0,
    ///         |_, overdrawn, balance| *overdrawn += i64::from(balance < 0),
    ///         |_, overdrawn, balance| *overdrawn -= i64::from(balance < 0),
    ///     )
    ///     .to(OVERDRAWN);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn aggregate<A: Data>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, &mut A, V) + Send + Sync + 'static,
        take_back: impl Fn(&K, &mut A, V) + Send + Sync + 'static,
    ) -> Table<K, A> {
        self.try_aggregate(
            initial,
            move |key, so_far, value| {
                add(key, so_far, value);
                Ok(())
            },
            move |key, so_far, value| {
                take_back(key, so_far, value);
                Ok(())
            },
        )
    }

    /// As [`aggregate`](Self::aggregate); a row that a function refuses goes by its source's policy, as with
    /// [`try_reduce`](Self::try_reduce).
    #[track_caller]
    pub fn try_aggregate<A: Data>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, &mut A, V) -> Result<(), Reject> + Send + Sync + 'static,
        take_back: impl Fn(&K, &mut A, V) -> Result<(), Reject> + Send + Sync + 'static,
    ) -> Table<K, A> {
        self.table("by-aggregate", "aggregate", TakingBack(FromInitial(initial, add), take_back))
    }

    /// Adds an aggregation with its store, behind the shuffle, which all tables of this grouping share.
    #[track_caller]
    fn table<A: Data, F: Unfold<K, V, A>>(&self, shuffle: &'static str, label: &'static str, fold: F) -> Table<K, A> {
        let known = self.shuffled.borrow().clone();
        let shuffled = if let Some(shuffled) = known {
            shuffled
        } else {
            let (stream, partitions) = (self.deltas.clone(), self.partitions);
            Repartition { stream, partitions, name: self.name.clone(), ahead: false }.through(shuffle, true)
        };
        self.shuffled.replace(Some(shuffled.clone()));
        let slot = StoreSlot::of(shuffled.graph.borrow().next());
        let (view, fold) = (slot.view(), Arc::new(fold));
        let kind = NodeKind::Stateful { emission: None, keeps_before: false };
        let (node, edge) =
            shuffled.add(label, kind, move |wiring, _, out| TableFold::new(slot.table(wiring, out), Arc::clone(&fold)));
        shuffled.graph.borrow_mut().may_expire(node);
        shuffled.graph.borrow_mut().node_mut(node).value_type = std::any::type_name::<A>();
        shuffled.graph.borrow_mut().queried(node, Lookup::rows::<K, A>());
        Table { graph: shuffled.graph, node, edge, view: Some(view) }
    }
}
