//! Joins of two streams on the production engine, over several partitions, against every record held against every other.

use std::time::Duration;

use millstream::testing::Driver;
use millstream::window::JoinWindow;
use millstream::{Builder, Result, Stream, Topic, Topology};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Value = Option<u64>;

const LEFT: Topic<String, Value> = Topic::new("left");
const RIGHT: Topic<String, Value> = Topic::new("right");
const OUT: Topic<String, String> = Topic::new("out");

const TOPICS: [&str; 2] = ["left", "right"];
const PARTITIONS: u32 = 3;

/// What a seed asks for.
#[derive(Clone, Copy, Debug)]
struct Setup {
    before: i64,
    after: i64,
    grace: i64,
    /// How far out of order the sources may be.
    bound: i64,
    /// Which sides are padded.
    pads: [bool; 2],
    /// Whether the records of a key come from several partitions, through a shuffle.
    shuffled: bool,
}

/// A record of a side, as its source reads it.
#[derive(Clone, Debug)]
struct Sent {
    side: usize,
    partition: u32,
    key: String,
    value: Value,
    time: i64,
    /// The watermark of its partition before it, where the record is behind it.
    reference: i64,
}

fn setup(random: &mut ChaCha8Rng) -> Setup {
    Setup {
        before: random.random_range(0..12),
        after: random.random_range(0..25),
        grace: random.random_range(0..10),
        bound: random.random_range(0..8),
        pads: [[false, false], [true, false], [true, true]][random.random_range(0..3)],
        shuffled: random.random_bool(0.5),
    }
}

fn millis(number: i64) -> Duration {
    Duration::from_millis(u64::try_from(number).expect("not negative"))
}

fn shown(value: Option<&Value>) -> String {
    value.copied().flatten().map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn topology(setup: Setup) -> Topology {
    let b = Builder::new("joined");
    let stream = |topic: Topic<String, Value>| -> Stream<String, Value> {
        let stream = b.source(topic).out_of_order_by(millis(setup.bound)).stream();
        if setup.shuffled { stream.rekey(|key, _| key.clone()) } else { stream }
    };
    let (left, right) = (stream(LEFT), stream(RIGHT));
    let window = JoinWindow::of(millis(setup.before)).after(millis(setup.after)).grace(millis(setup.grace));
    let joined = match setup.pads {
        [false, _] => left.join_within(&right, window, |_, l, r| format!("{} {}", shown(Some(l)), shown(Some(r)))),
        [_, false] => left.left_join_within(&right, window, |_, l, r| format!("{} {}", shown(Some(l)), shown(r))),
        _ => left.outer_join_within(&right, window, |_, l, r| format!("{} {}", shown(l), shown(r))),
    };
    joined.to(OUT);
    b.build().unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Random records with disorder, late ones and null values.
fn records(random: &mut ChaCha8Rng, setup: Setup) -> Vec<Sent> {
    let mut marks = [[i64::MIN; PARTITIONS as usize]; 2];
    let mut now = [[0; PARTITIONS as usize]; 2];
    let number = |value: u64| {
        let (side, of_key) = (usize::from(random.random_bool(0.5)), random.random_range(0..4_u32));
        let partition = if setup.shuffled { random.random_range(0..PARTITIONS) } else { of_key % PARTITIONS };
        let now = &mut now[side][partition as usize];
        *now += random.random_range(0..9);
        let back = if random.random_bool(0.2) { 70 } else { setup.bound + 1 };
        let time = (*now - random.random_range(0..back)).max(0);
        let mark = &mut marks[side][partition as usize];
        let reference = if *mark > time { *mark } else { i64::MIN };
        *mark = (*mark).max(time - setup.bound);
        let value = random.random_bool(0.9).then_some(value);
        Sent { side, partition, key: format!("k{of_key}"), value, time, reference }
    };
    (0..80).map(number).collect()
}

fn naive(setup: Setup, records: &[Sent]) -> Vec<(String, String, i64)> {
    let Setup { before, after, grace, .. } = setup;
    let counts = |sent: &&Sent| sent.value.is_some() && sent.reference <= sent.time + before + after + grace;
    let of = |side| records.iter().filter(move |sent| sent.side == side).filter(counts);
    let meet = |left: &Sent, right: &Sent| {
        left.key == right.key
            && left.time - before <= right.time
            && right.time <= left.time + after
            && right.reference <= left.time + after + grace
            && left.reference <= right.time + before + grace
    };
    let line = |sent: &Sent, left: Value, right: Value, time: i64| {
        (sent.key.clone(), format!("{} {}", shown(Some(&left)), shown(Some(&right))), time)
    };
    let mut lines = Vec::new();
    for left in of(0) {
        let partners = of(1).filter(|right| meet(left, right));
        lines.extend(partners.map(|right| line(left, left.value, right.value, left.time.max(right.time))));
        if setup.pads[0] && !of(1).any(|right| meet(left, right)) {
            lines.push(line(left, left.value, None, left.time));
        }
    }
    for right in of(1).filter(|right| setup.pads[1] && !of(0).any(|left| meet(left, right))) {
        lines.push(line(right, None, right.value, right.time));
    }
    lines.sort();
    lines
}

fn send(driver: &mut Driver, sent: &Sent) -> Result<()> {
    let value = sent.value.map(u64::to_be_bytes);
    let value = value.as_ref().map(<[u8; 8]>::as_slice);
    driver.send_bytes(TOPICS[sent.side], sent.partition, Some(sent.key.as_bytes()), value, sent.time)
}

fn play(setup: Setup, records: &[Sent], random: &mut ChaCha8Rng) -> Result<Vec<(String, String, i64)>> {
    let threads = random.random_range(1..3);
    let mut driver = Driver::builder(topology(setup)).partitions(PARTITIONS).threads(threads).start()?;
    for sent in records {
        send(&mut driver, sent)?;
        if random.random_bool(0.1) {
            driver.settle()?;
        }
    }
    // Time goes on in every partition, by records that are left out.
    for (side, partition) in (0..2).flat_map(|side| (0..PARTITIONS).map(move |partition| (side, partition))) {
        send(&mut driver, &Sent { side, partition, key: "end".into(), value: None, time: 10_000, reference: 0 })?;
    }
    driver.settle()?;
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.expect("not null")).expect("text");
    let taken = driver.take(OUT.name()).into_iter();
    let mut lines: Vec<_> = taken.map(|out| (text(out.key), text(out.value), out.timestamp.millis())).collect();
    lines.sort();
    Ok(lines)
}

#[test]
fn joins_over_several_partitions_and_shuffles_are_those_of_a_naive_computation() {
    let mut results = 0;
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let setup = setup(&mut random);
        let records = records(&mut random, setup);
        let expected = naive(setup, &records);
        let got = play(setup, &records, &mut random).unwrap_or_else(|error| panic!("seed {seed}, {setup:?}: {error}"));
        let differs = (0..got.len().max(expected.len())).find(|&at| got.get(at) != expected.get(at));
        if let Some(at) = differs {
            panic!("seed {seed}, {setup:?}: {:?} came instead of {:?}", got.get(at), expected.get(at));
        }
        results += got.len();
    }
    assert!(results > 10_000, "{results} results are too few to say anything");
}
