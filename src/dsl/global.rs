//! Global tables, and the joins with them.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::builder::Builder;
use super::stream::{Item, Stream};
use super::topic::Topic;
use crate::codec::{Codec, Data, Key};
use crate::operators::global_join::GlobalJoin;
use crate::operators::global_table::{GlobalCell, TypedGlobal};
use crate::operators::source::BadInput;
use crate::topology::Mistake;
use crate::topology::graph::{Graph, Node, NodeId, NodeKind};
use crate::topology::topics::Shows;

/// A table of which every process holds all rows, so that a stream can look up any of them, by whatever key: without a
/// shuffle, and whatever partitions the two topics have. For tables that fit into memory several times over, such as
/// products, currencies, users' settings.
///
/// - **Rows** are the newest record of each key over all partitions of the topic, which should be compacted; a null
///   deletes the row. They are in memory only: every process reads the whole topic at every start, and processes nothing
///   before that. It costs the row's key and value and about 70 bytes (more where they hold strings and the like), once a
///   process, whatever the number of its threads and of the joins.
/// - **Time**: the table is not in time with the stream. A record sees the rows that have come when it is processed, and
///   not those of its own event time; a replay sees the newest. For a join in time use a table of the stream's own
///   partitions. A bounded run (`until_end`, `local`) sees the table as it was at its start.
/// - **What is committed** is seen, and nothing else: at the start what lies before the first open transaction.
/// - **Growth**: partitions that the topic gets later are found within half a minute. A key that then belongs to another
///   partition has a row in both, and which of them is seen after a restart is chance: write such a topic anew.
#[must_use = "a global table that nothing joins with does nothing"]
pub struct GlobalTable<K: Key, V: Data> {
    graph: Rc<RefCell<Graph>>,
    node: NodeId,
    cell: GlobalCell<K, V>,
}

impl<K: Key, V: Data> Clone for GlobalTable<K, V> {
    fn clone(&self) -> Self {
        Self { graph: Rc::clone(&self.graph), node: self.node, cell: self.cell.clone() }
    }
}

impl<K: Key, V: Data> GlobalTable<K, V> {
    /// Names the table, in pictures and errors. Its topic keeps its name.
    #[track_caller]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.graph.borrow_mut().give_name(self.node, name.into());
        self
    }

    /// What happens to a row that cannot be read, or has no key where its type needs one. [`BadInput::Fail`], the default,
    /// stops the application with its topic, partition and offset. [`BadInput::Skip`] counts it and leaves the row as it
    /// was; each process counts it at each start. Dead letters are refused when the topology is built: every process
    /// would send them again at every start.
    ///
    /// ```
    /// # use millstream::{BadInput, Builder, Topic};
    /// # const USERS: Topic<String, String> = Topic::new("users");
    /// let b = Builder::new("visits");
    /// let users = b.global_table(USERS).on_bad_input(BadInput::dead_letter("users.dead"));
    /// let mistakes = b.build().err().unwrap().to_string();
    /// assert!(mistakes.contains("a global table has no dead letters"), "{mistakes}");
    /// ```
    pub fn on_bad_input(self, bad: BadInput) -> Self {
        if let NodeKind::GlobalSource { policy, .. } = &mut self.graph.borrow_mut().node_mut(self.node).kind {
            *policy = bad;
        }
        self
    }
}

impl Builder {
    /// Holds all rows of a topic in every process, to be joined with by any key: see [`GlobalTable`]. The topic can not be
    /// a source of this topology as well. The topology may write to it; what it writes is seen some time after its commit.
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, NoKey, Topic};
    /// const USERS: Topic<u64, String> = Topic::new("users");
    /// const VISITS: Topic<NoKey, u64> = Topic::new("visits");
    /// const VISITORS: Topic<NoKey, String> = Topic::new("visitors");
    /// let b = Builder::new("visitors");
    /// let users = b.global_table(USERS);
    /// b.source(VISITS).stream().join_global(&users, |_, user| Some(*user), |_, _, name| name.clone()).to(VISITORS);
    /// let mut driver = Driver::builder(b.build()?).partitions(3).start()?;
    /// driver.send(&USERS, &7, &"Ada".to_owned(), 0)?;
    /// driver.settle()?;
    /// driver.send(&VISITS, &NoKey, &7, 0)?;
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&VISITORS)?, [(NoKey, "Ada".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "given as a source's is")]
    pub fn global_table<K: Key, V: Data, KC, VC>(&self, topic: Topic<K, V, KC, VC>) -> GlobalTable<K, V>
    where
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
    {
        let cell: GlobalCell<K, V> = GlobalCell::default();
        let mut graph = self.graph.borrow_mut();
        graph.shown(topic.name(), Shows::of::<K, V, KC, VC>());
        let node = graph.add(Node {
            kind: NodeKind::GlobalSource { topic: topic.name().to_owned(), policy: BadInput::Fail },
            label: "global-table",
            named: None,
            key_type: std::any::type_name::<K>(),
            value_type: std::any::type_name::<V>(),
            location: Location::caller(),
            parents: Vec::new(),
            // Its partitions do not matter, and no task runs it.
            placed_by: None,
            wire: Box::new(|_| ()),
        });
        let (filled, of) = (cell.clone(), PhantomData::<fn() -> (KC, VC)>);
        let open = move || {
            let PhantomData::<fn() -> (KC, VC)> = of;
            Box::new(TypedGlobal::new(KC::default(), VC::default(), filled.open())) as Box<_>
        };
        graph.add_global(node, Box::new(open));
        drop(graph);
        GlobalTable { graph: Rc::clone(&self.graph), node, cell }
    }
}

