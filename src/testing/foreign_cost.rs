//! What a change of a row costs that very many others name, run by name:
//! `cargo test --release --lib foreign_cost -- --ignored --nocapture`, with `ROWS=1000000` or fewer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, NewTopic, Outgoing, OutgoingRecord, Partitioning};
use crate::metrics::Metrics;
use crate::record::{Headers, InputNumber};
use crate::runtime::Config;
use crate::runtime::cluster::Process;
use crate::runtime::thread::Turn;
use crate::time::{Clock, SystemClock, Timestamp};
use crate::topology::Topology;
use crate::window::{TumblingWindows, Windowed};
use crate::{Builder, Topic};

const LEFT: Topic<u64, String> = Topic::new("left");
const RIGHT: Topic<String, String> = Topic::new("right");
const OUT: Topic<u64, String> = Topic::new("out");
const COUNTS: Topic<Windowed<String>, u64> = Topic::new("counts");
const MINUTE: i64 = 60_000;

fn topology() -> Topology {
    let b = Builder::new("hot");
    let joined = b.table(LEFT).join_by(&b.table(RIGHT), |_, value| Some(value.clone()), |_, _, right| right.clone());
    let joined = joined.named("joined");
    joined.to(OUT);
    let all = joined.to_stream().map(|_, value| (value.unwrap_or_default(), ())).map_values(|()| 1_u64);
    let windows = all.group_by_key().named("by-value").windowed(TumblingWindows::of(Duration::from_mins(1)));
    windows.on_close().count().named("counts").to(COUNTS);
    b.build().expect("it is sound")
}

fn write(broker: &MemoryBroker, rows: impl Iterator<Item = (&'static str, Vec<u8>, &'static str, i64)>) {
    let mut out = Outgoing::default();
    for (topic, key, value, minute) in rows {
        let topic = out.topic(topic);
        let (key, value, timestamp) = (Some(&key[..]), Some(value.as_bytes()), Timestamp::from_millis(minute * MINUTE));
        let (partitioning, headers, input) = (Partitioning::ByKey, &Headers::NONE, InputNumber(0));
        out.push(&OutgoingRecord { topic, partitioning, key, value, timestamp, headers, input });
    }
    let mut writer = broker.writer().expect("a writer");
    writer.send(&out).expect("written");
    writer.flush().expect("written");
}

/// Runs until nothing is left to do; gives how long the longest turn took, in which a step or a commit falls.
fn settle(process: &mut Process, clock: &dyn Clock) -> Duration {
    let mut worst = Duration::ZERO;
    let mut idle = 0;
    while idle < 20 {
        let start = clock.elapsed();
        let turn = process.turn().expect("it goes on");
        worst = worst.max(clock.elapsed().saturating_sub(start));
        match turn {
            Turn::Worked => idle = 0,
            Turn::Idle(_) => {
                idle += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    worst
}

#[test]
#[ignore = "a measurement, and it takes a while"]
fn a_row_that_a_million_others_name_changes_without_a_long_step_and_loses_no_window() {
    let rows: u64 = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let broker = MemoryBroker::new(Arc::clone(&clock));
    let topic = |name: &str| NewTopic { name: name.into(), partitions: 1, settings: BTreeMap::new() };
    broker.create_topics(&["left", "right", "out", "counts"].map(topic)).expect("created");
    let metrics = Metrics::new().topology("hot");
    let config = Config::new("test");
    let mut process =
        Process::start(topology(), Arc::new(broker.clone()), config, Arc::clone(&clock), metrics).expect("it starts");
    write(&broker, (0..rows).map(|n| ("left", n.to_be_bytes().to_vec(), "hot", 1)));
    let start = clock.elapsed();
    let worst = settle(&mut process, &*clock);
    println!("{rows} rows: {:?}, longest turn {worst:?}", clock.elapsed().saturating_sub(start));
    // The second change comes while the first is going round.
    for (change, value) in ["one", "two"].into_iter().enumerate() {
        let minute = 2 + i64::try_from(change).expect("small");
        write(&broker, [("right", b"hot".to_vec(), value, minute)].into_iter());
        let (start, before) = (clock.elapsed(), broker.transactions().committed);
        let worst = settle(&mut process, &*clock);
        let commits = broker.transactions().committed - before;
        println!("a change: {:?}, {commits} commits, longest turn {worst:?}", clock.elapsed().saturating_sub(start));
    }
    // Time goes on in both tables, and closes the windows of both changes.
    write(
        &broker,
        [("right", b"cold".to_vec(), "", 9), ("left", u64::MAX.to_be_bytes().to_vec(), "cold", 9)].into_iter(),
    );
    settle(&mut process, &*clock);
    let newest: BTreeMap<_, _> =
        broker.records("out").expect("it is there").into_iter().map(|record| (record.key, record.value)).collect();
    let two = newest.values().filter(|value| value.as_deref() == Some(b"two")).count() as u64;
    assert_eq!(two, rows);
    let counts = broker.records("counts").expect("it is there");
    let counted: u64 = counts
        .iter()
        .filter(|record| record.key.as_ref().is_some_and(|key| key.starts_with(b"one") || key.starts_with(b"two")))
        .map(|record| u64::from_be_bytes(record.value.clone().unwrap_or_default().try_into().expect("a count")))
        .sum();
    assert_eq!(counted, 2 * rows, "no result came after its window had closed");
}
