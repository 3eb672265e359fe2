//! Joins of tables by foreign keys, through whole tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::testing::{Driver, Message, text};
use super::{Builder, Table, Topic};
use crate::broker::{Broker, NewTopic, Outgoing, OutgoingRecord, Partitioning};
use crate::operators::DropReason;
use crate::operators::aggregate::Emission;
use crate::record::InputNumber;
use crate::topology::{TaskOptions, Topology};
use crate::{App, Clock, Config, Headers, MemoryBroker, SystemClock, Timestamp};

const LEFT: Topic<String, String> = Topic::new("left");
const RIGHT: Topic<String, String> = Topic::new("right");
const OUT: Topic<String, String> = Topic::new("out");

fn named(_: &String, value: &String) -> Option<String> {
    (value != "none").then(|| value.clone())
}

fn join(left: &Table<String, String>, right: &Table<String, String>, inner: bool) -> Table<String, String> {
    if inner {
        left.join_by(right, named, |key, l, r| format!("{key},{l},{r}"))
    } else {
        left.left_join_by(right, named, |key, l, r| format!("{key},{l},{}", r.map_or("null", String::as_str)))
    }
}

fn topology(inner: bool) -> Topology {
    let b = Builder::new("test");
    join(&b.table(LEFT), &b.table(RIGHT), inner).named("joined").to(OUT);
    b.build().unwrap()
}

/// A step: side, key and value of the input, and what an inner and a left join give.
type Golden = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// What Kafka Streams gives. Where it deletes a row that was not there, ours says nothing.
const GOLDEN: [Golden; 10] = [
    ("left", "k", "1", &[], &["k=k,1,null"]),
    ("right", "1", "foo", &["k=k,1,foo"], &["k=k,1,foo"]),
    ("left", "k", "2", &["k=-"], &["k=k,2,null"]),
    ("left", "k", "3", &[], &["k=k,3,null"]),
    ("right", "3", "bar", &["k=k,3,bar"], &["k=k,3,bar"]),
    ("left", "k", "none", &["k=-"], &["k=k,none,null"]),
    ("left", "k", "1", &["k=k,1,foo"], &["k=k,1,foo"]),
    ("left", "q", "10", &[], &["q=q,10,null"]),
    ("left", "r", "10", &[], &["r=r,10,null"]),
    ("right", "10", "baz", &["q=q,10,baz", "r=r,10,baz"], &["q=q,10,baz", "r=r,10,baz"]),
];

#[test]
fn the_golden_table_of_kafka_streams_holds() {
    for (inner, emission) in
        [true, false].into_iter().flat_map(|inner| [(inner, Emission::EachCommit), (inner, Emission::EachUpdate)])
    {
        let options = TaskOptions { emission, ..TaskOptions::default() };
        let mut driver = Driver::with(&topology(inner), 1, &options);
        for (step, (topic, key, value, of_inner, of_left)) in GOLDEN.into_iter().enumerate() {
            let before = driver.log("out").len();
            driver.send(topic, text(key, value, i64::try_from(step).unwrap()));
            driver.run();
            let came: Vec<String> = driver.texts("out")[before..]
                .iter()
                .map(|text| text.split_once('@').map_or(text.clone(), |(row, _)| row.to_owned()))
                .collect();
            assert_eq!(came, if inner { of_inner } else { of_left }, "inner: {inner}, step {}, {emission:?}", step + 1);
        }
        assert_eq!(driver.drops.get(DropReason::JoinMiss), u64::from(inner), "a row without a foreign key is counted");
    }
}

#[test]
fn a_result_has_the_later_time_of_both_rows_whichever_changes() {
    let mut driver = Driver::new(&topology(true));
    for (topic, key, time) in [("left", "k", 50), ("right", "1", 90), ("right", "1", 20)] {
        driver.send(topic, text(key, if topic == "left" { "1" } else { ["x", "y"][usize::from(time == 20)] }, time));
        driver.run();
    }
    assert_eq!(driver.texts("out"), ["k=k,1,x@90", "k=k,1,y@50"]);
}

#[test]
fn a_row_that_comes_and_goes_before_it_is_handed_on_is_seen_by_nobody() {
    let mut driver = Driver::new(&topology(false));
    driver.send("right", text("1", "gone at once", 1));
    driver.send("left", text("k", "1", 2));
    driver.send("right", Message { value: None, ..text("1", "", 3) });
    driver.run();
    assert_eq!(driver.texts("out"), ["k=k,1,null@2"]);
}

#[test]
fn all_that_a_join_keeps_is_called_after_it() {
    let b = Builder::new("test");
    let (left, right) = (b.table(LEFT), b.table(RIGHT));
    join(&left, &right, true).named("one").to(OUT);
    join(&left, &left, true).named("two").to(Topic::<String, String>::new("other"));
    let topology = b.build().unwrap();
    let mut names: Vec<String> =
        topology.plan().subs.iter().flat_map(|sub| &sub.stores).map(ToString::to_string).collect();
    names.extend(topology.plan().repartitions.iter().map(|topic| format!("{}-repartition", topic.name)));
    names.sort();
    let of = |name: &str| {
        ["by-foreign-key-repartition", "by-key-repartition", "subscriptions", "versions"]
            .map(|part| format!("{name}-{part}"))
    };
    let mut expected: Vec<String> = ["one", "two"].iter().flat_map(|name| of(name)).collect();
    expected.extend(
        ["left-table", "right-table", "one", "two", "two-other-side-copy", "two-other-side-repartition"]
            .map(str::to_owned),
    );
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_shuffle_that_comes_back_to_the_task_that_sends_is_a_mistake_of_its_line() {
    let b = Builder::new("test");
    let left = b.table(LEFT);
    let joined = join(&left, &b.table(RIGHT), true);
    joined.join(&left, |_, l, r| format!("{l}{r}")).to(OUT);
    let text = b.build().err().unwrap().to_string();
    assert!(text.contains("foreign_join_tests.rs") && text.contains("wait for its own time"), "{text}");
}

#[test]
fn a_bounded_run_ends_when_the_last_subscriber_has_been_told() {
    const ROWS: usize = 20_000;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let broker = MemoryBroker::new(Arc::clone(&clock));
    let topic = |name: &str| NewTopic { name: name.into(), partitions: 1, settings: BTreeMap::new() };
    broker.create_topics(&[topic("left"), topic("right")]).unwrap();
    let mut out = Outgoing::default();
    let (left, right) = (out.topic("left"), out.topic("right"));
    let keys: Vec<String> = (0..ROWS).map(|n| format!("{n:05}")).collect();
    let rows = keys.iter().map(|key| (left, key.as_str(), "1", 1)).chain([(right, "1", "x", 2)]);
    for (topic, key, value, time) in rows {
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let (partitioning, timestamp) = (Partitioning::ByKey, Timestamp::from_millis(time));
        let (headers, input) = (&Headers::NONE, InputNumber(0));
        out.push(&OutgoingRecord { topic, partitioning, key, value, timestamp, headers, input });
    }
    let mut writer = broker.writer().unwrap();
    writer.send(&out).unwrap();
    writer.flush().unwrap();
    let mut config = Config::new("test");
    config.until_end = true;
    App::new(topology(true), Arc::new(broker.clone()), config).start().unwrap().join().unwrap();
    let told: BTreeMap<_, _> =
        broker.records("out").unwrap().into_iter().map(|record| (record.key, record.value)).collect();
    assert_eq!(told.len(), ROWS);
}
