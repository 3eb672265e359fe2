//! Tables that go by event time, and state of keys: against plain computations, through crashes and aborts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::testing::{Driver, Message, text};
use super::{Builder, Topic};
use crate::broker::partitioner::partition_of;
use crate::operators::aggregate::Emission;
use crate::operators::{DropReason, Reject};
use crate::testing::simulation::{Scenario, Settled, SimulatedInput, simulate};
use crate::time::Timestamp;
use crate::topology::{TaskOptions, Topology};

const IN: Topic<String, String> = Topic::new("in");
const OUT: Topic<String, String> = Topic::new("out");
/// How far out of order the source may be, how long rows live, and how long deletions are remembered.
const DISORDER: i64 = 20;
const LIFE: i64 = 50;
const MEMORY: i64 = 30;

fn span(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

/// What happens to a key: a value or a deletion, at a time.
type Event = (String, Option<String>, i64);

fn event(random: &mut ChaCha8Rng, time: &mut i64) -> Event {
    let key = format!("k{}", random.random_range(0..6));
    *time += random.random_range(0..25);
    let at = if random.random_ratio(1, 3) { *time - random.random_range(0..120) } else { *time };
    let value = (!random.random_ratio(1, 5)).then(|| random.random_range(0..10).to_string());
    (key, value, at.max(0))
}

fn message((key, value, time): &Event) -> Message {
    let value = value.as_ref().map(|value| value.clone().into_bytes());
    Message { value, ..text(key, "", *time) }
}

/// The watermark of a partition before a record, and how far the record lies behind it.
struct Clock(i64);

impl Clock {
    fn new() -> Self {
        Self(-1_000_000)
    }

    fn see(&mut self, time: i64) -> (i64, i64) {
        let before = self.0;
        self.0 = self.0.max(time - DISORDER);
        (before, (before - time).max(0))
    }
}

/// The updates of a table whose rows end, from the records of one partition; and how many records are late.
fn naive_expiry(events: &[Event]) -> (Vec<Event>, u64) {
    let (mut clock, mut late, mut told) = (Clock::new(), 0, Vec::new());
    let mut rows: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for (key, value, time) in events {
        let (before, behind) = clock.see(*time);
        let mut own = Vec::new();
        if behind >= LIFE {
            late += 1;
        } else {
            if let Some((_, updated)) = rows.get(key)
                && updated + LIFE <= (*time).max(before)
            {
                own.push((key.clone(), None, updated + LIFE));
                rows.remove(key);
            }
            own.push((key.clone(), value.clone(), *time));
            match value {
                Some(value) => rows.insert(key.clone(), (value.clone(), *time)),
                None => rows.remove(key),
            };
        }
        let mut ended: Vec<_> = rows.iter().map(|(key, (_, updated))| (updated + LIFE, key.clone())).collect();
        ended.retain(|(end, _)| *end <= clock.0);
        ended.sort();
        for (end, key) in ended {
            rows.remove(&key);
            told.push((key, None, end));
        }
        told.extend(own);
    }
    (told, late)
}

/// The updates of a table by event time that never forgets a deletion; and how many records it leaves out.
fn naive_by_time(events: &[Event], remember: i64) -> (Vec<Event>, u64) {
    let (mut clock, mut left_out, mut told) = (Clock::new(), 0, Vec::new());
    let mut rows: BTreeMap<String, (bool, i64)> = BTreeMap::new();
    for (key, value, time) in events {
        let (_, behind) = clock.see(*time);
        let row = rows.get(key);
        let older = row.is_some_and(|(_, newest)| time < newest);
        let forgotten = !row.is_some_and(|(there, _)| *there) && behind > remember;
        if older || forgotten {
            left_out += 1;
            continue;
        }
        rows.insert(key.clone(), (value.is_some(), *time));
        told.push((key.clone(), value.clone(), *time));
    }
    (told, left_out)
}

fn shown(events: &[Event]) -> Vec<String> {
    let show = |(key, value, time): &Event| format!("{key}={}@{time}", value.as_deref().unwrap_or("-"));
    events.iter().map(show).collect()
}

/// A table of each sort, and what is made of the first.
fn tables(remember: Duration) -> Topology {
    let b = Builder::new("tables");
    let read = |topic: &'static str| b.source(Topic::<String, String>::new(topic)).out_of_order_by(span(DISORDER));
    let living = read("in").table().expire_after(span(LIFE)).named("living");
    living.to(OUT);
    living.group_by(|_, value| value.clone()).count().named("alike").to(Topic::<String, u64>::new("alike"));
    read("by-time").table_by_time(remember).named("by-time").to(Topic::<String, String>::new("newest"));
    b.build().unwrap()
}

fn options(emission: Emission) -> TaskOptions {
    TaskOptions { emission, ..TaskOptions::default() }
}

/// The newest value of each key.
fn last(told: impl IntoIterator<Item = Event>) -> BTreeMap<String, String> {
    let last: BTreeMap<_, _> = told.into_iter().map(|(key, value, _)| (key, value)).collect();
    last.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn told(log: Vec<Message>) -> Vec<Event> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    log.into_iter().map(|one| (text(one.key.unwrap()), one.value.map(text), one.timestamp)).collect()
}

#[test]
fn rows_end_and_old_records_do_not_overwrite_as_a_naive_table_says_over_a_thousand_seeds() {
    for seed in 0..1000 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (remember, within) = if seed % 3 == 0 { (Duration::MAX, i64::MAX) } else { (span(MEMORY), MEMORY) };
        let (topology, mut time) = (tables(remember), 0);
        let events: Vec<Event> = (0..random.random_range(1..80)).map(|_| event(&mut random, &mut time)).collect();
        let (expected, late) = naive_expiry(&events);
        let (newest, left_out) = naive_by_time(&events, within);
        for emission in [Emission::EachUpdate, Emission::EachCommit] {
            let mut driver = Driver::with(&topology, 1, &options(emission));
            for portion in events.chunks(random.random_range(1..40)) {
                driver.batch = [1, 3, usize::MAX][random.random_range(0..3)];
                for event in portion {
                    driver.send("in", message(event));
                    driver.send("by-time", message(event));
                }
                driver.step(random.random());
            }
            driver.run();
            let (out, by_time) = (told(driver.log("out")), told(driver.log("newest")));
            if emission == Emission::EachUpdate {
                assert_eq!(shown(&out), shown(&expected), "seed {seed}");
                assert_eq!(shown(&by_time), shown(&newest), "seed {seed}");
            }
            let living = last(expected.clone());
            assert_eq!(last(out), living, "seed {seed}");
            assert_eq!(last(by_time), last(newest.clone()), "seed {seed}");
            let mut alike: BTreeMap<String, u64> = BTreeMap::new();
            for value in living.into_values() {
                *alike.entry(value).or_default() += 1;
            }
            let counted = driver.log("alike").into_iter().map(|one| {
                let count = u64::from_be_bytes(one.value.unwrap().try_into().unwrap());
                (String::from_utf8(one.key.unwrap()).unwrap(), count)
            });
            let mut counted: BTreeMap<String, u64> = counted.collect();
            counted.retain(|_, count| *count > 0);
            assert_eq!(counted, alike, "seed {seed}");
            let drops = &driver.drops;
            let counted = drops.get(DropReason::Late) + drops.get(DropReason::OutOfDate);
            assert_eq!(counted, late + left_out, "seed {seed}");
            assert_eq!(drops.get(DropReason::NothingToTakeBack), 0, "seed {seed}");
        }
    }
}

