//! Grouped tables against a plain computation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::testing::{Driver, Message, text};
use super::{Builder, GroupedTable, Table, Topic};
use crate::broker::partitioner::partition_of;
use crate::operators::aggregate::Emission;
use crate::operators::{DropReason, Reject};
use crate::testing::simulation::{Scenario, SimulatedInput, simulate};
use crate::time::Timestamp;
use crate::topology::{TaskOptions, Topology};
use crate::window::{HoppingWindows, SessionWindows, SlidingWindows, TumblingWindows, Windowed};

const IN: Topic<String, String> = Topic::new("in");
const COUNTS: Topic<String, u64> = Topic::new("counts");
const SUMS: Topic<String, String> = Topic::new("sums");

fn number(value: &str) -> i64 {
    value.parse().unwrap()
}

/// Rows by the last digit of their values.
fn by_digit(b: &Builder) -> GroupedTable<String, String> {
    b.table(IN).group_by(|_, value| value[value.len() - 1..].to_owned())
}

fn add(sum: &mut String, more: &str, sign: i64) {
    *sum = (number(sum) + sign * number(more)).to_string();
}

/// The sums and counts of a table's rows, of a filtered table and of one whose updates wait.
fn sums() -> Topology {
    let b = Builder::new("sums");
    let groups = by_digit(&b).named("by-digit");
    groups.count().named("counts").to(COUNTS);
    let sum = |groups: GroupedTable<String, String>| groups.reduce(|a, m| add(a, &m, 1), |a, m| add(a, &m, -1));
    sum(groups).named("sums").to(SUMS);
    let table = b.source(Topic::<String, String>::new("more")).table();
    let large = table.map_values(|_, value| format!("{value}{}", value.len())).filter(|_, value| number(value) > 500);
    sum(large.group_by(|_, value| value[..1].to_owned()).named("large"))
        .named("large-sums")
        .to(Topic::<String, String>::new("large"));
    let calm = table.suppress_for(Duration::from_millis(20)).named("calm").filter(|_, value| number(value) % 2 == 0);
    sum(calm.group_by(|key, _| key[..1].to_owned()).named("even"))
        .named("even-sums")
        .to(Topic::<String, String>::new("even"));
    b.build().unwrap()
}

/// What a table of rows gives, computed from the rows that are there.
fn naive(
    rows: &BTreeMap<String, i64>,
    group: impl Fn(&str, i64) -> Option<(String, i64)>,
) -> BTreeMap<String, (u64, i64)> {
    let mut groups: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for (key, value) in rows {
        if let Some((group, value)) = group(key, *value) {
            let (count, sum) = groups.entry(group).or_default();
            (*count, *sum) = (*count + 1, *sum + value);
        }
    }
    groups
}

/// The newest value of each key, without those that say 0: a group that was left.
fn newest(log: &[Message], number_of: impl Fn(&[u8]) -> i64) -> BTreeMap<String, i64> {
    let mut newest = BTreeMap::new();
    for message in log {
        let key = String::from_utf8(message.key.clone().unwrap()).unwrap();
        newest.insert(key, number_of(message.value.as_ref().unwrap()));
    }
    newest.retain(|_, value| *value != 0);
    newest
}

fn as_count(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(bytes.try_into().unwrap())
}

fn as_text(bytes: &[u8]) -> i64 {
    number(std::str::from_utf8(bytes).unwrap())
}

