//! The application is killed again and again while it works, and nothing is lost or counted twice.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::time::Duration;

use millstream::broker::{Broker, NewTopic};
use millstream::codec::frame::Frame;
use millstream::{Clock, SystemClock};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::broker::{RealBroker, topic};
use crate::cluster::{Cluster, seed};
use crate::process::{Process, within};
use crate::sums::{self, Stored, Sums};
use crate::totals::write_values;

const PURCHASES: u64 = 200_000;
const KILLS: u32 = 20;

/// In every key the count of transactions grows with each update, up to the sum; and the last is the sum.
fn check_exactly_once(updates: &[Stored], expected: &Sums) {
    let mut latest: BTreeMap<&str, i128> = BTreeMap::new();
    for update in updates {
        let (product, sum) = sums::of_total(update.value());
        let before = latest.insert(update.key(), sum.transactions).unwrap_or(0);
        let Stored { partition, offset, .. } = update;
        let now = sum.transactions;
        assert!(now > before, "{product} goes from {before} to {now} at partition {partition}, offset {offset}");
        assert!(sum.transactions <= expected[&product].transactions, "more of {product} than there is: {sum:?}");
    }
    assert_eq!(sums::newest(updates), *expected);
}

/// What is wrong with the first wrong product: its sums on the way through the shuffle, and its updates, by offset.
fn difference(shuffled: &[Stored], updates: &[Stored], expected: &Sums) -> String {
    let newest = sums::newest(updates);
    let wrong = expected.iter().find(|(product, sum)| newest.get(*product) != Some(sum));
    let Some((product, sum)) = wrong else { return String::new() };
    let mut lines = vec![format!("{product}: expected {}, found {:?}", sum.transactions, newest.get(product))];
    let mut all = 0;
    for message in shuffled {
        let frame = Frame::read(message.value()).expect("a frame");
        let markers = frame.markers().expect("markers");
        for record in frame.records().map(|record| record.expect("a record")) {
            if record.key == Some(product.as_bytes()) {
                let (_, more) = sums::of_total(record.value.expect("a total"));
                all += more.transactions;
                let (partition, offset, more) = (message.partition, message.offset, more.transactions);
                lines.push(format!("shuffled {partition}@{offset}: {more}, in all {all}, {markers:?}"));
            }
        }
    }
    for update in updates.iter().filter(|update| update.key() == product) {
        lines.push(format!("updated @{}: {}", update.offset, sums::of_total(update.value()).1.transactions));
    }
    lines.join("\n")
}

#[test]
fn totals_are_exact_when_the_application_is_killed_again_and_again() {
    let Some(real) = RealBroker::start() else { return };
    let seed = seed();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let clock = SystemClock::new();
    let broker = real.connect();
    // The generator's own topic: no other test may use it.
    let (input, totals) = ("demo.purchases", topic(&broker, "totals", 4));
    let settings = [("retention.ms".to_owned(), "-1".to_owned())].into_iter().collect();
    broker.create_topics(&[NewTopic { name: input.into(), partitions: 4, settings }]).expect("created");
    let directory = tempfile::tempdir().expect("a directory");
    let rename = format!("demo.running.totals={totals}");
    let mut cluster = Cluster::new(&real, "running-totals", directory.path(), &["--topic", &rename]);
    let generate = |count: u64, seed: u64, pace: &[&str]| {
        let (count, seed) = (count.to_string(), seed.to_string());
        let mut arguments = vec!["generate", "sales", "--bootstrap-servers", real.bootstrap];
        arguments.extend(["--count", &count, "--seed", &seed]);
        arguments.extend(pace);
        Process::start("generator", &arguments)
    };
    // Half of it is there at once or soon; the rest comes while the application is being killed.
    let mut first = generate(PURCHASES / 2, seed, &["--unpaced"]);
    let mut second = generate(PURCHASES / 2, seed + 1, &["--rate", "1600"]);
    for instance in ["a", "b"] {
        cluster.start(instance);
        cluster.process(instance).logged("partitions assigned");
    }
    let mut visits = 0;
    while !second.ended() {
        cluster.strike(&mut rng, 1_200);
        // A third process comes and goes.
        if cluster.kills % 8 == 3 {
            cluster.start_with("c", &["--leave-on-stop"]);
        }
        if cluster.kills % 8 == 6 {
            visits += u32::from(cluster.process("c").count("partitions assigned") > 0);
            cluster.stop("c");
        }
    }
    first.succeeds(Duration::from_mins(1));
    second.succeeds(Duration::from_mins(1));
    for instance in cluster.running.keys().copied().collect::<Vec<_>>() {
        cluster.stop(instance);
    }
    cluster.drain();
    cluster.report(clock.elapsed());
    let purchases = sums::committed(&broker, input);
    let expected = sums::of_purchases(purchases.iter().map(Stored::value));
    let updates = sums::committed(&broker, &totals);
    let internal = cluster.internal_topics();
    assert_eq!(internal.len(), 2, "a repartition topic and a changelog: {internal:?}");
    let mut written: Vec<&str> = internal.iter().map(String::as_str).collect();
    written.push(&totals);
    sums::settled(&broker, &written);
    let (aborts, epochs) = cluster.aborted(&written);
    println!(
        "{} purchases, {} updates; a third process came and got work {visits} times; {aborts} abort markers of {epochs} \
         producers; {:.1?} in all",
        purchases.len(),
        updates.len(),
        clock.elapsed()
    );
    assert_eq!(u64::try_from(purchases.len()).expect("few"), PURCHASES);
    if sums::newest(&updates) != expected {
        let shuffled = internal.iter().find(|topic| topic.ends_with("-repartition")).expect("a repartition topic");
        println!("{}", difference(&sums::committed(&broker, shuffled), &updates, &expected));
    }
    check_exactly_once(&updates, &expected);
    assert!(cluster.kills >= KILLS && cluster.struck >= KILLS / 2, "too few kills have struck");
    assert!(visits >= 1, "the third process never got work");
    assert!(aborts > 0, "no kill has struck within a transaction");
}

