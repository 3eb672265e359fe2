//! A stream joined with the rows as of its records' own times, with grace, in whole clusters: every record meets the row
//! that was truly valid, whatever the order in which the sides come, the partitions on the way, the batches, commits and
//! crashes were, as long as no change is further out of order within its partition than the grace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Driver;
use super::join_order::{Event, KEYS, Met, NEVER, present};
use super::simulation::{Scenario, SimulatedInput, simulate};
use crate::operators::DropReason;
use crate::runtime::Config;
use crate::time::Timestamp;
use crate::topology::Topology;
use crate::{Builder, NoKey, Topic};

const TABLE: Topic<NoKey, Event> = Topic::new("table");
const STREAM: Topic<NoKey, Event> = Topic::new("stream");
const MET: Topic<String, Met> = Topic::new("met");
/// Key of the records that close what is open.
const END: &str = "end";

/// Changes and records, by topic and partition, each in the order of its partition.
#[derive(Clone, Debug)]
struct Events {
    grace: i64,
    left: bool,
    table: Vec<Vec<Event>>,
    stream: Vec<Vec<Event>>,
}

impl Events {
    fn of(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (grace, left) = (random.random_range(0..20), random.random());
        let (mut id, mut taken) = (0, BTreeSet::new());
        let mut side = |random: &mut ChaCha8Rng, nulls: f64| -> Vec<Vec<Event>> {
            let mut partition = |random: &mut ChaCha8Rng| {
                let mut now = random.random_range(0..30);
                let mut events = Vec::new();
                for _ in 0..random.random_range(5..25) {
                    now += random.random_range(0..6);
                    let key = KEYS[random.random_range(0..KEYS.len())].to_owned();
                    let time = (now - random.random_range(0..=grace)).max(0);
                    id += 1;
                    // Which of two changes with one time is the later depends on how the partitions meet.
                    if nulls < 0.15 || taken.insert((key.clone(), time)) {
                        events.push(Event { id, key, time, null: random.random_bool(nulls) });
                    }
                }
                id += 1;
                events.push(Event { id, key: END.into(), time: now + 1_000, null: false });
                events
            };
            (0..2).map(|_| partition(random)).collect()
        };
        let (table, stream) = (side(&mut random, 0.2), side(&mut random, 0.1));
        Self { grace, left, table, stream }
    }

    /// The naive reference: what was valid at each record's time.
    fn expected(&self) -> BTreeSet<Met> {
        let mut rows: BTreeMap<(&str, i64), Option<u64>> = BTreeMap::new();
        for change in self.table.iter().flatten() {
            rows.insert((&change.key, change.time), (!change.null).then_some(change.id));
        }
        let records = self.stream.iter().flatten().filter(|record| !record.null && record.key != END);
        let met = records.map(|record| {
            let row = rows.range((record.key.as_str(), 0)..=(record.key.as_str(), record.time)).next_back();
            Met(record.id, row.and_then(|(_, id)| *id))
        });
        met.filter(|Met(_, row)| self.left || row.is_some()).collect()
    }
}

