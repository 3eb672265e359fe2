//! Operators that decide where records go: branches, merges, topics, other tasks.

use std::rc::Rc;
use std::sync::Arc;

use super::stream::{Item, Stream};
use super::topic::IntoTopic;
use crate::codec::{Data, Key};
use crate::operators::Edge;
use crate::operators::branch::Branch;
use crate::operators::frame_source::FrameDecoder;
use crate::operators::merge::Merge;
use crate::operators::queue::{Pace, TypedSource};
use crate::operators::repartition::Repartition as Packer;
use crate::operators::sink::{Sink, ToEach, ToTopic};
use crate::operators::upstreams::Upstreams;
use crate::topology::graph::NodeKind;
use crate::topology::topics::Shows;
use crate::topology::{Mistake, Wiring};

impl<K: Item, V: Item> Stream<K, V> {
    /// Sends each record the way whose number `choose` gives. A number of `N` or more: dropped, counted as `no_branch`.
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const SHORT: Topic<NoKey, String> = Topic::new("short");
    /// # const LONG: Topic<NoKey, String> = Topic::new("long");
    /// let b = Builder::new("by-length");
    /// let [short, long] = b.source(LINES).stream().branch(|_, line| usize::from(line.len() > 80));
    /// short.to(SHORT);
    /// long.to(LONG);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    #[must_use = "a way that nothing reads loses its records"]
    pub fn branch<const N: usize>(&self, choose: impl Fn(&K, &V) -> usize + Send + Sync + 'static) -> [Self; N] {
        let (choose, above) = (Arc::new(choose), self.edge.clone());
        let ways: [Edge<K, V>; N] = std::array::from_fn(|_| Edge::new());
        let below = ways.clone();
        let node = self.node::<K, V>(
            "branch",
            NodeKind::Stateless,
            vec![self.node],
            Box::new(move |wiring| {
                let ways = below.each_ref().map(Edge::take);
                wiring.join(&above, Branch::new(Arc::clone(&choose), ways));
            }),
        );
        // Each way is a node, so that it can have a name; it needs no operator.
        ways.map(|edge| {
            let own = edge.clone();
            let wire = Box::new(move |wiring: &mut Wiring<'_>| wiring.count(&own));
            let way = self.node::<K, V>("way", NodeKind::Stateless, vec![node], wire);
            Self::new(Rc::clone(&self.graph), way, edge, self.rekeyed)
        })
    }

    /// The records of both streams. Each keeps its order; between the two there is none.
    ///
    /// ```compile_fail
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const SIZES: Topic<NoKey, u64> = Topic::new("sizes");
    /// let b = Builder::new("both");
    /// let lines = b.source(LINES).stream();
    /// let sizes = b.source(SIZES).stream();
    /// let both = lines.merge(&sizes); // not of one type
    /// ```
    #[track_caller]
    pub fn merge(&self, other: &Self) -> Self {
        if !Rc::ptr_eq(&self.graph, &other.graph) {
            let at = std::panic::Location::caller();
            let mistake = Mistake::at(at, "streams of two builders cannot be merged: declare both with one");
            self.graph.borrow_mut().mistakes.push(mistake.clone());
            other.graph.borrow_mut().mistakes.push(mistake);
            return self.clone();
        }
        let (edge, one, two) = (Edge::new(), self.edge.clone(), other.edge.clone());
        let below = edge.clone();
        let node = self.node::<K, V>(
            "merge",
            NodeKind::Merge,
            vec![self.node, other.node],
            Box::new(move |wiring| {
                // In reverse, as everything is wired.
                for (port, above) in Merge::ports(2, below.take()).into_iter().zip([&one, &two]).rev() {
                    wiring.join(above, port);
                }
            }),
        );
        Self::new(Rc::clone(&self.graph), node, edge, self.rekeyed || other.rekeyed)
    }

    /// Writes the records to `topic`, at their event time and with their headers.
    #[track_caller]
    pub fn to<T: IntoTopic<K, V>>(&self, topic: T)
    where
        K: Data,
        V: Data,
    {
        let updates = self.graph.borrow().hands_on_updates(self.node);
        self.write(topic, updates);
    }

    /// As [`to`](Self::to), and says that the records are a table's updates: the newest of a key takes the place of those
    /// before it, and a null deletes. For what a processor makes; of a [`Table`](super::table::Table) it is known. The topic
    /// should be compacted, and `millstream local` prints only the newest record of each key.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const VISITS: Topic<String, String> = Topic::new("visits");
    /// # const LAST: Topic<String, String> = Topic::new("last");
    /// let b = Builder::new("last");
    /// b.source(VISITS).stream().to_updates(LAST);
    /// assert!(b.build()?.writes_updates("last"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn to_updates<T: IntoTopic<K, V>>(&self, topic: T)
    where
        K: Data,
        V: Data,
    {
        self.write(topic, true);
    }

    #[track_caller]
    fn write<T: IntoTopic<K, V>>(&self, topic: T, updates: bool)
    where
        K: Data,
        V: Data,
    {
        let topic = topic.into_topic().name().to_owned();
        let kind = NodeKind::Sink { topic: Some(topic.clone()), updates };
        let above = self.edge.clone();
        let id = self.graph.borrow().next();
        self.graph.borrow_mut().shown(&topic, Shows::of::<K, V, T::KeyCodec, T::ValueCodec>());
        self.node::<K, V>(
            "to",
            kind,
            vec![self.node],
            Box::new(move |wiring| {
                let (key, value) = (T::KeyCodec::default(), T::ValueCodec::default());
                let write = ToTopic(wiring.topic(&topic));
                wiring.join(&above, Sink::<K, V, _, _, _>::new(wiring.name(id), write, key, value));
            }),
        );
    }

    /// Writes each record to the topic that `choose` names, with its types' own codecs. The topics must exist; a record
    /// for one that does not goes by its source's policy, as `refused`.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const VISITS: Topic<String, String> = Topic::new("visits");
    /// let b = Builder::new("by-country");
    /// b.source(VISITS).stream().to_each(|country, _| format!("visits.{country}"));
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn to_each(&self, choose: impl Fn(&K, &V) -> String + Send + Sync + 'static)
    where
        K: Data,
        V: Data,
    {
        let (choose, above) = (Arc::new(choose), self.edge.clone());
        let id = self.graph.borrow().next();
        self.node::<K, V>(
            "to-each",
            NodeKind::Sink { topic: None, updates: false },
            vec![self.node],
            Box::new(move |wiring| {
                let (choose, renames) = (Arc::clone(&choose), wiring.renames().clone());
                let write = ToEach::new(move |key: &K, value: &V| {
                    let topic = choose(key, value);
                    renames.get(&topic).map_or(topic, str::to_owned)
                });
                let (key, value) = (K::Codec::default(), V::Codec::default());
                wiring.join(&above, Sink::<K, V, _, _, _>::new(wiring.name(id), write, key, value));
            }),
        );
    }

    /// Sends the records through a topic of our own, such that equal keys meet in one task: before a merge with a topic
    /// of another partition count, or to spread work. Grouping does it by itself where the key has changed.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// # const VISITS: Topic<String, String> = Topic::new("visits");
    /// # const SLOW: Topic<String, u64> = Topic::new("slow");
    /// let b = Builder::new("spread");
    /// b.source(VISITS)
    ///     .stream()
    ///     .repartition()
    ///     .partitions(32)
    ///     .named("spread")
    ///     .stream()
    ///     .map_values(|visit| visit.len() as u64) // imagine something slow
    ///     .to(SLOW);
    /// assert_eq!(&*b.build().unwrap().plan().repartitions[0].name, "spread");
    /// ```
    pub fn repartition(&self) -> Repartition<K, V>
    where
        K: Key,
        V: Data,
    {
        Repartition { stream: self.clone(), partitions: None, name: None, ahead: false }
    }
}

/// A repartition topic to be: say how, then take its [`stream`](Self::stream).
#[must_use = "nothing goes through it before .stream() is called"]
pub struct Repartition<K, V> {
    pub(super) stream: Stream<K, V>,
    pub(super) partitions: Option<u32>,
    pub(super) name: Option<String>,
    pub(super) ahead: bool,
}

impl<K: Key, V: Data> Repartition<K, V> {
    /// The topic's partition count. Default: what its sources have.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// The topic's name, between the application's and `-repartition`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets the records go ahead of time, so that nothing overtakes them: whatever else is processed in the same task waits
    /// until all of them have come that are not newer. For the side of a join that may be read in any order, such as
    /// versions that say themselves since when they hold.
    ///
    /// The records of a repartition topic come from several tasks, and only those of each are in order. Without this the
    /// one at the head of the topic decides whose turn it is, and an older one behind it may come too late for a join.
    ///
    /// What nobody upstream has read yet is not waited for once everything there was has been read; after a restart that is
    /// everything that has been written until then.
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const PRICES: Topic<NoKey, String> = Topic::new("prices");
    /// # const VISITS: Topic<String, String> = Topic::new("visits");
    /// # const PRICED: Topic<String, u64> = Topic::new("priced");
    /// let b = Builder::new("priced");
    /// // Lines like "tea 80".
    /// let prices = b.source(PRICES).stream().map(|_, line| {
    ///     let (item, price) = line.split_once(' ').unwrap_or((&line, "0"));
    ///     (item.to_owned(), price.parse().unwrap_or(0_u64))
    /// });
    /// let least = prices.repartition().ahead().named("by-item").stream().group_by_key().reduce(|least, price| {
    ///     *least = price.min(*least);
    /// });
    /// b.source(VISITS).stream().join(&least, |_, _, price| *price).to(PRICED);
    /// # b.build().unwrap();
    /// ```
    pub fn ahead(mut self) -> Self {
        self.ahead = true;
        self
    }

    /// The records on the other side.
    #[track_caller]
    pub fn stream(self) -> Stream<K, V> {
        self.through("repartition", false)
    }

    #[track_caller]
    pub(super) fn through(self, label: &'static str, implied: bool) -> Stream<K, V> {
        let Self { stream, partitions, name, ahead } = self;
        let above = stream.edge.clone();
        let sink = stream.graph.borrow().next();
        stream.node::<K, V>(
            label,
            NodeKind::RepartitionSink { partitions, implied },
            vec![stream.node],
            Box::new(move |wiring| {
                let (topic, partitions) = wiring.repartition(sink);
                wiring.join(&above, Packer::<K, V>::new(wiring.name(sink), topic, partitions, wiring.marker(sink)));
            }),
        );
        stream.graph.borrow_mut().node_mut(sink).named = name;
        let edge: Edge<K, V> = Edge::new();
        let below = edge.clone();
        let id = stream.graph.borrow().next();
        stream.node::<K, V>(
            "repartition-source",
            NodeKind::RepartitionSource { sink },
            Vec::new(),
            Box::new(move |wiring| {
                let (input, policy) = (wiring.input(id), wiring.policy(id));
                let decode = FrameDecoder::<K, V>::default();
                let upstreams = Upstreams::new(wiring.upstream_tasks(id));
                wiring.count(&below);
                let source = TypedSource::new(input, policy, Pace::default(), decode, below.take());
                wiring.add_source(Box::new(source.behind_tasks(upstreams).going_ahead(ahead)));
            }),
        );
        if ahead {
            stream.graph.borrow_mut().agree(Some(id), "ahead".to_owned());
        }
        stream.graph.borrow_mut().node_mut(id).placed_by = Some(std::any::type_name::<K::Codec>());
        Stream::new(stream.graph, id, edge, false)
    }
}
