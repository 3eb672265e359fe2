//! Joins by foreign keys in clusters that crash and stumble, against a naive join.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::Rng as _;

use super::simulation::{Scenario, Settled, SimulatedInput, simulate};
use crate::broker::partitioner::partition_of;
use crate::operators::aggregate::Emission;
use crate::time::Timestamp;
use crate::topology::Topology;
use crate::{Builder, Table, Topic};

const LEFT: Topic<String, String> = Topic::new("left");
const RIGHT: Topic<String, String> = Topic::new("right");
const OUT: Topic<String, String> = Topic::new("out");

type Rows = BTreeMap<String, String>;

/// Left keys are `k0` to `k7`, right keys `k0` to `k3`. A left value names its foreign key before a colon, or none.
const LEFT_KEYS: u32 = 8;
const RIGHT_KEYS: u32 = 4;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Inner,
    Left,
    /// The left table with itself.
    Itself,
    /// A left join, whose result is joined by another foreign key, and by its own key with what it was made of.
    Twice,
}

const KINDS: [Kind; 4] = [Kind::Inner, Kind::Left, Kind::Itself, Kind::Twice];

fn named(value: &str) -> Option<String> {
    value.split(':').next().filter(|foreign| !foreign.is_empty()).map(str::to_owned)
}

/// Another foreign key of the same value.
fn second(value: &str) -> Option<String> {
    value.bytes().last().map(|digit| format!("k{}", digit % 4))
}

fn pair(left: &str, right: Option<&String>) -> String {
    format!("{left}+{}", right.map_or("-", String::as_str))
}

fn topology(kind: Kind) -> Topology {
    let b = Builder::new("joining");
    let left = b.table(LEFT);
    let inner = |left: &Table<String, String>, right: &Table<String, String>| {
        left.join_by(right, |_, value| named(value), |_, l, r| pair(l, Some(r)))
    };
    let outer = |left: &Table<String, String>, right: &Table<String, String>| {
        left.left_join_by(right, |_, value| named(value), |_, l, r| pair(l, r))
    };
    let joined = match kind {
        Kind::Inner => inner(&left, &b.table(RIGHT)),
        Kind::Left => outer(&left, &b.table(RIGHT)),
        Kind::Itself => inner(&left, &left),
        Kind::Twice => {
            let right = b.table(RIGHT);
            let first = outer(&left, &right).named("first");
            first.left_join_by(&right, |_, value| second(value), |_, l, r| pair(l, r))
        }
    };
    joined.named("joined").to(OUT);
    b.build().expect("the topology is sound")
}

fn naive(kind: Kind, left: &Rows, right: &Rows) -> Rows {
    let join = |left: &Rows, right: &Rows, foreign: fn(&str) -> Option<String>, alone: bool| -> Rows {
        let made = left.iter().filter_map(|(key, value)| {
            let row = foreign(value).and_then(|foreign| right.get(&foreign));
            (alone || row.is_some()).then(|| (key.clone(), pair(value, row)))
        });
        made.collect()
    };
    match kind {
        Kind::Inner => join(left, right, named, false),
        Kind::Left => join(left, right, named, true),
        Kind::Itself => join(left, left, named, false),
        Kind::Twice => join(&join(left, right, named, true), right, second, true),
    }
}

fn scenario(seed: u64) -> Scenario {
    let kind = KINDS[usize::try_from(seed % 4).expect("small")];
    let counts = [1 + u32::try_from(seed % 3).expect("small"), 1 + u32::try_from(seed / 3 % 3).expect("small")];
    let emission = if seed.is_multiple_of(5) { Emission::EachUpdate } else { Emission::EachCommit };
    let batch = [1, 3, 1_000][usize::try_from(seed / 2 % 3).expect("small")];
    let both = !matches!(kind, Kind::Itself);
    let names = ["left", "right"].into_iter().zip(counts).take(if both { 2 } else { 1 });
    Scenario {
        topology: Arc::new(move || topology(kind)),
        sources: names.map(|(name, count)| (name.to_owned(), count)).collect(),
        input: Arc::new(move |n, random| {
            let source = usize::from(both && random.random_bool(0.3));
            let key = format!("k{}", random.random_range(0..[LEFT_KEYS, RIGHT_KEYS][source]));
            let foreign = random.random_range(0..=RIGHT_KEYS);
            let value = match (source, foreign) {
                (0, RIGHT_KEYS) => format!(":{n}"),
                (0, foreign) => format!("k{foreign}:{n}"),
                _ => n.to_string(),
            };
            SimulatedInput {
                source,
                partition: Some(partition_of(key.as_bytes(), counts[source])),
                key: Some(key.into_bytes()),
                value: (!random.random_bool(0.2)).then(|| value.into_bytes()),
                timestamp: Timestamp::from_millis(1_700_000_000_000 + random.random_range(0..10_000)),
            }
        }),
        steps: 400,
        inputs: 120,
        backlog: if seed.is_multiple_of(7) { 100 } else { 0 },
        refusals: false,
        config: Arc::new(move |config| {
            config.emission = emission;
            config.batch = Some(batch);
        }),
    }
}

/// The newest value of each key.
fn newest(settled: &Settled, topic: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for record in settled.broker.records(topic).unwrap_or_default() {
        let key = record.key.expect("every record has a key");
        match record.value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
    rows
}

fn texts(rows: BTreeMap<Vec<u8>, Vec<u8>>) -> Rows {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    rows.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn live(seed: u64) -> Result<(), String> {
    let kind = KINDS[usize::try_from(seed % 4).expect("small")];
    let settled = simulate(seed, &scenario(seed)).map_err(|error| error.to_string())?;
    let (left, right) = (texts(newest(&settled, "left")), texts(newest(&settled, "right")));
    let (expected, found) = (naive(kind, &left, &right), texts(newest(&settled, "out")));
    if found != expected {
        return Err(format!("expected {expected:?}, found {found:?}"));
    }
    // Nothing is left in the stores but what is needed: results, and a row for each that has a foreign key.
    let store = |name: &str| newest(&settled, &format!("simulated-joining-{name}-changelog"));
    let results = store("joined").len();
    if results != expected.len() {
        return Err(format!("{results} rows are kept for {} results", expected.len()));
    }
    let naming = left.values().filter(|value| named(value).is_some()).count();
    let subscribers = store(if matches!(kind, Kind::Twice) { "first-subscriptions" } else { "joined-subscriptions" });
    if subscribers.len() != naming {
        return Err(format!("{} rows are kept for {naming} subscribers", subscribers.len()));
    }
    Ok(())
}

/// The seeds to run: `SIMULATION_SEEDS=from..to`, or the first thousand.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("SIMULATION_SEEDS").ok();
    let range = asked.as_deref().and_then(|text| text.split_once(".."));
    range.map_or(0..1_000, |(from, to)| from.parse().expect("a number")..to.parse().expect("a number"))
}

#[test]
fn a_thousand_clusters_that_crash_join_by_foreign_keys_as_a_naive_join_does() {
    let faults: Vec<String> =
        seeds().filter_map(|seed| live(seed).err().map(|fault| format!("seed {seed}: {fault}"))).take(5).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
