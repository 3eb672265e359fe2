//! Tables, with and without a shuffle, through whole tasks.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::testing::{Driver, Message, text};
use super::{Builder, Grouped, Table, Topic};
use crate::codec::NoKey;
use crate::codec::frame::Frame;
use crate::operators::aggregate::Emission;
use crate::operators::{DropReason, Reject};
use crate::topology::{TaskOptions, Topology};

const IN: Topic<String, String> = Topic::new("in");
const KEYLESS: Topic<NoKey, String> = Topic::new("in");
const OUT: Topic<String, String> = Topic::new("out");
const COUNTS: Topic<String, u64> = Topic::new("out");

#[expect(clippy::needless_pass_by_value, reason = "the signature that reduce asks for")]
fn join(so_far: &mut String, more: String) {
    so_far.push_str(&more);
}

/// A table of the texts of a key, one after the other.
fn joined() -> Topology {
    let b = Builder::new("test");
    b.source(IN).stream().group_by_key().reduce(join).named("joined").to(OUT);
    b.build().unwrap()
}

/// Words counted by themselves, in four partitions.
fn words(group: impl Fn(Grouped<String, String>) -> Table<String, u64>) -> Topology {
    let b = Builder::new("words");
    let words = b
        .source(KEYLESS)
        .stream()
        .flat_map(|_, line| line.split_whitespace().map(|word| (word.to_owned(), word.to_owned())).collect::<Vec<_>>());
    group(words.group_by_key()).named("words").to(COUNTS);
    b.build().unwrap()
}

fn line(words: &str, timestamp: i64) -> Message {
    Message { key: None, ..text("", words, timestamp) }
}

#[test]
fn the_newest_value_of_each_key_goes_out_once_a_commit_in_order_of_first_touch() {
    let mut driver = Driver::new(&joined());
    for (place, (key, value)) in [("b", "1"), ("a", "2"), ("b", "3")].into_iter().enumerate() {
        driver.send("in", text(key, value, 10 + i64::try_from(place).unwrap()));
    }
    assert_eq!(driver.run().texts("out"), ["b=13@12", "a=2@11"]);
    driver.send("in", text("a", "4", 20));
    assert_eq!(driver.run().texts("out"), ["b=13@12", "a=2@11", "a=24@20"]);
    assert_eq!(driver.stores(0), [("joined".to_owned(), "app-joined-changelog".to_owned())]);
    assert_eq!(driver.log("app-joined-changelog").len(), 3);
}

#[test]
fn every_update_goes_out_where_it_is_asked_for() {
    let b = Builder::new("test");
    b.source(IN).stream().group_by_key().reduce(join).emit_each_update().to(OUT);
    let asked = b.build().unwrap();
    let options = TaskOptions { emission: Emission::EachUpdate, ..TaskOptions::default() };
    for mut driver in [Driver::new(&asked), Driver::with(&joined(), 1, &options)] {
        for (value, time) in [("1", 1), ("2", 2), ("3", 3)] {
            driver.send("in", text("a", value, time));
        }
        assert_eq!(driver.run().texts("out"), ["a=1@1", "a=12@2", "a=123@3"]);
    }
}

#[test]
fn a_result_has_the_largest_time_of_its_records_and_the_newest_ones_headers() {
    let mut driver = Driver::new(&joined());
    let mut old = text("a", "2", 5);
    old.headers.push("trace", Some(b"2".to_vec()));
    driver.send("in", text("a", "1", 50));
    driver.send("in", old.clone());
    driver.run();
    assert_eq!(driver.texts("out"), ["a=12@50"]);
    assert_eq!(driver.log("out")[0].headers, old.headers);
}

#[test]
fn a_null_value_is_dropped_and_counted_and_takes_nothing_back() {
    const NULLABLE: Topic<String, Option<String>> = Topic::new("in");
    let b = Builder::new("test");
    b.source(NULLABLE).stream().group_by_key().count().to(COUNTS);
    let mut driver = Driver::new(&b.build().unwrap());
    driver.send("in", text("a", "1", 1));
    driver.send("in", Message { value: None, ..text("a", "", 2) });
    assert_eq!(driver.run().texts("out"), ["a=1@1"]);
    assert_eq!(driver.drops.get(DropReason::NullValue), 1);
}

