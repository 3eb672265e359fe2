//! How time goes wrong elsewhere, one scenario a test.

use std::sync::Arc;
use std::time::Duration;

use super::Driver;
use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Broker, CommittedOffset, GroupEvent, Guarantee, Member, MemberOptions, NewTopic, Outgoing, OutgoingRecord,
    Partitioning,
};
use crate::dsl::{Source, Stream};
use crate::metrics::Metrics;
use crate::operators::topic_source::{EventTime, FromField, FromRecord};
use crate::operators::value_processor::{ValueContext, ValueProcessor};
use crate::operators::{DropReason, Reject};
use crate::record::{Headers, InputNumber, TopicPartition};
use crate::runtime::Config;
use crate::runtime::cluster::Process;
use crate::runtime::thread::Turn;
use crate::state::{MemoryDisks, StateOptions};
use crate::time::{Clock, ManualClock, Timestamp};
use crate::topology::Topology;
use crate::window::{TumblingWindows, Windowed};
use crate::{BadInput, Builder, NoKey, Record, Topic};

type Codec<T> = <T as crate::Data>::Codec;
type Numbers<E> = Source<NoKey, i64, Codec<NoKey>, Codec<i64>, E>;

const IN: Topic<NoKey, i64> = Topic::new("in");
const OTHER: Topic<NoKey, i64> = Topic::new("other");
const BOTH: Topic<String, i64> = Topic::new("both");
const COUNTS: Topic<Windowed<String>, u64> = Topic::new("counts");
const HOUR: Duration = Duration::from_hours(1);

/// 2023-11-14, at a full ten seconds.
const NOW: i64 = 1_700_000_000_000;

/// Values are their own event time.
fn own_time(source: Numbers<FromRecord>) -> Numbers<FromField<impl Fn(&NoKey, &i64) -> Timestamp + Send + Sync>> {
    source.event_time(|_: &NoKey, at: &i64| Timestamp::from_millis(*at))
}

/// How many records each ten seconds have, once they are over. All go through a shuffle.
fn counting<E: EventTime<NoKey, i64>>(source: impl FnOnce(Numbers<FromRecord>) -> Numbers<E>) -> Topology {
    let b = Builder::new("counting");
    let windows = TumblingWindows::of(Duration::from_secs(10));
    count(&source(b.source(IN)).stream(), windows);
    b.build().expect("the topology is sound")
}

fn count(numbers: &Stream<NoKey, i64>, windows: TumblingWindows) {
    let by_key = numbers.rekey(|_, _| "all".to_owned()).group_by_key().named("by-key");
    by_key.windowed(windows).on_close().count().named("counts").to(COUNTS);
}

/// A driver whose member is not taken for dead when the clock is moved far.
fn driver(topology: Topology, partitions: u32) -> Driver {
    let patient = |config: &mut Config| config.session_timeout = 24 * HOUR;
    let start = Timestamp::from_millis(NOW);
    Driver::builder(topology)
        .partitions(partitions)
        .threads(2)
        .start_at(start)
        .config(patient)
        .start()
        .expect("started")
}

/// A record at a time in seconds after [`NOW`], stamped with it as well.
fn send(driver: &mut Driver, partition: u32, seconds: i64) {
    let time = NOW + seconds * 1_000;
    driver.send_bytes("in", partition, None, Some(&time.to_be_bytes()), time).expect("written");
    driver.settle().expect("it goes on");
}

/// The windows that have closed since the last look: seconds after [`NOW`] and counts.
fn closed(driver: &mut Driver) -> Vec<(i64, u64)> {
    let counts = driver.take_values(&COUNTS).expect("they decode").into_iter();
    counts.map(|(of, count)| ((of.window.start.millis() - NOW) / 1_000, count)).collect()
}

fn dropped(driver: &Driver, reason: DropReason) -> u64 {
    let topics = ["in", "test-counting-by-key-repartition"];
    topics.iter().map(|topic| driver.metrics().drops(topic).get(reason)).sum()
}

