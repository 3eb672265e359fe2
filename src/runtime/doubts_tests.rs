//! A task that is back alone, while those upstream of it are somewhere else and have nothing to say.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::Process;
use super::config::Config;
use super::thread::Turn;
use crate::broker::memory::MemoryBroker;
use crate::broker::partitioner::partition_of;
use crate::broker::{Broker, NewTopic, Outgoing, OutgoingRecord, Partitioning};
use crate::dsl::{Builder, Topic};
use crate::metrics::{Metrics, TopologyMetrics};
use crate::record::{Headers, InputNumber};
use crate::time::{Clock, ManualClock, Timestamp};
use crate::topology::Topology;
use crate::{Codec, NoKey};

const PRICES: Topic<NoKey, String> = Topic::new("prices");
const SALES: Topic<NoKey, String> = Topic::new("sales");
const SOLD: Topic<String, String> = Topic::new("sold");

/// Sales joined with prices, whose way to the table is two shuffles long: the last thing in the topic between those is the
/// mark of a transaction, which nobody commits past.
fn topology() -> Topology {
    let b = Builder::new("shop");
    let first = |line: &String| line.split_once('=').map_or(line.as_str(), |(key, _)| key).to_owned();
    let prices = b.source(PRICES).stream().rekey(move |_, line| first(line));
    let prices = prices.repartition().partitions(1).named("between").stream().rekey(move |_, line| first(line));
    let prices = prices.repartition().partitions(2).named("by-product").stream().to_table();
    let sales = b.source(SALES).stream().rekey(move |_, line| first(line));
    let sales = sales.repartition().partitions(2).named("sold-by-product").stream();
    sales.join(&prices, |_, sale, price| format!("{sale} at {price}")).to(SOLD);
    b.build().expect("it is sound")
}

struct Rig {
    broker: MemoryBroker,
    clock: Arc<ManualClock>,
    metrics: [TopologyMetrics; 2],
    processes: [Option<Process>; 2],
}

impl Rig {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let topics = ["prices", "sales"].map(|name| NewTopic { name: name.into(), partitions: 1, settings: [].into() });
        broker.create_topics(&topics).expect("they are created");
        let metrics = [(); 2].map(|()| Metrics::new().topology("shop"));
        Self { broker, clock, metrics, processes: [None, None] }
    }

    fn start(&mut self, number: usize) {
        let mut config = Config::new("test");
        config.instance = Some(format!("p{number}"));
        let (broker, clock) = (Arc::new(self.broker.clone()), Arc::clone(&self.clock) as Arc<dyn Clock>);
        let started = Process::start(topology(), broker, config, clock, self.metrics[number].clone());
        self.processes[number] = Some(started.expect("it starts"));
    }

    fn write(&self, topic: &str, line: &str, time: i64) {
        let mut out = Outgoing::default();
        let topic = out.topic(topic);
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(0),
            key: None,
            value: Some(line.as_bytes()),
            timestamp: Timestamp::from_millis(time),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
        let mut writer = self.broker.writer().expect("it connects");
        writer.send(&out).expect("it is sent");
        writer.flush().expect("it is written");
    }

    /// Lets both processes work for so long by the clock.
    fn run(&mut self, time: Duration) {
        let end = self.clock.elapsed() + time;
        while self.clock.elapsed() < end {
            let mut worked = false;
            for process in self.processes.iter_mut().flatten() {
                worked |= process.turn().expect("it goes on") == Turn::Worked;
            }
            self.clock.advance(Duration::from_millis(if worked { 1 } else { 10 }));
        }
    }

    fn sold(&self) -> Vec<String> {
        let sold = self.broker.records("sold").unwrap_or_default();
        sold.into_iter().map(|record| String::from_utf8(record.value.unwrap_or_default()).expect("text")).collect()
    }
}

/// A key of the second partition.
fn key() -> String {
    let second = |key: &String| {
        let mut bytes = Vec::new();
        <String as crate::Data>::Codec::default().encode(key, &mut bytes).expect("text");
        partition_of(&bytes, 2) == 1
    };
    ('a'..='z').map(String::from).find(second).expect("one of them")
}

#[test]
fn a_task_that_is_back_alone_goes_on_soon_while_those_upstream_are_quiet() {
    let (mut rig, key) = (Rig::new(), key());
    rig.start(0);
    rig.start(1);
    rig.run(Duration::from_secs(5));
    rig.write("prices", &format!("{key}=1"), 10);
    rig.run(Duration::from_secs(2));
    rig.write("sales", &format!("{key}=a"), 20);
    rig.run(Duration::from_secs(2));
    assert_eq!(rig.sold(), [format!("{key}=a at {key}=1")]);
    let rebalances = rig.metrics[0].rebalances().get();
    rig.processes[1].take().expect("it runs").close(false);
    rig.write("sales", &format!("{key}=b"), 30);
    rig.run(Duration::from_millis(500));
    assert_eq!(rig.sold().len(), 1, "the task of the key is where the process is that has stopped");
    rig.start(1);
    rig.run(Duration::from_secs(2));
    assert_eq!(rig.sold().last(), Some(&format!("{key}=b at {key}=1")));
    assert_eq!(rig.metrics[0].rebalances().get(), rebalances, "nothing has moved in the other process");
}
