//! Records grouped by key and window, on the way to a table.

use std::fmt::Debug;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rust_decimal::Decimal;

use super::grouped::Grouped;
use super::stream::Stream;
use super::table::Table;
use super::windowing::{Apart, Making, Windowing};
use crate::codec::{Data, Key};
use crate::operators::aggregate::{Count, Fold, FromInitial, Reduce};
use crate::operators::average::{Average, AverageOf};
use crate::operators::top::{Top, TopOf};
use crate::operators::window::{Emit, Late, Merge, Port, Shell};
use crate::operators::{Edge, Out, Reject};
use crate::topology::graph::NodeKind;
use crate::topology::{Mistake, Wiring};
use crate::window::{Closing, SessionWindows};

impl<K: Key, V: Data> Grouped<K, V> {
    /// Groups records by windows of their event time as well.
    ///
    /// A record is late for a window if the watermark of its own source partition had come to the window's end and the
    /// grace before it was read; it is then left out of that window, counted as `late`, and offered by
    /// [`late`](WindowedTable::late). A window closes, and its row is deleted, when the watermark of all partitions has
    /// come that far. A null value is dropped and counted as `null_value`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream::testing::Driver;
    /// use millstream::window::{TumblingWindows, Windowed, WindowedText};
    /// use millstream::{Builder, Topic};
    /// const SOLD: Topic<String, u64> = Topic::new("sold");
    /// const FINAL: Topic<Windowed<String>, u64> = Topic::new("final");
    /// let b = Builder::new("sales");
    /// b.source(SOLD)
    ///     .stream()
    ///     .group_by_key()
    ///     .windowed(TumblingWindows::of(Duration::from_secs(10)).grace(Duration::from_secs(5)))
    ///     .on_close()
    ///     .reduce(|sold, more| *sold += more)
    ///     .to(FINAL);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for (sold, time) in [(1, 1_000), (2, 12_000), (4, 9_999), (8, 15_000), (16, 3_000)] {
    ///     driver.send(&SOLD, &"a".to_owned(), &sold, time)?;
    /// }
    /// driver.settle()?;
    /// let finals = driver.take_values(&FINAL)?;
    /// // The record at 9,999 came within the grace; the one at 3,000 after the window had closed at 15,000.
    /// assert_eq!(finals.iter().map(|(key, sold)| format!("{key} {sold}")).collect::<Vec<_>>(), ["[a@0/10000] 5"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn windowed<W: Windowing<K>>(&self, windows: W) -> WindowedBy<K, V, W> {
        let mut mistakes = windows.mistake().into_iter().collect::<Vec<_>>();
        if self.combines() {
            mistakes.push("combine() does not go with windows: a partial result has no time of its own".into());
        }
        for mistake in mistakes {
            self.graph().borrow_mut().mistakes.push(Mistake::at(Location::caller(), mistake));
        }
        WindowedBy { grouped: self.clone(), windows, on_close: false }
    }
}

/// What members of one group must agree on: the kind of windows with all that they are made with, and when results go out.
pub(super) fn term(windows: &impl Debug, on_close: bool) -> String {
    format!("{windows:?}{}", if on_close { " on close" } else { "" })
}

/// Records grouped by key and window.
#[must_use = "groups are nothing by themselves: call .reduce(), .count() or .aggregate()"]
pub struct WindowedBy<K: Key, V: Data, W> {
    pub(super) grouped: Grouped<K, V>,
    pub(super) windows: W,
    on_close: bool,
}

impl<K: Key, V: Data, W: Windowing<K>> WindowedBy<K, V, W> {
    /// Each window's result goes out once, when the window closes: no updates before it, nothing after it. By default the
    /// newest result of each changed window goes out before each commit.
    pub fn on_close(mut self) -> Self {
        self.on_close = true;
        self
    }

    /// One value a key and window: the first as it is, each other by `f(so_far, value)`. Sessions that become one are put
    /// together by `f` as well.
    #[track_caller]
    pub fn reduce(&self, f: impl Fn(&mut V, V) + Send + Sync + 'static) -> WindowedTable<W::Out, V, K, V> {
        self.try_reduce(move |so_far, value| {
            f(so_far, value);
            Ok(())
        })
    }

    /// As [`reduce`](Self::reduce); a record that `f` refuses goes by its source's policy.
    #[track_caller]
    pub fn try_reduce(
        &self,
        f: impl Fn(&mut V, V) -> Result<(), Reject> + Send + Sync + 'static,
    ) -> WindowedTable<W::Out, V, K, V> {
        let f = Arc::new(f);
        let merge = Arc::clone(&f);
        let fold = Reduce(move |so_far: &mut V, value| f(so_far, value));
        self.table("windowed-reduce", "by-reduce", Arc::new(fold), Arc::new(move |_, one, other| merge(one, other)))
    }