#[test]
fn one_record_a_year_ahead_costs_none_of_the_ten_honest_ones_after_it() {
    let play = |guarded: bool, clock_ahead: Duration| {
        let mut driver = driver(
            counting(|source| {
                let source = own_time(source).on_bad_input(BadInput::Skip);
                if guarded { source.ahead_by_at_most(HOUR) } else { source }
            }),
            2,
        );
        driver.advance(clock_ahead).expect("it waits");
        for partition in 0..2 {
            send(&mut driver, partition, 0);
        }
        let year_ahead = NOW + 365 * 24 * 3_600_000;
        driver.send_bytes("in", 0, None, Some(&year_ahead.to_be_bytes()), NOW).expect("written");
        for second in 1..=10 {
            send(&mut driver, 0, second - 1);
        }
        for partition in 0..2 {
            send(&mut driver, partition, 20);
        }
        (closed(&mut driver), dropped(&driver, DropReason::TooFarAhead), dropped(&driver, DropReason::Late))
    };
    let all = (vec![(0, 12)], 1, 0);
    assert_eq!(play(true, Duration::ZERO), all);
    assert_eq!(play(true, 2 * 365 * 24 * HOUR), all, "a replay two years later judges as the first run did");
    assert_eq!(play(false, Duration::ZERO).2, 11, "without the guard the honest ones are late");
}

#[test]
fn a_quiet_partition_holds_windows_back_no_longer_than_the_idle_timeout() {
    let mut driver = driver(counting(|source| own_time(source).idle_after(Duration::from_secs(30))), 2);
    send(&mut driver, 1, 1);
    for second in 0..29 {
        send(&mut driver, 0, second);
        driver.advance(Duration::from_secs(1)).expect("it goes on");
    }
    assert_eq!(closed(&mut driver), [], "the quiet partition may still have something for it");
    for second in 29..32 {
        send(&mut driver, 0, second);
        driver.advance(Duration::from_secs(1)).expect("it goes on");
    }
    assert_eq!(closed(&mut driver), [(0, 11), (10, 10), (20, 10)]);
    // It is back, with a record for a window that was closed without it: told apart from one that was late by itself.
    send(&mut driver, 1, 2);
    assert_eq!((dropped(&driver, DropReason::Expired), dropped(&driver, DropReason::Late)), (1, 0));
    send(&mut driver, 0, 45);
    assert_eq!(closed(&mut driver), [], "and holds time back again");
    send(&mut driver, 1, 45);
    assert_eq!(closed(&mut driver), [(30, 2)]);
}

#[test]
fn a_partition_that_gets_nothing_but_bad_records_is_idle_as_well() {
    let source = |source| own_time(source).idle_after(Duration::from_secs(30)).on_bad_input(BadInput::Skip);
    let mut driver = driver(counting(source), 2);
    send(&mut driver, 1, 1);
    for second in 0..40 {
        send(&mut driver, 0, second);
        // Read in the very round in which the clock is looked at: it must not count as a sign of life.
        driver.send_bytes("in", 1, None, Some(b"no number"), NOW).expect("written");
        driver.advance(Duration::from_secs(1)).expect("it goes on");
    }
    assert_eq!(closed(&mut driver), [(0, 11), (10, 10), (20, 10)]);
    assert_eq!(dropped(&driver, DropReason::Unreadable), 40);
}

#[test]
fn a_quiet_topic_closes_its_last_window_when_asked_to_follow_the_clock() {
    for asked in [true, false] {
        let silence = Duration::from_secs(5);
        let source = |source| {
            let source = own_time(source);
            if asked { source.advance_by_clock_after(silence) } else { source }
        };
        let mut driver = driver(counting(source), 2);
        for partition in 0..2 {
            send(&mut driver, partition, 3);
        }
        let mut closed_after = None;
        for second in 1..=60 {
            driver.advance(Duration::from_secs(1)).expect("it goes on");
            if closed(&mut driver) == [(0, 2)] {
                assert_eq!(closed_after.replace(second), None, "once");
            }
        }
        // The window ends at 10; the watermark follows the clock by as much as the silence had to be.
        assert_eq!(closed_after, asked.then_some(15));
        // What comes now is measured by the clock: the window is closed to it by its own partition.
        send(&mut driver, 0, 4);
        assert_eq!(dropped(&driver, DropReason::Late), u64::from(asked));
    }
}