#[test]
fn at_least_once_loses_nothing_when_it_is_killed() {
    let Some(real) = RealBroker::start() else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let clock = SystemClock::new();
    let broker = real.connect();
    let (input, totals) = (topic(&broker, "purchases", 4), topic(&broker, "totals", 4));
    let directory = tempfile::tempdir().expect("a directory");
    let renames = [format!("demo.purchases={input}"), format!("demo.running.totals={totals}")];
    let flags = ["--guarantee", "at-least-once", "--topic", &renames[0], "--topic", &renames[1]];
    let mut cluster = Cluster::new(&real, "running-totals", directory.path(), &flags);
    for instance in ["a", "b"] {
        cluster.start(instance);
        cluster.process(instance).logged("partitions assigned");
    }
    let mut values: Vec<String> = Vec::new();
    for _ in 0..6 {
        let from = values.len();
        values.extend((0..10_000).map(|_| {
            let product = rng.random_range(0..50);
            let (quantity, cents) = (rng.random_range(1..4), rng.random_range(100..10_000));
            let (whole, part) = (cents / 100, cents % 100);
            format!(
                r#"{{"transaction_time":"2022-08-31 08:00:33","product_id":"P{product}","quantity":{quantity},"total_purchase":{whole}.{part:02}}}"#
            )
        }));
        write_values(&broker, &input, values[from..].iter().map(String::as_bytes));
        let instance = ["a", "b"][rng.random_range(0..2)];
        cluster.process(instance).logged("partitions assigned");
        let moment = clock.elapsed() + Duration::from_millis(rng.random_range(0..600));
        within(Duration::from_secs(5), "the moment", || (clock.elapsed() >= moment).then_some(()));
        cluster.kill(instance);
    }
    for instance in ["a", "b"] {
        cluster.stop(instance);
    }
    cluster.drain();
    cluster.report(clock.elapsed());
    let expected = sums::of_purchases(values.iter().map(String::as_bytes));
    let found = sums::newest(&sums::committed(&broker, &totals));
    let sum = |sums: &Sums| sums.values().map(|sum| sum.transactions).sum::<i128>();
    println!("{} purchases were counted {} times", sum(&expected), sum(&found));
    for (product, sum) in &expected {
        let found = found.get(product).unwrap_or_else(|| panic!("{product} is lost"));
        assert!(found.transactions >= sum.transactions && found.cents >= sum.cents, "{product}: {found:?} < {sum:?}");
    }
    assert!(cluster.struck >= 4, "too few kills have struck");
}
