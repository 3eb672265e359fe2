//! The three outputs against a plain computation of them: whole numbers, a set, and text.

use std::collections::{BTreeMap, BTreeSet};

use millstream::operators::DropReason;
use millstream::testing::Driver;
use serde_json::{Map, Value};

use super::*;
use crate::topologies::golden::{Play, civil, faulty, millis, taken, values};
use crate::topologies::sensors::SensorsGenerator;

const DEAD: &str = "demo.dead";

fn run(play: Play, values: &[Vec<u8>]) -> Driver {
    play.run(topology(BadInput::dead_letter(DEAD)).unwrap(), SENSORS_TOPIC, values)
}

/// What must come out, and how many records must not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    distinct: Vec<String>,
    alerts: Vec<String>,
    averages: Vec<String>,
    duplicate: u64,
    late: u64,
    bad: u64,
}

/// A reading as its text has it: the sensor, its time in milliseconds, and both temperatures in hundredths.
struct Plain {
    sensor: String,
    time: i64,
    ambient: i64,
    measured: i64,
}

impl Plain {
    fn read(text: &str) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_str(text).ok()?;
        let hundredths = |name: &str| fields[name].to_string().replace('.', "").parse().unwrap();
        Some(Self {
            sensor: fields["sensorId"].as_str()?.to_owned(),
            time: millis(fields["eventTimeStamp"].as_str()?),
            ambient: hundredths("ambientTemp"),
            measured: hundredths("measuredTemp"),
        })
    }
}

/// The average of hundredths as `DECIMAL(16,2)`, a half away from zero.
fn average(sum: i64, count: i64) -> String {
    let rounded = (2 * sum.abs() + count) / (2 * count);
    let sign = if sum < 0 && rounded > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", rounded / 100, rounded % 100)
}

fn expected(play: Play, values: &[Vec<u8>]) -> Expected {
    let mut expected = Expected::default();
    let (mut newest, mut seen) = (vec![i64::MIN; play.partitions as usize], BTreeSet::new());
    let mut windows: BTreeMap<(String, i64), (i64, i64, i64)> = BTreeMap::new();
    for (number, value) in values.iter().enumerate() {
        let text = String::from_utf8(value.clone()).unwrap();
        let Some(reading) = Plain::read(&text) else {
            expected.bad += 1;
            continue;
        };
        let newest = &mut newest[play.partition(number)];
        *newest = reading.time.max(*newest);
        if *newest - reading.time > 10_000 {
            expected.late += 1;
        } else if seen.insert(text.clone()) {
            let line = format!("{} {text}", reading.sensor);
            if (reading.measured - reading.ambient).abs() > 2_000 {
                expected.alerts.push(line.clone());
            }
            expected.distinct.push(line);
            let (ambient, measured, count) =
                windows.entry((reading.sensor, reading.time / 10_000 * 10_000)).or_default();
            *ambient += reading.ambient;
            *measured += reading.measured;
            *count += 1;
        } else {
            expected.duplicate += 1;
        }
    }
    let time = newest.into_iter().min().unwrap();
    windows.retain(|(_, start), _| start + 20_000 <= time);
    let row = |((sensor, start), (ambient, measured, count)): ((String, i64), (i64, i64, i64))| {
        format!(
            r#"{sensor} {{"sensorId":"{sensor}","windowStart":"{}.000","windowEnd":"{}.000","avgAmbientTemp":{},"avgMeasuredTemp":{},"count":{count}}}"#,
            civil(start),
            civil(start + 10_000),
            average(ambient, count),
            average(measured, count),
        )
    };
    expected.averages = windows.into_iter().map(row).collect();
    for lines in [&mut expected.distinct, &mut expected.alerts, &mut expected.averages] {
        lines.sort();
    }
    expected
}

fn got(driver: &mut Driver) -> Expected {
    let [distinct, alerts, averages] = [DISTINCT_TOPIC, ALERTS_TOPIC, AVERAGES_TOPIC].map(|topic| taken(driver, topic));
    let dropped = |reason| driver.metrics().drops("test-sensors-by-sensor-repartition").get(reason);
    let (duplicate, late) = (dropped(DropReason::Duplicate), dropped(DropReason::Late));
    Expected { distinct, alerts, averages, duplicate, late, bad: driver.take(DEAD).len() as u64 }
}

