//! Joins of tables by key, through whole tasks, against a naive reference.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::testing::{Driver, Message, text};
use super::{Builder, Table, Topic};
use crate::operators::aggregate::Emission;
use crate::operators::{Change, Cx, DropReason, Push, Signal};
use crate::record::Record;
use crate::topology::graph::NodeKind;
use crate::topology::{TaskOptions, Topology};

const LEFT: Topic<String, String> = Topic::new("left");
const RIGHT: Topic<String, String> = Topic::new("right");
const THIRD: Topic<String, String> = Topic::new("third");
const OUT: Topic<String, String> = Topic::new("out");

type Rows = BTreeMap<String, String>;
type Texts = Table<String, String>;

/// What a table has handed on, and the first change that did not begin with it.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(Rows, Option<String>)>>);

impl Seen {
    fn of(table: &Texts) -> Self {
        let (seen, edge) = (Self::default(), table.edge.clone());
        table.graph.borrow_mut().want_before(table.node);
        let own = seen.clone();
        table.add::<String>("seen", NodeKind::Stateless, Box::new(move |_| edge.join(Box::new(own.clone()))));
        seen
    }

    fn rows(&self) -> Rows {
        self.0.lock().unwrap().0.clone()
    }

    fn fault(&self) -> Option<String> {
        self.0.lock().unwrap().1.clone()
    }
}

impl Push<String, Change<String>> for Seen {
    fn push(&mut self, batch: &mut Vec<Record<String, Change<String>>>, _: &mut Cx) {
        let (rows, fault) = &mut *self.0.lock().unwrap();
        for Record { key, value: Change { old, new }, .. } in batch.drain(..) {
            if rows.get(&key) != old.as_ref() {
                let before = rows.get(&key);
                fault.get_or_insert_with(|| format!("{key}: {old:?} -> {new:?}, and {before:?} was handed on before"));
            }
            match new {
                Some(new) => rows.insert(key, new),
                None => rows.remove(&key),
            };
        }
    }

    fn signal(&mut self, _: Signal, _: &mut Cx) {}
}

fn pair(left: Option<&String>, right: Option<&String>) -> String {
    let shown = |side: Option<&String>| side.map_or("-", String::as_str).to_owned();
    format!("{}+{}", shown(left), shown(right))
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Inner,
    Left,
    Outer,
}

const KINDS: [Kind; 3] = [Kind::Inner, Kind::Left, Kind::Outer];

impl Kind {
    fn join(self, left: &Texts, right: &Texts) -> Texts {
        match self {
            Self::Inner => left.join(right, |_, l, r| pair(Some(l), Some(r))),
            Self::Left => left.left_join(right, |_, l, r| pair(Some(l), r)),
            Self::Outer => left.outer_join(right, |_, l, r| pair(l, r)),
        }
    }

    fn naive(self, left: &Rows, right: &Rows) -> Rows {
        let keys = left.keys().chain(right.keys());
        let has = |key: &&String| match self {
            Self::Inner => left.contains_key(*key) && right.contains_key(*key),
            Self::Left => left.contains_key(*key),
            Self::Outer => true,
        };
        keys.filter(has).map(|key| (key.clone(), pair(left.get(key), right.get(key)))).collect()
    }
}

/// Random changes of three tables, cut into batches and commits at random; `check` after every step.
fn drive(seed: u64, topology: &Topology, mut check: impl FnMut(&str)) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let emission = if random.random() { Emission::EachCommit } else { Emission::EachUpdate };
    let options = TaskOptions { emission, cache_bytes: random.random_range(0..2000), ..TaskOptions::default() };
    let mut driver = Driver::with(topology, random.random_range(1..3), &options);
    for round in 0..12 {
        for _ in 0..random.random_range(0..8) {
            let topic = ["left", "right", "third"][random.random_range(0..3)];
            let (key, time) = (random.random_range('a'..'e').to_string(), random.random_range(0..100));
            let value = random.random_range(0..100).to_string();
            let message = text(&key, &value, time);
            let deletes = random.random_bool(0.3);
            driver.send(topic, if deletes { Message { value: None, ..message } } else { message });
        }
        driver.batch = [1, 2, usize::MAX][random.random_range(0..3)];
        driver.step(random.random());
        check(&format!("seed {seed}, round {round}, {emission:?}"));
    }
    driver.run();
    check(&format!("seed {seed}, at the end, {emission:?}"));
}

#[test]
fn after_every_step_the_result_is_the_naive_join_of_what_both_tables_have_handed_on() {
    for seed in 0..1000 {
        let kind = KINDS[usize::try_from(seed % 3).unwrap()];
        let b = Builder::new("test");
        // One side may have to be made of the rows of another.
        let (left, right) = (b.table(LEFT), b.table(RIGHT).filter(|_, value| !value.ends_with('3')));
        let (one, two, all) = (Seen::of(&left), Seen::of(&right), Seen::of(&kind.join(&left, &right)));
        drive(seed, &b.build().unwrap(), |at| {
            assert_eq!(all.fault(), None, "{kind:?} {at}");
            assert_eq!(all.rows(), kind.naive(&one.rows(), &two.rows()), "{kind:?} {at}");
        });
    }
}

