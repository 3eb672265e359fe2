//! Purchases are joined with their products while the processes are killed: each once, with the product as it stood.
//!
//! All topics have null keys, so both sides reach the join through a repartition topic, from four tasks upstream each.
//! There are three phases, each written while nothing runs: the products come first; the purchases come first and the
//! products' changes after them, though they are older; and the changes come in between.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;

use millstream::broker::{Broker, NewTopic, Outgoing, OutgoingRecord, Partitioning};
use millstream::record::InputNumber;
use millstream::{Clock, Headers, SystemClock, Timestamp};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::broker::{RealBroker, topic};
use crate::cluster::{Cluster, seed};
use crate::sums;

const PARTITIONS: u32 = 4;
const PHASES: i64 = 3;
/// Purchases of a phase; in all there are 200,000.
const PURCHASES: i64 = 200_000 / PHASES + 1;
const PRODUCTS: u32 = 27;
/// Changes of products in a phase.
const CHANGES: i64 = 400;
const KILLS: u32 = 12;
/// Milliseconds from one purchase to the next.
const STEP: i64 = 10;
const START: i64 = 1_661_932_800_000;

/// A time as the shop writes it, in milliseconds since 1970.
fn text(millis: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(millis).unwrap();
    time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

fn product(time: i64, product: u32, version: usize) -> String {
    format!(
        r#"{{"event_time":"{}","product_id":"P{product:02}","category":"C{version}","item":"I","size":"S","cogs":1.50,"price":{version}.99,"contains_fruit":true,"contains_veggies":false,"contains_nuts":false,"contains_caffeine":false}}"#,
        text(time)
    )
}

fn purchase(time: i64, product: u32, number: i64) -> String {
    format!(
        r#"{{"transaction_time":"{}","transaction_id":"{number}","product_id":"P{product:02}","quantity":1,"total_purchase":4.99}}"#,
        text(time)
    )
}

/// Writes values without keys to the topic's partitions at random.
fn write(broker: &dyn Broker, topic: &str, values: &[(i64, String)], rng: &mut ChaCha8Rng) {
    let mut writer = broker.writer().unwrap();
    for values in values.chunks(5_000) {
        let mut out = Outgoing::default();
        let topic = out.topic(topic);
        for (time, value) in values {
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::Fixed(rng.random_range(0..PARTITIONS)),
                key: None,
                value: Some(value.as_bytes()),
                timestamp: Timestamp::from_millis(*time),
                headers: &Headers::NONE,
                input: InputNumber(0),
            });
        }
        writer.send(&out).unwrap();
    }
    writer.flush().unwrap();
}

/// What each purchase must get, found in the input topics: by its id, the price of the newest record of its product that is
/// not newer than the purchase.
fn expected(broker: &dyn Broker, products: &str, purchases: &str) -> BTreeMap<String, String> {
    let read = |topic| {
        sums::committed(broker, topic)
            .into_iter()
            .map(|stored| serde_json::from_slice::<Value>(stored.value()).unwrap())
            .collect::<Vec<_>>()
    };
    let mut versions: BTreeMap<(String, String), String> = BTreeMap::new();
    for row in read(products) {
        let field = |name: &str| row[name].as_str().unwrap().to_owned();
        let before = versions.insert((field("product_id"), field("event_time")), row["price"].to_string());
        assert_eq!(before, None, "two versions of one moment");
    }
    let of = |row: Value| {
        let field = |name: &str| row[name].as_str().unwrap().to_owned();
        let (product, time) = (field("product_id"), field("transaction_time"));
        let held = versions.range((product.clone(), String::new())..=(product.clone(), time)).next_back();
        (field("transaction_id"), held.unwrap().1.clone())
    };
    read(purchases).into_iter().map(of).collect()
}