#[test]
fn event_times_around_1970_and_of_the_far_future_survive_a_shuffle() {
    let mut driver = driver(counting(|source| own_time(source).on_bad_input(BadInput::Skip)), 1);
    let far = NOW * 3;
    for time in [-1, 0, 0, 1, i64::MIN, far] {
        driver.send_bytes("in", 0, None, Some(&time.to_be_bytes()), NOW).expect("written");
    }
    driver.settle().expect("it goes on");
    let counts = driver.take("counts");
    assert_eq!(counts.len(), 1, "the far future closes the first window, and its own stays open");
    assert_eq!(counts[0].value, Some(3_u64.to_be_bytes().to_vec()));
    assert_eq!(counts[0].timestamp, Timestamp::from_millis(1), "the newest event in it");
    assert_eq!(dropped(&driver, DropReason::NegativeTimestamp), 2);
    // The broker would take 0 for now, and refuses the far future.
    let shuffled = driver.broker().records("test-counting-by-key-repartition").expect("there is one");
    assert!(!shuffled.is_empty());
    for record in shuffled {
        assert!((1..=driver.clock().wall().millis()).contains(&record.timestamp.millis()), "{}", record.timestamp);
    }
}

#[test]
fn results_of_windows_reach_those_behind_them_however_far_time_jumps() {
    let b = Builder::new("counting");
    let numbers = own_time(b.source(IN)).stream();
    let ten = TumblingWindows::of(Duration::from_secs(10));
    let first = numbers.rekey(|_, at| format!("k{}", at % 3)).group_by_key().named("by-key").windowed(ten).on_close();
    // The ten seconds once more, over all keys: each result lies behind the time that released it.
    let results = first.count().named("parts").to_stream().map(|_, count| ("all".to_owned(), count.unwrap_or(0)));
    let sum = results.group_by_key().named("by-window").windowed(ten).on_close();
    sum.reduce(|sum, more| *sum += more).named("sums").to(COUNTS);
    let mut driver = driver(b.build().expect("sound"), 2);
    for second in 0..30 {
        let time = NOW + second * 1_000 + second;
        driver.send_bytes("in", 0, None, Some(&time.to_be_bytes()), time).expect("written");
        driver.send_bytes("in", 1, None, Some(&time.to_be_bytes()), time).expect("written");
    }
    for partition in 0..2 {
        send(&mut driver, partition, 24 * 3_600);
    }
    assert_eq!(closed(&mut driver), [(0, 20), (10, 20), (20, 20)]);
}

#[test]
fn a_stream_does_not_overtake_another_through_shuffles() {
    let topology = || {
        let b = Builder::new("merging");
        let shuffled = |topic: Topic<NoKey, i64>, name: &str| {
            own_time(b.source(topic)).stream().rekey(|_, _| "k".to_owned()).repartition().named(name).stream()
        };
        shuffled(IN, "left").merge(&shuffled(OTHER, "right")).to(BOTH);
        b.build().expect("sound")
    };
    for batch in [1, 7, 1_000] {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW)));
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<dyn Clock>);
        create(&broker, &["in", "other", "both"], 2);
        let mut sent = Vec::new();
        // The one that has less is through long before the other.
        for (topic, time) in (0..300).map(|n| ("other", n * 10)).chain((0..100).map(|n| ("in", n * 30 + 5))) {
            write(&broker, topic, u32::try_from(time % 2).expect("0 or 1"), NOW + time);
            sent.push(NOW + time);
        }
        let mut process = start(topology(), &broker, &clock, "a", MemoryDisks::default(), Some(batch));
        settle(&mut process, &clock);
        let merged = broker.records("both").expect("there is one").into_iter();
        let time = |value: Vec<u8>| i64::from_be_bytes(value.try_into().expect("8 bytes"));
        let merged: Vec<i64> = merged.filter_map(|record| record.value).map(time).collect();
        sent.sort_unstable();
        assert_eq!(merged.len(), sent.len(), "batches of {batch}");
        assert!(merged == sent, "batches of {batch}: out of order");
    }
}

