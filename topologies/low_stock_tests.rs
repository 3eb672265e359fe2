//! What is low in the shop, through the production engine on the embedded broker.

use std::collections::BTreeMap;

use millstream::testing::Driver;

use super::*;
use crate::topologies::golden::{Play, faulty, written};
use crate::topologies::sales::SalesGenerator;

fn driver(partitions: u32) -> Driver {
    let topology = topology(BadInput::Fail, &Settings::default()).unwrap();
    Driver::builder(topology).partitions(partitions).threads(2).start().unwrap()
}

fn list(driver: &mut Driver, time: &str, product_id: &str, item: &str) {
    let value = format!(
        r#"{{"event_time":"2022-08-31 {time}","product_id":"{product_id}","category":"C","item":"{item}","size":"24 oz.","more":1}}"#
    );
    driver.send_bytes(PRODUCTS_TOPIC, 0, None, Some(value.as_bytes()), 0).unwrap();
}

fn count(driver: &mut Driver, partition: u32, time: &str, product_id: &str, level: i64) {
    let value = format!(r#"{{"event_time":"2022-08-31 {time}","product_id":"{product_id}","new_level":{level}}}"#);
    driver.send_bytes(INVENTORIES_TOPIC, partition, None, Some(value.as_bytes()), 0).unwrap();
}

/// The updates since the last look: the key and the value's text, or "gone".
fn told(driver: &mut Driver) -> Vec<String> {
    driver.settle().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let line =
        |(key, value): (Vec<u8>, Option<Vec<u8>>)| format!("{} {}", text(key), value.map_or("gone".into(), text));
    let mut told: Vec<String> = driver.take(LOW_TOPIC).into_iter().map(|r| line((r.key.unwrap(), r.value))).collect();
    told.sort();
    told
}

#[test]
fn a_low_product_is_told_with_its_name_and_goes_when_it_is_restocked() {
    let mut driver = driver(1);
    list(&mut driver, "08:00:00", "SF07", "Kiwi");
    count(&mut driver, 0, "08:01:00", "SF07", 10);
    let low = r#"SF07 {"event_time":"2022-08-31 08:01:00.000000","product_id":"SF07","product_category":"C","product_name":"Kiwi","product_size":"24 oz.","level":10}"#;
    assert_eq!(told(&mut driver), [low]);
    count(&mut driver, 0, "08:02:00", "SF07", 11);
    assert_eq!(told(&mut driver), ["SF07 gone"]);
    count(&mut driver, 0, "08:03:00", "SF07", 30);
    assert_eq!(told(&mut driver), [""; 0], "it was not low before");
}

#[test]
fn the_newest_by_event_time_counts_and_not_the_last_to_come() {
    let mut driver = driver(2);
    list(&mut driver, "08:00:00", "SF07", "Kiwi");
    count(&mut driver, 0, "08:05:00", "SF07", 40);
    driver.settle().unwrap();
    count(&mut driver, 1, "08:04:00", "SF07", 3);
    assert_eq!(told(&mut driver), [""; 0]);
}

#[test]
fn a_product_is_told_once_it_is_listed_and_under_its_new_name() {
    let mut driver = driver(1);
    count(&mut driver, 0, "08:01:00", "SF07", -1);
    assert_eq!(told(&mut driver), [""; 0]);
    list(&mut driver, "08:02:00", "SF07", "Kiwi");
    assert!(told(&mut driver)[0].contains("\"product_name\":\"Kiwi\""));
    list(&mut driver, "08:03:00", "SF07", "Lime");
    assert!(told(&mut driver)[0].contains("\"product_name\":\"Lime\""));
}

#[test]
fn what_the_shop_sells_leaves_what_a_plain_look_through_its_inventories_finds() {
    let options = millstream::generate::Options { faults: millstream::generate::Faults::NONE, ..faulty(3) };
    let shop = written(SalesGenerator::new(options).unwrap(), 30_000);
    let records: Vec<(String, Vec<u8>)> =
        shop.iter().map(|r| (shop.topic_name(r.topic).to_string(), r.value.unwrap().to_vec())).collect();
    let mut levels: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for (_, value) in records.iter().filter(|(topic, _)| topic == INVENTORIES_TOPIC) {
        let value: serde_json::Value = serde_json::from_slice(value).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        levels.insert(text("product_id"), (text("event_time"), value["new_level"].as_i64().unwrap()));
    }
    let expected: BTreeMap<String, i64> = levels
        .into_iter()
        .filter(|(_, (_, level))| *level <= 10)
        .map(|(product, (_, level))| (product, level))
        .collect();
    assert!((1..27).contains(&expected.len()), "{expected:?}");
    for play in Play::WAYS {
        let topology = topology(BadInput::Fail, &Settings::default()).unwrap();
        let mut driver = Driver::builder(topology).partitions(play.partitions).threads(play.threads).start().unwrap();
        for (number, (topic, value)) in (0_u32..).zip(&records) {
            if topic != crate::topologies::sales::PURCHASES_TOPIC {
                driver.send_bytes(topic, number % play.partitions, None, Some(value), 0).unwrap();
            }
        }
        driver.settle().unwrap();
        let mut low = BTreeMap::new();
        for record in driver.take(LOW_TOPIC) {
            let key = String::from_utf8(record.key.unwrap()).unwrap();
            match record.value {
                Some(value) => {
                    let value: LowStock = serde_json::from_slice(&value).unwrap();
                    low.insert(key, value.level);
                }
                None => drop(low.remove(&key)),
            }
        }
        assert_eq!(low, expected, "{play:?}");
    }
}
