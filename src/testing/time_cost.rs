//! What event time costs a record: a count behind a shuffle, with watermarks and without, in turn on the same input.

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
use crate::time::{Clock, ManualClock, Timestamp};
use crate::{Builder, NoKey, Topic, Topology};

const IN: Topic<NoKey, i64> = Topic::new("in");
const COUNTS: Topic<i64, u64> = Topic::new("counts");
const PARTITIONS: u32 = 4;
const RECORDS: i64 = 400_000;
const ROUNDS: usize = 15;
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn topology(timeless: bool) -> Topology {
    let b = Builder::new("counting");
    let source = b.source(IN).out_of_order_by(Duration::from_millis(50));
    let source = if timeless { source.timeless() } else { source };
    source.stream().rekey(|_, n| n % 1_000).group_by_key().named("by-key").count().named("counts").to(COUNTS);
    b.build().expect("sound")
}

/// Every third record a little out of order.
fn filled(clock: &Arc<ManualClock>) -> MemoryBroker {
    let broker = MemoryBroker::new(Arc::clone(clock) as Arc<dyn Clock>);
    let topic = |name: &str| NewTopic { name: name.into(), partitions: PARTITIONS, settings: BTreeMap::new() };
    broker.create_topics(&[topic("in"), topic("counts")]).expect("created");
    let mut writer = broker.writer().expect("it opens");
    for thousand in 0..RECORDS / 1_000 {
        let mut out = Outgoing::default();
        let topic = out.topic("in");
        for n in thousand * 1_000..(thousand + 1) * 1_000 {
            let late = if n % 3 == 0 { n % 100 } else { 0 };
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::Fixed(u32::try_from(n % i64::from(PARTITIONS)).expect("small")),
                key: None,
                value: Some(&n.wrapping_mul(2_654_435_761).to_be_bytes()),
                timestamp: Timestamp::from_millis(START.millis() + n - late),
                headers: &Headers::NONE,
                input: InputNumber(0),
            });
        }
        writer.send(&out).and_then(|()| writer.flush()).expect("written");
    }
    broker
}

/// The CPU time of this thread in nanoseconds: what others do on the machine does not count.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    text.split_whitespace().next().expect("a number").parse().expect("a number")
}

/// Runs the whole input once: nanoseconds of CPU a record.
fn run(timeless: bool) -> f64 {
    let clock = Arc::new(ManualClock::new(START));
    let broker = filled(&clock);
    let (config, metrics) = (Config::new("cost"), Metrics::new().topology("counting"));
    let time = Arc::clone(&clock) as Arc<dyn Clock>;
    let mut process =
        Process::start(topology(timeless), Arc::new(broker.clone()), config, time, metrics).expect("started");
    let started = cpu();
    let mut quiet = 0;
    while quiet < 50 {
        let worked = process.turn().expect("it goes on") == Turn::Worked || process.is_busy();
        quiet = if worked { 0 } else { quiet + 1 };
        // As if a round took so long: a commit every 25 rounds, in each run at the same places.
        clock.advance(Duration::from_millis(4));
    }
    let took = cpu() - started;
    let counts = broker.records("counts").expect("there is one");
    let count = |value: Vec<u8>| u64::from_be_bytes(value.try_into().expect("8 bytes"));
    let last: BTreeMap<_, u64> =
        counts.into_iter().filter_map(|record| Some((record.key, count(record.value?)))).collect();
    assert_eq!(last.values().sum::<u64>(), RECORDS.unsigned_abs());
    process.close(true);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = took as f64 / RECORDS as f64;
    each
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "it measures: run it by name, built with optimisation"]
fn watermarks_cost_little_of_what_a_record_costs() {
    run(false);
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|round| {
            // Each goes first as often as second.
            if round % 2 == 0 {
                let with = run(false);
                (with, run(true))
            } else {
                let without = run(true);
                (run(false), without)
            }
        })
        .collect();
    let (with, without) = (median(rounds.iter().map(|r| r.0).collect()), median(rounds.iter().map(|r| r.1).collect()));
    let share = median(rounds.iter().map(|(with, without)| with / without - 1.0).collect());
    println!("{with:.0} ns of CPU a record with watermarks, {without:.0} without: {:+.1} %", share * 100.0);
    // Room for a busy machine: what is meant is 3 %.
    assert!(share < 0.10, "{rounds:?}");
}
