//! Windows, cogroups and processors through whole tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::testing::{Driver, Message, text};
use super::{Builder, Setup, Topic};
use crate::codec::Codec;
use crate::operators::processor::{Context, Processor, Stored, Timer};
use crate::operators::value_processor::{StateContext, ValueContext, ValueProcessor};
use crate::operators::{DropReason, Reject};
use crate::record::Record;
use crate::time::Timestamp;
use crate::topology::TaskOptions;
use crate::window::{
    GivenWindows, HoppingWindows, SessionWindowed, SessionWindows, TumblingWindows, Window, Windowed, WindowedText,
};

const IN: Topic<String, String> = Topic::new("in");
const LEFT: Topic<String, String> = Topic::new("left");
const RIGHT: Topic<String, String> = Topic::new("right");
const OUT: Topic<Windowed<String>, String, WindowedText> = Topic::new("out");
const LATE: Topic<String, String> = Topic::new("late");

const TEN: TumblingWindows = TumblingWindows::of(Duration::from_millis(10));

#[expect(clippy::needless_pass_by_value, reason = "the signature that a reduce asks for")]
fn append(joined: &mut String, more: String) {
    joined.push_str(&more);
}

#[test]
fn windows_that_make_no_sense_are_mistakes_with_their_lines() {
    let b = Builder::new("wrong");
    let grouped = b.source(IN).stream().group_by_key();
    grouped.windowed(HoppingWindows::of(Duration::from_millis(5), Duration::from_millis(6))).reduce(append).to(OUT);
    grouped.windowed(SessionWindows::of(Duration::ZERO)).reduce(append).named("sessions").to(OUT);
    b_combined(&b);
    let mistakes = b.build().err().unwrap();
    let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts.iter().all(|text| text.contains("windowed_tests.rs")), "{texts:?}");
    assert!(texts[0].contains("leave gaps") && texts[1].contains("a gap of"), "{texts:?}");
}

fn b_combined(b: &Builder) {
    let other = b.source(LEFT).stream();
    let combined = other.group_by(|_, value| value.clone()).combine();
    combined.windowed(TEN).reduce(append).named("combined").to(OUT);
}

#[test]
fn results_on_closing_come_once_and_late_records_have_a_stream() {
    for batch in [1, 2, usize::MAX] {
        let mut driver = Driver::new(&build(|b| {
            let windows = b.source(IN).stream().group_by_key().windowed(TEN).on_close().reduce(append);
            windows.to(OUT);
            windows.late().map_values(|late| format!("{}<{}", late.value, late.window)).to(LATE);
        }));
        driver.batch = batch;
        driver.send_all("in", &[text("a", "1", 1), text("b", "2", 9), text("a", "3", 11), text("a", "4", 2)]);
        driver.send_all("in", &[text("a", "5", 12), text("a", "6", 30)]);
        driver.run();
        assert_eq!(driver.texts("out"), ["a@0/10=1@1", "b@0/10=2@9", "a@10/20=35@12"], "batches of {batch}");
        assert_eq!(driver.texts("late"), ["a=4<0/10@2"], "batches of {batch}");
        assert_eq!(driver.drops.get(DropReason::Late), 1);
    }
}

fn build(declare: impl Fn(&Builder)) -> crate::topology::Topology {
    let b = Builder::new("t");
    declare(&b);
    b.build().unwrap()
}

#[test]
fn all_results_of_one_window_meet_in_the_window_of_their_key() {
    const RESULTS: Topic<Windowed<String>, String> = Topic::new("in");
    let topology = build(|b| {
        b.source(RESULTS)
            .stream()
            .group_by_key()
            .windowed(GivenWindows::up_to(Duration::from_millis(10)))
            .on_close()
            .top(2, |text| text.as_bytes()[1])
            .to_stream()
            .map_values(|top| top.map_or_else(String::new, |top| top.as_slice().join(",")))
            .to(OUT);
    });
    let mut driver = Driver::new(&topology);
    for (value, start, time) in [("a1", 0, 1), ("b2", 0, 2), ("c3", 0, 3), ("a1", 5, 9), ("a1", 10, 12), ("-0", 90, 99)]
    {
        let mut key = Vec::new();
        let window = Window::of_millis(start, start + 10);
        SessionWindowed.encode(&Windowed::new("all".to_owned(), window), &mut key).unwrap();
        driver.send("in", Message { key: Some(key), ..text("", value, time) });
    }
    driver.run();
    assert_eq!(driver.texts("out"), ["all@0/10=c3,b2@3", "all@5/15=a1@9", "all@10/20=a1@12"]);
}

/// A window's number from each record: the counts of its parts, added up.
fn by_window(driver: &mut crate::testing::Driver, topic: &str, sums: &mut BTreeMap<String, Vec<u64>>) {
    for record in driver.take(topic) {
        let [key, counts] = [record.key, record.value].map(|bytes| String::from_utf8(bytes.unwrap()).unwrap());
        let sum = counts.split_terminator('+').map(|count| count.parse::<u64>().unwrap()).sum();
        sums.entry(key.split_once('@').unwrap().1.to_owned()).or_default().push(sum);
    }
}