fn create(broker: &MemoryBroker, names: &[&str], partitions: u32) {
    let settings = std::collections::BTreeMap::new;
    let topic = |name: &&str| NewTopic { name: (*name).to_owned(), partitions, settings: settings() };
    broker.create_topics(&names.iter().map(topic).collect::<Vec<_>>()).expect("created");
}

/// One record whose value is its time.
fn record(topic: &str, partition: u32, time: i64) -> Outgoing {
    let mut out = Outgoing::default();
    let topic = out.topic(topic);
    out.push(&OutgoingRecord {
        topic,
        partitioning: Partitioning::Fixed(partition),
        key: None,
        value: Some(&time.to_be_bytes()),
        timestamp: Timestamp::from_millis(time),
        headers: &Headers::NONE,
        input: InputNumber(0),
    });
    out
}

fn write(broker: &MemoryBroker, topic: &str, partition: u32, time: i64) {
    let mut writer = broker.writer().expect("it opens");
    writer.send(&record(topic, partition, time)).and_then(|()| writer.flush()).expect("written");
}

/// A process of the application, with disks of its own.
fn start(
    topology: Topology,
    broker: &MemoryBroker,
    clock: &Arc<ManualClock>,
    instance: &str,
    disks: MemoryDisks,
    batch: Option<usize>,
) -> Process {
    start_measured(topology, broker, clock, (instance, disks), batch, &Metrics::new())
}

fn start_measured(
    topology: Topology,
    broker: &MemoryBroker,
    clock: &Arc<ManualClock>,
    (instance, disks): (&str, MemoryDisks),
    batch: Option<usize>,
    metrics: &Metrics,
) -> Process {
    let mut config = Config::new("test");
    config.instance = Some(instance.into());
    config.threads = 2;
    config.state = StateOptions::Disks(disks);
    config.batch = batch;
    config.session_timeout = 24 * HOUR;
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let metrics = metrics.topology("counting");
    Process::start(topology, Arc::new(broker.process(instance)), config, clock, metrics).expect("started")
}

/// Lets a process work until a second has passed in which nothing happened.
fn settle(process: &mut Process, clock: &ManualClock) {
    let mut quiet = 0;
    for _ in 0..100_000 {
        let worked = process.turn().expect("it goes on") == Turn::Worked || process.is_busy();
        quiet = if worked { 0 } else { quiet + 1 };
        clock.advance(Duration::from_millis(10));
        if quiet == 100 {
            return;
        }
    }
    panic!("it does not come to rest");
}

/// All windows that have closed so far, as seconds after [`NOW`] and counts.
fn all_closed(broker: &MemoryBroker) -> Vec<(i64, u64)> {
    let records = broker.records("counts").unwrap_or_default().into_iter();
    let count = |record: crate::broker::memory::StoredRecord| {
        let key = record.key.expect("a key");
        let start = i64::from_be_bytes(key[key.len() - 8..].try_into().expect("8 bytes"));
        let value = record.value.expect("a count");
        ((start - NOW) / 1_000, u64::from_be_bytes(value.try_into().expect("8 bytes")))
    };
    records.map(count).collect()
}

/// Time stands at 12 s in both partitions, `[0, 10)` has closed with 3 and `[10, 20)` holds 2, when `change` happens to
/// the process; what comes then must meet the time that was committed.
fn goes_on_after(change: impl Fn(Process, &MemoryBroker, &Arc<ManualClock>, &MemoryDisks) -> Process) {
    let topology = || counting(own_time);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW)));
    let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<dyn Clock>);
    create(&broker, &["in", "counts"], 2);
    let disks = MemoryDisks::default();
    let mut process = start(topology(), &broker, &clock, "a", disks.clone(), None);
    for (partition, seconds) in [(0, 1), (0, 5), (1, 9), (0, 12), (1, 12)] {
        write(&broker, "in", partition, NOW + seconds * 1_000);
    }
    settle(&mut process, &clock);
    assert_eq!(all_closed(&broker), [(0, 3)]);
    let mut process = change(process, &broker, &clock, &disks);
    settle(&mut process, &clock);
    // Late, and to be known as that: a second [0, 10) would come else. Partition 1 has nothing new to say.
    write(&broker, "in", 0, NOW + 3_000);
    write(&broker, "in", 0, NOW + 25_000);
    settle(&mut process, &clock);
    assert_eq!(all_closed(&broker), [(0, 3)], "partition 1 still stands at 12");
    write(&broker, "in", 1, NOW + 21_000);
    settle(&mut process, &clock);
    assert_eq!(all_closed(&broker), [(0, 3), (10, 2)]);
}