#[test]
fn every_purchase_gets_its_product_as_it_stood_once_although_the_processes_are_killed() {
    let Some(real) = RealBroker::start() else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let (clock, broker, directory) = (SystemClock::new(), real.connect(), tempfile::tempdir().unwrap());
    // The names that the topics have in the demo are other tests' as well.
    let output = topic(&broker, "enriched", PARTITIONS);
    let [products, purchases] = ["products", "purchases"].map(|name| format!("{output}-{name}"));
    for name in [&products, &purchases] {
        let settings = [("retention.ms".to_owned(), "-1".to_owned())].into();
        broker.create_topics(&[NewTopic { name: name.clone(), partitions: PARTITIONS, settings }]).unwrap();
    }
    let renames = [("products", &products), ("purchases", &purchases), ("purchases.enriched", &output)]
        .map(|(name, actual)| format!("demo.{name}={actual}"));
    let flags: Vec<&str> = renames.iter().flat_map(|rename| ["--topic", rename]).collect();
    let mut cluster = Cluster::new(&real, "purchases-enriched", directory.path(), &flags);
    let mut version = 0;
    for phase in 0..PHASES {
        let from = START + phase * PURCHASES * STEP;
        let mut changes = Vec::new();
        let mut change = |time: i64, of: u32| {
            version += 1;
            changes.push((time, product(time, of, version)));
        };
        if phase == 0 {
            (0..PRODUCTS).for_each(|of| change(from - 1, of));
        }
        // A version has a millisecond of its own; purchases lie at multiples of ten.
        let step = PURCHASES * STEP / CHANGES;
        (1..CHANGES).for_each(|number| change(from + number * step / 10 * 10 + 5, rng.random_range(0..PRODUCTS)));
        let numbers = phase * PURCHASES..(phase + 1) * PURCHASES;
        let sold: Vec<(i64, String)> = numbers
            .map(|number| {
                (START + number * STEP, purchase(START + number * STEP, rng.random_range(0..PRODUCTS), number))
            })
            .collect();
        match phase {
            0 => {
                write(&broker, &products, &changes, &mut rng);
                write(&broker, &purchases, &sold, &mut rng);
            }
            1 => {
                write(&broker, &purchases, &sold, &mut rng);
                write(&broker, &products, &changes, &mut rng);
            }
            _ => {
                let parts = changes.chunks(50).zip(sold.chunks(sold.len().div_ceil(changes.len().div_ceil(50))));
                for (changes, sold) in parts {
                    write(&broker, &products, changes, &mut rng);
                    write(&broker, &purchases, sold, &mut rng);
                }
            }
        }
        // Killed in the middle of it, then stopped: the next phase is written while nobody runs.
        cluster.start("a");
        cluster.start("b");
        for _ in 0..KILLS / u32::try_from(PHASES).unwrap() {
            cluster.strike(&mut rng, 1_200);
        }
        for instance in ["a", "b"] {
            cluster.stop(instance);
        }
        cluster.drain();
    }
    cluster.report(clock.elapsed());
    let expected = expected(&broker, &products, &purchases);
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for stored in sums::committed(&broker, &output) {
        let row: Value = serde_json::from_slice(stored.value()).unwrap();
        assert_eq!(row["product_id"].as_str(), Some(stored.key()));
        let id = row["transaction_id"].as_str().unwrap().to_owned();
        assert_eq!(found.insert(id.clone(), row["product_price"].to_string()), None, "{id} came twice");
    }
    println!("{} purchases, {version} versions of {PRODUCTS} products; {:.1?} in all", found.len(), clock.elapsed());
    assert_eq!(expected.len(), usize::try_from(PHASES * PURCHASES).unwrap());
    let wrong: Vec<_> = expected.iter().filter(|(id, price)| found.get(*id) != Some(price)).collect();
    let first: Vec<_> = wrong.iter().take(5).map(|(id, price)| (id, price, found.get(*id))).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong, the first are {first:?}", wrong.len(), expected.len());
    assert_eq!(found.len(), expected.len());
    let internal = cluster.internal_topics();
    let written: Vec<&str> = internal.iter().map(String::as_str).chain([output.as_str()]).collect();
    sums::settled(&broker, &written);
    assert!(cluster.aborted(&written).0 > 0, "no kill has struck within a transaction");
    assert!(cluster.struck >= KILLS / 3, "too few kills have struck");
}
