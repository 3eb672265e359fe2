//! The shares of many clicks, and that a seed repeats them.

use std::collections::BTreeMap;

use millstream::broker::OutgoingRecord;
use millstream::generate::Faults;
use serde_json::Value;

use super::*;
use crate::topologies::golden::written;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn options(faults: Faults) -> Options {
    Options { seed: 7, start: START, rate: 100.0, faults, changes: 0.0 }
}

fn clicks(options: Options, count: u64) -> Outgoing {
    written(ClickGenerator::new(options).unwrap(), count)
}

fn parsed(record: &OutgoingRecord<'_>) -> Option<Value> {
    serde_json::from_slice(record.value.unwrap()).ok()
}

/// How many whole records there are of each value of a field.
fn counted(out: &Outgoing, field: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for click in out.iter().filter_map(|record| parsed(&record)) {
        *counts.entry(click[field].as_str().unwrap_or("null").to_owned()).or_insert(0) += 1;
    }
    counts
}

#[expect(clippy::cast_precision_loss)]
fn near(part: usize, of: usize, odds: f64) {
    let share = part as f64 / of as f64;
    // Six standard deviations of 60,000 throws at the most.
    assert!((share - odds).abs() < 0.0125, "{share} instead of {odds}");
}

#[test]
fn a_click_is_written_as_the_website_does() {
    let out = clicks(options(Faults::NONE), 1);
    let record = out.iter().next().unwrap();
    assert_eq!(&**out.topic_name(record.topic), "demo.clickstream");
    let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
    let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
    assert!(value.starts_with(&format!("{{\"resource\":\"{key}\",\"referrer\":\"http://www.")), "{value}");
    assert!((START..START.plus(std::time::Duration::from_millis(10))).contains(&record.timestamp));
}

#[test]
fn six_referrers_have_unequal_shares_and_ten_resources_their_odds() {
    let out = clicks(options(Faults::NONE), 60_000);
    let referrers = counted(&out, "referrer");
    assert_eq!(referrers.len(), 6, "{referrers:?}");
    assert!(referrers["http://www.google.com"] > 3 * referrers["http://www.reddit.com"], "{referrers:?}");
    let resources = counted(&out, "resource");
    for (resource, weight) in RESOURCES {
        near(resources[resource], 60_000, f64::from(u8::try_from(weight).unwrap()) / 100.0);
    }
    assert!(out.iter().all(|record| parsed(&record).unwrap()["resource"].as_str().map(str::as_bytes) == record.key));
    let times: Vec<Timestamp> = out.iter().map(|record| record.timestamp).collect();
    assert!(times.is_sorted());
}

#[test]
fn shares_change_slowly_and_some_referrers_fall_silent_for_a_while() {
    // Ten minutes, in steps of five seconds.
    let out = clicks(options(Faults::NONE), 60_000);
    let mut steps = vec![BTreeMap::<String, usize>::new(); 120];
    for record in out.iter() {
        let step = usize::try_from(record.timestamp.millis_since(START) / 5_000).unwrap();
        let referrer = parsed(&record).unwrap()["referrer"].as_str().unwrap().to_owned();
        *steps[step.min(119)].entry(referrer).or_default() += 1;
    }
    for Wave { referrer, low, .. } in REFERRERS {
        let counts: Vec<usize> = steps.iter().map(|step| step.get(referrer).copied().unwrap_or(0)).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*most >= least + 50, "{referrer}: {counts:?}");
        assert_eq!(low < 0, *least == 0, "{referrer}: {counts:?}");
        let steps = counts.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
        assert!(steps.max().unwrap() < 110, "{referrer}: {counts:?}");
    }
}

#[test]
fn a_seed_repeats_every_byte_and_another_seed_does_not() {
    let bytes = |options| {
        let out = clicks(options, 2_000);
        let each = |record: OutgoingRecord<'_>| {
            (record.timestamp, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))
        };
        out.iter().map(each).collect::<Vec<_>>()
    };
    let faulty = Faults { late: 0.1, broken: 0.1, duplicate: 0.1, null_key: 0.1, ..Faults::NONE };
    assert_eq!(bytes(options(faulty)), bytes(options(faulty)));
    assert_ne!(bytes(options(faulty)), bytes(Options { seed: 8, ..options(faulty) }));
}

#[test]
fn each_fault_comes_at_its_rate() {
    let faults = Faults { skew: 0.5, late: 0.1, late_by_millis: 60_000, duplicate: 0.05, null_key: 0.02, broken: 0.01 };
    let out = clicks(options(faults), 60_000);
    near(out.len() - 60_000, 60_000, 0.05);
    let whole = out.iter().filter(|record| parsed(record).is_some()).count();
    near(out.len() - whole, out.len(), 0.01);
    let resources = counted(&out, "resource");
    near(resources["null"], whole, 0.02);
    near(out.iter().filter(|record| record.key.is_none()).count(), out.len(), 0.02);
    near(resources["/index.html"], whole, 0.98 * (0.5 + 0.5 * 0.3));
    let mut newest = Timestamp::MIN;
    let late = out.iter().filter(|record| {
        newest = newest.max(record.timestamp);
        record.timestamp < newest
    });
    near(late.count(), out.len(), 0.1);
}

#[test]
fn a_rate_of_nothing_is_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(ClickGenerator::new(Options { rate, ..options(Faults::NONE) }).is_err());
    }
}
