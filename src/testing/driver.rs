//! Runs a topology in a test: the production engine on the embedded broker, with a clock that stands still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, NewTopic, Outgoing, OutgoingRecord, Partitioning, Writer};
use crate::codec::{Codec, Data};
use crate::dsl::Topic;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{Metrics, TopologyMetrics};
use crate::operators::aggregate::Emission;
use crate::record::{Headers, InputNumber, Offset, TopicPartition};
use crate::runtime::Config;
use crate::runtime::cluster::Process;
use crate::runtime::thread::Turn;
use crate::time::{Clock, ManualClock, Timestamp};
use crate::topology::Topology;

/// How many turns of the loop may pass before a topology is taken to run in circles.
const TURNS: u32 = 1_000_000;
/// In what steps the clock goes at least: tasks look at it no more often.
const STEP: Duration = Duration::from_millis(100);

/// A running topology in a test. It is the production engine: tasks, transactions, changelogs and repartition topics, on
/// the embedded broker, with any number of partitions and threads. Nothing happens but in [`settle`](Self::settle), on
/// the caller's thread, and the clock moves only when it is told to: the same test gives the same result every time.
///
/// ```
/// use millstream::testing::Driver;
/// use millstream::{Builder, Topic};
/// const WORDS: Topic<String, i64> = Topic::new("words");
/// const TOTALS: Topic<String, i64> = Topic::new("totals");
/// let b = Builder::new("totals");
/// b.source(WORDS).stream().group_by_key().reduce(|total, more| *total += more).to(TOTALS);
/// let mut driver = Driver::builder(b.build()?).start()?;
/// driver.send(&WORDS, &"a".to_owned(), &1, 0)?;
/// driver.send(&WORDS, &"a".to_owned(), &2, 5)?;
/// driver.settle()?;
/// assert_eq!(driver.take_values(&TOTALS)?, [("a".to_owned(), 3)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Driver {
    broker: MemoryBroker,
    clock: Arc<ManualClock>,
    process: Process,
    writer: Box<dyn Writer>,
    taken: BTreeMap<TopicPartition, Offset>,
    metrics: TopologyMetrics,
}

/// What a [`Driver`] is made with.
pub struct DriverBuilder {
    topology: Topology,
    partitions: u32,
    start: Timestamp,
    config: Config,
}

/// A record that a topic got, in its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputRecord {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: Offset,
    /// The key's bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// The value's bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Kafka's timestamp.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: Headers,
}

impl DriverBuilder {
    /// How many partitions the source and output topics get; 1 unless said otherwise.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// How many stream threads take turns; 1 unless said otherwise.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.config.threads = threads;
        self
    }

    /// When tables hand on their updates: by default with each commit, as in production; `EachUpdate` shows every one.
    #[must_use]
    pub fn emission(mut self, emission: Emission) -> Self {
        self.config.emission = emission;
        self
    }

    /// Where the clock stands at the beginning; 1970 unless said otherwise.
    #[must_use]
    pub fn start_at(mut self, start: Timestamp) -> Self {
        self.start = start;
        self
    }

    /// Changes any setting.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Creates the topics and starts the topology.
    ///
    /// # Errors
    /// As [`App::start`](crate::App::start).
    pub fn start(self) -> Result<Driver> {
        let Self { topology, partitions, start, config } = self;
        let clock = Arc::new(ManualClock::new(start));
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let names = topology.sources().into_iter().chain(topology.sinks());
        let topics: Vec<NewTopic> = names
            .map(|name| {
                let name = config.topics.get(name).map_or(name, String::as_str).to_owned();
                NewTopic { name, partitions, settings: BTreeMap::new() }
            })
            .collect();
        broker.create_topics(&topics)?;
        let writer = broker.writer()?;
        let metrics = Metrics::new().topology(topology.name());
        let shared_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let process = Process::start(topology, Arc::new(broker.clone()), config, shared_clock, metrics.clone())?;
        let mut driver = Driver { broker, clock, process, writer, taken: BTreeMap::new(), metrics };
        driver.settle()?;
        Ok(driver)
    }
}

impl Driver {
    /// A driver for `topology`.
    #[must_use]
    pub fn builder(topology: Topology) -> DriverBuilder {
        let mut config = Config::new("test");
        config.instance = Some("driver".into());
        // It is alone in its group: a clock that goes on by a day must not cost it its tasks.
        config.session_timeout = Duration::from_secs(u32::MAX.into());
        DriverBuilder { topology, partitions: 1, start: Timestamp::from_millis(0), config }
    }