/// The tables, and state of keys, in a cluster that crashes, loses its membership and aborts.
fn life(seed: u64) -> Settled {
    let partitions = 1 + u32::try_from(seed % 3).unwrap();
    let scenario = Scenario {
        topology: Arc::new(|| {
            let b = Builder::new("tables");
            let read =
                |topic: &'static str| b.source(Topic::<String, String>::new(topic)).out_of_order_by(span(DISORDER));
            read("in").table().expire_after(span(LIFE)).named("living").to(OUT);
            read("by-time").table_by_time(span(MEMORY)).named("by-time").to(Topic::<String, String>::new("newest"));
            let append = |_: &String, so_far: &mut Option<String>, value: Option<String>| {
                let text = so_far.take().unwrap_or_default() + &value.clone().unwrap_or_default();
                *so_far = value.map(|_| text.clone());
                text
            };
            let stated =
                b.source(Topic::<String, Option<String>>::new("stated")).out_of_order_by(span(DISORDER)).stream();
            stated.map_with_state(|_| None, append).named("texts").to(Topic::<String, String>::new("texts"));
            b.build().unwrap()
        }),
        sources: ["in", "by-time", "stated"].map(|topic| (topic.to_owned(), partitions)).to_vec(),
        input: Arc::new(move |n, random| {
            let mut time = 1_000_000 + 12 * i64::try_from(n).unwrap();
            let (key, value, time) = event(random, &mut time);
            SimulatedInput {
                source: random.random_range(0..3),
                partition: Some(partition_of(key.as_bytes(), partitions)),
                key: Some(key.into_bytes()),
                value: value.map(String::into_bytes),
                timestamp: Timestamp::from_millis(time),
            }
        }),
        steps: 200,
        inputs: 80,
        backlog: 0,
        refusals: false,
        config: Arc::new(|config| config.emission = Emission::EachUpdate),
    };
    simulate(seed, &scenario).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

/// The texts of a key one after the other, which a null begins anew.
fn naive_texts(events: &[Event]) -> Vec<Event> {
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let text = |(key, value, time): &Event, texts: &mut String| {
        *texts += value.as_deref().unwrap_or_default();
        let told = texts.clone();
        if value.is_none() {
            texts.clear();
        }
        (key.clone(), Some(told), *time)
    };
    events.iter().map(|event| text(event, texts.entry(&event.0).or_default())).collect()
}

#[test]
fn tables_by_time_and_states_are_right_in_a_thousand_clusters_that_crash_and_stumble() {
    for seed in 0..1000 {
        let settled = life(seed);
        let mut partitions: BTreeMap<(usize, u32), Vec<Event>> = BTreeMap::new();
        for input in &settled.inputs {
            let text = |bytes: &Option<Vec<u8>>| bytes.clone().map(|bytes| String::from_utf8(bytes).unwrap());
            let event = (text(&input.key).unwrap(), text(&input.value), input.timestamp.millis());
            partitions.entry((input.source, input.partition.unwrap())).or_default().push(event);
        }
        for (source, topic) in ["out", "newest", "texts"].into_iter().enumerate() {
            let mut expected: BTreeMap<String, Vec<Event>> = BTreeMap::new();
            for ((_, _), events) in partitions.iter().filter(|((of, _), _)| *of == source) {
                let told = match source {
                    0 => naive_expiry(events).0,
                    1 => naive_by_time(events, MEMORY).0,
                    _ => naive_texts(events),
                };
                for event in told {
                    expected.entry(event.0.clone()).or_default().push(event);
                }
            }
            let records = settled.broker.records(topic).unwrap_or_default().into_iter().map(|record| {
                let timestamp = record.timestamp.millis();
                Message { key: record.key, value: record.value, timestamp, ..Message::default() }
            });
            let mut found: BTreeMap<String, Vec<Event>> = BTreeMap::new();
            for event in told(records.collect()) {
                found.entry(event.0.clone()).or_default().push(event);
            }
            assert_eq!(found, expected, "{topic}, seed {seed}");
        }
    }
}

#[test]
fn a_row_that_has_ended_is_not_found_by_a_join_and_a_total_begins_anew() {
    let b = Builder::new("test");
    let totals = b.source(IN).stream().group_by_key().reduce(|total, more| *total += &more).expire_after(span(LIFE));
    let asks = b.source(Topic::<String, String>::new("asks")).stream();
    asks.left_join(&totals, |_, ask, total| format!("{ask}{}", total.map_or("nothing", String::as_str))).to(OUT);
    let mut driver = Driver::with(&b.build().unwrap(), 1, &options(Emission::EachUpdate));
    for (topic, key, value, time) in [
        ("in", "a", "1", 0),
        ("asks", "a", "1 ", 1),
        ("in", "b", "2", 49),
        ("asks", "a", "2 ", 49),
        ("in", "b", "3", 50),
        ("asks", "a", "3 ", 50),
        ("asks", "b", "4 ", 51),
        ("in", "a", "5", 60),
        ("asks", "a", "5 ", 61),
    ] {
        driver.send(topic, text(key, value, time));
        driver.run();
    }
    assert_eq!(driver.texts("out"), ["a=1 1@1", "a=2 1@49", "a=3 nothing@50", "b=4 23@51", "a=5 5@61"]);
}

#[test]
fn very_many_rows_that_end_at_once_do_so_in_portions_and_time_waits_for_them() {
    // Behind an operator that holds time back, the same watermark does not come twice.
    for behind_another in [false, true] {
        very_many_rows_end(behind_another);
    }
}

fn very_many_rows_end(behind_another: bool) {
    const MANY: usize = 10_000;
    let b = Builder::new("test");
    let table = if behind_another { b.table(IN).named("all").filter(|_, _| true) } else { b.table(IN) };
    table.expire_after(span(LIFE)).named("rows").to(OUT);
    let mut driver = crate::testing::Driver::builder(b.build().unwrap()).start().unwrap();
    for n in 0..MANY {
        driver.send(&IN, &n.to_string(), &String::new(), 1).unwrap();
    }
    driver.settle().unwrap();
    assert_eq!(driver.take("out").len(), MANY);
    driver.send(&IN, &"new".to_owned(), &String::new(), 1 + LIFE).unwrap();
    driver.settle().unwrap();
    let told = driver.take("out");
    assert_eq!(told.iter().filter(|record| record.value.is_none()).count(), MANY);
    assert!(told.iter().all(|record| record.timestamp.millis() == 1 + LIFE));
    let changelog = driver.broker().records("test-test-rows-changelog").unwrap();
    assert_eq!(changelog.iter().filter(|record| record.value.is_none()).count(), MANY);
}

#[test]
fn a_table_of_a_table_ends_rows_in_a_store_of_its_own() {
    let b = Builder::new("test");
    b.table(IN).named("all").filter(|_, value| value != "no").expire_after(span(LIFE)).named("living").to(OUT);
    let topology = b.build().unwrap();
    assert_eq!(
        topology.plan().subs[0].stores.iter().map(|name| &**name).collect::<Vec<_>>(),
        ["all", "living", "living-expiry"]
    );
}

#[test]
fn a_life_that_is_given_twice_or_is_nothing_is_a_mistake() {
    let b = Builder::new("test");
    b.table(IN).expire_after(span(1)).expire_after(span(2)).to(OUT);
    b.table(Topic::<String, String>::new("other")).expire_after(Duration::ZERO).to(OUT);
    let mistakes = b.build().map(|_| ()).unwrap_err().to_string();
    assert!(mistakes.contains("expires after 2ms, and after 1ms before"), "{mistakes}");
    assert!(mistakes.contains("give at least a millisecond"), "{mistakes}");
}

#[test]
fn an_update_that_changes_nothing_is_not_handed_on() {
    for emission in [Emission::EachUpdate, Emission::EachCommit] {
        let b = Builder::new("test");
        let parity = |value: &String| if value.parse::<u64>().unwrap() % 2 == 0 { "even" } else { "odd" };
        b.table(IN).map_values(move |_, value| parity(value).to_owned()).on_change().to(OUT);
        let mut driver = Driver::with(&b.build().unwrap(), 1, &options(emission));
        for (value, time) in [
            (None, 0),
            (Some("2"), 1),
            (Some("2"), 2),
            (Some("4"), 3),
            (Some("3"), 4),
            (Some("5"), 5),
            (None, 6),
            (None, 7),
        ] {
            driver.send("in", message(&("a".to_owned(), value.map(str::to_owned), time)));
            driver.run();
        }
        assert_eq!(driver.texts("out"), ["a=even@1", "a=odd@4", "a=-@6"]);
    }
}

#[test]
fn a_refused_record_leaves_no_trace_in_the_state_and_names_its_input() {
    let b = Builder::new("test");
    let f = |_: &String, so_far: &mut String, value: String| {
        *so_far += &value;
        if value == "bad" { Err(Reject::because("it is bad")) } else { Ok(so_far.clone()) }
    };
    b.source(IN)
        .stream()
        .rekey(|_, _| "all".to_owned())
        .try_map_with_state(|_| String::new(), f)
        .named("texts")
        .to(OUT);
    let topology = b.build().unwrap();
    assert_eq!(topology.plan().repartitions.len(), 1);
    let mut driver = Driver::new(&topology);
    driver.send_all("in", &[text("a", "1", 9), text("b", "2", 5)]);
    driver.run();
    assert_eq!(driver.texts("out"), ["all=1@9", "all=12@5"]);
    driver.send("in", text("c", "bad", 1));
    while driver.failures.is_empty() {
        driver.step(true);
    }
    let failure = driver.failures.pop().unwrap();
    assert_eq!((failure.reason, failure.operator.as_str()), (DropReason::Rejected, "texts"));
}