#[test]
fn a_task_that_moves_goes_on_with_the_time_that_was_committed() {
    goes_on_after(|process, broker, clock, _| {
        process.close(true);
        start(counting(own_time), broker, clock, "b", MemoryDisks::default(), None)
    });
}

#[test]
fn a_lost_disk_loses_neither_time_nor_windows() {
    goes_on_after(|process, broker, clock, _| {
        drop(process);
        start(counting(own_time), broker, clock, "a", MemoryDisks::default(), None)
    });
}

#[test]
fn a_restart_with_its_disk_goes_on_with_the_time_that_was_committed() {
    goes_on_after(|process, broker, clock, disks| {
        process.close(false);
        start(counting(own_time), broker, clock, "a", disks.clone(), None)
    });
}

/// A transaction of another program that has written to a partition and does not end.
fn open_transaction(driver: &Driver, seconds: i64) -> Box<dyn Member> {
    create(driver.broker(), &["foreign"], 1);
    let options = MemberOptions {
        group: "foreign".into(),
        instance: "foreign".into(),
        transactional_id: "foreign".into(),
        client_id: "foreign".into(),
        guarantee: Guarantee::ExactlyOnce,
        session_timeout: 24 * HOUR,
        transaction_timeout: 24 * HOUR,
    };
    let mut foreign = driver.broker().connect(&options).expect("connected");
    foreign.subscribe(&["foreign"]).expect("subscribed");
    assert!(matches!(foreign.poll(), Ok(Some(GroupEvent::Assigned(_)))));
    foreign.send(0, &record("in", 1, NOW + seconds * 1_000)).expect("sent");
    foreign
}

#[test]
fn a_partition_held_up_by_an_open_transaction_of_another_program_is_not_idle() {
    let mut driver = driver(counting(|source| own_time(source).idle_after(Duration::from_secs(30))), 2);
    for partition in 0..2 {
        send(&mut driver, partition, 1);
    }
    let mut foreign = open_transaction(&driver, 2);
    for second in 2..60 {
        send(&mut driver, 0, second);
        driver.advance(Duration::from_secs(1)).expect("it goes on");
    }
    assert_eq!(closed(&mut driver), [], "the open transaction has a record for the first window");
    let partition = TopicPartition::new("foreign", 0);
    foreign.commit(&[CommittedOffset { partition, offset: 0, metadata: String::new() }]).expect("committed");
    send(&mut driver, 1, 70);
    send(&mut driver, 0, 70);
    assert_eq!(closed(&mut driver)[0], (0, 11), "nothing is late");
    let lost = dropped(&driver, DropReason::Expired) + dropped(&driver, DropReason::Late);
    assert_eq!(lost, 0);
}

/// The lines of a metric that are not 0, without what they have in common.
fn shown(metrics: &Metrics, name: &str) -> Vec<String> {
    let text = metrics.render();
    let lines = text.lines().filter_map(|line| line.strip_prefix(&format!("millstream_{name}{{")));
    lines.filter(|line| !line.ends_with(" 0")).map(|line| line.replace(",topology=\"counting\"}", "")).collect()
}

