//! Joins with global tables, through the whole engine, and how such a topology is planned and shown.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Builder, GlobalTable, Topic};
use crate::broker::{Broker, Outgoing, OutgoingRecord, Partitioning};
use crate::codec::NoKey;
use crate::operators::DropReason;
use crate::operators::source::BadInput;
use crate::record::{Header, Headers, InputNumber};
use crate::testing::Driver;
use crate::time::Timestamp;
use crate::topology::{Renames, Topology};

const USERS: Topic<u64, String> = Topic::new("users");
const VISITS: Topic<String, u64> = Topic::new("visits");
const INNER: Topic<String, String> = Topic::new("inner");
const LEFT: Topic<String, String> = Topic::new("left");

/// A visit has no user where it is 0.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that the join asks for")]
fn user(_: &String, visit: &u64) -> Option<u64> {
    Some(*visit).filter(|user| *user > 0)
}

/// Both joins of one stream with one table.
fn both() -> Topology {
    let b = Builder::new("both");
    let users = b.global_table(USERS);
    let visits = b.source(VISITS).stream();
    visits.join_global(&users, user, |_, visit, name| format!("{visit}:{name}")).to(INNER);
    let named = |_: &String, visit: u64, name: Option<&String>| format!("{visit}:{}", name.map_or("-", String::as_str));
    visits.left_join_global(&users, user, named).to(LEFT);
    b.build().expect("it is sound")
}

fn started(partitions: u32, threads: usize) -> Driver {
    Driver::builder(both()).partitions(partitions).threads(threads).start().expect("it starts")
}

fn put(driver: &mut Driver, user: u64, name: &str) {
    driver.send(&USERS, &user, &name.to_owned(), 5).expect("it is written");
}

fn visit(driver: &mut Driver, key: &str, user: u64) {
    driver.send(&VISITS, &key.to_owned(), &user, 5).expect("it is written");
}

fn joined(driver: &mut Driver, topic: &Topic<String, String>) -> Vec<(String, String)> {
    driver.settle().expect("it settles");
    driver.take_values(topic).expect("they decode")
}

fn dropped(driver: &Driver, reason: DropReason) -> u64 {
    driver.metrics().drops("visits").get(reason)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn an_inner_join_drops_and_counts_what_it_does_not_find_and_a_left_join_keeps_it() {
    let mut driver = started(1, 1);
    put(&mut driver, 1, "Ada");
    visit(&mut driver, "a", 1);
    visit(&mut driver, "b", 2);
    visit(&mut driver, "c", 0);
    assert_eq!(joined(&mut driver, &INNER), pairs(&[("a", "1:Ada")]));
    assert_eq!(joined(&mut driver, &LEFT), pairs(&[("a", "1:Ada"), ("b", "2:-"), ("c", "0:-")]));
    assert_eq!((dropped(&driver, DropReason::JoinMiss), dropped(&driver, DropReason::NullKey)), (1, 1));
}

#[test]
fn a_row_is_replaced_by_a_newer_one_and_deleted_by_a_null_and_neither_sends_anything() {
    let mut driver = started(2, 1);
    put(&mut driver, 1, "Ada");
    visit(&mut driver, "a", 1);
    assert_eq!(joined(&mut driver, &INNER), pairs(&[("a", "1:Ada")]));
    put(&mut driver, 1, "Ada Lovelace");
    assert_eq!(joined(&mut driver, &INNER), []);
    visit(&mut driver, "a", 1);
    assert_eq!(joined(&mut driver, &INNER), pairs(&[("a", "1:Ada Lovelace")]));
    for partition in 0..2 {
        driver.send_bytes("users", partition, Some(&1_u64.to_be_bytes()), None, 5).expect("it is written");
    }
    visit(&mut driver, "a", 1);
    assert_eq!(joined(&mut driver, &INNER), []);
    assert_eq!(dropped(&driver, DropReason::JoinMiss), 1);
}

#[test]
fn the_result_has_the_streams_key_time_and_headers() {
    let mut driver = started(1, 1);
    driver.send(&USERS, &1, &"Ada".to_owned(), 9_999).expect("it is written");
    let mut out = Outgoing::default();
    let headers: Headers = [Header { name: "trace".into(), value: Some(b"x".to_vec()) }].into_iter().collect();
    let topic = out.topic("visits");
    out.push(&OutgoingRecord {
        topic,
        partitioning: Partitioning::ByKey,
        key: Some(b"a"),
        value: Some(&1_u64.to_be_bytes()),
        timestamp: Timestamp::from_millis(77),
        headers: &headers,
        input: InputNumber(0),
    });
    let mut writer = driver.broker().writer().expect("it connects");
    writer.send(&out).expect("it is written");
    writer.flush().expect("it is written");
    driver.settle().expect("it settles");
    let records = driver.take("inner");
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].timestamp.millis(), records[0].key.as_deref()), (77, Some(&b"a"[..])));
    assert_eq!(records[0].headers, headers);
}

