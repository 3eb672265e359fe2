//! Records grouped by their key, on the way to a table.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::route::Repartition;
use super::stateful::StoreSlot;
use super::stream::{Item, Stream};
use super::table::Table;
use crate::codec::{Data, Key};
use crate::operators::Reject;
use crate::operators::aggregate::{Aggregate, Count, Fold, FromInitial, Reduce, Sum};
use crate::operators::combine::Combine;
use crate::operators::lookup::Lookup;
use crate::topology::Mistake;
use crate::topology::graph::{Graph, NodeKind};

impl<K: Item, V: Item> Stream<K, V> {
    /// Groups records by their key. Where the key may have changed since the records were placed by it, what is made of
    /// the groups begins with a shuffle through a repartition topic.
    #[track_caller]
    pub fn group_by_key(&self) -> Grouped<K, V>
    where
        K: Key,
        V: Data,
    {
        Grouped {
            stream: self.clone(),
            shuffle: self.rekeyed,
            name: None,
            combine: false,
            partitions: None,
            shuffled: Rc::default(),
        }
    }

    /// Groups records by a key made of each: [`rekey`](Self::rekey), then [`group_by_key`](Self::group_by_key).
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const COUNTS: Topic<u64, u64> = Topic::new("counts");
    /// let b = Builder::new("lines-by-length");
    /// b.source(LINES).stream().group_by(|_, line| line.len() as u64).combine().count().named("by-length").to(COUNTS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn group_by<K2: Key>(&self, key: impl Fn(&K, &V) -> K2 + Send + Sync + 'static) -> Grouped<K2, V>
    where
        V: Data,
    {
        self.rekey(key).group_by_key()
    }
}

/// Records grouped by their key. Every table made of it reads the same repartition topic, if there is one.
///
/// A type without a codec cannot be grouped:
/// ```compile_fail
/// # use millstream::{Builder, NoKey, Topic};
/// # const LINES: Topic<NoKey, String> = Topic::new("lines");
/// #[derive(Clone)]
/// struct Line(String);
/// let b = Builder::new("lines");
/// let lines = b.source(LINES).stream().map(|_, line| (line.clone(), Line(line)));
/// let counts = lines.group_by_key().count(); // `Line` has no codec
/// ```
#[must_use = "groups are nothing by themselves: call .reduce(), .count() or .aggregate()"]
pub struct Grouped<K: Key, V: Data> {
    stream: Stream<K, V>,
    shuffle: bool,
    name: Option<String>,
    combine: bool,
    partitions: Option<u32>,
    shuffled: Rc<RefCell<Option<Stream<K, V>>>>,
}

impl<K: Key, V: Data> Clone for Grouped<K, V> {
    fn clone(&self) -> Self {
        let Self { stream, shuffle, name, combine, partitions, shuffled } = self;
        Self {
            stream: stream.clone(),
            shuffle: *shuffle,
            name: name.clone(),
            combine: *combine,
            partitions: *partitions,
            shuffled: Rc::clone(shuffled),
        }
    }
}

impl<K: Key, V: Data> Grouped<K, V> {
    /// Names the repartition topic, and so what lies below it. Without a shuffle there is nothing to name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets each task combine what it has read since its last commit before it is shuffled: `reduce` and `count` then
    /// send one record a key and commit. The function must be associative and commutative: whoever asks for it says so.
    /// Without a shuffle it changes nothing.
    pub fn combine(mut self) -> Self {
        self.combine = true;
        self
    }