#[test]
fn a_null_result_deletes_the_row_and_the_next_record_begins_anew() {
    let b = Builder::new("test");
    let sums = b.source(IN).stream().group_by_key().aggregate(
        || Some(String::new()),
        |_, so_far: &mut Option<String>, value: String| match value.as_str() {
            "end" => *so_far = None,
            more => so_far.get_or_insert_default().push_str(more),
        },
    );
    sums.to_stream().map_values(|value| value.flatten().unwrap_or_else(|| "gone".into())).to(OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    for (value, time) in [("1", 9), ("end", 3), ("2", 4)] {
        driver.send("in", text("a", value, time));
        driver.run();
    }
    assert_eq!(driver.texts("out"), ["a=1@9", "a=gone@9", "a=2@4"]);
    assert_eq!(driver.log("app-in-aggregate-changelog")[1].value, None);
}

#[test]
fn a_row_that_came_and_went_between_two_commits_is_not_told() {
    let b = Builder::new("test");
    let table = b.source(IN).stream().group_by_key().aggregate(|| None, |_, row: &mut Option<String>, _| *row = None);
    table.to_stream().map_values(|_| "told".to_owned()).to(OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    driver.send("in", text("a", "1", 1));
    assert!(driver.run().texts("out").is_empty());
}

#[test]
fn a_refused_record_of_a_reduce_names_its_input() {
    let b = Builder::new("test");
    b.source(IN).stream().group_by_key().try_reduce(|_, _| Err(Reject::overflow("too much"))).named("sums").to(OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    for time in 1..=3 {
        driver.send("in", text("a", "x", time));
    }
    driver.step(true);
    let failure = driver.failures.pop().unwrap();
    assert_eq!((failure.reason, failure.operator.as_str()), (DropReason::Overflow, "sums"));
    assert_eq!(failure.input.unwrap().0, 1);
}

#[test]
fn equal_keys_of_all_partitions_meet_behind_the_shuffle() {
    let topology = words(|words| words.count());
    let mut driver = Driver::with(&topology, 4, &TaskOptions::default());
    driver.send("in", line("a b a", 1));
    driver.send("in", Message { key: Some(b"other partition".to_vec()), ..line("b c a", 2) });
    driver.run();
    let mut counts = driver.texts("out");
    counts.sort();
    assert_eq!(counts, ["a=3@2", "b=2@2", "c=1@2"]);
    assert!(driver.layout.internal.iter().all(|topic| topic.partitions == 4));
}

#[test]
fn combining_shuffles_one_record_a_key_and_gives_the_same_counts() {
    let run = |topology: &Topology, options: &TaskOptions| {
        let mut driver = Driver::with(topology, 3, options);
        for time in 0..50 {
            driver.send("in", line("a b a c", time));
        }
        driver.run();
        let shuffled = driver.log("app-words-by-count-repartition");
        let shuffled =
            shuffled.iter().map(|frame| Frame::read(frame.value.as_ref().unwrap()).unwrap().count()).sum::<u32>();
        let mut counts = driver.texts("out");
        counts.sort();
        (shuffled, counts)
    };
    let counts = ["a=100@49", "b=50@49", "c=50@49"];
    let named = |words: Grouped<String, String>| words.named("words-by-count");
    let (plain, combined) = (words(|words| named(words).count()), words(|words| named(words).combine().count()));
    let some = |shuffled: u32| (shuffled, counts.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(run(&plain, &TaskOptions::default()), some(200));
    assert_eq!(run(&combined, &TaskOptions::default()), some(3));
    let early = TaskOptions { combine_keys: 2, ..TaskOptions::default() };
    assert!(run(&combined, &early).0 > 3);
    assert_eq!(run(&combined, &early).1, some(0).1);
}

#[test]
fn event_time_delay_and_headers_travel_through_the_shuffle() {
    let b = Builder::new("test");
    b.source(IN).stream().rekey(|_, value| value.clone()).repartition().stream().to(OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    let mut message = text("a", "1", 0);
    message.headers.push("trace", None);
    driver.send("in", text("a", "0", 70));
    driver.send("in", message.clone());
    driver.run();
    assert_eq!(driver.texts("out"), ["0=0@70", "1=1@0"]);
    assert_eq!(driver.log("out")[1].headers, message.headers);
    let frame = &driver.log("app-in-repartition-repartition")[0];
    assert_eq!(frame.timestamp, 70);
    let records: Vec<_> = Frame::read(frame.value.as_ref().unwrap()).unwrap().records().map(Result::unwrap).collect();
    assert_eq!(records.iter().map(|record| record.behind).collect::<Vec<_>>(), [0, 70]);
}

#[test]
fn frames_stay_below_their_bound_and_a_large_record_goes_alone() {
    let b = Builder::new("test");
    b.source(IN).stream().repartition().stream().to(OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    for size in [30_000, 30_000, 30_000, 200_000, 10] {
        driver.send("in", text("a", &"x".repeat(size), 0));
    }
    driver.run();
    let frames = driver.log("app-in-repartition-repartition");
    let counts: Vec<u32> =
        frames.iter().map(|frame| Frame::read(frame.value.as_ref().unwrap()).unwrap().count()).collect();
    assert_eq!(counts, [2, 1, 1, 1]);
    assert!(frames.iter().all(|frame| frame.timestamp == 1), "0 would become now");
    assert_eq!(driver.log("out").len(), 5);
}

#[test]
fn results_do_not_depend_on_where_batches_are_cut() {
    let topology = {
        let b = Builder::new("test");
        let stream = b.source(IN).stream();
        let [some, rest] = stream.branch(|key, _| usize::from(key.as_str() > "c"));
        let all = some.map_values(|value| value + "+").merge(&rest);
        all.to(OUT);
        all.rekey(|_, value| value[..1].to_owned())
            .group_by_key()
            .combine()
            .reduce(join)
            .emit_each_update()
            .to_stream()
            .map_values(Option::unwrap_or_default)
            .to(Topic::<String, String>::new("joined"));
        all.group_by_key().count().to(Topic::<String, u64>::new("counts"));
        b.build().unwrap()
    };
    for seed in 0..50 {
        let outputs = [1, 3, 7, usize::MAX].map(|batch| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut driver = Driver::with(&topology, 2, &TaskOptions { combine_keys: 3, ..TaskOptions::default() });
            driver.batch = batch;
            for _ in 0..3 {
                for _ in 0..random.random_range(0..40) {
                    let (key, value) = (random.random_range('a'..'f'), random.random_range(0..1000).to_string());
                    driver.send("in", text(&key.to_string(), &value, random.random_range(0..100)));
                }
                driver.run();
            }
            let topics = ["out", "joined", "counts", "app-in-reduce-changelog", "app-in-count-changelog"];
            topics.map(|topic| driver.log(topic))
        });
        assert!(outputs.iter().all(|output| *output == outputs[0]), "seed {seed}");
    }
}