#[test]
fn generated_readings_give_what_a_plain_computation_of_them_gives() {
    for seed in 1..=3 {
        let values = values(SensorsGenerator::new(faulty(seed)).unwrap(), 4_000);
        for play in Play::WAYS {
            let expected = expected(play, &values);
            assert!(expected.alerts.len() > 50 && expected.averages.len() > 50, "seed {seed}: {expected:?}");
            assert!(expected.duplicate > 100 && expected.late > 20 && expected.bad > 20, "seed {seed}: {expected:?}");
            let got = got(&mut run(play, &values));
            assert!(got == expected, "seed {seed}, {play:?}:\n{got:?}\ninstead of\n{expected:?}");
        }
    }
}

fn reading(time: &str, ambient: &str, measured: &str) -> Vec<u8> {
    format!(
        r#"{{"sensorId":"sensor-07","eventTimeStamp":"2016-03-25 01:01:{time}","ambientTemp":{ambient},"measuredTemp":{measured}}}"#
    )
    .into_bytes()
}

const ONE: Play = Play { partitions: 1, threads: 1, at_once: 1 };

#[test]
fn a_reading_that_is_written_otherwise_is_the_same_reading() {
    let values =
        [reading("20.123", "20.5", "21"), reading("20.1230", "20.50", "21.0"), reading("20.124", "20.5", "21")];
    let distinct = taken(&mut run(ONE, &values), DISTINCT_TOPIC);
    assert_eq!(distinct.len(), 2, "{distinct:?}");
    assert!(
        distinct[0].ends_with(r#""eventTimeStamp":"2016-03-25 01:01:20.123","ambientTemp":20.5,"measuredTemp":21}"#)
    );
}

#[test]
fn a_window_gives_one_result_ten_seconds_after_its_end() {
    let mut values = vec![reading("20", "0.01", "10"), reading("29.999", "0.02", "10.01"), reading("39.999", "1", "1")];
    let mut driver = run(ONE, &values);
    assert_eq!(taken(&mut driver, AVERAGES_TOPIC), Vec::<String>::new());
    values.push(reading("40", "1", "1"));
    let row = r#"sensor-07 {"sensorId":"sensor-07","windowStart":"2016-03-25 01:01:20.000","windowEnd":"2016-03-25 01:01:30.000","avgAmbientTemp":0.02,"avgMeasuredTemp":10.01,"count":2}"#;
    assert_eq!(taken(&mut run(ONE, &values), AVERAGES_TOPIC), [row]);
}

#[test]
fn sums_that_would_lose_digits_go_by_the_policy_and_spoil_no_average() {
    let values = [
        reading("20", "99999999999999", "1"),
        reading("21", "0.00000000000000000000000001", "1"),
        reading("22", "1", "2"),
        reading("45", "1", "1"),
    ];
    let mut driver = run(ONE, &values);
    assert_eq!(driver.take(DEAD).len(), 1);
    assert_eq!(taken(&mut driver, DISTINCT_TOPIC).len(), 3);
    let averages = taken(&mut driver, AVERAGES_TOPIC);
    assert_eq!(averages.len(), 1);
    assert!(
        averages[0].contains(r#""avgAmbientTemp":50000000000000.00,"avgMeasuredTemp":1.50,"count":2"#),
        "{averages:?}"
    );
}

#[test]
fn without_a_dead_letter_topic_bad_input_stops_it_with_the_reason() {
    let mut driver = Driver::builder(topology(BadInput::Fail).unwrap()).start().unwrap();
    let no_temperature = br#"{"sensorId":"sensor-07","eventTimeStamp":"2016-03-25 01:01:20.123","ambientTemp":1}"#;
    driver.send_bytes(SENSORS_TOPIC, 0, None, Some(no_temperature), 0).unwrap();
    let error = driver.settle().unwrap_err().to_string();
    assert!(error.contains("missing field `measuredTemp`"), "{error}");
}
