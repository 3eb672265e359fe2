//! Where a topology begins and ends.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::stream::Stream;
use super::table::Table;
use super::topic::Topic;
use super::versioned::VersionedTable;
use crate::codec::{Codec, Data, Key, Nullable};
use crate::operators::Edge;
use crate::operators::queue::{Pace, TypedSource};
use crate::operators::source::BadInput;
use crate::operators::topic_source::{
    EventTime, FromClock, FromField, FromRecord, IntoEventTime, OrStamped, TopicDecoder,
};
use crate::topology::graph::{Graph, Node, NodeKind};
use crate::topology::topics::Shows;
use crate::topology::{Mistakes, Topology};

/// Declares one topology.
///
/// ```
/// use millstream::{Builder, NoKey, Topic};
/// const LINES: Topic<NoKey, String> = Topic::new("lines");
/// let b = Builder::new("print");
/// b.source(LINES).stream().for_each(|_, line| println!("{line}"));
/// let topology = b.build().unwrap();
/// assert_eq!(topology.name(), "print");
/// ```
pub struct Builder {
    name: String,
    pub(super) graph: Rc<RefCell<Graph>>,
}

impl Builder {
    /// Begins the topology `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), graph: Rc::default() }
    }

    /// Reads a topic. Event time is the record's timestamp, records are in order of it, and bad input stops the task,
    /// unless the source is told otherwise. A topic is read once; its stream may be used many times.
    #[track_caller]
    pub fn source<K: Data, V: Data, KC, VC>(&self, topic: Topic<K, V, KC, VC>) -> Source<K, V, KC, VC, FromRecord>
    where
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
    {
        Source {
            graph: Rc::clone(&self.graph),
            topic,
            location: Location::caller(),
            event_time: FromRecord,
            pace: Pace::default(),
            ahead: None,
            policy: BadInput::Fail,
        }
    }

    /// Reads a topic as a [table](Source::table), all as by default.
    #[track_caller]
    pub fn table<K: Key, V: Data, KC, VC>(&self, topic: Topic<K, V, KC, VC>) -> Table<K, V>
    where
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
    {
        self.source(topic).table()
    }

    /// Members of one group must agree on this: a setting that decides results, where no operator knows of it, as one
    /// that only the topology's own functions and processors use. A process with another value refuses to join.
    /// Sizes of windows, their grace, and how far out of order a source may be are agreed on without it.
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const LONG: Topic<NoKey, String> = Topic::new("long");
    /// let long_lines = |least: usize| {
    ///     let b = Builder::new("long-lines");
    ///     b.agree_on("least", least);
    ///     b.source(LINES).stream().filter(move |_, line| line.len() >= least).to(LONG);
    ///     b.build().unwrap().plan().fingerprint
    /// };
    /// assert_ne!(long_lines(80), long_lines(100));
    /// ```
    pub fn agree_on(&self, name: &str, value: impl fmt::Display) {
        self.graph.borrow_mut().agree(None, format!("{name}={value}"));
    }

    /// Checks what was declared, and plans it.
    ///
    /// # Errors
    /// All [`Mistakes`], each with its line.
    pub fn build(self) -> Result<Topology, Mistakes> {
        Topology::new(self.name, self.graph.take())
    }
}

/// A topic to be read: say how, then take its [`stream`](Self::stream).
#[must_use = "a source that is not made a stream reads nothing: call .stream()"]
pub struct Source<K: Data, V: Data, KC, VC, E> {
    graph: Rc<RefCell<Graph>>,
    topic: Topic<K, V, KC, VC>,
    location: &'static Location<'static>,
    event_time: E,
    pace: Pace,
    ahead: Option<Duration>,
    policy: BadInput,
}

impl<K: Data, V: Data, KC, VC, E> Source<K, V, KC, VC, E> {
    /// Event time is what `f` finds in the record: a `Timestamp`, an `Option` of it, or a `Result` with a
    /// [`Reject`](crate::operators::Reject). None at all, and one before 1970, is bad input.
    pub fn event_time<F, T>(self, f: F) -> Source<K, V, KC, VC, FromField<F>>
    where
        F: Fn(&K, &V) -> T + Send + Sync + 'static,
        T: IntoEventTime,
    {
        self.with_time(FromField(f))
    }

    /// Event time is Kafka's timestamp of the record: the default.
    pub fn event_time_from_record(self) -> Source<K, V, KC, VC, FromRecord> {
        self.with_time(FromRecord)
    }

