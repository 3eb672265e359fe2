//! Windows of sales from end to end, against a computation of their own in Python.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use millstream::broker::kafka::KafkaBroker;
use millstream::broker::{Broker, Outgoing, OutgoingRecord, Partitioning};
use millstream::record::InputNumber;
use millstream::{Headers, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::broker::{RealBroker, topic_with, unique};
use crate::golden::{self, ROOT, at_least, printed, python_is_there};
use crate::process::Process;
use crate::sums;

const TOOL: &str = "sales_windows.py";

/// Has Python compare what was printed with what it works out of the input.
fn compare(options: &[&str], input: &Path, output: &Path) -> Output {
    golden::compare(TOOL, options, input, output)
}

/// The same, and nothing may differ. Gives how much there was to compare.
fn compared(options: &[&str], input: &Path, output: &Path, what: &str) -> Value {
    golden::compared(TOOL, options, input, output, what)
}

#[test]
fn windows_of_late_doubled_and_broken_purchases_are_what_python_works_out() {
    if !python_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (seed, partitions, rate) in [("1", "1", "1"), ("2", "3", "0.2"), ("3", "4", "5"), ("4", "7", "0.02")] {
        let what = format!("seed {seed}, {partitions} partitions, {rate} purchases a second");
        let shop = "generate sales --stdout --unpaced --count 6000 --start 2022-08-31T08:00:00Z";
        let faults = "--late-rate 0.1 --late-by 40m --duplicate-rate 0.02 --null-key-rate 0.02 --broken-rate 0.02";
        let seeded = ["--seed", seed, "--rate", rate, "--partitions", partitions];
        let arguments: Vec<&str> = shop.split(' ').chain(faults.split(' ')).chain(seeded).collect();
        let input = printed(directory.path(), "input.jsonl", &arguments);
        let file = input.to_str().unwrap();
        let local = ["local", "sales-windows", "--input-records", file, "--partitions", partitions];
        let results = printed(directory.path(), "output.jsonl", &[&local[..], &["--bad-input", "skip"]].concat());
        let counts = compared(&[], &input, &results, &what);
        at_least(&counts, "windows", 100);
        at_least(&counts, "late", 100);
        at_least(&counts, "in_time", 100);
    }
}

#[test]
fn windows_of_the_real_purchases_are_what_python_works_out() {
    if !python_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let input = Path::new(ROOT).join("tests/data/purchases.jsonl");
    let given = format!("demo.purchases={}", input.display());
    let results = printed(directory.path(), "output.jsonl", &["local", "sales-windows", "--input", &given]);
    let counts = compared(&[], &input, &results, "the real purchases");
    assert_eq!(counts["windows"], 540);
}

#[test]
fn a_difference_of_a_cent_is_found() {
    if !python_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input.jsonl");
    let purchase =
        r#"{"transaction_time":"2022-08-31 08:01:00","product_id":"CS01","quantity":1,"total_purchase":4.99}"#;
    std::fs::write(&input, purchase).unwrap();
    let given = format!("demo.purchases={}", input.display());
    let results = printed(directory.path(), "output.jsonl", &["local", "sales-windows", "--input", &given]);
    let right = std::fs::read_to_string(&results).unwrap();
    compared(&[], &input, &results, "one purchase");
    for wrong in [right.replacen("4.99", "4.98", 1), right.replacen("\"rank\":1", "\"rank\":2", 1), String::new()] {
        assert_ne!(wrong, right);
        std::fs::write(&results, wrong).unwrap();
        assert!(!compare(&[], &input, &results).status.success());
    }
}

const PARTITIONS: u32 = 4;

/// Writes lines of purchases to their partitions.
fn write(broker: &KafkaBroker, topic: &str, lines: &[&str]) {
    let mut out = Outgoing::default();
    let topic = out.topic(topic);
    for line in lines {
        let line: BTreeMap<&str, &RawValue> = serde_json::from_str(line).unwrap();
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(line["partition"].get().parse().unwrap()),
            key: None,
            value: Some(line["value"].get().as_bytes()),
            timestamp: Timestamp::from_millis(line["timestamp"].get().parse().unwrap()),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    }
    let mut writer = broker.writer().unwrap();
    writer.send(&out).unwrap();
    writer.flush().unwrap();
}

/// What the output topics hold, as `local` would print it.
fn results(broker: &KafkaBroker, outputs: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, topic) in outputs {
        for record in sums::committed(broker, topic) {
            let value = std::str::from_utf8(record.value()).unwrap();
            writeln!(text, "{{\"topic\":\"{name}\",\"key\":{:?},\"value\":{value}}}", record.key()).unwrap();
        }
    }
    text
}

#[test]
fn windows_that_are_open_when_a_run_ends_go_on_in_the_next_and_close_once() {
    let Some(real) = RealBroker::start().filter(|_| python_is_there()) else { return };
    let (broker, directory) = (real.connect(), tempfile::tempdir().unwrap());
    let topic = |name| topic_with(&broker, name, PARTITIONS, &[("retention.ms", "-1")]);
    let purchases = topic("purchases");
    let outputs =
        ["demo.sales.windows", "demo.sales.windows.top", "demo.sales.windows.late"].map(|name| (name, topic(name)));
    let shop = "generate sales --stdout --unpaced --only demo.purchases --count 6000 --rate 0.5 --seed 5 --partitions 4 \
                --start 2022-08-31T08:00:00Z --late-rate 0.1 --late-by 40m --duplicate-rate 0.02";
    let input = printed(directory.path(), "input.jsonl", &shop.split_whitespace().collect::<Vec<_>>());
    let (lines, found) = (std::fs::read_to_string(&input).unwrap(), directory.path().join("found.jsonl"));
    let (lines, application): (Vec<&str>, _) = (lines.lines().collect(), unique("windows"));
    let renames: Vec<String> = outputs.iter().map(|(name, topic)| format!("{name}={topic}")).collect();
    let from = format!("demo.purchases={purchases}");
    let mut arguments = vec!["run", "sales-windows", "--until-end", "--bootstrap-servers", real.bootstrap];
    arguments.extend(["--application-id", &application, "--topic", &from]);
    arguments.extend(renames.iter().flat_map(|rename| ["--topic", rename]));
    // A run after another, each with a third of the purchases: threads, then a process, then several.
    let third = lines.len() / 3;
    let parts = [(0..third, "2", 1), (third..2 * third, "1", 1), (2 * third..lines.len(), "1", 2)];
    let mut closed = 0;
    for (part, threads, processes) in parts {
        let end = part.end;
        write(&broker, &purchases, &lines[part]);
        let arguments = [&arguments[..], &["--threads", threads]].concat();
        let start = |number| Process::start(&format!("process {number}"), &arguments);
        let mut running: Vec<Process> = (0..processes).map(start).collect();
        for process in &mut running {
            process.succeeds(Duration::from_mins(1));
        }
        std::fs::write(&input, lines[..end].join("\n")).unwrap();
        std::fs::write(&found, results(&broker, &outputs)).unwrap();
        let counts = compared(&["--open"], &input, &found, &format!("seed 5, the first {end} purchases"));
        let more = counts["windows"].as_u64().unwrap();
        assert!(more > closed + 100, "{more} windows have closed after {closed}");
        closed = more;
    }
}
