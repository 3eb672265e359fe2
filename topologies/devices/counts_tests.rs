//! The counts against a plain computation of them.

use std::collections::BTreeMap;

use millstream::operators::DropReason;
use millstream::testing::Driver;

use super::*;
use crate::topologies::devices::DevicesGenerator;
use crate::topologies::golden::{Play, civil, faulty, millis, taken, values};

const DEAD: &str = "demo.dead";

fn run(play: Play, values: &[Vec<u8>]) -> Driver {
    play.run(topology(BadInput::dead_letter(DEAD)).unwrap(), DEVICES_TOPIC, values)
}

/// The counts, and how many lines must not be in them because they are late, or bad.
fn expected(play: Play, values: &[Vec<u8>]) -> (Vec<String>, u64, usize) {
    let mut newest = vec![i64::MIN; play.partitions as usize];
    let mut windows: BTreeMap<(String, i64), u64> = BTreeMap::new();
    let (mut late, mut bad) = (0, 0);
    for (number, value) in values.iter().enumerate() {
        let line = String::from_utf8(value.clone()).unwrap();
        let fields: Vec<_> = line.split(',').collect();
        let [device, temperature, time] = fields[..] else {
            bad += 1;
            continue;
        };
        if device.is_empty() || time.len() < 19 {
            bad += 1;
            continue;
        }
        let (time, newest) = (millis(time), &mut newest[play.partition(number)]);
        *newest = time.max(*newest);
        if temperature.parse::<i64>().unwrap() > 60 {
            let start = time / 5_000 * 5_000;
            if start + 10_000 <= *newest {
                late += 1;
            } else {
                *windows.entry((device.to_owned(), start)).or_default() += 1;
            }
        }
    }
    let time = newest.into_iter().min().unwrap();
    windows.retain(|(_, start), _| start + 10_000 <= time);
    let row = |((device, start), count): ((String, i64), u64)| {
        let (from, to) = (civil(start), civil(start + 5_000));
        format!(r#"{device} {{"device_id":"{device}","window_start":"{from}","window_end":"{to}","count":{count}}}"#)
    };
    let mut rows: Vec<_> = windows.into_iter().map(row).collect();
    rows.sort();
    (rows, late, bad)
}

#[test]
fn generated_lines_give_what_a_plain_computation_of_them_gives() {
    for seed in 1..=3 {
        let values = values(DevicesGenerator::new(faulty(seed)).unwrap(), 4_000);
        for play in Play::WAYS {
            let (rows, late, bad) = expected(play, &values);
            assert!(rows.len() > 50 && late > 20 && bad > 20, "seed {seed}: {late} late, {bad} bad, {rows:?}");
            let mut driver = run(play, &values);
            let got = taken(&mut driver, COUNTS_TOPIC);
            assert!(got == rows, "seed {seed}, {play:?}:\n{got:?}\ninstead of\n{rows:?}");
            assert_eq!(driver.take(DEAD).len(), bad, "seed {seed}, {play:?}");
            let dropped = driver.metrics().drops("test-device-counts-by-device-repartition").get(DropReason::Late);
            assert_eq!(dropped, late, "seed {seed}, {play:?}");
        }
    }
}

const ONE: Play = Play { partitions: 1, threads: 1, at_once: 1 };

fn lines(lines: &[&str]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| line.as_bytes().to_vec()).collect()
}

#[test]
fn only_what_is_above_the_level_counts_and_a_count_goes_out_once() {
    let values = lines(&[
        "1,65,2016-03-25 01:01:20",
        "1,60,2016-03-25 01:01:21",
        "1,60.01,2016-03-25 01:01:24",
        "2,60,2016-03-25 01:01:24",
        "1,65,2016-03-25 01:01:29",
        "1,65,2016-03-25 01:01:24",
        "1,0,2016-03-25 01:01:30",
    ]);
    let row =
        r#"1 {"device_id":"1","window_start":"2016-03-25 01:01:20","window_end":"2016-03-25 01:01:25","count":3}"#;
    assert_eq!(taken(&mut run(ONE, &values[..6]), COUNTS_TOPIC), Vec::<String>::new());
    assert_eq!(taken(&mut run(ONE, &values), COUNTS_TOPIC), [row]);
}

#[test]
fn a_line_that_cannot_be_read_stops_it_with_a_reason_that_names_the_field() {
    let mut driver = Driver::builder(topology(BadInput::Fail).unwrap()).start().unwrap();
    driver.send_bytes(DEVICES_TOPIC, 0, None, Some(b"1,hot,2016-03-25 01:01:20"), 0).unwrap();
    let error = driver.settle().unwrap_err().to_string();
    assert!(error.contains("the field temperature is not a number: \"hot\""), "{error}");
}