    /// The repartition topic's partition count. Default: what its sources have.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// One value a key: the first as it is, each other by `f(so_far, value)`. A null value is dropped and counted.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const SOLD: Topic<String, i64> = Topic::new("sold");
    /// # const MOST: Topic<String, i64> = Topic::new("most");
    /// let b = Builder::new("most");
    /// b.source(SOLD).stream().group_by_key().reduce(|most, sold| *most = sold.max(*most)).named("most").to(MOST);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn reduce(&self, f: impl Fn(&mut V, V) + Send + Sync + 'static) -> Table<K, V> {
        self.try_reduce(move |so_far, value| {
            f(so_far, value);
            Ok(())
        })
    }

    /// As [`reduce`](Self::reduce); a record that `f` refuses goes by its source's policy, and leaves no trace in the
    /// value.
    ///
    /// ```
    /// # use millstream::{Builder, Topic, operators::Reject};
    /// # const SOLD: Topic<String, i64> = Topic::new("sold");
    /// # const TOTALS: Topic<String, i64> = Topic::new("totals");
    /// let b = Builder::new("totals");
    /// b.source(SOLD)
    ///     .stream()
    ///     .group_by_key()
    ///     .try_reduce(|total, sold| {
    ///         *total = total.checked_add(sold).ok_or_else(|| Reject::overflow("the total has become too large"))?;
    ///         Ok(())
    ///     })
    ///     .to(TOTALS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn try_reduce(&self, f: impl Fn(&mut V, V) -> Result<(), Reject> + Send + Sync + 'static) -> Table<K, V> {
        let fold = Arc::new(Reduce(f));
        if self.combine && self.shuffle {
            let combined = self.combined("by-reduce", Arc::clone(&fold));
            return table(&combined, "reduce", fold);
        }
        table(&self.placed("by-reduce"), "reduce", fold)
    }

    /// How many records each key has. A null value is dropped and counted as such, not as a record.
    #[track_caller]
    pub fn count(&self) -> Table<K, u64> {
        if self.combine && self.shuffle {
            return table(&self.combined("by-count", Arc::new(Count)), "count", Arc::new(Sum));
        }
        table(&self.placed("by-count"), "count", Arc::new(Count))
    }

    /// Partial results, for a [`process`](Stream::process) that puts them together: each task combines what it has read
    /// since its last commit, by `f(so_far, value)`, and sends one record a key, which is shuffled to the key's task. `f`
    /// must be associative and commutative. A partial result has the largest event time that went into it and is never
    /// late: what the lateness of a record decides must be decided above. A null value is dropped and counted.
    ///
    /// Without a shuffle there is nothing to save: every record is a partial result by itself.
    ///
    /// ```
    /// # use millstream::operators::processor::{Context, Processor, Stored};
    /// # use millstream::operators::Reject;
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, NoKey, Record, Topic};
    /// # const WORDS: Topic<NoKey, String> = Topic::new("words");
    /// # const COUNTS: Topic<String, u64> = Topic::new("counts");
    /// # struct Counts { so_far: Stored<String, u64> }
    /// impl Processor<String, u64> for Counts {
    ///     // …
    /// #    type Key = String;
    /// #    type Value = u64;
    ///     fn process(&self, partial: Record<String, u64>, cx: &mut Context<'_, String, u64>) -> Result<(), Reject> {
    ///         cx.update(&self.so_far, &partial.key, |so_far| *so_far.get_or_insert(0) += partial.value);
    ///         cx.forward(partial.key, partial.value);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let b = Builder::new("counts");
    /// let words = b.source(WORDS).stream().map(|_, word| (word, 1));
    /// let partials = words.group_by_key().named("by-word").partials(|count, more| *count += more);
    /// partials.process(|setup| Counts { so_far: setup.store("so-far") }).to(COUNTS);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for word in ["a", "b", "a", "a"] {
    ///     driver.send(&WORDS, &NoKey, &word.to_owned(), 0)?;
    /// }
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&COUNTS)?, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn partials(&self, f: impl Fn(&mut V, V) + Send + Sync + 'static) -> Stream<K, V> {
        if !self.shuffle {
            return self.stream.clone();
        }
        let fold = Arc::new(Reduce(move |so_far: &mut V, value| {
            f(so_far, value);
            Ok(())
        }));
        self.combined("by-partials", fold)
    }

    /// One value a key, of any type: `initial()` before the first record, then each by `f(key, so_far, value)`. With
    /// `Option` as the value's type, `None` deletes the row. A null value is dropped and counted.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const VISITS: Topic<String, String> = Topic::new("visits");
    /// # const BYTES: Topic<String, u64> = Topic::new("bytes");
    /// let b = Builder::new("bytes");
    /// b.source(VISITS)
    ///     .stream()
    ///     .group_by_key()
    ///     .aggregate(|| 0, |_, bytes, visit| *bytes += visit.len() as u64)
    ///     .to(BYTES);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn aggregate<A: Data>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        f: impl Fn(&K, &mut A, V) + Send + Sync + 'static,
    ) -> Table<K, A> {
        self.try_aggregate(initial, move |key, so_far, value| {
            f(key, so_far, value);
            Ok(())
        })
    }

    /// As [`aggregate`](Self::aggregate); a record that `f` refuses goes by its source's policy, and leaves no trace in
    /// the value.
    #[track_caller]
    pub fn try_aggregate<A: Data>(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        f: impl Fn(&K, &mut A, V) -> Result<(), Reject> + Send + Sync + 'static,
    ) -> Table<K, A> {
        if self.combine {
            let message =
                "combine() goes with reduce() and count(): aggregate() does not say how two results become one";
            let mistake = Mistake::at(std::panic::Location::caller(), message);
            self.stream.graph.borrow_mut().mistakes.push(mistake);
        }
        table(&self.placed("by-aggregate"), "aggregate", Arc::new(FromInitial(initial, f)))
    }

    pub(super) fn combines(&self) -> bool {
        self.combine && self.shuffle
    }

    pub(super) fn graph(&self) -> &Rc<RefCell<Graph>> {
        &self.stream.graph
    }

    /// The records, shuffled if need be; once for all tables of this grouping.
    #[track_caller]
    pub(super) fn placed(&self, label: &'static str) -> Stream<K, V> {
        if !self.shuffle {
            return self.stream.clone();
        }
        if let Some(shuffled) = &*self.shuffled.borrow() {
            return shuffled.clone();
        }
        let shuffled = self.shuffle(self.stream.clone(), label);
        self.shuffled.replace(Some(shuffled.clone()));
        shuffled
    }

    /// The records, combined and shuffled.
    #[track_caller]
    fn combined<A: Data, F: Fold<K, V, A>>(&self, label: &'static str, fold: Arc<F>) -> Stream<K, A> {
        let (node, edge) = self.stream.add("combine", NodeKind::Stateless, move |wiring, id, out| {
            Combine::new(wiring.name(id), Arc::clone(&fold), wiring.options().combine_keys, out)
        });
        self.shuffle(Stream::new(self.stream.graph.clone(), node, edge, true), label)
    }

    #[track_caller]
    fn shuffle<A: Data>(&self, stream: Stream<K, A>, label: &'static str) -> Stream<K, A> {
        Repartition { stream, partitions: self.partitions, name: self.name.clone(), ahead: false }.through(label, true)
    }
}

/// Adds an aggregation with its store.
#[track_caller]
fn table<K: Key, V: Data, A: Data, F: Fold<K, V, A>>(
    stream: &Stream<K, V>,
    label: &'static str,
    fold: Arc<F>,
) -> Table<K, A> {
    let kind = NodeKind::Stateful { emission: None, keeps_before: false };
    let slot = StoreSlot::of(stream.graph.borrow().next());
    let view = slot.view();
    let (node, edge) =
        stream.add(label, kind, move |wiring, _, out| Aggregate::new(slot.table(wiring, out), Arc::clone(&fold)));
    stream.graph.borrow_mut().may_expire(node);
    // To people a table's values are what is in it, not the changes on its edges.
    stream.graph.borrow_mut().node_mut(node).value_type = std::any::type_name::<A>();
    stream.graph.borrow_mut().queried(node, Lookup::rows::<K, A>());
    Table { graph: stream.graph.clone(), node, edge, view: Some(view) }
}
