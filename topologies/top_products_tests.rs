//! The ranking of the shop, through the production engine on the embedded broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream::broker::{NewTopic, Outgoing, OutgoingRecord, Partitioning};
use millstream::record::InputNumber;
use millstream::{App, Broker as _, Config, Headers, MemoryBroker, SystemClock, Timestamp};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use millstream::testing::Driver;

fn driver(partitions: u32, most: u64) -> Driver {
    let given = [("most".to_owned(), most.to_string())].into();
    let topology = topology(BadInput::Fail, &Settings::of(SETTINGS, &given).unwrap()).unwrap();
    Driver::builder(topology).partitions(partitions).threads(2).start().unwrap()
}

fn sell(driver: &mut Driver, partition: u32, product_id: &str, quantity: i64, total: &str) {
    let value = format!(
        r#"{{"transaction_time":"2022-08-31 08:00:00","product_id":"{product_id}","quantity":{quantity},"total_purchase":{total}}}"#
    );
    driver.send_bytes(PURCHASES_TOPIC, partition, None, Some(value.as_bytes()), 0).unwrap();
}

/// The newest record of each rank, by rank.
fn ranking(told: &mut BTreeMap<u32, String>, driver: &mut Driver) -> Vec<String> {
    for (key, ranked) in driver.take_values(&TOP).unwrap() {
        let ranked = ranked.expect("a ranking never gets shorter");
        assert_eq!(key, ranked.rank.to_string());
        told.insert(ranked.rank, format!("{} {} {}", ranked.product_id, ranked.quantities, ranked.sales));
    }
    assert!(told.keys().copied().eq(1..=u32::try_from(told.len()).unwrap()), "{told:?}");
    told.values().cloned().collect()
}

#[test]
fn the_best_are_ranked_by_sales_and_of_equals_by_product() {
    let mut driver = driver(3, 3);
    let sold = [("P4", "5.00"), ("P3", "7.25"), ("P2", "5.0"), ("P1", "5"), ("P3", "0.1"), ("P5", "0.5")];
    for (number, (product_id, total)) in (0..).zip(sold) {
        sell(&mut driver, number % 3, product_id, 2, total);
    }
    driver.settle().unwrap();
    assert_eq!(ranking(&mut BTreeMap::new(), &mut driver), ["P3 4 7.35", "P1 2 5", "P2 2 5.0"]);
}

#[test]
fn a_rank_is_written_as_a_flat_record_and_only_where_it_has_changed() {
    let mut driver = driver(1, 25);
    sell(&mut driver, 0, "SF07", 1, "204.71");
    sell(&mut driver, 0, "SF05", 1, "3.10");
    driver.settle().unwrap();
    driver.take(TOP_TOPIC);
    sell(&mut driver, 0, "SF05", 2, "1.15");
    driver.settle().unwrap();
    let records = driver.take(TOP_TOPIC);
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap()).unwrap();
    assert_eq!(records.len(), 1, "the first is as it was");
    assert_eq!(text(&records[0].key), "2");
    assert_eq!(text(&records[0].value), r#"{"rank":2,"product_id":"SF05","quantities":3,"sales":4.25}"#);
}

#[test]
fn a_product_that_was_not_ranked_comes_up_where_one_that_was_is_taken_back() {
    let mut driver = driver(2, 2);
    let mut told = BTreeMap::new();
    for (number, (product_id, total)) in (0..).zip([("A", "9"), ("B", "8"), ("C", "7")]) {
        sell(&mut driver, number % 2, product_id, 1, total);
    }
    driver.settle().unwrap();
    assert_eq!(ranking(&mut told, &mut driver), ["A 1 9", "B 1 8"]);
    sell(&mut driver, 0, "A", -1, "-9");
    driver.settle().unwrap();
    assert_eq!(ranking(&mut told, &mut driver), ["B 1 8", "C 1 7"]);
}