#[test]
fn the_metrics_say_how_old_time_is_and_who_holds_it_back() {
    let topology = counting(|source| own_time(source).idle_after(Duration::from_secs(30)));
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW)));
    let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<dyn Clock>);
    create(&broker, &["in", "counts"], 2);
    let metrics = Metrics::new();
    let disks = ("a", MemoryDisks::default());
    let mut process = start_measured(topology, &broker, &clock, disks, None, &metrics);
    write(&broker, "in", 0, NOW + 90_000);
    settle(&mut process, &clock);
    let upstream = |task: u32| shown(&metrics, &format!("watermark_held_back_seconds{{by=\"in-{task}\""));
    assert!(upstream(0).is_empty(), "a task with one partition holds nobody else back");
    let of_windows = || -> Vec<String> {
        let lines = shown(&metrics, "watermark_held_back_seconds").into_iter();
        lines.filter(|line| line.contains("by-key")).collect()
    };
    // Partition 1 has not been heard of: it stands at 1970.
    let unheard = (NOW + 90_000) / 1_000;
    for line in of_windows() {
        assert!(line.starts_with("by=\"in-1\"") && line.ends_with(&unheard.to_string()), "{line}");
    }
    assert_eq!(of_windows().len(), 2, "one a task: {:?}", of_windows());

    write(&broker, "in", 1, NOW + 20_000);
    settle(&mut process, &clock);
    let lines = of_windows();
    assert_eq!(lines.len(), 2, "the old value is taken away: {lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("by=\"in-1\"") && line.ends_with(" 70")), "{lines:?}");

    // The clock goes on, and both partitions with it for a while: time is as old as the slower one.
    clock.advance(Duration::from_mins(1));
    write(&broker, "in", 0, NOW + 95_000);
    write(&broker, "in", 1, NOW + 21_000);
    settle(&mut process, &clock);
    let ages = shown(&metrics, "watermark_age_seconds");
    let age = (clock.wall().millis() - (NOW + 21_000)) / 1_000;
    let of_partition_1 = ages.iter().filter(|line| line.ends_with(&format!(" {age}"))).count();
    assert_eq!(of_partition_1, 3, "the task of partition 1 and both behind the shuffle: {ages:?}, {age}");

    // Silence: both are left out, and nothing is expected to go on.
    for _ in 0..40 {
        clock.advance(Duration::from_secs(1));
        settle(&mut process, &clock);
    }
    assert_eq!(shown(&metrics, "idle_partitions_total"), ["topic=\"in\" 2"]);
    assert_eq!(shown(&metrics, "watermark_age_seconds"), [""; 0]);
    assert_eq!(shown(&metrics, "watermark_held_back_seconds"), [""; 0]);

    // A record that is too late is counted by the operator that refused it.
    write(&broker, "in", 0, NOW + 1_000);
    settle(&mut process, &clock);
    process.close(true);
    assert_eq!(shown(&metrics, "late_records_total"), ["operator=\"counts\" 1"]);
    assert_eq!(shown(&metrics, "watermark_age_seconds"), [""; 0], "the tasks have moved away");
    assert_eq!(shown(&metrics, "watermark_timestamp_seconds"), [""; 0]);
}

/// Hands everything on as it is.
struct Same;

impl ValueProcessor<String, i64> for Same {
    type Value = i64;

    fn process(
        &self,
        record: Record<String, i64>,
        cx: &mut ValueContext<'_, '_, String, i64>,
    ) -> std::result::Result<(), Reject> {
        cx.forward(record.value);
        Ok(())
    }
}

#[test]
fn a_silent_stream_behind_a_processor_holds_no_window_back_of_what_it_is_merged_with() {
    const QUIET: Topic<String, i64> = Topic::new("quiet");
    let b = Builder::new("merged");
    let quiet = b.source(QUIET).idle_after(Duration::from_secs(30)).stream().process_values(|_| Same);
    let both = quiet.merge(&b.source(BOTH).stream());
    both.group_by_key().windowed(TumblingWindows::of(Duration::from_secs(10))).on_close().count().to(COUNTS);
    let mut driver = driver(b.build().expect("sound"), 1);
    let key = "a".to_owned();
    driver.send(&QUIET, &key, &1, NOW).expect("written");
    driver.send(&BOTH, &key, &1, NOW).expect("written");
    driver.send(&BOTH, &key, &1, NOW + 25_000).expect("written");
    driver.settle().expect("it goes on");
    assert_eq!(closed(&mut driver), [], "the quiet one may still bring something");
    for _ in 0..40 {
        driver.advance(Duration::from_secs(1)).expect("it goes on");
        driver.settle().expect("it goes on");
    }
    assert_eq!(closed(&mut driver), [(0, 2)]);
}