#[test]
fn a_join_of_joins_goes_on_step_by_step_whichever_table_changes() {
    for seed in 0..1000 {
        let kinds = [0, 1].map(|nth| KINDS[usize::try_from(seed / [1, 3][nth] % 3).unwrap()]);
        let b = Builder::new("test");
        let tables = [b.table(LEFT), b.table(RIGHT), b.table(THIRD)];
        let seen = tables.each_ref().map(Seen::of);
        let all = Seen::of(&kinds[1].join(&kinds[0].join(&tables[0], &tables[1]), &tables[2]));
        drive(seed, &b.build().unwrap(), |at| {
            let [left, right, third] = seen.each_ref().map(Seen::rows);
            assert_eq!(all.fault(), None, "{kinds:?} {at}");
            assert_eq!(all.rows(), kinds[1].naive(&kinds[0].naive(&left, &right), &third), "{kinds:?} {at}");
        });
    }
}

#[test]
fn a_table_joined_with_what_is_made_of_itself_is_right_step_by_step_as_well() {
    for seed in 0..1000 {
        let kind = KINDS[usize::try_from(seed % 3).unwrap()];
        let b = Builder::new("test");
        let left = b.table(LEFT);
        let made = match seed / 3 % 3 {
            0 => left.clone(),
            1 => left.map_values(|_, value| value.clone() + "!").filter(|_, value| !value.starts_with('3')),
            _ => left.join(&b.table(RIGHT), |_, l, r| pair(Some(l), Some(r))).materialized(),
        };
        let (one, two) = (Seen::of(&left), Seen::of(&made));
        let all = Seen::of(&kind.join(&left, &made));
        drive(seed, &b.build().unwrap(), |at| {
            assert_eq!(all.fault(), None, "{kind:?} {at}");
            if at.contains("end") {
                assert_eq!(all.rows(), kind.naive(&one.rows(), &two.rows()), "{kind:?} {at}");
            }
        });
        assert!(!all.rows().is_empty() || one.rows().is_empty() || two.rows().is_empty() || seed % 3 == 0);
    }
}

/// One step of Kafka Streams' table of what a join gives: the input's side and value, and the outputs of an inner, a left and
/// an outer join. `null` deletes, and nothing is nothing.
type Golden = (&'static str, &'static str, [&'static str; 3]);

/// What Kafka Streams' own tests say, one record a commit.
const GOLDEN: [Golden; 15] = [
    ("left", "null", [""; 3]),
    ("right", "null", [""; 3]),
    ("left", "A", ["", "A+-", "A+-"]),
    ("right", "a", ["A+a"; 3]),
    ("left", "B", ["B+a"; 3]),
    ("right", "b", ["B+b"; 3]),
    ("left", "null", ["null", "null", "-+b"]),
    ("right", "null", ["", "", "null"]),
    ("left", "C", ["", "C+-", "C+-"]),
    ("right", "c", ["C+c"; 3]),
    ("right", "null", ["null", "C+-", "C+-"]),
    ("left", "null", ["", "null", "null"]),
    ("right", "null", [""; 3]),
    ("right", "d", ["", "", "-+d"]),
    ("left", "D", ["D+d"; 3]),
];

#[test]
fn the_golden_table_of_kafka_streams_holds() {
    for (nth, kind) in KINDS.into_iter().enumerate() {
        for emission in [Emission::EachCommit, Emission::EachUpdate] {
            let b = Builder::new("test");
            kind.join(&b.table(LEFT), &b.table(RIGHT)).to(OUT);
            let mut driver = Driver::with(&b.build().unwrap(), 1, &TaskOptions { emission, ..TaskOptions::default() });
            for (step, (topic, value, expected)) in GOLDEN.into_iter().enumerate() {
                let before = driver.log("out").len();
                let message = text("k", value, i64::try_from(step).unwrap());
                driver.send(topic, if value == "null" { Message { value: None, ..message } } else { message });
                driver.run();
                let came = driver.log("out").split_off(before);
                let came = came.into_iter().map(|m| m.value.map_or("null".into(), |v| String::from_utf8(v).unwrap()));
                let came = came.collect::<Vec<_>>().join(" ");
                assert_eq!(came, expected[nth], "{kind:?}, step {}, {emission:?}", step + 1);
            }
            assert_eq!(driver.drops.get(DropReason::JoinMiss), 0);
        }
    }
}

#[test]
fn a_result_has_the_later_time_of_both_sides_and_is_that_much_less_late() {
    let b = Builder::new("test");
    let joined = b.table(LEFT).join(&b.table(RIGHT), |_, l, r| pair(Some(l), Some(r)));
    joined.to_stream().map_values(Option::unwrap_or_default).repartition().stream().to(OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    for (topic, time) in [("left", 50), ("right", 90), ("left", 20)] {
        driver.send(topic, text("a", topic, time));
        driver.run();
    }
    assert_eq!(driver.texts("out"), ["a=left+right@90", "a=left+right@90"]);
}

#[test]
fn two_builders_are_a_mistake_of_both() {
    let (b, other) = (Builder::new("one"), Builder::new("two"));
    b.table(LEFT).join(&other.table(RIGHT), |_, l, r| pair(Some(l), Some(r))).to(OUT);
    for b in [b, other] {
        let text = b.build().err().unwrap().to_string();
        assert!(text.contains("tables of two builders") && text.contains("table_join_tests.rs"), "{text}");
    }
}

#[test]
fn a_join_of_a_table_with_itself_names_its_stores_after_itself() {
    let b = Builder::new("test");
    let left = b.table(LEFT);
    let join = || left.join(&left, |_, l, r| pair(Some(l), Some(r)));
    join().named("one").to(OUT);
    join().named("two").to(Topic::<String, String>::new("other"));
    let topology = b.build().unwrap();
    let stores: Vec<&str> = topology.plan().subs[0].stores.iter().map(|store| &**store).collect();
    assert_eq!(stores, ["left-table", "one-left-side", "one-right-side", "two-left-side", "two-right-side"]);
}