#[test]
fn the_ranking_is_that_of_all_sales_after_every_few_of_them() {
    for seed in 0..30 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (partitions, most) = (rng.random_range(1..5), rng.random_range(1..8));
        let mut driver = driver(partitions, u64::try_from(most).unwrap());
        let mut told = BTreeMap::new();
        let mut sums: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for _ in 0..12 {
            for _ in 0..rng.random_range(1..20) {
                let product_id = format!("P{}", rng.random_range(0..12));
                // Some goods are taken back.
                let (quantity, cents) = (rng.random_range(-2..5_i64), rng.random_range(1..5) * 50);
                let total = Decimal::new(quantity.signum() * cents, 2);
                sell(&mut driver, rng.random_range(0..partitions), &product_id, quantity, &total.to_string());
                let sum = sums.entry(product_id).or_default();
                *sum = (sum.0 + quantity, sum.1 + quantity.signum() * cents);
            }
            driver.settle().unwrap();
            let mut expected: Vec<_> = sums.iter().map(|(product, sum)| (-sum.1, product, sum.0)).collect();
            expected.sort_unstable();
            expected.truncate(most);
            let line = |(sales, product, quantities): (i64, &String, i64)| {
                format!("{product} {quantities} {}", Decimal::new(-sales, 2))
            };
            let expected: Vec<String> = expected.into_iter().map(line).collect();
            assert_eq!(ranking(&mut told, &mut driver), expected, "seed {seed}");
        }
    }
}

#[test]
fn a_ranking_of_nothing_is_refused() {
    for most in ["0", "10001"] {
        let given = [("most".to_owned(), most.to_owned())].into();
        let error = topology(BadInput::Fail, &Settings::of(SETTINGS, &given).unwrap()).err().unwrap().to_string();
        assert!(error.contains("--set most=25"), "{error}");
    }
}

/// Runs to the end of what was sold, for a ranking of `most`, and gives the ranks that the topic then holds.
fn run(broker: &MemoryBroker, most: u64) -> Vec<String> {
    let given = [("most".to_owned(), most.to_string())].into();
    let topology = topology(BadInput::Fail, &Settings::of(SETTINGS, &given).unwrap()).unwrap();
    let mut config = Config::new("test");
    config.until_end = true;
    config.leave_on_stop = true;
    App::new(topology, Arc::new(broker.clone()), config).start().unwrap().join().unwrap();
    let mut newest = BTreeMap::new();
    for record in broker.records(TOP_TOPIC).unwrap() {
        let ranked = record.value.map(|value| serde_json::from_slice::<Ranked>(&value).unwrap().product_id);
        newest.insert(record.key, ranked);
    }
    newest.into_values().flatten().collect()
}

#[test]
fn a_run_with_another_number_of_ranks_makes_the_ranking_anew() {
    let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
    let purchases = NewTopic { name: PURCHASES_TOPIC.to_owned(), partitions: 2, settings: BTreeMap::new() };
    broker.create_topics(&[purchases]).unwrap();
    let sell = |products: &[(&str, u32)]| {
        let mut out = Outgoing::default();
        let topic = out.topic(PURCHASES_TOPIC);
        for (product_id, total) in products {
            let value = format!(
                r#"{{"transaction_time":"2022-08-31 08:00:00","product_id":"{product_id}","quantity":1,"total_purchase":{total}}}"#
            );
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::Fixed(0),
                key: None,
                value: Some(value.as_bytes()),
                timestamp: Timestamp::from_millis(1),
                headers: &Headers::NONE,
                input: InputNumber::UNKNOWN,
            });
        }
        let mut writer = broker.writer().unwrap();
        writer.send(&out).unwrap();
        writer.flush().unwrap();
    };
    sell(&[("a", 50), ("b", 40), ("c", 30), ("d", 20), ("e", 10)]);
    assert_eq!(run(&broker, 3), ["a", "b", "c"]);
    sell(&[("a", 1)]);
    assert_eq!(run(&broker, 2), ["a", "b"], "the third rank is gone");
    sell(&[("e", 1)]);
    assert_eq!(run(&broker, 4), ["a", "b", "c", "d"], "not whatever has sold since");
}