fn ms(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

fn topology(events: &Events) -> Topology {
    let b = Builder::new("join-as-of");
    let time = |_: &NoKey, event: &Event| Timestamp::from_millis(event.time);
    let side = |topic| {
        let events = b.source(topic).event_time(time).idle_after(NEVER).stream();
        events.rekey(|_, event: &Event| event.key.clone()).map_values(present)
    };
    let table = side(TABLE).to_versioned_table_with_tombstones(ms(events.grace)).named("table");
    let table = table.with_grace(ms(events.grace));
    let id = |record: &Option<Event>| record.as_ref().map_or(0, |record| record.id);
    let joined = if events.left {
        side(STREAM).left_join_as_of(&table, move |_, record, row| Met(id(&record), row.map(|row| row.id)))
    } else {
        side(STREAM).join_as_of(&table, move |_, record, row| Met(id(&record), Some(row.id)))
    };
    joined.named("joined").to(MET);
    b.build().expect("the topology is sound")
}

fn scenario(events: &Events, seed: u64) -> Scenario {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let sides = [(0, &events.table), (1, &events.stream)];
    let mut rest: Vec<_> = sides
        .into_iter()
        .flat_map(|(source, side)| (0_u32..).zip(side).map(move |(at, events)| (source, at, events.iter())))
        .collect();
    let mut inputs = Vec::new();
    let weights = [0; 4].map(|_: u64| 1_u64 << random.random_range(0..8));
    while rest.iter().any(|(.., events)| events.len() > 0) {
        let place = random.random_range(0..rest.len());
        if random.random_range(0..256) >= weights[place] {
            continue;
        }
        let (source, partition, events) = &mut rest[place];
        inputs.extend(events.next().map(|event| SimulatedInput {
            source: *source,
            partition: Some(*partition),
            key: None,
            value: Some(serde_json::to_vec(event).expect("plain")),
            timestamp: Timestamp::from_millis(1),
        }));
    }
    let (many, of) = (inputs.len() as u64, events.clone());
    let batch = [1, 3, 20, 1_000][random.random_range(0..4)];
    Scenario {
        topology: Arc::new(move || topology(&of)),
        sources: vec![("table".into(), 2), ("stream".into(), 2)],
        input: Arc::new(move |n, _| inputs[usize::try_from(n).expect("few")].clone()),
        steps: 500,
        inputs: many,
        backlog: [0, many / 2, many][random.random_range(0..3)],
        refusals: false,
        config: Arc::new(move |config| config.batch = Some(batch)),
    }
}

#[test]
fn every_record_meets_the_row_of_its_time_in_a_thousand_lives() {
    let (mut joined, mut happened) = (0, BTreeMap::<&str, u64>::new());
    for seed in 0..1_000 {
        let events = Events::of(seed);
        let scenario = scenario(&events, seed);
        let settled = simulate(seed, &scenario).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(settled.inputs.len() as u64, scenario.inputs, "seed {seed}: not all events were written");
        let (expected, mut found) = (events.expected(), BTreeSet::new());
        for record in settled.broker.records("met").unwrap_or_default() {
            let met: Met = serde_json::from_slice(&record.value.unwrap_or_default()).expect("what the join made");
            assert!(found.insert(met.clone()), "seed {seed}: {met:?} came twice");
        }
        let wrong: Vec<_> = found.difference(&expected).collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        assert!(wrong.is_empty() && missing.is_empty(), "seed {seed}: missing {missing:?}, wrong {wrong:?}");
        joined += expected.len();
        for (what, times) in settled.report.happened {
            *happened.entry(what).or_default() += times;
        }
    }
    println!("{joined} results; {happened:?}");
    assert!(joined > 0 && happened.contains_key("lost disk") && happened.contains_key("crash after a call"));
}

const SECOND: Duration = Duration::from_secs(1);

/// Purchases joined with prices that may come two seconds late; a silent topic is left out after ten seconds.
fn waiting(shuffled: bool) -> Driver {
    const PRICES: Topic<String, String> = Topic::new("prices");
    const SALES: Topic<String, String> = Topic::new("sales");
    const OUT: Topic<String, String> = Topic::new("out");
    let b = Builder::new("waiting");
    let prices = b.source(PRICES).idle_after(10 * SECOND).stream();
    let sales = b.source(SALES).idle_after(10 * SECOND).stream();
    let (prices, sales) = if shuffled {
        (prices.rekey(|key, _| key.clone()), sales.rekey(|key, _| key.clone()))
    } else {
        (prices, sales)
    };
    let prices = prices.to_versioned_table(60 * SECOND).named("prices").with_grace(2 * SECOND);
    sales.join_as_of(&prices, |_, sale, price| format!("{sale} at {price}")).named("costs").to(OUT);
    // A member that is not taken for dead when the clock is moved far.
    let patient = |config: &mut Config| config.session_timeout = Duration::from_hours(24);
    Driver::builder(b.build().expect("it is sound")).config(patient).start().expect("it starts")
}

fn send(driver: &mut Driver, topic: &str, value: &str, seconds: i64) {
    driver.send_bytes(topic, 0, Some(b"tea"), Some(value.as_bytes()), seconds * 1_000).expect("it is written");
    driver.settle().expect("it settles");
}

/// Silence is counted from one look at the clock to another.
fn wait(driver: &mut Driver, seconds: u32) {
    for _ in 0..seconds {
        driver.advance(SECOND).expect("it goes on");
    }
}

fn results(driver: &mut Driver) -> Vec<String> {
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).expect("text");
    driver.take("out").into_iter().map(|record| text(record.value)).collect()
}

