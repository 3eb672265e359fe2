//! A thousand lives of a cluster that counts, and five bugs that must not survive them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::simulation::{Scenario, Settled, SimulatedInput, simulate};
use crate::broker::memory::StoredRecord;
use crate::operators::aggregate::Emission;
use crate::operators::source::BadInput;
use crate::runtime::bugs::Bug;
use crate::time::Timestamp;
use crate::topology::Topology;
use crate::{Builder, Data, Json, NoKey, Topic};

/// What a group has seen: how many inputs, their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    count: u64,
    sum: i64,
}

impl Data for Seen {
    type Codec = Json;
}

const IN: Topic<NoKey, i64> = Topic::new("in");
const ECHO: Topic<NoKey, i64> = Topic::new("echo");
const SEEN: Topic<String, Seen> = Topic::new("seen");

fn counting(combine: bool) -> Topology {
    let b = Builder::new("counting");
    let numbers = b.source(IN).on_bad_input(BadInput::dead_letter("dead")).stream();
    numbers.to(ECHO);
    let groups = numbers
        .rekey(|_, n| format!("g{}", n % 5))
        .map_values(|n| Seen { count: 1, sum: n })
        .group_by_key()
        .named("by-group");
    let groups = if combine { groups.combine() } else { groups };
    let add = |seen: &mut Seen, more: Seen| {
        seen.count += more.count;
        seen.sum += more.sum;
    };
    groups.reduce(add).named("seen").to(SEEN);
    b.build().expect("the topology is sound")
}

fn scenario(seed: u64, bug: Option<Bug>) -> Scenario {
    let combine = seed.is_multiple_of(3);
    let emission = if seed.is_multiple_of(2) { Emission::EachUpdate } else { Emission::EachCommit };
    Scenario {
        topology: Arc::new(move || counting(combine)),
        sources: vec![("in".into(), 1 + u32::try_from(seed % 4).expect("small"))],
        input: Arc::new(|n, _| SimulatedInput {
            source: 0,
            partition: None,
            key: None,
            value: Some(i64::try_from(n).expect("small").to_be_bytes().to_vec()),
            timestamp: Timestamp::from_millis(1_700_000_000_000 + i64::try_from(n).expect("small")),
        }),
        steps: 1_000,
        inputs: 400,
        backlog: 0,
        refusals: true,
        config: Arc::new(move |config| {
            config.emission = emission;
            config.bug = bug;
        }),
    }
}

/// What is wrong with a settled cluster, if anything is.
fn fault_in(settled: &Settled, every_update: bool) -> Result<(), String> {
    let read = |record: &StoredRecord| number(record.value.as_deref().unwrap_or_default());
    let topic = |name: &str| settled.broker.records(name).unwrap_or_default();
    let inputs: BTreeSet<i64> = (0..i64::try_from(settled.inputs.len()).expect("small")).collect();
    // What was dead-lettered before the shuffle, and, as groups and sums, behind it.
    let (mut dead, mut dead_sums) = (BTreeSet::new(), Vec::new());
    for record in topic("dead") {
        if record.headers.last("millstream.error.topic") != Some(b"in") {
            dead_sums.push((group(&record), seen(&record)));
        } else if !dead.insert(read(&record)) {
            return Err(format!("input {} was dead-lettered twice", read(&record)));
        }
    }
    let mut echoed: Vec<i64> = topic("echo").iter().map(read).collect();
    echoed.sort_unstable();
    let passed: Vec<i64> = inputs.difference(&dead).copied().collect();
    if echoed != passed {
        return Err(format!("{} inputs, {} dead, but {} echoed", inputs.len(), dead.len(), echoed.len()));
    }
    let mut expected: BTreeMap<String, Seen> = BTreeMap::new();
    for n in &passed {
        let seen = expected.entry(format!("g{}", n % 5)).or_default();
        seen.count += 1;
        seen.sum += n;
    }
    for (group, dead) in dead_sums {
        let seen = expected.get_mut(&group).ok_or("a dead letter of a group without inputs")?;
        seen.count -= dead.count;
        seen.sum -= dead.sum;
    }
    expected.retain(|_, seen| seen.count > 0);
    let mut found: BTreeMap<String, Seen> = BTreeMap::new();
    for record in topic("seen") {
        let key = group(&record);
        let (now, before) = (seen(&record), found.get(&key).map_or(0, |seen| seen.count));
        if now.count <= before || (every_update && now.count != before + 1) {
            return Err(format!("group {key} went from {before} to {}", now.count));
        }
        found.insert(key, now);
    }
    if found != expected {
        return Err(format!("expected {expected:?}, found {found:?}"));
    }
    match settled.broker.transactions().open.len() {
        0 => Ok(()),
        open => Err(format!("{open} transactions were left open")),
    }
}

fn number(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(bytes.try_into().expect("eight bytes"))
}

fn group(record: &StoredRecord) -> String {
    String::from_utf8(record.key.clone().unwrap_or_default()).expect("a group's name")
}

fn seen(record: &StoredRecord) -> Seen {
    serde_json::from_slice(record.value.as_deref().unwrap_or_default()).expect("a total")
}

fn live(seed: u64, bug: Option<Bug>) -> Result<Settled, String> {
    let settled = simulate(seed, &scenario(seed, bug)).map_err(|error| error.to_string())?;
    fault_in(&settled, seed.is_multiple_of(2) && !seed.is_multiple_of(3))?;
    Ok(settled)
}

/// The seeds to run: `SIMULATION_SEEDS=from..to`, or the first thousand.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("SIMULATION_SEEDS").ok();
    let range = asked.as_deref().and_then(|text| text.split_once(".."));
    range.map_or(0..1_000, |(from, to)| from.parse().expect("a number")..to.parse().expect("a number"))
}

#[test]
fn a_thousand_clusters_that_crash_and_stumble_count_every_input_exactly_once() {
    let mut happened: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut committed, mut aborted, mut steps) = (0, 0, 0);
    for seed in seeds() {
        let settled = live(seed, None).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        for (what, times) in &settled.report.happened {
            *happened.entry(what).or_default() += times;
        }
        committed += settled.report.committed;
        aborted += settled.report.aborted;
        steps += settled.report.steps;
    }
    println!("{steps} steps, {committed} transactions committed, {aborted} aborted; {happened:?}");
    for what in [
        "crash before a call",
        "crash after a call",
        "lost request",
        "lost reply",
        "delayed commit",
        "prepared commit",
        "refused record",
        "lost membership",
        "transaction timeout",
        "power cut",
        "graceful stop",
        "lost disk",
    ] {
        assert!(happened.get(what).is_some_and(|times| *times > 0), "{what} never happened: the net has a hole");
    }
}

#[test]
fn the_same_seed_lives_the_same_life_twice() {
    for seed in 0..20 {
        let (one, other) = (live(seed, None).expect("sound"), live(seed, None).expect("sound"));
        assert_eq!(one.report, other.report, "seed {seed}");
    }
}

#[test]
fn each_seeded_bug_is_caught() {
    for bug in Bug::OF_COUNTS {
        let caught = (0..300)
            .find(|seed| std::panic::catch_unwind(|| live(*seed, Some(bug))).map_or(true, |life| life.is_err()));
        println!("{bug:?} is caught by seed {caught:?}");
        assert!(caught.is_some(), "{bug:?} survives 300 seeds");
    }
}