    /// Writes a record to a source topic, to the partition that its key belongs to. `timestamp` in milliseconds.
    ///
    /// # Errors
    /// When key or value cannot be encoded, or the topic does not exist.
    pub fn send<K: Data, V: Data, KC, VC>(
        &mut self,
        topic: &Topic<K, V, KC, VC>,
        key: &K,
        value: &V,
        timestamp: i64,
    ) -> Result<()>
    where
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
    {
        let key = encode::<K, KC>(key)?;
        let value = encode::<V, VC>(value)?;
        self.write(topic.name(), Partitioning::ByKey, key.as_deref(), value.as_deref(), timestamp)
    }

    /// Writes a record of any bytes to a partition of a topic. `timestamp` in milliseconds.
    ///
    /// # Errors
    /// When the topic or the partition does not exist.
    pub fn send_bytes(
        &mut self,
        topic: &str,
        partition: u32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: i64,
    ) -> Result<()> {
        self.write(topic, Partitioning::Fixed(partition), key, value, timestamp)
    }

    fn write(
        &mut self,
        topic: &str,
        partitioning: Partitioning,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: i64,
    ) -> Result<()> {
        let mut out = Outgoing::default();
        let topic = out.topic(topic);
        let (timestamp, headers, input) = (Timestamp::from_millis(timestamp), &Headers::NONE, InputNumber(0));
        out.push(&OutgoingRecord { topic, partitioning, key, value, timestamp, headers, input });
        self.writer.send(&out)?;
        self.writer.flush()
    }

    /// Lets the topology work until there is nothing left to do; the clock moves on as far as commits need it.
    ///
    /// # Errors
    /// What stopped the topology: a record that its source's policy does not let pass, for example.
    pub fn settle(&mut self) -> Result<()> {
        for _ in 0..TURNS {
            match self.process.turn()? {
                Turn::Worked => {}
                Turn::Idle(due) if self.process.is_busy() => self.clock.advance(due.max(Duration::from_millis(1))),
                Turn::Idle(_) => return Ok(()),
            }
        }
        Err(Error::new(ErrorKind::Internal, "the topology did not come to rest: does it write what it reads?"))
    }

    /// Moves the clock on, and lets the topology do what is due. The clock goes in steps, a hundredth of `duration` or 100 ms
    /// each: who looks at it now and then, as for partitions that have fallen silent, sees time pass.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub fn advance(&mut self, duration: Duration) -> Result<()> {
        let step = (duration / 100).max(STEP);
        let mut left = duration;
        loop {
            self.clock.advance(left.min(step));
            self.settle()?;
            left = left.saturating_sub(step);
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Moves the clock on in one jump, as Kafka Streams' test driver does: however long it was, whoever looks at the clock now
    /// and then looks once.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub fn jump(&mut self, duration: Duration) -> Result<()> {
        self.clock.advance(duration);
        self.settle()
    }

    /// The committed records of a topic that have not been taken yet: by partition, in order of their offsets.
    pub fn take(&mut self, topic: &str) -> Vec<OutputRecord> {
        let mut fresh = Vec::new();
        for record in self.broker.records(topic).unwrap_or_default() {
            let next = self.taken.entry(TopicPartition::new(topic, record.partition)).or_default();
            if record.offset >= *next {
                *next = record.offset + 1;
                fresh.push(OutputRecord {
                    topic: topic.to_owned(),
                    partition: record.partition,
                    offset: record.offset,
                    key: record.key,
                    value: record.value,
                    timestamp: record.timestamp,
                    headers: record.headers,
                });
            }
        }
        fresh
    }

    /// The committed records of a topic that have not been taken yet, decoded.
    ///
    /// # Errors
    /// When a record is not what the topic's codecs read.
    pub fn take_values<K: Data, V: Data, KC, VC>(&mut self, topic: &Topic<K, V, KC, VC>) -> Result<Vec<(K, V)>>
    where
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
    {
        let records = self.take(topic.name());
        records.iter().map(|r| Ok((decode::<K, KC>(r.key.as_deref())?, decode::<V, VC>(r.value.as_deref())?))).collect()
    }

    /// The topology's metrics.
    #[must_use]
    pub fn metrics(&self) -> &TopologyMetrics {
        &self.metrics
    }

    /// The broker beneath.
    #[must_use]
    pub fn broker(&self) -> &MemoryBroker {
        &self.broker
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }
}

