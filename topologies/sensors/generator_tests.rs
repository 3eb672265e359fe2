//! That the temperatures are worth looking at, that readings come again as they should, and that a seed repeats them.

use std::collections::{BTreeMap, BTreeSet};

use millstream::Timestamp;
use millstream::generate::Faults;

use super::*;
use crate::topologies::golden::written;

const START: Timestamp = Timestamp::from_millis(1_458_867_680_000);

fn options(faults: Faults) -> Options {
    Options { seed: 7, start: START, rate: 100.0, faults, changes: 0.0 }
}

fn report(options: Options, count: u64) -> Outgoing {
    written(SensorsGenerator::new(options).unwrap(), count)
}

fn values(out: &Outgoing) -> Vec<Vec<u8>> {
    out.iter().map(|record| record.value.unwrap().to_vec()).collect()
}

fn readings(out: &Outgoing) -> Vec<Reading> {
    values(out).iter().filter_map(|value| serde_json::from_slice(value).ok()).collect()
}

#[expect(clippy::cast_precision_loss)]
fn near(part: usize, of: usize, odds: f64) {
    let share = part as f64 / of as f64;
    assert!((share - odds).abs() < 0.01, "{share} instead of {odds}");
}

#[test]
fn twenty_sensors_report_at_the_rate_within_what_they_can_measure() {
    let out = report(options(Faults::NONE), 20_000);
    let mut of_each: BTreeMap<String, usize> = BTreeMap::new();
    for reading in readings(&out) {
        *of_each.entry(reading.sensor_id.unwrap()).or_default() += 1;
        assert!((-4_000..=6_000).contains(&reading.ambient_temp.mantissa()), "{}", reading.ambient_temp);
        assert!((0..=10_000).contains(&reading.measured_temp.mantissa()), "{}", reading.measured_temp);
    }
    assert_eq!(of_each.len(), 20);
    assert!(of_each.contains_key("sensor-01") && of_each.values().all(|count| (900..1_250).contains(count)));
    let last = readings(&out).iter().map(|reading| reading.event_time_stamp).max().unwrap();
    assert_eq!(last.0.timestamp().millis_since(START) / 1_000, 199);
    assert!(out.iter().all(|record| record.key.is_none()));
}

#[test]
fn some_sensors_alert_at_any_time_and_most_do_not() {
    let read = readings(&report(options(Faults::NONE), 50_000));
    let mut minutes: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for reading in &read {
        let (alerts, all) =
            minutes.entry(reading.event_time_stamp.0.timestamp().millis_since(START) / 60_000).or_default();
        *alerts += usize::from(reading.alerts());
        *all += 1;
    }
    println!("{minutes:?}");
    assert!(minutes.values().skip(1).all(|(alerts, all)| *alerts > 0 && alerts * 2 < *all));
}

#[test]
fn temperatures_wander_and_do_not_jump() {
    let mut read = readings(&report(options(Faults::NONE), 20_000));
    // Without what is sent again.
    read.sort_by_key(|reading| (reading.sensor_id.clone(), reading.event_time_stamp));
    for pair in read.windows(2).filter(|pair| pair[0].sensor_id == pair[1].sensor_id) {
        assert!((pair[0].ambient_temp - pair[1].ambient_temp).abs() < Decimal::ONE, "{pair:?}");
        assert!((pair[0].measured_temp - pair[1].measured_temp).abs() < Decimal::from(5), "{pair:?}");
    }
}

#[test]
fn one_of_twenty_comes_again_and_one_of_ten_of_those_too_late() {
    let out = report(options(Faults::NONE), 50_000);
    let mut seen = BTreeSet::new();
    let (mut newest, mut known, mut too_late) = (START, 0, 0);
    for record in out.iter() {
        newest = newest.max(record.timestamp);
        if !seen.insert(record.value.unwrap().to_vec()) {
            match newest.millis_since(record.timestamp) {
                ..=10_000 => known += 1,
                behind => {
                    assert!(behind < 30_100, "{behind}");
                    too_late += 1;
                }
            }
        }
    }
    near(known + too_late, 50_000, 0.05);
    near(too_late, known + too_late, 0.1);
}

#[test]
fn a_seed_repeats_every_byte_and_another_seed_does_not() {
    let faulty = Faults { late: 0.1, broken: 0.1, duplicate: 0.1, ..Faults::NONE };
    let bytes = |seed| values(&report(Options { seed, ..options(faulty) }, 2_000));
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
}

#[test]
fn each_fault_comes_at_its_rate_and_leaves_the_others_as_they_are() {
    let usual = report(options(Faults::NONE), 20_000);
    let faults = Faults { skew: 0.5, late: 0.1, late_by_millis: 60_000, duplicate: 0.05, null_key: 0.02, broken: 0.01 };
    let out = report(options(faults), 20_000);
    near(out.len() - usual.len(), 20_000, 0.05);
    let whole = readings(&out);
    near(out.len() - whole.len(), out.len(), 0.01);
    near(whole.iter().filter(|reading| reading.sensor_id.is_none()).count(), whole.len(), 0.02);
    let hot = whole.iter().filter(|reading| reading.sensor_id.as_deref() == Some("sensor-01")).count();
    near(hot, whole.len(), 0.98 * (0.5 + 0.5 / 20.0));
    let nulls = readings(&report(options(Faults { null_key: 0.5, ..Faults::NONE }), 1_000));
    let same = readings(&usual).iter().zip(&nulls).filter(|(usual, other)| usual == other).count();
    assert!((400..600).contains(&same), "{same}");
}

#[test]
fn a_rate_of_nothing_is_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(SensorsGenerator::new(Options { rate, ..options(Faults::NONE) }).is_err());
    }
}