#[test]
fn what_is_made_of_closed_windows_goes_out_with_them_and_misses_none() {
    const COUNTS: Topic<Windowed<String>, String, WindowedText> = Topic::new("counts");
    const TWENTY: Duration = Duration::from_millis(20);
    let topology = || {
        build(|b| {
            let by_value = b.source(IN).stream().group_by(|_, value| value.clone()).named("by-value");
            let windows = HoppingWindows::of(TWENTY, Duration::from_millis(5)).grace(Duration::from_millis(7));
            let counts = by_value.windowed(windows).on_close().count();
            let counts = counts.to_stream().map(|key, count| (key, format!("{}+", count.unwrap_or(0))));
            counts.to(COUNTS);
            counts
                .rekey(|key, _| Windowed::new(key.window.start.millis().to_string(), key.window))
                .group_by_key()
                .named("by-window")
                .windowed(GivenWindows::closed(TWENTY))
                .on_close()
                .reduce(append)
                .to(OUT);
        })
    };
    for partitions in [1, 3] {
        let mut driver = crate::testing::Driver::builder(topology()).partitions(partitions).threads(2).start().unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(u64::from(partitions));
        let (mut single, mut together) = (BTreeMap::new(), BTreeMap::new());
        for round in 0..40 {
            for number in 0..30_i64 {
                let time = round * 30 + number + random.random_range(0..9);
                let value = char::from(b'a' + random.random_range(0..6)).to_string();
                driver.send(&IN, &number.to_string(), &value, time).unwrap();
            }
            driver.settle().unwrap();
            by_window(&mut driver, "counts", &mut single);
            by_window(&mut driver, "out", &mut together);
            let sums: BTreeMap<_, _> =
                single.iter().map(|(window, counts)| (window.clone(), vec![counts.iter().sum()])).collect();
            assert_eq!(together, sums, "round {round}, {partitions} partitions");
        }
        assert!(together.len() > 200, "{}", together.len());
    }
}

#[test]
fn the_streams_of_a_cogroup_share_one_clock() {
    let topology = build(|b| {
        let left = b.source(LEFT).stream().group_by_key();
        let right = b.source(RIGHT).stream().group_by_key();
        let both = left.cogroup(|_, so_far: &mut String, value| so_far.push_str(&value));
        both.and(&right, |_, so_far, value| so_far.push_str(&value.to_uppercase()))
            .windowed(TEN)
            .on_close()
            .aggregate(String::new)
            .to(OUT);
    });
    let mut driver = Driver::with(&topology, 1, &TaskOptions::default());
    driver.send_all("left", &[text("a", "x", 1), text("a", "y", 50)]);
    driver.run();
    assert!(driver.texts("out").is_empty(), "the other stream may still have a record for the window");
    driver.send_all("right", &[text("a", "z", 3), text("a", "z", 20)]);
    driver.run();
    assert_eq!(driver.texts("out"), ["a@0/10=xZ@3"]);
}

struct Two(Stored<String, u64>, Stored<u32, String>);

impl Processor<String, String> for Two {
    type Key = String;
    type Value = String;

    fn process(&self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Result<(), Reject> {
        if record.value == "bad" {
            return Err(Reject::because("it is bad"));
        }
        cx.update(&self.0, &record.key, |count| *count.get_or_insert(0) += 1);
        let last = cx.get(&self.1, &0).unwrap_or_default();
        cx.put(&self.1, &0, record.value);
        let counts: Vec<String> = cx.rows(&self.0).into_iter().map(|(key, count)| format!("{key}{count}")).collect();
        cx.forward(record.key, format!("{last}|{}", counts.join(",")));
        Ok(())
    }
}

#[test]
fn a_processor_has_its_stores_in_the_plan_and_in_its_hands() {
    let topology = build(|b| {
        let make = |setup: &mut Setup<'_, '_>| {
            setup.every(Duration::from_secs(1));
            Two(setup.store("counts"), setup.store("last"))
        };
        b.source(IN).stream().process(make).named("two").to(LATE);
    });
    let stores: Vec<&str> = topology.plan().subs[0].stores.iter().map(|name| &**name).collect();
    assert_eq!(stores, ["counts", "last", "two-timers"]);
    let mut driver = Driver::new(&topology);
    driver.send_all("in", &[text("a", "1", 1), text("b", "2", 2), text("a", "3", 3)]);
    driver.run();
    assert_eq!(driver.texts("late"), ["a=|a1@1", "b=1|a1,b1@2", "a=2|a2,b1@3"]);
    let named: Vec<String> = driver.stores(0).into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, stores, "the task has them in the plan's order");
    assert_eq!(driver.log("app-counts-changelog").len(), 2);
    driver.send("in", text("a", "bad", 4));
    driver.step(true);
    assert_eq!(driver.failures.len(), 1);
}

/// Keeps records until a timer goes off, and then forwards them at their own times, one a call.
struct OneByOne(Stored<u32, String>);