fn encode<T: Data, C: Codec<T> + Default>(value: &T) -> Result<Option<Vec<u8>>> {
    if value.is_null() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let encoded = C::default().encode(value, &mut bytes);
    encoded.map_err(|error| Error::new(ErrorKind::Record, "a test record cannot be encoded").caused_by(error))?;
    Ok(Some(bytes))
}

fn decode<T: Data, C: Codec<T> + Default>(bytes: Option<&[u8]>) -> Result<T> {
    let decoded = match bytes {
        Some(bytes) => C::default().decode(bytes).map_err(|error| error.to_string()),
        None => T::null().ok_or_else(|| "it is null".to_owned()),
    };
    decoded.map_err(|error| Error::new(ErrorKind::Record, format!("an output record cannot be decoded: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{TumblingWindows, Windowed};
    use crate::{Builder, NoKey};

    const IN: Topic<NoKey, String> = Topic::new("in");
    const COUNTS: Topic<String, u64> = Topic::new("counts");

    fn counts() -> Topology {
        let b = Builder::new("counts");
        b.source(IN)
            .stream()
            .rekey(|_, word| word.clone())
            .group_by_key()
            .named("by-word")
            .count()
            .named("words")
            .to(COUNTS);
        b.build().expect("the topology is sound")
    }

    #[test]
    fn records_go_through_a_repartition_topic_and_come_out_counted() {
        let mut driver = Driver::builder(counts()).partitions(3).threads(2).start().expect("it starts");
        for (n, word) in ["a", "b", "a", "c", "a"].into_iter().enumerate() {
            let partition = u32::try_from(n % 3).expect("small");
            driver.send_bytes("in", partition, None, Some(word.as_bytes()), 10).expect("it is written");
        }
        driver.settle().expect("it settles");
        let mut counts = driver.take_values(&COUNTS).expect("they decode");
        counts.sort();
        assert_eq!(counts, [("a".to_owned(), 3), ("b".to_owned(), 1), ("c".to_owned(), 1)]);
    }

    #[test]
    fn a_silent_source_that_follows_the_clock_commits_once_a_second() {
        let b = Builder::new("clock");
        let lines = b.source(IN).advance_by_clock_after(Duration::from_secs(2)).stream();
        lines.rekey(|_, word| word.clone()).group_by_key().count().to(COUNTS);
        let mut driver = Driver::builder(b.build().expect("it is sound")).partitions(3).start().expect("it starts");
        driver.send_bytes("in", 0, None, Some(b"a"), 10).expect("it is written");
        for _ in 0..100 {
            driver.advance(Duration::from_millis(50)).expect("it rests in between");
        }
        let before = driver.broker().transactions().committed;
        for _ in 0..200 {
            driver.advance(Duration::from_millis(50)).expect("it rests in between");
        }
        let made = driver.broker().transactions().committed - before;
        // Upstream and downstream, in about ten seconds; settling moves the clock on as well.
        println!("{made} commits");
        assert!((10..=40).contains(&made), "{made}");
    }

    #[test]
    fn when_the_clock_goes_on_empty_partitions_are_left_out_and_no_task_moves() {
        let b = Builder::new("windows");
        let words = b.source(IN).stream().rekey(|_, word| word.clone()).group_by_key();
        let seconds = words.windowed(TumblingWindows::of(Duration::from_secs(1))).on_close();
        seconds.count().to(Topic::<Windowed<String>, u64>::new("windows"));
        let mut driver = Driver::builder(b.build().expect("it is sound")).partitions(3).start().expect("it starts");
        for time in [10, 2_000, 2_001] {
            driver.send_bytes("in", 0, None, Some(b"a"), time).expect("it is written");
            driver.settle().expect("it settles");
            let closed = driver.take("windows").len();
            assert_eq!(closed, usize::from(time == 2_001), "empty partitions are waited for");
            if time == 2_000 {
                driver.advance(Duration::from_secs(31)).expect("it rests");
            }
        }
    }

    #[test]
    fn an_idle_topology_makes_no_transaction() {
        let mut driver = Driver::builder(counts()).partitions(3).threads(2).start().expect("it starts");
        driver.send_bytes("in", 0, None, Some(b"a"), 10).expect("it is written");
        driver.settle().expect("it settles");
        let before = driver.broker().transactions();
        driver.advance(Duration::from_secs(10)).expect("it rests");
        assert_eq!(driver.broker().transactions(), before);
    }
}
