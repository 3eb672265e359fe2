//! State that is asked for over HTTP, of processes that share the work on a real broker.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::broker::{RealBroker, topic, unique};
use crate::process::{Process, within};
use crate::shop::{Shop, purchase, sums_of};
use crate::sums;

const PATIENCE: Duration = Duration::from_mins(1);

/// The status code and the body of the answer to a question.
fn ask(process: &mut Process, path: &str) -> (u16, String) {
    let answer = process.get(path);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// Asks until there is an answer. That there is none yet may be said meanwhile, that there is no such key may not.
fn answered(process: &mut Process, path: &str) -> Value {
    within(PATIENCE, path, || match ask(process, path) {
        (200, body) => Some(serde_json::from_str(&body).unwrap()),
        (503, _) => None,
        other => panic!("{path}: {other:?}"),
    })
}

fn partitions_here(process: &mut Process, store: &str) -> Vec<u64> {
    let (_, body) = ask(process, "/state");
    let listed: Value = serde_json::from_str(&body).unwrap();
    let stores = listed["topologies"][0]["stores"].as_array().unwrap();
    let store = stores.iter().find(|found| found["store"] == store).unwrap();
    store["here"].as_array().unwrap().iter().map(|partition| partition.as_u64().unwrap()).collect()
}

/// Waits until each process has half of a store's four partitions.
fn shared_out(processes: &mut [Process; 2], store: &str) {
    within(PATIENCE, "each process to have its share", || {
        processes.iter_mut().all(|process| partitions_here(process, store).len() == 2).then_some(())
    });
}

#[test]
fn every_total_is_the_same_whichever_process_is_asked_and_that_of_the_output_topic() {
    let Some(real) = RealBroker::start() else { return };
    let mut shop = Shop::new(&real, 4);
    let mut both = ["one", "two"].map(|name| shop.start(name, &["--http", "127.0.0.1:0"]));
    shared_out(&mut both, "totals");
    let purchases: Vec<String> = (0..2_000).map(|n| purchase(&format!("P{:02}", n % 60), n % 7, "2.05")).collect();
    shop.write(&purchases);
    let expected = sums_of(&purchases);
    shop.await_totals(&expected);
    let total = |process: &mut Process, product: &str| {
        let answer = answered(process, &format!("/state/running-totals/totals/{product}"));
        assert_eq!(answer["key"], product);
        sums::of_total(answer["value"].to_string().as_bytes()).1
    };
    for process in &mut both {
        for (product, sum) in &expected {
            // The output is committed a moment before the state is told so.
            within(PATIENCE, product, || (total(process, product) == *sum).then_some(()));
        }
        let range = answered(process, "/state/running-totals/totals?limit=1000");
        let rows = range["rows"].as_array().unwrap();
        let keys: Vec<&str> = rows.iter().map(|row| row["key"].as_str().unwrap()).collect();
        assert_eq!(keys, expected.keys().collect::<Vec<_>>());
        for row in rows {
            let (product, sum) = sums::of_total(row["value"].to_string().as_bytes());
            assert_eq!(sum, expected[&product]);
        }
        let (code, said) = ask(process, "/state/running-totals/totals/P99");
        assert_eq!(code, 404, "{said}");
    }
    let [mut one, mut two] = both;
    two.terminate();
    two.succeeds(Duration::from_secs(30));
    for (product, sum) in &expected {
        assert_eq!(total(&mut one, product), *sum, "after the other process has left");
    }
    assert_eq!(partitions_here(&mut one, "totals"), [0, 1, 2, 3]);
}

#[test]
fn a_process_that_comes_back_at_another_address_is_found_there() {
    let Some(real) = RealBroker::start() else { return };
    let mut shop = Shop::new(&real, 4);
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let start = |shop: &Shop, number: usize| {
        let directory = directories[number].path().to_str().unwrap();
        shop.start(&format!("process {number}"), &["--http", "127.0.0.1:0", "--state-dir", directory])
    };
    let mut both = [start(&shop, 0), start(&shop, 1)];
    shared_out(&mut both, "totals");
    let purchases: Vec<String> = (0..400).map(|n| purchase(&format!("P{:02}", n % 40), 1, "0.05")).collect();
    shop.write(&purchases);
    shop.await_totals(&sums_of(&purchases));
    // Within the session timeout, so that it is the same member.
    both[1].kill();
    both[1] = start(&shop, 1);
    both[1].logged("the group knows an old address of this process");
    shared_out(&mut both, "totals");
    for process in &mut both {
        for (product, sum) in &sums_of(&purchases) {
            let answer = answered(process, &format!("/state/running-totals/totals/{product}"));
            assert_eq!(sums::of_total(answer["value"].to_string().as_bytes()).1, *sum);
        }
    }
}

/// A purchase at a time of the day.
fn at(minute: u32, product: &str, total: &str) -> String {
    format!(
        r#"{{"transaction_time":"2022-08-31 08:{minute:02}:00","product_id":"{product}","quantity":1,"total_purchase":{total}}}"#
    )
}

#[test]
fn open_windows_are_asked_for_by_product_and_time() {
    let Some(real) = RealBroker::start() else { return };
    // A shop of its own name for the topic: only the input is of use here.
    let mut shop = Shop::new(&real, 4);
    let broker = real.connect();
    let names = ["demo.sales.windows", "demo.sales.windows.top", "demo.sales.windows.late"];
    let renames = names.map(|name| format!("{name}={}", topic(&broker, "windows", 4)));
    let (application, from) = (unique("asked"), format!("demo.purchases={}", shop.input));
    let mut arguments = vec!["run", "sales-windows", "--bootstrap-servers", real.bootstrap, "--http", "127.0.0.1:0"];
    arguments.extend(["--application-id", &application, "--topic", &from]);
    arguments.extend(renames.iter().flat_map(|rename| ["--topic", rename]));
    let mut both = ["one", "two"].map(|name| Process::start(name, &arguments));
    shared_out(&mut both, "windows");
    let purchases: Vec<(u32, String)> = (0..200).map(|n| (n % 10, format!("P{:02}", n % 13))).collect();
    shop.write(purchases.iter().map(|(minute, product)| at(*minute, product, "1.10")));
    // By product and start, in minutes from eight o'clock: how many, and what they cost in cents.
    let mut expected: BTreeMap<(&str, i64), (i64, i128)> = BTreeMap::new();
    for (minute, product) in &purchases {
        let last = i64::from(*minute) / 5 * 5;
        for start in [last - 5, last] {
            let (count, cents) = expected.entry((product, start)).or_default();
            (*count, *cents) = (*count + 1, *cents + 110);
        }
    }
    let eight = 1_661_932_800_000_i64;
    for process in &mut both {
        for ((product, minutes), (count, cents)) in &expected {
            let start = eight + minutes * 60_000;
            let path = format!("/state/sales-windows/windows/{product}?from={start}&to={start}");
            let window = within(PATIENCE, &path, || {
                let (code, body) = ask(process, &path);
                let answer: Value = serde_json::from_str(&body).unwrap();
                let windows = answer["windows"].as_array().filter(|_| code == 200)?;
                assert_eq!(windows.len(), 1, "{body}");
                // Purchases come in several commits.
                (windows[0]["value"]["transactions"].as_i64()? >= *count).then(|| windows[0].clone())
            });
            assert_eq!(window["window_start"].as_i64(), Some(start));
            assert_eq!(window["window_end"].as_i64(), Some(start + 600_000));
            assert_eq!(window["value"]["transactions"].as_i64(), Some(*count));
            assert_eq!(sums::cents(&window["value"]["sales"]), *cents);
        }
        let all = answered(process, "/state/sales-windows/windows/P03");
        assert_eq!(all["windows"].as_array().unwrap().len(), 3, "{all}");
        let range = answered(process, "/state/sales-windows/windows?from=2022-08-31T08:05:00Z&to=2022-08-31T08:05:00Z");
        let ten_past = expected.keys().filter(|(_, minutes)| *minutes == 5).count();
        assert_eq!(range["rows"].as_array().unwrap().len(), ten_past);
    }
}