    /// Event time is the time of day at which the record is read. Results are then not repeatable.
    pub fn event_time_from_clock(self) -> Source<K, V, KC, VC, FromClock> {
        self.with_time(FromClock)
    }

    /// Within a partition a record may be this much older than one before it and is still in time. Default: none.
    pub fn out_of_order_by(mut self, bound: Duration) -> Self {
        self.pace.bound = bound;
        self
    }

    /// A record whose event time is further ahead of its Kafka timestamp than this is bad input, `too_far_ahead`: it would
    /// close every window up to its own time, and all honest records after it would be late. Default: any time is taken.
    ///
    /// A replay judges as the first run did, since both times are in the log. Only where event time is Kafka's timestamp
    /// itself, or a message has none, is it held against the time of day at which it is read; then a replay may take what
    /// was refused before.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::{BadInput, Builder, NoKey, Timestamp, Topic};
    /// # const SEEN: Topic<NoKey, i64> = Topic::new("seen");
    /// # const PASSED: Topic<NoKey, i64> = Topic::new("passed");
    /// let b = Builder::new("guarded");
    /// b.source(SEEN)
    ///     .event_time(|_, at| Timestamp::from_millis(*at))
    ///     .ahead_by_at_most(Duration::from_secs(60))
    ///     .on_bad_input(BadInput::Skip)
    ///     .stream()
    ///     .to(PASSED);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// // Both were written at 5,000.
    /// driver.send(&SEEN, &NoKey, &65_000, 5_000)?;
    /// driver.send(&SEEN, &NoKey, &65_001, 5_000)?;
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&PASSED)?, [(NoKey, 65_000)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ahead_by_at_most(mut self, bound: Duration) -> Self {
        self.ahead = Some(bound);
        self
    }

    /// A partition that has been silent for so long no longer holds back the time of those that are not: until its next
    /// record, and only while the broker has nothing more of it. Default: 30 seconds. Which windows a silence closes is
    /// decided by the clock and so need not repeat itself.
    pub fn idle_after(mut self, silence: Duration) -> Self {
        self.pace.idle_after = silence;
        self
    }

    /// After so much silence the partition's watermark follows the time of day, as far behind it as this and the disorder:
    /// so that the last window of a quiet stream closes. Off unless asked for, as results are then not repeatable. It
    /// moves in steps of a second, or of the silence where that is shorter: each is a commit, and what is downstream may
    /// wait a step longer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::window::{TumblingWindows, Windowed};
    /// # use millstream::{Builder, Topic};
    /// # const CLICKS: Topic<String, String> = Topic::new("clicks");
    /// # const COUNTS: Topic<Windowed<String>, u64> = Topic::new("counts");
    /// let b = Builder::new("counts");
    /// let clicks = b.source(CLICKS).advance_by_clock_after(Duration::from_secs(1)).stream();
    /// clicks.group_by_key().windowed(TumblingWindows::of(Duration::from_secs(5))).on_close().count().to(COUNTS);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// driver.send(&CLICKS, &"a".to_owned(), &String::new(), 3_000)?;
    /// driver.settle()?;
    /// for _ in 0..59 {
    ///     driver.advance(Duration::from_millis(100))?;
    /// }
    /// assert_eq!(driver.take_values(&COUNTS)?.len(), 0, "the clock stands at 5.9 s, a second ahead of the watermark");
    /// for _ in 0..10 {
    ///     driver.advance(Duration::from_millis(100))?;
    /// }
    /// assert_eq!(driver.take_values(&COUNTS)?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn advance_by_clock_after(mut self, silence: Duration) -> Self {
        self.pace.clock_after = Some(silence);
        self
    }

    /// Keeps no watermark: to see what it costs.
    #[cfg(test)]
    pub(crate) fn timeless(mut self) -> Self {
        self.pace.timeless = true;
        self
    }

    /// What happens to records that cannot be used, here and in the functions downstream. Default: the task stops.
    pub fn on_bad_input(mut self, policy: BadInput) -> Self {
        self.policy = policy;
        self
    }

    /// The topic as a table: the newest value of each key. A null value deletes its row; it has no value to take an event
    /// time from, so that its time is the record's own. A null key is bad input, `null_key`. The newest is the last to come,
    /// whatever its time.
    ///
    /// Its key must be the one that the topic's records are placed by. Of a topic without keys it is
    /// `.stream().rekey(…)`, then [`to_table`](Stream::to_table).
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const PRICES: Topic<String, i64> = Topic::new("prices");
    /// # const DEAR: Topic<String, i64> = Topic::new("dear");
    /// let b = Builder::new("dear");
    /// b.source(PRICES).table().filter(|_, price| *price > 100).to(DEAR);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// driver.send(&PRICES, &"tea".to_owned(), &80, 0)?;
    /// driver.send(&PRICES, &"wine".to_owned(), &120, 0)?;
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&DEAR)?, [("wine".to_owned(), 120)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn table(self) -> Table<K, V>
    where
        K: Key,
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
        E: EventTime<K, V>,
    {
        self.changes().latest("table", |value| value)
    }

    /// As [`table`](Self::table), and what its rows were stays known: see [`VersionedTable`], which says what `history` is.
    /// The newest value of a key is then the one with the latest event time.
    #[track_caller]
    pub fn versioned_table(self, history: Duration) -> VersionedTable<K, V>
    where
        K: Key,
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
        E: EventTime<K, V>,
    {
        self.changes().versions("versioned-table", history, |value| value)
    }

    /// As [`table`](Self::table), and the newest value is the one with the largest event time, however the records come: an
    /// older one does not overwrite it and is counted as `out_of_date`, and does not bring back what was deleted, which is
    /// remembered until time is `remember` past it; as [`to_table_by_time`](Stream::to_table_by_time).
    ///
    /// The time of a deletion is the record's own, since it has no value to take another from.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const PRICES: Topic<String, Option<i64>> = Topic::new("prices");
    /// # const NOW: Topic<String, Option<i64>> = Topic::new("now");
    /// let b = Builder::new("now");
    /// let prices = b.source(Topic::<String, i64>::new("prices")).out_of_order_by(Duration::from_secs(60));
    /// prices.table_by_time(Duration::MAX).to_stream().to(NOW);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for (price, time) in [(Some(80), 1_000), (None, 3_000), (Some(90), 2_000)] {
    ///     driver.send(&PRICES, &"tea".to_owned(), &price, time)?;
    ///     driver.settle()?;
    /// }
    /// let told: Vec<_> = driver.take_values(&NOW)?.into_iter().map(|(_, price)| price).collect();
    /// assert_eq!(told, [Some(80), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn table_by_time(self, remember: Duration) -> Table<K, V>
    where
        K: Key,
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
        E: EventTime<K, V>,
    {
        self.changes().latest_by_time("table", remember, |value| value)
    }

    /// The records of the topic, of which a null value deletes.
    fn changes(self) -> Stream<K, Option<V>>
    where
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
        E: EventTime<K, V>,
    {
        let Self { graph, topic, location, event_time, pace, ahead, policy } = self;
        let topic: Topic<K, Option<V>, KC, Nullable<VC>> = Topic::owned(topic.name().to_owned());
        let event_time = OrStamped(event_time);
        Source { graph, topic, location, event_time, pace, ahead, policy }.stream()
    }

    fn with_time<E2>(self, event_time: E2) -> Source<K, V, KC, VC, E2> {
        let Self { graph, topic, location, pace, ahead, policy, .. } = self;
        Source { graph, topic, location, event_time, pace, ahead, policy }
    }

    /// The records of the topic.
    pub fn stream(self) -> Stream<K, V>
    where
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
        E: EventTime<K, V>,
    {
        let Self { graph, topic, location, event_time, pace, ahead, policy } = self;
        let edge: Edge<K, V> = Edge::new();
        let (event_time, from, of) = (Arc::new(event_time), edge.clone(), PhantomData::<fn() -> (KC, VC)>);
        let id = graph.borrow().next();
        graph.borrow_mut().shown(topic.name(), Shows::of::<K, V, KC, VC>());
        if pace != Pace::default() {
            graph.borrow_mut().agree(Some(id), format!("{pace:?}"));
        }
        graph.borrow_mut().add(Node {
            kind: NodeKind::Source { topic: topic.name().to_owned(), policy },
            label: "source",
            named: None,
            key_type: std::any::type_name::<K>(),
            value_type: std::any::type_name::<V>(),
            location,
            parents: Vec::new(),
            placed_by: Some(std::any::type_name::<KC>()),
            wire: Box::new(move |wiring| {
                let PhantomData::<fn() -> (KC, VC)> = of;
                let decode = TopicDecoder::new(KC::default(), VC::default(), Arc::clone(&event_time));
                let decode = decode.ahead_by_at_most(ahead);
                let (input, policy) = (wiring.input(id), wiring.policy(id));
                wiring.count(&from);
                wiring.add_source(Box::new(TypedSource::new(input, policy, pace, decode, from.take())));
            }),
        });
        Stream::new(graph, id, edge, false)
    }
}