    /// How many records each key has in each window.
    #[track_caller]
    pub fn count(&self) -> WindowedTable<W::Out, u64, K, V> {
        let merge: Merge<K, u64> = Arc::new(|_, count, more| {
            *count += more;
            Ok(())
        });
        self.table("windowed-count", "by-count", Arc::new(Count), merge)
    }

    /// The `most` values with the largest scores of each key and window, the largest first. Of equal scores the first to
    /// come stays first, so a score that tells values apart gives the same result whatever the order.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::window::{GivenWindows, TumblingWindows, Windowed};
    /// # use millstream::{Builder, Data, Json, Topic, operators::top::Top};
    /// # use serde::{Deserialize, Serialize};
    /// # const SALES: Topic<String, u64> = Topic::new("sales");
    /// # const BEST: Topic<Windowed<String>, Top<Sold>> = Topic::new("best");
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Sold { product: String, quantity: u64 }
    /// impl Data for Sold { type Codec = Json; }
    ///
    /// let minutes = Duration::from_secs(600);
    /// let b = Builder::new("best");
    /// let sold = b
    ///     .source(SALES)
    ///     .stream()
    ///     .group_by_key()
    ///     .windowed(TumblingWindows::of(minutes).grace(minutes))
    ///     .on_close()
    ///     .reduce(|sold, more| *sold += more);
    /// // All products of a window together, as soon as it has closed.
    /// sold.to_stream()
    ///     .map(|sold, quantity| {
    ///         let value = Sold { product: sold.key, quantity: quantity.unwrap_or(0) };
    ///         (Windowed::new("all".to_owned(), sold.window), value)
    ///     })
    ///     .group_by_key()
    ///     .windowed(GivenWindows::closed(minutes))
    ///     .on_close()
    ///     .top(10, |sold| (sold.quantity, sold.product.clone()))
    ///     .to(BEST);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn top<S: Ord>(
        &self,
        most: usize,
        score: impl Fn(&V) -> S + Clone + Send + Sync + 'static,
    ) -> WindowedTable<W::Out, Top<V>, K, V> {
        let by = score.clone();
        let merge: Merge<K, Top<V>> = Arc::new(move |_, one, other| {
            one.merge(other, most, &by);
            Ok(())
        });
        let top = self.table("windowed-top", "by-top", Arc::new(TopOf::new(most, score)), merge);
        top.table.graph.borrow_mut().agree(Some(top.table.node), format!("the {most} largest"));
        top
    }

    /// The average of what `number` finds in the records of each key and window, in exact decimals. A sum too large for a
    /// decimal goes by the source's policy, as `overflow`.
    #[track_caller]
    pub fn average(
        &self,
        number: impl Fn(&V) -> Decimal + Send + Sync + 'static,
    ) -> WindowedTable<W::Out, Average, K, V> {
        let merge: Merge<K, Average> = Arc::new(|_, one, other| one.merge(other));
        self.table("windowed-average", "by-average", Arc::new(AverageOf(number)), merge)
    }

    #[track_caller]
    pub(super) fn table<A: Data, F: Fold<K, V, A>>(
        &self,
        label: &'static str,
        shuffle: &'static str,
        fold: Arc<F>,
        merge: Merge<K, A>,
    ) -> WindowedTable<W::Out, A, K, V> {
        let stream = self.grouped.placed(shuffle);
        let (windows, on_close, late) = (self.windows.clone(), self.on_close, Edge::new());
        let term = term(&windows, on_close);
        let (missed, closing, hold) = (late.clone(), windows.closing(), windows.hold(Emit::OnClose));
        let kind = NodeKind::Stateful { emission: None, keeps_before: false };
        let (node, edge) = stream.add(label, kind, move |wiring, node, out: Out<W::Out, _>| {
            let (emission, keeps_before) = wiring.updates(node);
            let emit = if on_close { Emit::OnClose } else { emission.into() };
            let (name, hold) = (wiring.name(node), windows.hold(emit));
            let made = windows.make(Making { wiring, node, emit, keeps_before }, Arc::clone(&merge));
            let shell = Shell::new(name, made, 1, emit, hold, out);
            Port::new(0, Arc::new(Mutex::new(shell)), Arc::clone(&fold), missed.take())
        });
        stream.graph.borrow_mut().node_mut(node).value_type = std::any::type_name::<A>();
        stream.graph.borrow_mut().agree(Some(node), term);
        stream.graph.borrow_mut().queried(node, self.windows.lookup::<A>());
        WindowedTable { table: Table { graph: stream.graph, node, edge, view: None }, late, closing, hold }
    }
}

