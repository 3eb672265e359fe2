//! Records that cannot be used, on a real broker, by policy: no other record is lost or repeated.
#![cfg(feature = "cli")]

use std::sync::Arc;
use std::time::Duration;

use millstream::broker::Broker;
use millstream::broker::memory::MemoryBroker;
use millstream::metrics::Metrics;
use millstream::{App, BadInput, Builder, Config, ErrorKind, NoKey, Reject, SystemClock, Topic, Topology};

use crate::broker::{RealBroker, topic, unique};
use crate::process::within;
use crate::shop::{Shop, headers, purchase, sums_of};
use crate::sums::{self, Stored};
use crate::totals::{kafka_tool, write_values};

/// The largest amount that the product's decimals hold.
const LARGEST: &str = "79228162514264337593543950335";

/// What is wrong with a record: why it is counted, and what its error says.
type Fault = (&'static str, &'static str);

/// Good purchases with bad ones between them; each with what is wrong with it.
fn mixed() -> Vec<(String, Option<Fault>)> {
    let good = |number: u32| (purchase(&format!("P{}", number % 3), 1, "1.25"), None);
    let bad = |value: String, reason, text| (value, Some((reason, text)));
    vec![
        good(0),
        bad(r#"{"product_id":"P0","quanti"#.into(), "unreadable", "the value cannot be read"),
        good(1),
        good(2),
        bad(purchase("P0", 1, "1").replace("\"P0\"", "null"), "null_key", ""),
        good(3),
        bad(purchase("P1", 1, "1").replace("2022-", "1969-"), "negative_timestamp", "lies before 1970"),
        (purchase("BIG", 1, LARGEST), None),
        bad(purchase("BIG", 1, "1"), "overflow", "the sales of BIG grew too large"),
        bad(purchase("P0", 1, "1e99"), "unreadable", "the value cannot be read"),
        good(4),
        good(5),
    ]
}

fn good() -> Vec<String> {
    mixed().into_iter().filter(|(_, fault)| fault.is_none()).map(|(value, _)| value).collect()
}

const REASONS: [(&str, u64); 5] =
    [("unreadable", 2), ("null_key", 1), ("negative_timestamp", 1), ("overflow", 1), ("rejected", 0)];

#[test]
fn bad_records_are_skipped_and_counted_by_reason() {
    let Some(real) = RealBroker::start() else { return };
    let mut shop = Shop::new(&real, 1);
    shop.write(mixed().iter().map(|(value, _)| value));
    let mut process = shop.start("skip", &["--bad-input", "skip", "--http", "127.0.0.1:0"]);
    shop.await_totals(&sums_of(&good()));
    for (reason, count) in REASONS {
        let label = format!("reason=\"{reason}\"");
        assert_eq!(process.metric("millstream_records_dropped_total", &[&label]), count, "{reason}");
    }
    let input = format!("topic=\"{}\"", shop.input);
    assert_eq!(process.metric("millstream_records_in_total", &[&input]), 12);
    // Each is counted once, though an operator refused one of them, for the price of an aborted transaction.
    assert_eq!(process.metric("millstream_transactions_total", &["outcome=\"aborted\""]), 1);
}

#[test]
fn dead_letters_carry_the_original_bytes_and_headers() {
    let Some(real) = RealBroker::start() else { return };
    let mut shop = Shop::new(&real, 1);
    shop.write(mixed().iter().map(|(value, _)| value));
    let letters = topic(&shop.broker, "letters", 1);
    let policy = format!("dead-letter={letters}");
    let mut process = shop.start("dead letters", &["--bad-input", &policy, "--http", "127.0.0.1:0"]);
    shop.await_totals(&sums_of(&good()));
    let input = format!("topic=\"{}\"", shop.input);
    assert_eq!(process.metric("millstream_dead_letters_total", &[&input]), 5);
    let found = sums::committed(&shop.broker, &letters);
    let expected: Vec<(u32, String, Fault)> =
        (0..).zip(mixed()).filter_map(|(number, (value, fault))| Some((number, value, fault?))).collect();
    assert_eq!(found.len(), expected.len(), "each once");
    for (letter, (number, value, (reason, text))) in found.iter().zip(expected) {
        assert_eq!(letter.value(), value.as_bytes());
        assert_eq!(letter.key(), format!("key {number}"));
        let header = |name: &str| String::from_utf8_lossy(letter.headers.last(name).expect(name)).into_owned();
        assert_eq!(header("origin").as_bytes(), headers(number).last("origin").expect("written"));
        assert_eq!(header("millstream.error.reason"), reason);
        assert!(header("millstream.error.message").contains(text), "{}", header("millstream.error.message"));
        assert_eq!(header("millstream.error.topic"), shop.input);
        assert_eq!(header("millstream.error.partition"), "0");
        assert_eq!(header("millstream.error.offset"), number.to_string());
    }
}

#[test]
fn a_bad_record_stops_the_application_and_a_restart_stops_at_it_at_once() {
    let Some(real) = RealBroker::start() else { return };
    // Every kind of fault in its turn: what came before it is committed.
    for (place, (_, fault)) in mixed().into_iter().enumerate() {
        let Some((reason, text)) = fault else { continue };
        if place == 9 {
            continue; // the second of a kind
        }
        let mut shop = Shop::new(&real, 1);
        let values: Vec<String> =
            (0..).zip(mixed()).filter(|(n, (_, fault))| fault.is_none() || *n == place).map(|(_, (v, _))| v).collect();
        let position = values.iter().position(|value| *value == mixed()[place].0).expect("it is there");
        shop.write(&values);
        let mut errors = Vec::new();
        for attempt in ["first", "second", "third"] {
            let mut process = shop.start(attempt, &[]);
            let status = process.wait(Duration::from_secs(30));
            let log = process.log();
            assert_eq!(status.code(), Some(1), "{log}");
            errors.push(log.lines().last().unwrap_or_default().to_owned());
        }
        for part in [&format!("error: a record cannot be used ({reason})"), text, "give its source a policy"] {
            assert!(errors.iter().all(|error| error.contains(part)), "{part:?} is not in {errors:#?}");
        }
        let at = format!("(at topic {}, partition 0, offset {position})", shop.input);
        assert!(errors[0].contains(&at), "{at:?} is not in {errors:#?}");
        if reason == "overflow" {
            // The first run adds the two up before the shuffle. Then the first is done, and the second goes on alone:
            // it is the sum after the shuffle that overflows.
            let at = format!("(at topic {}, partition 0, offset ", shop.internal_topics()[0]);
            assert!(errors[1].contains(&at), "{at:?} is not in {errors:#?}");
        } else {
            assert_eq!(errors[1], errors[0]);
        }
        assert_eq!(errors[2], errors[1]);
        // The records before it went on their way once, with the next run.
        let before: Vec<String> = values[..position].to_vec();
        let rest: Vec<String> = values[position + 1..].to_vec();
        shop.drain(&["--bad-input", "skip"]);
        assert_eq!(shop.totals(), sums_of(&[before, rest].concat()), "{reason}");
    }
}

#[test]
fn an_output_record_that_is_too_large_goes_by_the_policy_alone() {
    let Some(real) = RealBroker::start() else { return };
    let long = "L".repeat(1_500);
    let purchases: Vec<String> = (0..60).map(|n| purchase(&format!("P{}", n % 7), 1, "0.01")).collect();
    let mut values = purchases.clone();
    values.insert(31, purchase(&long, 1, "1"));
    values.insert(11, purchase(&long, 1, "1"));
    for refused_by_the_broker in [false, true] {
        let settings = if refused_by_the_broker { &[][..] } else { &[("max.message.bytes", "1200")] };
        let mut shop = Shop::with_output(&real, 1, settings);
        let letters = topic(&shop.broker, "letters", 1);
        let policy = format!("dead-letter={letters}");
        let mut process = shop.start("too large", &["--bad-input", &policy, "--http", "127.0.0.1:0"]);
        let reason = if refused_by_the_broker { "refused" } else { "too_large" };
        let mut expected = purchases.clone();
        if refused_by_the_broker {
            // The application has seen the topic's limit already; then it becomes smaller.
            let first = purchase("P0", 1, "5");
            shop.write([&first]);
            expected.push(first);
            shop.await_totals(&sums_of(&expected[60..]));
            let mut alter = vec!["--bootstrap-server", real.bootstrap, "--alter", "--entity-type", "topics"];
            alter.extend(["--entity-name", &shop.totals, "--add-config", "max.message.bytes=1200"]);
            kafka_tool("kafka.admin.ConfigCommand", &alter);
        }
        shop.write(&values);
        shop.await_totals(&sums_of(&expected));
        let found = within(Duration::from_secs(30), "the dead letters", || {
            let found = sums::committed(&shop.broker, &letters);
            let sold: i128 = found.iter().map(|letter| sums::of_total(letter.value()).1.transactions).sum();
            (sold >= 2).then_some(found)
        });
        let aborted = process.metric("millstream_transactions_total", &["outcome=\"aborted\""]);
        println!("{reason}: {} dead letters after {aborted} aborted transactions", found.len());
        // They were summed up on their way: at least one record stands for the two, at most each for itself.
        assert!((1..=2).contains(&found.len()), "{found:?}");
        let sold: i128 = found.iter().map(|letter| sums::of_total(letter.value()).1.transactions).sum();
        assert_eq!(sold, 2);
        assert!(found.iter().all(|letter| letter.headers.last("millstream.error.reason") == Some(reason.as_bytes())));
        let label = format!("reason=\"{reason}\"");
        let dropped = process.metric("millstream_records_dropped_total", &[&label]);
        assert_eq!(dropped, u64::try_from(found.len()).expect("few"));
        assert!(aborted > 0, "the fault never struck");
    }
}

/// Upper case; "refuse" is refused, "panic" panics.
fn shouting(input: &str, output: &str, policy: BadInput) -> Topology {
    let names: &'static [String] = Box::leak(Box::new([input.to_owned(), output.to_owned()]));
    let b = Builder::new("shouting");
    let input: Topic<NoKey, String> = Topic::new(&names[0]);
    let output: Topic<NoKey, String> = Topic::new(&names[1]);
    b.source(input)
        .on_bad_input(policy)
        .stream()
        .try_map_values(|text: String| {
            if text.starts_with("refuse") { Err(Reject::because("it is too quiet")) } else { Ok(text.to_uppercase()) }
        })
        .map_values(|text: String| {
            assert!(!text.starts_with("PANIC"), "a bug of the user's");
            text
        })
        .to(output);
    b.build().expect("a topology")
}

#[test]
fn an_operator_that_fails_within_a_batch_loses_and_repeats_no_other_record() {
    let memory: Arc<dyn Broker> = Arc::new(MemoryBroker::new(Arc::new(SystemClock::new())));
    fails_within_a_batch(&memory);
    let Some(real) = RealBroker::start() else { return };
    let real: Arc<dyn Broker> = Arc::new(real.connect());
    fails_within_a_batch(&real);
}

fn fails_within_a_batch(broker: &Arc<dyn Broker>) {
    let broker_port = &**broker;
    let mut values: Vec<String> = (0..500).map(|number| format!("value {number}")).collect();
    values[123] = "refuse 123".into();
    values[124] = "panic 124".into();
    values[400] = "panic 400".into();
    for policy in ["skip", "dead-letter", "fail"] {
        let (input, output) = (topic(broker_port, "in", 1), topic(broker_port, "out", 1));
        let letters = topic(broker_port, "letters", 1);
        write_values(broker_port, &input, values.iter().map(String::as_bytes));
        let bad_input = match policy {
            "skip" => BadInput::Skip,
            "dead-letter" => BadInput::dead_letter(&letters),
            _ => BadInput::Fail,
        };
        let metrics = Metrics::new();
        let application = unique("shouting");
        let run = |policy: BadInput| {
            let mut config = Config::new(&application);
            config.until_end = true;
            App::new(shouting(&input, &output, policy), Arc::clone(broker), config).metrics(&metrics).start()?.join()
        };
        let texts = |stored: &[Stored]| -> Vec<String> {
            stored.iter().map(|record| String::from_utf8_lossy(record.value()).into_owned()).collect()
        };
        let good = |until: usize| -> Vec<String> {
            values[..until].iter().filter(|v| v.starts_with("value")).map(|v| v.to_uppercase()).collect()
        };
        if policy == "fail" {
            for _ in 0..2 {
                let error = run(bad_input.clone()).expect_err("it stops");
                assert_eq!(error.kind(), ErrorKind::Record, "{error}");
                assert_eq!(error.place().offset, Some(123), "{error}");
                assert!(error.to_string().contains("it is too quiet"), "{error}");
                assert_eq!(texts(&sums::committed(broker_port, &output)), good(123));
            }
            continue;
        }
        run(bad_input).expect("it ends well");
        assert_eq!(texts(&sums::committed(broker_port, &output)), good(500), "{policy}");
        let rejected = metrics.render();
        let sample = |reason: &str| {
            let line = rejected.lines().find(|line| line.contains(&format!("reason=\"{reason}\"")));
            line.and_then(|line| line.rsplit(' ').next()).unwrap_or("none").to_owned()
        };
        assert_eq!((sample("rejected").as_str(), sample("panicked").as_str()), ("1", "2"), "{policy}");
        let expected = if policy == "skip" { &[][..] } else { &["refuse 123", "panic 124", "panic 400"][..] };
        assert_eq!(texts(&sums::committed(broker_port, &letters)), expected);
    }
}
