//! Joins of a stream with a table.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::stream::{Item, Stream};
use super::table::Table;
use crate::codec::{Data, Key};
use crate::operators::Edge;
use crate::operators::table_join::TableJoin;
use crate::topology::Mistake;
use crate::topology::graph::{Graph, NodeKind};

impl<K: Key, V: Data> Stream<K, V> {
    /// Each record with the table's row of its key. A record without a row is dropped and counted as `join_miss`, one with
    /// a null value as `null_value`. A change of the table makes no result. The result has the record's time and headers.
    ///
    /// A record meets the row as it stands when the record's turn comes: of a task's inputs the earliest record goes first,
    /// and of equal times the table's. So where each partition is in order of time, the row is that of the newest change
    /// which is not later than the record; `join_as_of` gives that in any order. While a
    /// table is behind, its stream waits for it, through repartition topics as well; but a change that comes when the stream
    /// has gone by already changes nothing any more.
    ///
    /// Where the stream's key may have changed since its records were placed by it, they are shuffled first. The topics
    /// of both sides must have equally many partitions, and their keys must be written by one codec.
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const VISITS: Topic<String, String> = Topic::new("visits");
    /// # const USERS: Topic<String, String> = Topic::new("users");
    /// # const NAMED: Topic<String, String> = Topic::new("named");
    /// let b = Builder::new("named");
    /// let users = b.table(USERS);
    /// b.source(VISITS).stream().join(&users, |_, page, name| format!("{name} looked at {page}")).to(NAMED);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// driver.send(&USERS, &"u1".to_owned(), &"Ada".to_owned(), 1)?;
    /// driver.send(&VISITS, &"u1".to_owned(), &"/index".to_owned(), 2)?;
    /// driver.send(&VISITS, &"u2".to_owned(), &"/index".to_owned(), 3)?;
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&NAMED)?, [("u1".to_owned(), "Ada looked at /index".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn join<T: Data, O: Item>(
        &self,
        table: &Table<K, T>,
        f: impl Fn(&K, V, &T) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        self.join_table("join", table, move |key, value, row| row.map(|row| f(key, value, row)))
    }

    /// As [`join`](Self::join), and a record without a row is joined with `None`.
    #[track_caller]
    pub fn left_join<T: Data, O: Item>(
        &self,
        table: &Table<K, T>,
        f: impl Fn(&K, V, Option<&T>) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        self.join_table("left-join", table, move |key, value, row| Some(f(key, value, row)))
    }

    #[track_caller]
    fn join_table<T: Data, O: Item>(
        &self,
        label: &'static str,
        table: &Table<K, T>,
        f: impl Fn(&K, V, Option<&T>) -> Option<O> + Send + Sync + 'static,
    ) -> Stream<K, O> {
        let edge: Edge<K, O> = Edge::new();
        if of_two_builders(&self.graph, &table.graph) {
            return Stream::new(Rc::clone(&self.graph), self.node, edge, false);
        }
        let (f, (table, view)) = (Arc::new(f), table.with_view());
        let stream = self.placed("by-join");
        stream.graph.borrow_mut().looks_up(stream.node, table.node);
        let (above, below) = (stream.edge.clone(), edge.clone());
        let node = stream.node::<K, O>(
            label,
            NodeKind::Stateless,
            vec![stream.node, table.node],
            Box::new(move |wiring| {
                let port = TableJoin::new(view(wiring), Arc::clone(&f), below.take());
                wiring.join(&above, port);
            }),
        );
        Stream::new(stream.graph, node, edge, false)
    }
}

/// Where a stream and a table are of two builders, that is a mistake of both.
#[track_caller]
pub(super) fn of_two_builders(stream: &Rc<RefCell<Graph>>, table: &Rc<RefCell<Graph>>) -> bool {
    let two = !Rc::ptr_eq(stream, table);
    if two {
        let at = std::panic::Location::caller();
        let mistake = Mistake::at(at, "a stream and a table of two builders cannot be joined: declare both with one");
        stream.borrow_mut().mistakes.push(mistake.clone());
        table.borrow_mut().mistakes.push(mistake);
    }
    two
}