#[test]
fn groups_follow_the_rows_of_their_table_over_a_thousand_seeds() {
    let topology = sums();
    for seed in 0..1000 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let emission = if seed % 2 == 0 { Emission::EachCommit } else { Emission::EachUpdate };
        let options = TaskOptions { emission, ..TaskOptions::default() };
        let mut driver = Driver::with(&topology, random.random_range(1..4), &options);
        let (mut rows, mut more) = (BTreeMap::new(), BTreeMap::new());
        let mut time = 0;
        for _ in 0..random.random_range(1..5) {
            driver.batch = [1, 3, usize::MAX][random.random_range(0..3)];
            for _ in 0..random.random_range(0..25) {
                let (topic, table) = if random.random() { ("in", &mut rows) } else { ("more", &mut more) };
                let key = format!("{}{}", random.random_range('a'..'d'), random.random_range('a'..'d'));
                time += random.random_range(0..10);
                let at = (time - random.random_range(0..30)).max(0);
                if random.random_ratio(1, 4) {
                    table.remove(&key);
                    driver.send(topic, Message { value: None, ..text(&key, "", at) });
                } else {
                    let value: i64 = random.random_range(1..200);
                    driver.send(topic, text(&key, &value.to_string(), at));
                    table.insert(key, value);
                }
            }
            driver.step(random.random());
        }
        // Time goes on in every partition, such that nothing waits any more.
        for n in 0..40 {
            driver.send("more", text(&format!("z{n}"), "1", time + 1000));
        }
        driver.run();
        let digit = naive(&rows, |_, value| Some(((value % 10).to_string(), value)));
        let counts = driver.log("counts");
        let expected: BTreeMap<_, _> =
            digit.iter().map(|(k, (n, _))| (k.clone(), i64::try_from(*n).unwrap())).collect();
        assert_eq!(newest(&counts, as_count), expected, "counts, seed {seed}");
        let sums = |groups: BTreeMap<String, (u64, i64)>| groups.into_iter().map(|(k, (_, sum))| (k, sum)).collect();
        let sums: &dyn Fn(_) -> BTreeMap<String, i64> = &sums;
        assert_eq!(newest(&driver.log("sums"), as_text), sums(digit), "sums, seed {seed}");
        let large = naive(&more, |_, value| {
            let value = format!("{value}{}", value.to_string().len());
            (number(&value) > 500).then(|| (value[..1].to_owned(), number(&value)))
        });
        assert_eq!(newest(&driver.log("large"), as_text), sums(large), "large, seed {seed}");
        let even = naive(&more, |key, value| (value % 2 == 0).then(|| (key[..1].to_owned(), value)));
        assert_eq!(newest(&driver.log("even"), as_text), sums(even), "even, seed {seed}");
        assert_eq!(driver.drops.get(DropReason::NothingToTakeBack), 0, "seed {seed}");
    }
}

/// Sums and counts in a cluster that crashes, loses its membership and aborts.
fn life(seed: u64) -> Result<(), String> {
    let partitions = 1 + u32::try_from(seed % 3).unwrap();
    let emission = if seed.is_multiple_of(2) { Emission::EachUpdate } else { Emission::EachCommit };
    let scenario = Scenario {
        topology: Arc::new(|| {
            let b = Builder::new("groups");
            let groups = by_digit(&b);
            groups.count().to(COUNTS);
            groups.reduce(|a, m| add(a, &m, 1), |a, m| add(a, &m, -1)).to(SUMS);
            b.build().unwrap()
        }),
        sources: vec![("in".into(), partitions)],
        input: Arc::new(move |n, random| {
            let key = format!("k{}", random.random_range(0..8));
            let value = (!random.random_ratio(1, 4)).then(|| random.random_range(1..200).to_string().into_bytes());
            let timestamp = Timestamp::from_millis(1_700_000_000_000 + i64::try_from(n).unwrap());
            let partition = Some(partition_of(key.as_bytes(), partitions));
            SimulatedInput { source: 0, partition, key: Some(key.into_bytes()), value, timestamp }
        }),
        steps: 200,
        inputs: 60,
        backlog: 0,
        refusals: false,
        config: Arc::new(move |config| config.emission = emission),
    };
    let settled = simulate(seed, &scenario).map_err(|error| error.to_string())?;
    let mut rows = BTreeMap::new();
    for input in &settled.inputs {
        let key = String::from_utf8(input.key.clone().unwrap()).unwrap();
        match &input.value {
            Some(value) => rows.insert(key, as_text(value)),
            None => rows.remove(&key),
        };
    }
    let last = |topic: &str, number_of: fn(&[u8]) -> i64| {
        let records = settled.broker.records(topic).unwrap_or_default().into_iter();
        let messages = records.map(|r| Message { key: r.key, value: r.value, ..Message::default() });
        newest(&messages.collect::<Vec<_>>(), number_of)
    };
    let groups = naive(&rows, |_, value| Some(((value % 10).to_string(), value)));
    let sums: BTreeMap<_, _> = groups.iter().map(|(group, (_, sum))| (group.clone(), *sum)).collect();
    let counts: BTreeMap<_, _> =
        groups.into_iter().map(|(group, (count, _))| (group, i64::try_from(count).unwrap())).collect();
    let found = (last("counts", as_count), last("sums", as_text));
    if found == (counts.clone(), sums.clone()) { Ok(()) } else { Err(format!("{counts:?} {sums:?} but {found:?}")) }
}