#[test]
fn a_table_that_is_behind_is_waited_for_until_it_is_idle() {
    for shuffled in [false, true] {
        let mut driver = waiting(shuffled);
        send(&mut driver, "prices", "3", 1);
        send(&mut driver, "sales", "a", 5);
        send(&mut driver, "sales", "b", 20);
        assert!(results(&mut driver).is_empty(), "the table stands at 1 s");
        send(&mut driver, "prices", "4", 4);
        send(&mut driver, "prices", "5", 8);
        assert_eq!(results(&mut driver), ["a at 4"], "shuffled: {shuffled}");
        send(&mut driver, "sales", "c", 30);
        assert!(results(&mut driver).is_empty(), "the table stands at 8 s");
        wait(&mut driver, 8);
        send(&mut driver, "sales", "d", 40);
        assert!(results(&mut driver).is_empty(), "the table may still have something for it");
        wait(&mut driver, 5);
        assert_eq!(results(&mut driver), ["b at 5", "c at 5"], "shuffled: {shuffled}");
        // The table comes back, and is waited for again.
        send(&mut driver, "prices", "6", 39);
        send(&mut driver, "sales", "e", 60);
        assert!(results(&mut driver).is_empty(), "shuffled: {shuffled}");
        send(&mut driver, "prices", "7", 43);
        assert_eq!(results(&mut driver), ["d at 6"], "shuffled: {shuffled}");
    }
}

#[test]
fn a_record_later_than_the_grace_is_joined_at_once_and_counted_as_late_without_being_dropped() {
    let mut driver = waiting(false);
    send(&mut driver, "prices", "3", 1);
    send(&mut driver, "prices", "4", 9);
    send(&mut driver, "sales", "a", 20);
    send(&mut driver, "sales", "b", 17);
    assert_eq!(results(&mut driver), ["b at 4"]);
    let late = driver.metrics().late_records("costs").get();
    assert_eq!((late, driver.metrics().dropped().iter().map(|(_, count)| count).sum::<u64>()), (1, 0));
}

#[test]
fn a_change_older_than_the_history_is_dropped_and_a_record_older_than_it_is_a_miss() {
    let mut driver = waiting(false);
    send(&mut driver, "prices", "3", 10);
    send(&mut driver, "prices", "4", 100);
    send(&mut driver, "prices", "5", 39);
    send(&mut driver, "prices", "6", 40);
    send(&mut driver, "sales", "a", 103);
    send(&mut driver, "sales", "b", 40);
    send(&mut driver, "sales", "c", 39);
    assert_eq!(results(&mut driver), ["b at 6"], "the join stands at 100 s: the history begins at 40 s");
    send(&mut driver, "prices", "7", 200);
    send(&mut driver, "sales", "d", 200);
    send(&mut driver, "sales", "e", 139);
    send(&mut driver, "sales", "f", 99);
    let (now, dropped) = (results(&mut driver), driver.metrics().dropped());
    assert_eq!(now, ["a at 4", "e at 4"], "the version that is valid where the history begins is kept");
    let count = |reason| dropped.iter().find(|(of, _)| *of == reason).map_or(0, |(_, count)| *count);
    assert_eq!((count(DropReason::Late), count(DropReason::JoinMiss)), (1, 2));
}