impl<K: Key, V: Data, W: Windowing<K> + Apart> WindowedBy<K, V, W> {
    /// One value a key and window, of any type: `initial()` before the first record, then each by `f(key, so_far, value)`.
    #[track_caller]
    pub fn aggregate<A: Data>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        f: impl Fn(&K, &mut A, V) + Send + Sync + 'static,
    ) -> WindowedTable<W::Out, A, K, V> {
        self.try_aggregate(initial, move |key, so_far, value| {
            f(key, so_far, value);
            Ok(())
        })
    }

    /// As [`aggregate`](Self::aggregate); a record that `f` refuses goes by its source's policy.
    #[track_caller]
    pub fn try_aggregate<A: Data>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        f: impl Fn(&K, &mut A, V) -> Result<(), Reject> + Send + Sync + 'static,
    ) -> WindowedTable<W::Out, A, K, V> {
        let merge: Merge<K, A> = Arc::new(|_, _, _| Err(Reject::because("windows of this kind are never merged")));
        self.table("windowed-aggregate", "by-aggregate", Arc::new(FromInitial(initial, f)), merge)
    }
}

impl<K: Key, V: Data> WindowedBy<K, V, SessionWindows> {
    /// One value a session, of any type: `initial()` before the first record, then each by `f(key, so_far, value)`. Where
    /// a record makes one of two sessions, `merge(key, earlier, later)` adds the later one's value to the earlier one's.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::window::{SessionWindows, Windowed};
    /// # use millstream::{Builder, Topic};
    /// # const CLICKS: Topic<String, String> = Topic::new("clicks");
    /// # const VISITS: Topic<Windowed<String>, String> = Topic::new("visits");
    /// let b = Builder::new("visits");
    /// b.source(CLICKS)
    ///     .stream()
    ///     .group_by_key()
    ///     .windowed(SessionWindows::of(Duration::from_secs(1800)))
    ///     .on_close()
    ///     .aggregate_sessions(String::new, |_, pages, page| *pages += &page, |_, pages, more| *pages += &more)
    ///     .to(VISITS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn aggregate_sessions<A: Data>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        f: impl Fn(&K, &mut A, V) + Send + Sync + 'static,
        merge: impl Fn(&K, &mut A, A) + Send + Sync + 'static,
    ) -> WindowedTable<crate::window::Windowed<K>, A, K, V> {
        let fold = FromInitial(initial, move |key: &K, so_far: &mut A, value| {
            f(key, so_far, value);
            Ok(())
        });
        let merge: Merge<K, A> = Arc::new(move |key, one, other| {
            merge(key, one, other);
            Ok(())
        });
        self.table("windowed-aggregate", "by-aggregate", Arc::new(fold), merge)
    }
}

/// A table of windows, and what came too late for them. What can be done with any [`Table`] can be done with it.
pub struct WindowedTable<O: Key, A: Data, K, V> {
    pub(super) table: Table<O, A>,
    pub(super) late: Edge<K, Late<V>>,
    pub(super) closing: Closing,
    /// How far behind the watermark that closes a window its result may lie.
    pub(super) hold: Duration,
}

impl<O: Key, A: Data, K, V> Deref for WindowedTable<O, A, K, V> {
    type Target = Table<O, A>;

    fn deref(&self) -> &Table<O, A> {
        &self.table
    }
}

impl<O: Key, A: Data, K: 'static, V: 'static> WindowedTable<O, A, K, V> {
    /// Names the store, and with it the changelog and what lies below.
    #[track_caller]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.table = self.table.named(name);
        self
    }

    /// Hands every update on by itself, where usually only the newest of each window goes out before a commit. Windows
    /// whose results go out on closing have no updates.
    pub fn emit_each_update(mut self) -> Self {
        self.table = self.table.emit_each_update();
        self
    }

    /// The records that came too late, one for each window that they missed, with their own key, time and headers.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::window::TumblingWindows;
    /// # use millstream::{Builder, Topic};
    /// # const SOLD: Topic<String, u64> = Topic::new("sold");
    /// const MISSED: Topic<String, String> = Topic::new("missed");
    /// let b = Builder::new("sales");
    /// let sold = b
    ///     .source(SOLD)
    ///     .stream()
    ///     .group_by_key()
    ///     .windowed(TumblingWindows::of(Duration::from_millis(10)))
    ///     .reduce(|sold, more| *sold += more);
    /// sold.late().map_values(|late| format!("{} missed {}", late.value, late.window)).to(MISSED);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for (sold, time) in [(1, 5), (2, 17), (4, 7)] {
    ///     driver.send(&SOLD, &"a".to_owned(), &sold, time)?;
    /// }
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&MISSED)?, [("a".to_owned(), "4 missed 0/10".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn late(&self) -> Stream<K, Late<V>> {
        // It needs no operator: the windows push into its edge. It is a node so that it has a name.
        let graph = Rc::clone(&self.table.graph);
        let above: Stream<O, A> = Stream::new(Rc::clone(&graph), self.table.node, Edge::new(), false);
        let parents = vec![self.table.node];
        let late = self.late.clone();
        let wire = Box::new(move |wiring: &mut Wiring<'_>| wiring.count(&late));
        let node = above.node::<K, Late<V>>("late", NodeKind::Stateless, parents, wire);
        Stream::new(graph, node, self.late.clone(), false)
    }
}
