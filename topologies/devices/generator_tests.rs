//! That some devices are hot and some are not, that lines are what they should be, and that a seed repeats them.

use std::collections::{BTreeMap, BTreeSet};

use millstream::Timestamp;
use millstream::generate::Faults;

use super::*;
use crate::topologies::devices::counts::HOT_ABOVE;
use crate::topologies::golden::values;

const START: Timestamp = Timestamp::from_millis(1_458_867_680_000);

fn options(faults: Faults) -> Options {
    Options { seed: 7, start: START, rate: 100.0, faults, changes: 0.0 }
}

fn send(options: Options, count: u64) -> Vec<String> {
    let lines = values(DevicesGenerator::new(options).unwrap(), count).into_iter();
    lines.map(|line| String::from_utf8(line).unwrap()).collect()
}

fn measurements(lines: &[String]) -> Vec<Measurement> {
    lines.iter().filter_map(|line| Line.decode(line.as_bytes()).ok()).collect()
}

#[expect(clippy::cast_precision_loss)]
fn near(part: usize, of: usize, odds: f64) {
    let share = part as f64 / of as f64;
    assert!((share - odds).abs() < 0.01, "{share} instead of {odds}");
}

#[test]
fn twelve_devices_send_lines_in_order_of_their_seconds_and_every_second_has_some() {
    let lines = send(options(Faults::NONE), 10_000);
    assert!(lines[0].ends_with(",2016-03-25 01:01:20"), "{}", lines[0]);
    let all = measurements(&lines);
    assert_eq!(all.len(), 10_000);
    assert!(all.is_sorted_by_key(|measurement| measurement.timestamp));
    let devices: BTreeSet<_> = all.iter().map(|measurement| &measurement.device_id).collect();
    assert_eq!(devices.len(), 12);
    let last = all.last().unwrap().timestamp.0.timestamp();
    assert_eq!(last.millis_since(START), 99_000);
}

#[test]
fn some_devices_are_hot_often_and_some_seldom() {
    let mut hot: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for measurement in measurements(&send(options(Faults::NONE), 50_000)) {
        let (above, all) = hot.entry(measurement.device_id.unwrap()).or_default();
        *above += u32::from(measurement.temperature > HOT_ABOVE);
        *all += 1;
    }
    println!("{hot:?}");
    assert!(hot.values().any(|(above, all)| above * 2 > *all) && hot.values().any(|(above, all)| above * 2 < *all));
}

#[test]
fn a_seed_repeats_every_byte_and_another_seed_does_not() {
    let faulty = Faults { late: 0.1, broken: 0.1, duplicate: 0.1, ..Faults::NONE };
    assert_eq!(send(options(faulty), 2_000), send(options(faulty), 2_000));
    assert_ne!(send(options(faulty), 2_000), send(Options { seed: 8, ..options(faulty) }, 2_000));
}

#[test]
fn each_fault_comes_at_its_rate() {
    let faults = Faults { skew: 0.5, late: 0.1, late_by_millis: 60_000, duplicate: 0.05, null_key: 0.02, broken: 0.01 };
    let lines = send(options(faults), 20_000);
    near(lines.len() - 20_000, 20_000, 0.05);
    let whole = measurements(&lines);
    near(lines.len() - whole.len(), lines.len(), 0.01);
    near(whole.iter().filter(|measurement| measurement.device_id.is_none()).count(), whole.len(), 0.02);
    let first = whole.iter().filter(|measurement| measurement.device_id.as_deref() == Some("1")).count();
    near(first, whole.len(), 0.98 * (0.5 + 0.5 / 12.0));
    let mut newest = MeasurementTime::default();
    let late = whole.iter().filter(|measurement| {
        newest = newest.max(measurement.timestamp);
        measurement.timestamp < newest
    });
    near(late.count(), whole.len(), 0.1);
}

#[test]
fn a_rate_of_nothing_is_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(DevicesGenerator::new(Options { rate, ..options(Faults::NONE) }).is_err());
    }
}
