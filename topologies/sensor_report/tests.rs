//! The sensors' report, through the production engine on the embedded broker.

use std::collections::BTreeMap;

use millstream::generate::{Faults, Options};
use millstream::testing::Driver;
use serde_json::Value;

use super::*;
use crate::topologies::golden::{Play, faulty, written};

fn driver(partitions: u32) -> Driver {
    let topology = topology(BadInput::Fail, &Settings::default()).unwrap();
    Driver::builder(topology).partitions(partitions).threads(2).start().unwrap()
}

fn put(driver: &mut Driver, topic: &str, value: &str) {
    driver.send_bytes(topic, 0, None, Some(value.as_bytes()), 0).unwrap();
}

fn sensor(guid: &str, location: &str) -> String {
    format!(r#"{{"guid":"{guid}","model":"T1","location_id":"{location}","manufacturer_id":"M1"}}"#)
}

fn message(guid: &str, ts: i64, temp: &str) -> String {
    format!(r#"{{"guid":"{guid}","ts":{ts},"temp":{temp}}}"#)
}

/// Tables with the sensors a (in L1) and b (in L9, which nobody has listed).
fn tables(driver: &mut Driver) {
    put(driver, SENSORS_TOPIC, &sensor("a", "L1"));
    put(driver, SENSORS_TOPIC, &sensor("b", "L9"));
    for (location, room) in [("L1", "Loft"), ("L2", "Roof")] {
        let value = format!(r#"{{"location_id":"{location}","building":"Mill","room":"{room}","floor":3}}"#);
        put(driver, LOCATIONS_TOPIC, &value);
    }
    put(driver, MANUFACTURERS_TOPIC, r#"{"manufacturer_id":"M1","name":"Elm","country":"Germany"}"#);
}

fn taken(driver: &mut Driver, topic: &str) -> Vec<(String, Value)> {
    let read = |bytes: Option<Vec<u8>>| bytes.unwrap();
    let of =
        |(key, value): (Vec<u8>, Vec<u8>)| (String::from_utf8(key).unwrap(), serde_json::from_slice(&value).unwrap());
    driver.take(topic).into_iter().map(|record| of((read(record.key), read(record.value)))).collect()
}

#[test]
fn a_message_gets_what_all_tables_know_of_it() {
    let mut driver = driver(1);
    put(&mut driver, MESSAGES_TOPIC, &message("a", 1_458_867_680, "20.50"));
    tables(&mut driver);
    driver.settle().unwrap();
    let records = driver.take(DETAIL_TOPIC);
    assert_eq!(records.len(), 1);
    assert_eq!(
        String::from_utf8(records[0].value.clone().unwrap()).unwrap(),
        concat!(
            r#"{"guid":"a","ts":1458867680,"temp":20.50,"model":"T1","location_id":"L1","building":"Mill","room":"Loft","#,
            r#""manufacturer_id":"M1","manufacturer":"Elm","country":"Germany","installed":null,"serviced":null}"#
        )
    );
}

#[test]
fn what_nobody_has_listed_gives_no_detail_and_is_counted_as_a_miss() {
    let mut driver = driver(2);
    tables(&mut driver);
    put(&mut driver, MESSAGES_TOPIC, &message("b", 100, "1"));
    put(&mut driver, MESSAGES_TOPIC, &message("c", 100, "1"));
    driver.settle().unwrap();
    assert_eq!(taken(&mut driver, DETAIL_TOPIC), []);
    assert_eq!(driver.metrics().totals().dropped, 2, "a place and a sensor");
    let counts = taken(&mut driver, COUNT_TOPIC);
    assert_eq!(counts, [("b".into(), serde_json::json!({"guid": "b", "count": 1}))], "its sensor is known");
}

#[test]
fn a_sensor_that_is_carried_elsewhere_is_averaged_by_place() {
    let mut driver = driver(1);
    tables(&mut driver);
    for (ts, temp) in [(0, "10.00"), (60, "10.01")] {
        put(&mut driver, MESSAGES_TOPIC, &message("a", ts, temp));
    }
    driver.settle().unwrap();
    put(&mut driver, SENSORS_TOPIC, &sensor("a", "L2"));
    driver.settle().unwrap();
    put(&mut driver, MESSAGES_TOPIC, &message("a", 120, "30"));
    put(&mut driver, MESSAGES_TOPIC, &message("a", 1_860, "0"));
    driver.settle().unwrap();
    let averages: Vec<Value> = taken(&mut driver, AVERAGE_TOPIC).into_iter().map(|(_, value)| value).collect();
    let of = |location: &str| -> Vec<String> {
        let here = averages.iter().filter(|value| value["location_id"] == location && value["window_start"] == 0);
        here.map(|value| format!("{} {}", value["average"], value["count"])).collect()
    };
    assert_eq!(of("L1"), ["10.01 2"], "a half is rounded up");
    assert_eq!(of("L2"), ["30.00 1"]);
    let details: Vec<Value> = taken(&mut driver, DETAIL_TOPIC).into_iter().map(|(_, value)| value).collect();
    let rooms: Vec<&str> = details.iter().map(|value| value["room"].as_str().unwrap()).collect();
    assert_eq!(rooms, ["Loft", "Loft", "Roof", "Roof"]);
}

#[test]
fn what_cannot_be_is_refused() {
    for (value, reason) in [
        (r#"{"guid":null,"ts":1,"temp":1}"#.to_owned(), "null_key"),
        (message("a", i64::MAX, "1"), "overflow"),
        (message("a", 1, "1000001"), "overflow"),
        (message("a", -1, "1"), "negative_timestamp"),
        (message("a", 1, "\"warm\""), "unreadable"),
    ] {
        let mut driver = driver(1);
        put(&mut driver, MESSAGES_TOPIC, &value);
        let error = driver.settle().unwrap_err().to_string();
        assert!(error.contains(MESSAGES_TOPIC) && error.contains(reason), "{error}");
    }
    for every in ["1s", "7m", "31m", "0s"] {
        let given = [("every".to_owned(), every.to_owned())].into();
        let error = topology(BadInput::Fail, &Settings::of(SETTINGS, &given).unwrap()).err().unwrap().to_string();
        assert!(error.contains("--set every=5m"), "{error}");
    }
}

/// An average of numbers with one decimal place, with two, as text.
fn average(tenths: i64, count: i64) -> String {
    let hundredths = (2 * tenths.abs() * 10 + count) / (2 * count);
    let sign = if tenths < 0 && hundredths > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", hundredths / 100, hundredths % 100)
}

#[test]
fn details_counts_and_averages_are_what_a_plain_look_through_the_topics_finds() {
    let options = Options { faults: Faults { duplicate: 0.03, ..Faults::NONE }, rate: 0.5, ..faulty(5) };
    let all = written(SensorReportGenerator::new(options).unwrap(), 4_000);
    let records: Vec<(String, Value)> = all
        .iter()
        .map(|r| (all.topic_name(r.topic).to_string(), serde_json::from_slice(r.value.unwrap()).unwrap()))
        .collect();
    let rows = |topic: &str, key: &str| -> BTreeMap<String, Value> {
        let of = records.iter().filter(|(name, _)| name == topic);
        of.map(|(_, row)| (row[key].as_str().unwrap().to_owned(), row.clone())).collect()
    };
    let (sensors, locations) = (rows(SENSORS_TOPIC, "guid"), rows(LOCATIONS_TOPIC, "location_id"));
    let (makers, histories) = (rows(MANUFACTURERS_TOPIC, "manufacturer_id"), rows(HISTORY_TOPIC, "guid"));
    let (mut details, mut counts) = (Vec::new(), BTreeMap::new());
    let mut sums: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
    for (_, message) in records.iter().filter(|(topic, _)| topic == MESSAGES_TOPIC) {
        let guid = message["guid"].as_str().unwrap();
        let mut detail = message.clone();
        for row in [
            &sensors[guid],
            &locations[sensors[guid]["location_id"].as_str().unwrap()],
            histories.get(guid).unwrap_or(&serde_json::json!({"installed": null, "serviced": null})),
        ] {
            detail.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
        }
        let maker = &makers[detail["manufacturer_id"].as_str().unwrap()];
        detail["manufacturer"] = maker["name"].clone();
        detail["country"] = maker["country"].clone();
        details.push(detail.to_string());
        *counts.entry(guid.to_owned()).or_insert(0) += 1;
        let tenths: i64 = message["temp"].to_string().replace('.', "").parse().unwrap();
        let ts = message["ts"].as_i64().unwrap();
        for start in (0..6).map(|back| (ts / 300 - back) * 300) {
            let sum = sums.entry((start, guid.to_owned())).or_default();
            *sum = (sum.0 + tenths, sum.1 + 1);
        }
    }
    details.sort();
    for play in Play::WAYS {
        let mut driver = driver(play.partitions);
        for (number, (topic, value)) in (0_u32..).zip(&records) {
            let value = value.to_string();
            driver.send_bytes(topic, number % play.partitions, None, Some(value.as_bytes()), 0).unwrap();
            // The tables are there before anything is processed.
            if number % 1_500 == 1_499 {
                driver.settle().unwrap();
            }
        }
        driver.settle().unwrap();
        let mut found: Vec<String> = taken(&mut driver, DETAIL_TOPIC)
            .into_iter()
            .map(|(key, value)| {
                assert_eq!(value["guid"], key);
                value.to_string()
            })
            .collect();
        found.sort();
        assert_eq!(found.len(), details.len(), "{play:?}");
        assert_eq!(found, details, "{play:?}");
        let newest: BTreeMap<String, i64> = taken(&mut driver, COUNT_TOPIC)
            .into_iter()
            .map(|(key, value)| (key, value["count"].as_i64().unwrap()))
            .collect();
        assert_eq!(newest, counts, "{play:?}");
        let averages = taken(&mut driver, AVERAGE_TOPIC);
        assert!(averages.len() > 100, "{}", averages.len());
        for (guid, value) in averages {
            let (sum, count) = sums[&(value["window_start"].as_i64().unwrap(), guid.clone())];
            assert_eq!(value["average"].to_string(), average(sum, count), "{play:?} {value}");
            assert_eq!(value["count"], count, "{play:?} {value}");
        }
    }
}