impl Processor<String, String> for OneByOne {
    type Key = String;
    type Value = String;

    fn process(&self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Result<(), Reject> {
        let time = u32::try_from(record.timestamp.millis()).map_err(|_| Reject::because("too late for this test"))?;
        cx.put(&self.0, &time, record.value);
        cx.again();
        Ok(())
    }

    fn punctuate(&self, _: Timer, at: Timestamp, cx: &mut Context<'_, String, String>) -> Result<(), Reject> {
        let mut due = cx.rows(&self.0);
        due.retain(|(time, _)| i64::from(*time) < at.millis());
        if let Some((time, value)) = due.first() {
            cx.forward_at("all".into(), value.clone(), Timestamp::from_millis((*time).into()));
            cx.remove(&self.0, time);
            cx.count_dropped(DropReason::Duplicate, 2);
        }
        if due.len() > 1 {
            cx.again();
        }
        Ok(())
    }
}

/// Says of each record whether time had passed it.
struct Watch;

impl Processor<String, String> for Watch {
    type Key = String;
    type Value = String;

    fn process(&self, record: Record<String, String>, cx: &mut Context<'_, String, String>) -> Result<(), Reject> {
        let passed = if cx.watermark() > record.timestamp { " passed" } else { "" };
        cx.forward(record.key, format!("{}{passed}", record.value));
        Ok(())
    }
}

#[test]
fn time_stands_still_downstream_until_a_timer_has_done_all_it_has_to_do() {
    let topology = build(|b| {
        let make = |setup: &mut Setup<'_, '_>| {
            setup.every(Duration::from_millis(10));
            setup.holds_back(Duration::from_millis(10));
            OneByOne(setup.store("waiting"))
        };
        b.source(IN).stream().process(make).named("one-by-one").process(|_| Watch).named("watch").to(LATE);
    });
    let mut driver = crate::testing::Driver::builder(topology).start().unwrap();
    for (value, time) in [("a", 1), ("b", 2), ("c", 5), ("d", 9), ("e", 12), ("f", 13), ("g", 27), ("h", 55), ("i", 60)]
    {
        driver.send(&IN, &"k".to_owned(), &value.to_owned(), time).unwrap();
    }
    driver.settle().unwrap();
    let forwarded: Vec<String> = driver.take_values(&LATE).unwrap().into_iter().map(|(_, value)| value).collect();
    assert_eq!(forwarded, ["a", "b", "c", "d", "e", "f", "g", "h"]);
    // Two for each, as the processor says.
    assert_eq!(driver.metrics().totals().dropped, 16);
}

#[test]
fn a_null_value_is_in_no_window_and_is_counted() {
    let b = Builder::new("test");
    let nullable = b.source(Topic::<String, Option<String>>::new("in")).stream().group_by_key();
    nullable
        .windowed(TumblingWindows::of(Duration::from_millis(10)))
        .count()
        .to(Topic::<Windowed<String>, u64>::new("counts"));
    let mut driver = Driver::new(&b.build().unwrap());
    driver.send("in", Message { value: None, ..text("a", "", 1) });
    assert!(driver.run().log("counts").is_empty());
    assert_eq!(driver.drops.get(DropReason::NullValue), 1);
}

/// Numbers the records of a key, and begins anew every ten milliseconds.
struct Numbers(Stored<String, u64>);

impl ValueProcessor<String, String> for Numbers {
    type Value = String;

    fn process(
        &self,
        record: Record<String, String>,
        cx: &mut ValueContext<'_, '_, String, String>,
    ) -> Result<(), Reject> {
        cx.update(&self.0, &record.key, |number| *number.get_or_insert(0) += 1);
        let number = cx.get(&self.0, &record.key).unwrap_or_default();
        let text = format!("{number}{}", record.value);
        cx.forward(text);
        Ok(())
    }

    fn punctuate(&self, _: Timer, _: Timestamp, cx: &mut StateContext<'_, '_, String, String>) -> Result<(), Reject> {
        for (key, _) in cx.rows(&self.0) {
            cx.remove(&self.0, &key);
        }
        Ok(())
    }
}

#[test]
fn a_processor_of_values_keeps_the_key_and_its_timer_changes_its_stores() {
    let b = Builder::new("test");
    let make = |setup: &mut Setup<'_, '_>| {
        setup.every(Duration::from_millis(10));
        Numbers(setup.store("numbers"))
    };
    let numbered = b.source(IN).stream().process_values(make);
    numbered.group_by_key().reduce(append).emit_each_update().to(Topic::<String, String>::new("texts"));
    let topology = b.build().unwrap();
    assert!(topology.plan().repartitions.is_empty());
    let mut driver = Driver::new(&topology);
    driver.send_all("in", &[text("a", "x", 0), text("a", "y", 3), text("b", "z", 12), text("a", "x", 13)]);
    // The timer goes off with the first record, and with the one at 12.
    assert_eq!(driver.run().texts("texts"), ["a=1x@0", "a=1x1y@3", "b=1z@12", "a=1x1y1x@13"]);
}