#[test]
fn groups_are_right_in_a_thousand_clusters_that_crash_and_stumble() {
    for seed in 0..1000 {
        life(seed).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

/// The topology with every update going out.
fn each_update(topology: &Topology) -> Driver {
    Driver::with(topology, 1, &TaskOptions { emission: Emission::EachUpdate, ..TaskOptions::default() })
}

#[test]
fn a_row_that_stays_in_its_group_is_one_update_and_one_that_moves_leaves_first() {
    let b = Builder::new("test");
    let append = |so_far: &mut String, sign: char, value: &str| {
        so_far.push(sign);
        so_far.push_str(value);
    };
    by_digit(&b).aggregate(String::new, move |_, a, v| append(a, '+', &v), move |_, a, v| append(a, '-', &v)).to(SUMS);
    let mut driver = each_update(&b.build().unwrap());
    for (value, time) in [("11", 5), ("21", 3), ("32", 9)] {
        driver.send("in", text("a", value, time));
        driver.run();
    }
    assert_eq!(driver.texts("sums"), ["1=+11@5", "1=+11-11+21@5", "1=+11-11+21-21@9", "2=+32@9"]);
}

#[test]
fn a_null_result_deletes_the_group_and_what_is_left_to_take_back_is_counted() {
    let b = Builder::new("test");
    let table = b.table(IN).group_by_with(|_, value| ("all".to_owned(), (value != "0").then(|| value.clone())));
    let sum = |so_far: &mut Option<String>, more: Option<String>, sign: i64| {
        let sum = number(so_far.as_deref().unwrap_or("0")) + sign * number(&more.unwrap());
        *so_far = Some(sum.to_string()).filter(|_| sum != 0);
    };
    let sums = table.reduce(move |a, v| sum(a, v, 1), move |a, v| sum(a, v, -1));
    sums.to(Topic::<String, Option<String>>::new("sums"));
    let mut driver = each_update(&b.build().unwrap());
    for (key, value) in [("a", "5"), ("n", "0"), ("b", "-5"), ("a", "7")] {
        driver.send("in", text(key, value, 1));
        driver.run();
    }
    assert_eq!(driver.texts("sums"), ["all=5@1", "all=-@1", "all=7@1"]);
    assert_eq!(driver.drops.get(DropReason::NothingToTakeBack), 1);
}

#[test]
fn the_headers_of_the_record_that_changed_the_row_travel_with_it() {
    let b = Builder::new("test");
    by_digit(&b).count().to(COUNTS);
    let mut driver = Driver::new(&b.build().unwrap());
    let mut message = text("a", "11", 5);
    message.headers.push("trace", Some(b"1".to_vec()));
    driver.send("in", message.clone());
    driver.run();
    assert_eq!(driver.log("counts")[0].headers, message.headers);
}

#[test]
fn a_refused_row_names_the_table_that_refused_it() {
    let b = Builder::new("test");
    let refuse = |_: &mut String, _| Err(Reject::overflow("too much"));
    by_digit(&b).try_reduce(refuse, |_, _| Ok(())).named("sums").to(SUMS);
    let mut driver = Driver::new(&b.build().unwrap());
    for key in ["a", "b"] {
        driver.send("in", text(key, "1", 1));
    }
    while driver.step(true) && driver.failures.is_empty() {}
    let failure = driver.failures.pop().unwrap();
    assert_eq!((failure.reason, failure.operator.as_str()), (DropReason::Overflow, "sums"));
}

#[test]
fn all_tables_of_a_grouping_share_one_repartition_topic_and_the_store_above_tells_old_values() {
    let topology = sums();
    let names: Vec<&str> = topology.plan().repartitions.iter().map(|of| &*of.name).collect();
    assert_eq!(names, ["by-digit", "large", "even"]);
}

#[test]
fn the_first_value_of_an_aggregate_has_nothing_before_it() {
    let b = Builder::new("test");
    let lengths =
        b.source(IN).stream().group_by_key().aggregate(|| 0, |_, length, value| *length += value.len() as u64);
    lengths.group_by(|_, length| length.to_string()).count().to(COUNTS);
    let mut driver = each_update(&b.build().unwrap());
    for (value, time) in [("a", 1), ("b", 2)] {
        driver.send("in", text("a", value, time));
        driver.run();
    }
    // Not 0=…, the value that it begins with.
    assert_eq!(driver.texts("counts"), ["1=1@1", "1=0@2", "2=1@2"]);
}

/// Counts in windows of each kind, and the sums of the windows of a key.
fn windows(kind: u64) -> Topology {
    const TEN: Duration = Duration::from_millis(10);
    let b = Builder::new("windows");
    let words = b.source(IN).out_of_order_by(TEN).stream().group_by_key();
    let table: Table<Windowed<String>, u64> = match kind {
        0 => words.windowed(TumblingWindows::of(TEN)).count().clone(),
        1 => words.windowed(HoppingWindows::of(TEN, TEN / 2)).count().clone(),
        2 => words.windowed(SlidingWindows::of(TEN)).count().clone(),
        _ => words.windowed(SessionWindows::of(TEN)).count().clone(),
    };
    table.to(Topic::<Windowed<String>, u64>::new("windows"));
    let groups = table.group_by_with(|key, count| (key.key.clone(), count.to_string()));
    groups.reduce(|sum, more| add(sum, &more, 1), |sum, less| add(sum, &less, -1)).to(SUMS);
    b.build().unwrap()
}

#[test]
fn windows_tell_what_they_were_before_to_the_groups_that_they_are_in() {
    for seed in 0..1000 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let emission = if seed % 2 == 0 { Emission::EachCommit } else { Emission::EachUpdate };
        let options = TaskOptions { emission, ..TaskOptions::default() };
        let mut driver = Driver::with(&windows(seed / 2 % 4), 1, &options);
        let mut time = 0;
        for _ in 0..random.random_range(1..6) {
            driver.batch = [1, 3, usize::MAX][random.random_range(0..3)];
            for _ in 0..random.random_range(0..12) {
                time += random.random_range(0..8);
                let key = ["a", "b"][random.random_range(0..2)];
                driver.send("in", text(key, "x", (time - random.random_range(0..12)).max(0)));
            }
            driver.step(random.random());
        }
        driver.run();
        let told: BTreeMap<_, _> = driver.log("windows").into_iter().map(|one| (one.key.unwrap(), one.value)).collect();
        let mut expected: BTreeMap<String, i64> = BTreeMap::new();
        for (key, count) in told.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            *expected.entry(String::from_utf8(key[..1].to_vec()).unwrap()).or_default() += as_count(&count);
        }
        assert_eq!(newest(&driver.log("sums"), as_text), expected, "seed {seed}");
        assert_eq!(driver.drops.get(DropReason::NothingToTakeBack), 0, "seed {seed}");
    }
}
