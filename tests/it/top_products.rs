//! The ranking of the products from end to end, against a computation of its own in Python.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::broker::{RealBroker, topic, unique};
use crate::golden::{ROOT, compare, compared, printed, python_is_there};
use crate::process::{Process, output, within};
use crate::sums::{self, Stored};
use crate::totals::write_values;

const TOOL: &str = "top_products.py";

fn purchases() -> PathBuf {
    Path::new(ROOT).join("tests/data/purchases.jsonl")
}

/// The newest record of each rank, as `local` would print it.
fn newest(records: &[Stored]) -> String {
    let newest: BTreeMap<&str, &Stored> = records.iter().map(|record| (record.key(), record)).collect();
    let mut text = String::new();
    for (key, record) in newest {
        writeln!(text, "{{\"key\":{key:?},\"value\":{}}}", std::str::from_utf8(record.value()).unwrap()).unwrap();
    }
    text
}

#[test]
fn the_best_of_the_real_purchases_are_what_python_works_out() {
    if !python_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let input = format!("demo.purchases={}", purchases().display());
    for (partitions, most) in [("1", "25"), ("4", "25"), ("3", "5")] {
        let set = format!("most={most}");
        let local = ["local", "top-products", "--input", &input, "--partitions", partitions, "--set", &set];
        let results = printed(directory.path(), "output.jsonl", &local);
        let options = ["--most", most];
        let counts = compared(TOOL, &options, &purchases(), &results, &format!("{partitions} partitions"));
        assert_eq!(counts["ranks"].to_string(), most);
        // And a difference is found.
        let right = std::fs::read_to_string(&results).unwrap();
        for wrong in
            [right.replacen("\"rank\":2", "\"rank\":3", 1), right.replacen("0,\"sales", "1,\"sales", 1), String::new()]
        {
            if wrong != right {
                std::fs::write(&results, wrong).unwrap();
                assert!(!compare(TOOL, &options, &purchases(), &results).status.success());
            }
        }
    }
}

#[test]
fn a_table_of_the_best_is_printed_where_it_is_asked_for() {
    let input = format!("demo.purchases={}", purchases().display());
    let local = ["local", "top-products", "--input", &input, "--set", "most=3", "--report"];
    let run = output(&local);
    let text = String::from_utf8(run.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["rank", "product_id", "quantities", "sales"], "{text}");
    assert_eq!(rows[1..].iter().map(|row| row[0]).collect::<Vec<_>>(), ["1", "2", "3"], "{text}");
    let run = output(&["local", "running-totals", "--input", &input, "--report"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("running-totals has no table of its results"));
    let run = output(&["run", "top-products", "--bootstrap-servers", "127.0.0.1:1", "--report"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("--report goes with --until-end"));
}

#[test]
fn the_best_are_the_same_live_and_in_bounded_runs_on_a_real_broker() {
    let Some(real) = RealBroker::start().filter(|_| python_is_there()) else { return };
    let (broker, directory) = (real.connect(), tempfile::tempdir().unwrap());
    let text = std::fs::read_to_string(purchases()).unwrap();
    let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
    for live in [false, true] {
        let (input, top) = (topic(&broker, "purchases", 4), topic(&broker, "top", 4));
        let renames = [format!("demo.purchases={input}"), format!("demo.top.products={top}")];
        let application = unique("top");
        let mut arguments = vec!["run", "top-products", "--bootstrap-servers", real.bootstrap, "--threads", "2"];
        arguments.extend(["--application-id", &application, "--topic", &renames[0], "--topic", &renames[1]]);
        let found = directory.path().join("found.jsonl");
        if live {
            let mut process = Process::start("live", &arguments);
            process.logged("partitions assigned");
            for part in lines.chunks(50) {
                write_values(&broker, &input, part.iter().copied());
            }
            within(Duration::from_mins(1), "the ranking", || {
                std::fs::write(&found, newest(&sums::committed(&broker, &top))).unwrap();
                compare(TOOL, &["--most", "25"], &purchases(), &found).status.success().then_some(())
            });
            process.terminate();
            process.succeeds(Duration::from_mins(1));
            continue;
        }
        // A run after another, each with half of the purchases; the second goes on from the first.
        arguments.extend(["--until-end", "--report"]);
        let mut table = String::new();
        for part in lines.chunks(lines.len() / 2) {
            write_values(&broker, &input, part.iter().copied());
            let run = output(&arguments);
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            table = String::from_utf8(run.stdout).unwrap();
        }
        std::fs::write(&found, newest(&sums::committed(&broker, &top))).unwrap();
        compared(TOOL, &["--most", "25"], &purchases(), &found, "bounded runs");
        let local = ["local", "top-products", "--report", "--input"];
        let given = format!("demo.purchases={}", purchases().display());
        let printed = String::from_utf8(output(&[&local[..], &[&given]].concat()).stdout).unwrap();
        assert_eq!(table, printed);
        assert_eq!(table.lines().count(), 26);
    }
}
