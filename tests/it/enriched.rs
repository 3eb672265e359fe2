//! Purchases with their products from end to end, against a computation of their own in Python.
#![cfg(feature = "cli")]

use std::fmt::Write as _;
use std::path::Path;

use crate::golden::{ROOT, at_least, compare, compared, printed, python_is_there};

const TOOL: &str = "purchases_enriched.py";

#[test]
fn purchases_get_their_products_as_python_works_it_out() {
    if !python_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (seed, partitions, changes) in [("1", "1", "0.02"), ("2", "3", "0.05"), ("3", "4", "0.2"), ("4", "7", "0.01")] {
        let shop = "generate sales --stdout --unpaced --count 4000 --start 2022-08-31T08:00:00Z --rate 5";
        let faults = "--late-rate 0.1 --late-by 40m --duplicate-rate 0.02 --null-key-rate 0.02 --broken-rate 0.02";
        let seeded = ["--seed", seed, "--change-rate", changes, "--partitions", partitions];
        let arguments: Vec<&str> = shop.split(' ').chain(faults.split(' ')).chain(seeded).collect();
        let input = printed(directory.path(), "input.jsonl", &arguments);
        let file = input.to_str().unwrap();
        let local = ["local", "purchases-enriched", "--input-records", file, "--partitions", partitions];
        let results = printed(directory.path(), "output.jsonl", &[&local[..], &["--bad-input", "skip"]].concat());
        let counts = compared(TOOL, &[], &input, &results, &format!("seed {seed}, {partitions} partitions"));
        at_least(&counts, "joined", 3_000);
        at_least(&counts, "changed", 100);
        // Those that came late and were bought before the shop had any product.
        at_least(&counts, "missed", 10);
    }
}

#[test]
fn the_real_purchases_get_their_products_to_the_digit() {
    if !python_is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // The products of the shop, entered before the first of the real purchases.
    let shop = "generate sales --stdout --unpaced --only demo.products --count 1 --start 2022-08-31T08:00:00Z";
    let products = printed(directory.path(), "products.jsonl", &shop.split(' ').collect::<Vec<_>>());
    let mut records = std::fs::read_to_string(&products).unwrap();
    assert_eq!(records.lines().count(), 27);
    let purchases = std::fs::read_to_string(Path::new(ROOT).join("tests/data/purchases.jsonl")).unwrap();
    for purchase in purchases.lines() {
        writeln!(records, "{{\"topic\":\"demo.purchases\",\"key\":null,\"value\":{purchase}}}").unwrap();
    }
    let input = directory.path().join("input.jsonl");
    std::fs::write(&input, records).unwrap();
    let local = ["local", "purchases-enriched", "--input-records", input.to_str().unwrap()];
    let results = printed(directory.path(), "output.jsonl", &local);
    let counts = compared(TOOL, &[], &input, &results, "the real purchases");
    assert_eq!((counts["joined"].as_i64(), counts["missed"].as_i64()), (Some(290), Some(0)));
    // And a difference is found.
    let right = std::fs::read_to_string(&results).unwrap();
    for wrong in [right.replacen("\"product_cogs\":1.50", "\"product_cogs\":1.5", 1), String::new(), right.repeat(2)] {
        assert_ne!(wrong, right);
        std::fs::write(&results, wrong).unwrap();
        assert!(!compare(TOOL, &[], &input, &results).status.success());
    }
}