impl<K: Item, V: Item> Stream<K, V> {
    /// Joins each record with the row of the global table that has the key which `key` finds in it; the result has the
    /// stream's key, its time and its headers. Nothing is shuffled. A record for which there is no row is dropped and
    /// counted, as `join_miss`; one for which `key` gives `None` as `null_key`. Later changes of the table send nothing.
    /// A null value goes by the source's policy, or is handed to the functions where the value's type is an `Option`.
    ///
    /// ```
    /// # use millstream::{BadInput, Builder, Data, Json, Topic};
    /// #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// struct Sale { product: String, quantity: u64 }
    /// impl Data for Sale { type Codec = Json; }
    /// # const PRICES: Topic<String, u64> = Topic::new("prices");
    /// # const SALES: Topic<String, Sale> = Topic::new("sales");
    /// # const TURNOVER: Topic<String, u64> = Topic::new("turnover");
    /// let b = Builder::new("turnover");
    /// let prices = b.global_table(PRICES).on_bad_input(BadInput::Skip);
    /// b.source(SALES)
    ///     .stream()
    ///     .join_global(&prices, |_, sale| Some(sale.product.clone()), |_, sale, price| sale.quantity * price)
    ///     .to(TURNOVER);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn join_global<GK: Key, GV: Data, O: Item>(
        &self,
        table: &GlobalTable<GK, GV>,
        key: impl Fn(&K, &V) -> Option<GK> + Send + Sync + 'static,
        f: impl Fn(&K, V, &GV) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        let f = move |key: &K, value: V, row: Option<&GV>| row.map(|row| f(key, value, row));
        self.look_up("join-global", table, key, f)
    }

    /// As [`join_global`](Self::join_global), but a record for which there is no row, or for which `key` gives `None`, is
    /// handed to `f` without one.
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const NAMES: Topic<String, String> = Topic::new("names");
    /// # const CALLS: Topic<String, u64> = Topic::new("calls");
    /// # const NAMED: Topic<String, String> = Topic::new("named");
    /// let b = Builder::new("named-calls");
    /// let names = b.global_table(NAMES);
    /// let name = |number: &String, _: u64, name: Option<&String>| name.unwrap_or(number).clone();
    /// b.source(CALLS).stream().left_join_global(&names, |number, _| Some(number.clone()), name).to(NAMED);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// driver.send(&CALLS, &"0049".to_owned(), &3, 0)?;
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&NAMED)?[0].1, "0049");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn left_join_global<GK: Key, GV: Data, O: Item>(
        &self,
        table: &GlobalTable<GK, GV>,
        key: impl Fn(&K, &V) -> Option<GK> + Send + Sync + 'static,
        f: impl Fn(&K, V, Option<&GV>) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        self.look_up("left-join-global", table, key, move |key: &K, value: V, row: Option<&GV>| {
            Some(f(key, value, row))
        })
    }

    #[track_caller]
    fn look_up<GK: Key, GV: Data, O: Item>(
        &self,
        label: &'static str,
        table: &GlobalTable<GK, GV>,
        key: impl Fn(&K, &V) -> Option<GK> + Send + Sync + 'static,
        f: impl Fn(&K, V, Option<&GV>) -> Option<O> + Send + Sync + 'static,
    ) -> Stream<K, O> {
        let mut kind = NodeKind::GlobalJoin { table: table.node };
        if !Rc::ptr_eq(&self.graph, &table.graph) {
            let message = "a stream and a global table of two builders cannot be joined: declare both with one";
            let mistake = Mistake::at(Location::caller(), message);
            self.graph.borrow_mut().mistakes.push(mistake.clone());
            table.graph.borrow_mut().mistakes.push(mistake);
            // Its node is another graph's.
            kind = NodeKind::Stateless;
        }
        let (key, f, cell) = (Arc::new(key), Arc::new(f), table.cell.clone());
        let (node, edge) = self.add(label, kind, move |_, _, out| {
            let f = Arc::clone(&f);
            let f = move |key: &K, value: V, row: Option<&GV>| f(key, value, row);
            GlobalJoin::new(Arc::clone(&key), f, cell.view(), out)
        });
        Stream::new(Rc::clone(&self.graph), node, edge, self.rekeyed)
    }
}
