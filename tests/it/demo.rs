//! The demos, run by the program without a terminal.
#![cfg(feature = "cli")]

use std::time::Duration;

use crate::process::{Process, output, within};

/// Where each demo's results go.
const RESULTS: [(&str, &str); 9] = [
    ("running-totals", "demo.running.totals"),
    ("sales-windows", "demo.sales.windows"),
    ("clickstream-referrers", "demo.referrers"),
    ("purchases-enriched", "demo.purchases.enriched"),
    ("top-products", "demo.top.products"),
    ("low-stock", "demo.low.stock"),
    ("sensor-report", "demo.sensor.count"),
    ("sensors", "demo.sensors.averages"),
    ("device-counts", "demo.device.counts"),
];

fn start(names: &[&str]) -> Process {
    let arguments = [&["demo"], names, &["--http", "127.0.0.1:0", "--log-level", "millstream=info"]].concat();
    Process::start("the demo", &arguments)
}

fn await_result(demo: &mut Process, topology: &str, topic: &str) {
    let labels = [format!("topology=\"{topology}\""), format!("topic=\"{topic}\"")];
    within(Duration::from_mins(1), &format!("a result of {topology}"), || {
        (demo.metric("millstream_records_out_total", &[&labels[0], &labels[1]]) > 0).then_some(())
    });
}

#[test]
fn every_demo_gives_results_and_all_stop_in_good_order() {
    let mut demo = start(&[]);
    for (topology, topic) in RESULTS {
        await_result(&mut demo, topology, topic);
        assert_eq!(demo.metric("millstream_dead_letters_total", &[topology]), 0);
    }
    demo.terminate();
    demo.succeeds(Duration::from_mins(1));
}

#[test]
fn the_pages_show_the_topologies_that_run_and_no_others() {
    let mut demo = start(&["sensors", "device-counts"]);
    assert!(demo.get("/").contains("<title>millstream</title>"), "the page");
    let status = demo.get("/live/status");
    assert!(status.contains("\"name\":\"sensors\"") && status.contains("\"name\":\"device-counts\""), "{status}");
    assert!(!status.contains("running-totals"), "{status}");
    for (topology, topic) in &RESULTS[7..] {
        await_result(&mut demo, topology, topic);
    }
    assert!(!demo.get("/metrics").contains("running-totals"));
    assert!(demo.get("/health/ready").contains(" 200 OK"));
    let line = demo.logged("listening at http://");
    let address = line.split("http://").nth(1).expect("an address").trim();
    let said = output(&["health", "--http", address, "--ready"]);
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("\"ready\":true"), "{said:?}");
    let text = demo.get("/topology");
    assert!(text.contains("\nsensors\nTopologies:") && text.contains("\ndevice-counts\nTopologies:"), "{text}");
    let chart = demo.get("/topology?format=mermaid");
    assert_eq!(chart.matches("flowchart").count(), 1, "{chart}");
    demo.terminate();
    demo.succeeds(Duration::from_mins(1));
}

#[test]
fn without_a_terminal_it_prints_a_line_of_each_at_the_end() {
    let run = output(&["demo", "sensors", "device-counts", "--for", "1500ms", "--http", "127.0.0.1:0"]);
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{text}{}", String::from_utf8_lossy(&run.stderr));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("millstream demo of sensors, device-counts; http://127.0.0.1:"), "{text}");
    let [.., sensors, devices] = &lines[..] else { panic!("{text}") };
    assert!(sensors.contains("1s  sensors        ") && devices.contains("1s  device-counts  "), "{text}");
}

#[test]
fn a_signal_that_comes_twice_at_once_stops_it_in_good_order() {
    let mut demo = start(&["running-totals"]);
    demo.logged("listening at");
    demo.interrupt_twice();
    demo.succeeds(Duration::from_mins(1));
}

#[test]
fn a_demo_that_is_not_there_is_a_usage_error() {
    let run = output(&["demo", "device-count"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("did you mean device-counts?"));
}
