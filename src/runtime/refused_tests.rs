//! What people see of records: which were refused and why, and how many came into each operator.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::Process;
use super::config::Config;
use super::refused::Refused;
use super::thread::Turn;
use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, NewTopic, Outgoing, OutgoingRecord, Partitioning};
use crate::dsl::{Builder, Topic};
use crate::metrics::{Metrics, TopologyMetrics};
use crate::record::{Headers, InputNumber};
use crate::time::{Clock, ManualClock, Timestamp};
use crate::topology::Topology;
use crate::window::{TumblingWindows, Windowed};
use crate::{BadInput, NoKey, Reject};

const IN: Topic<NoKey, String> = Topic::new("in");
const OUT: Topic<Windowed<String>, u64> = Topic::new("out");
const SHORT: Topic<NoKey, String> = Topic::new("short");

fn topology() -> Topology {
    let b = Builder::new("words");
    let words = b.source(IN).on_bad_input(BadInput::dead_letter("dead")).stream();
    let checked = words.try_filter(|_, word| match word.as_str() {
        "secret" => Err(Reject::because("it is secret")),
        _ => Ok(true),
    });
    let checked = checked.named("check");
    let [short, long] = checked.branch(|_, word| match word.len() {
        0 => 2,
        1..4 => 0,
        _ => 1,
    });
    short.named("short").to(SHORT);
    let windows = TumblingWindows::of(Duration::from_secs(10));
    long.named("long").rekey(|_, word| word.clone()).named("by-word").group_by_key().windowed(windows).count().to(OUT);
    b.build().expect("it is sound")
}

struct Rig {
    broker: MemoryBroker,
    clock: Arc<ManualClock>,
    metrics: TopologyMetrics,
    process: Process,
}

impl Rig {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let topics = ["in", "out", "short", "dead"];
        let topics = topics.map(|name| NewTopic { name: name.into(), partitions: 1, settings: [].into() });
        broker.create_topics(&topics).expect("they are created");
        let metrics = Metrics::new().topology("words");
        let mut config = Config::new("test");
        config.instance = Some("p".into());
        let (shared, process) = (Arc::new(broker.clone()), Arc::clone(&clock) as Arc<dyn Clock>);
        let process = Process::start(topology(), shared, config, process, metrics.clone()).expect("it starts");
        Self { broker, clock, metrics, process }
    }

    fn write(&self, values: &[(&[u8], i64)]) {
        let mut out = Outgoing::default();
        let topic = out.topic("in");
        for (value, second) in values {
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::Fixed(0),
                key: None,
                value: Some(value),
                timestamp: Timestamp::from_millis(second * 1_000),
                headers: &Headers::NONE,
                input: InputNumber(0),
            });
        }
        let mut writer = self.broker.writer().expect("it connects");
        writer.send(&out).expect("it is sent");
        writer.flush().expect("it is written");
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            while self.process.turn().expect("it goes on") == Turn::Worked {}
            self.clock.advance(Duration::from_millis(50));
        }
    }
}

#[test]
fn each_refused_record_is_there_with_its_place_and_reason_and_nothing_of_what_is_in_it() {
    let mut rig = Rig::new();
    rig.write(&[
        (b"long", 1),
        (b"\xffsecret", 2),
        (b"secret", 3),
        (b"", 4),
        (b"later", 30),
        (b"late", 5),
        (b"abc", 31),
    ]);
    rig.settle();
    let refused = rig.process.refused();
    let find = |reason: &str| refused.iter().find(|one| one.reason == reason).cloned().expect("it is there");
    let Refused { task, topic, partition, offset, operator, message, at, .. } = find("unreadable");
    assert_eq!((topic.as_str(), partition, offset, operator), ("in", 0, Some(1), None));
    assert_eq!(message.as_deref(), Some("the value cannot be read: not UTF-8 after byte 0"));
    assert!(task.ends_with("-0") && at >= Timestamp::from_millis(1_700_000_000_000), "{task} {at}");
    let rejected = find("rejected");
    assert_eq!((rejected.offset, rejected.operator.as_deref(), rejected.message), (Some(2), Some("check"), None));
    let nowhere = find("no_branch");
    assert_eq!((nowhere.offset, nowhere.timestamp), (Some(3), Some(Timestamp::from_millis(4_000))));
    let late = find("late");
    assert_eq!(late.timestamp, Some(Timestamp::from_millis(5_000)));
    assert!(late.topic.ends_with("-repartition") && late.operator.is_some(), "{late:?}");
    assert_eq!(refused.len(), 4, "{refused:?}");
    assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    assert_eq!(rig.broker.records("dead").map(|dead| dead.len()).ok(), Some(2));
}

#[test]
fn a_flood_of_refused_records_keeps_the_newest_and_no_more_than_there_is_room_for() {
    let mut rig = Rig::new();
    let flood: Vec<(&[u8], i64)> = vec![(b"\xff", 1); 5_000];
    rig.write(&flood);
    rig.settle();
    let refused = rig.process.refused();
    assert!((20..=200).contains(&refused.len()), "{}", refused.len());
    assert!(refused.last().and_then(|last| last.offset) > Some(4_500), "{:?}", refused.last());
    assert!(refused.is_sorted_by_key(|one| one.offset));
}

#[test]
fn what_came_into_each_operator_is_counted_by_its_name_in_the_description() {
    let mut rig = Rig::new();
    rig.write(&[(b"long", 1), (b"longer", 2), (b"secret", 3), (b"a", 4), (b"abc", 5), (b"b", 6), (b"", 7)]);
    rig.settle();
    let description = topology().description();
    let nodes = description.sub_topologies.iter().flat_map(|sub| &sub.nodes);
    let count = |name: &str| rig.metrics.operator_records(name).get();
    let counts: Vec<(String, u64)> = nodes.map(|node| (node.name.clone(), count(&node.name))).collect();
    let of = |name: &str| counts.iter().find(|(node, _)| node == name).map(|(_, count)| *count);
    // The secret one has gone to the dead letters, the empty one nowhere.
    assert_eq!(of("in"), Some(6), "{counts:?}");
    assert_eq!(of("check"), Some(6), "{counts:?}");
    assert_eq!((of("short"), of("long"), of("by-word")), (Some(3), Some(2), Some(2)), "{counts:?}");
    let behind: Vec<_> = counts.iter().filter(|(name, _)| name.contains("count") || name.ends_with("-sink")).collect();
    assert!(!behind.is_empty() && behind.iter().all(|(_, count)| *count == 2), "{counts:?}");
    assert!(counts.iter().all(|(_, count)| *count > 0), "every node has a count: {counts:?}");
}