#[test]
fn a_stream_without_keys_and_one_with_nulls_can_be_joined() {
    const LOOSE: Topic<NoKey, Option<u64>> = Topic::new("loose");
    const OUT: Topic<NoKey, String> = Topic::new("out");
    let b = Builder::new("loose");
    let users = b.global_table(USERS);
    let named = |_: &NoKey, visit: Option<u64>, name: Option<&String>| format!("{visit:?} {name:?}");
    b.source(LOOSE).stream().left_join_global(&users, |_, visit| *visit, named).to(OUT);
    let mut driver = Driver::builder(b.build().expect("sound")).start().expect("it starts");
    put(&mut driver, 1, "Ada");
    for visit in [Some(1), None] {
        driver.send(&LOOSE, &NoKey, &visit, 5).expect("it is written");
    }
    driver.settle().expect("it settles");
    let values: Vec<String> = driver.take_values(&OUT).expect("text").into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["Some(1) Some(\"Ada\")", "None None"]);
}

#[test]
fn random_updates_and_lookups_give_what_a_plain_map_gives() {
    for seed in 0..1_000 {
        plays_as_a_map(seed);
    }
}

/// Changes the table, settles, looks rows up, settles: and again.
fn plays_as_a_map(seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut driver = started(random.random_range(1..=4), random.random_range(1..=3));
    let mut rows: BTreeMap<u64, String> = BTreeMap::new();
    for round in 0..random.random_range(1..6) {
        for change in 0..random.random_range(0..8) {
            let user = random.random_range(1..6);
            if random.random_bool(0.3) {
                rows.remove(&user);
                delete(&mut driver, user);
            } else {
                let name = format!("{round}.{change}");
                put(&mut driver, user, &name);
                rows.insert(user, name);
            }
        }
        driver.settle().expect("it settles");
        let (mut inner, mut left) = (Vec::new(), Vec::new());
        for place in 0..random.random_range(0..8) {
            let (key, user) = (format!("{round}/{place}"), random.random_range(0..7));
            visit(&mut driver, &key, user);
            let row = rows.get(&user).filter(|_| user > 0);
            inner.extend(row.map(|name| (key.clone(), format!("{user}:{name}"))));
            left.push((key, format!("{user}:{}", row.map_or("-", String::as_str))));
        }
        for (topic, expected) in [(&INNER, inner), (&LEFT, left)] {
            let mut found = joined(&mut driver, topic);
            found.sort();
            assert_eq!(found, expected, "seed {seed}, round {round}, topic {}", topic.name());
        }
    }
}

/// Sends a null to the partition that the row is in.
fn delete(driver: &mut Driver, user: u64) {
    const DELETED: Topic<u64, Option<String>> = Topic::new("users");
    driver.send(&DELETED, &user, &None, 5).expect("it is written");
}

#[test]
fn a_global_table_is_a_source_of_the_topology_and_no_input_of_its_tasks() {
    let topology = both();
    assert_eq!(topology.sources(), ["visits", "users"]);
    assert_eq!(topology.plan().subs.len(), 1);
    let renames = Renames::from_iter([("users", "people")]);
    // The counts differ: nothing has to meet by partition.
    let counts = [("visits".to_owned(), 4), ("people".to_owned(), 3)].into();
    let layout = topology.layout("app", &renames, &counts).expect("it fits");
    assert_eq!(layout.subscriptions(), ["visits"]);
    assert_eq!((layout.internal.len(), &*layout.globals[0].topic), (0, "people"));
    let missing = topology.layout("app", &renames, &[("visits".to_owned(), 4)].into()).expect_err("it is not there");
    assert!(missing.to_string().contains("topic people does not exist; it stands for users"), "{missing}");
}

#[test]
fn processes_with_another_global_table_are_not_of_one_plan() {
    let fingerprint = |topic: Topic<u64, String>, left: bool| {
        let b = Builder::new("one");
        let users = b.global_table(topic);
        let visits = b.source(VISITS).stream();
        if left {
            visits.left_join_global(&users, user, |_, visit, _| visit.to_string()).to(INNER);
        } else {
            visits.join_global(&users, user, |_, visit, _| visit.to_string()).to(INNER);
        }
        b.build().expect("sound").plan().fingerprint
    };
    let one = fingerprint(USERS, false);
    assert_eq!(one, fingerprint(USERS, false));
    assert_ne!(one, fingerprint(Topic::new("people"), false));
    // What becomes of a record without a row is as little part of the plan as a filter's condition.
    assert_eq!(one, fingerprint(USERS, true));
}

#[test]
fn pictures_show_the_table_and_who_looks_into_it() {
    let topology = both();
    let text = topology.describe();
    let table = "  Sub-topology: 1 for global store (will not generate tasks)\n    Source: users (topics: [users])\n      \
                 --> visits-join-global, visits-left-join-global\n";
    assert!(text.contains(table), "{text}");
    assert!(text.contains("    Processor: visits-join-global (stores: [])\n"), "{text}");
    assert!(text.contains("      <-- visits, users\n"), "{text}");
    let chart = topology.mermaid();
    assert!(chart.contains("n0[(\"global table of users\")]\n") && chart.contains("n0 -.-> n2\n"), "{chart}");
    let json = serde_json::to_value(topology.description()).expect("it is data");
    assert_eq!(json["global_tables"][0]["topic"], "users");
    assert_eq!(json["global_tables"][0]["value"], "String");
}

fn mistakes(declare: impl FnOnce(&Builder)) -> String {
    let b = Builder::new("wrong");
    declare(&b);
    b.build().err().expect("a mistake").to_string()
}

#[test]
fn what_cannot_be_is_said_when_the_topology_is_built() {
    let only = mistakes(|b| _ = b.global_table(USERS));
    assert!(only.contains("it reads nothing but global tables, which do nothing by themselves"), "{only}");
    let twice = mistakes(|b| {
        let _ = (b.global_table(USERS), b.global_table(USERS));
        b.source(VISITS).stream().to(VISITS_OUT);
    });
    assert!(twice.contains("two global tables of topic users"), "{twice}");
    let both = mistakes(|b| {
        let _ = b.global_table(USERS);
        b.source(USERS).stream().for_each(|_, _| ());
    });
    assert!(both.contains("topic users is read as a stream and as a global table"), "{both}");
    let dead = mistakes(|b| {
        let _ = b.global_table(USERS).on_bad_input(BadInput::dead_letter("dead"));
        b.source(VISITS).stream().to(VISITS_OUT);
    });
    assert!(dead.contains("a global table has no dead letters"), "{dead}");
    let other = Builder::new("other");
    let foreign: GlobalTable<u64, String> = other.global_table(USERS);
    let strange = mistakes(|b| {
        b.source(VISITS).stream().join_global(&foreign, user, |_, visit, _| visit).to(VISITS_OUT);
    });
    assert!(strange.contains("of two builders cannot be joined"), "{strange}");
}

const VISITS_OUT: Topic<String, u64> = Topic::new("visits.out");

#[test]
fn a_topology_may_write_to_its_global_table() {
    const NAMED: Topic<u64, String> = Topic::new("users");
    let b = Builder::new("learns");
    let users = b.global_table(USERS);
    let visits = b.source(VISITS).stream();
    visits.map(|key, visit| (visit, key)).to(NAMED);
    visits.left_join_global(&users, user, |_, _, name| name.cloned().unwrap_or_default()).to(LEFT);
    let mut driver = Driver::builder(b.build().expect("sound")).partitions(2).start().expect("it starts");
    visit(&mut driver, "Ada", 1);
    assert_eq!(joined(&mut driver, &LEFT), pairs(&[("Ada", "")]));
    visit(&mut driver, "Bob", 1);
    assert_eq!(joined(&mut driver, &LEFT), pairs(&[("Bob", "Ada")]));
}
