//! The program as a script sees it: what it prints where, and its exit codes.
#![cfg(feature = "cli")]

use std::process::{Command, Output};

fn millstream(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    // The settings of whoever runs the tests are not the tests'.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MILLSTREAM_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).output().unwrap()
}

/// The exit code and what was written to standard error.
fn failed(arguments: &[&str]) -> (Option<i32>, String) {
    let output = millstream(arguments);
    assert!(output.stdout.is_empty(), "{arguments:?} printed {:?}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_unknown_topology_lists_the_known_ones_and_a_near_miss() {
    for command in
        [&["run", "runing-totals"][..], &["describe", "runing-totals"], &["local", "runing-totals", "--input", "a=b"]]
    {
        let (code, error) = failed(command);
        assert_eq!(code, Some(2));
        assert!(error.contains("did you mean running-totals?") && error.contains("Known are: "), "{error}");
    }
}

#[test]
fn local_refuses_an_unknown_topic_and_a_missing_file() {
    let (code, error) = failed(&["local", "running-totals", "--input", "demo.purchase=-"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("Known are: demo.purchases"), "{error}");
    let (code, error) = failed(&["local", "running-totals", "--input", "demo.purchases=nowhere.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("cannot read nowhere.jsonl"), "{error}");
}

#[test]
fn local_names_the_line_that_it_cannot_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.jsonl");
    std::fs::write(&file, "{\"value\": {}}\nno record\n").unwrap();
    let input = format!("demo.purchases={}", file.display());
    let (code, error) = failed(&["local", "running-totals", "--records", "--input", &input]);
    assert_eq!(code, Some(1));
    assert!(error.contains("in.jsonl:2: "), "{error}");
}

#[test]
fn run_says_what_is_missing_before_it_starts_anything() {
    let (code, error) = failed(&["run", "running-totals"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("--bootstrap-servers"), "{error}");
    let (code, error) = failed(&["run", "running-totals", "--bootstrap-servers", "localhost:1", "--http", "0.0.0.0:0"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("--http-token-file"), "{error}");
    let (code, error) = failed(&["run", "running-totals", "running-totals"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("named twice"), "{error}");
}

#[test]
fn a_secret_is_not_in_the_log() {
    let secret = "sasl.password=hunter2";
    let output = millstream(&[
        "run",
        "running-totals",
        "--until-end",
        "--bootstrap-servers",
        "localhost:1",
        "--property",
        secret,
        "--http",
        "192.0.2.1:1",
    ]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[test]
fn the_topologies_are_listed_with_their_topics() {
    let output = millstream(&["topologies"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("running-totals") && text.contains("demo.purchases → demo.running.totals"), "{text}");
}

#[test]
fn a_wrong_flag_is_a_usage_error() {
    assert_eq!(failed(&["run", "--thread", "2"]).0, Some(2));
    assert_eq!(failed(&["--rate", "3", "topologies"]).0, Some(2));
    assert_eq!(failed(&["topologies", "--log-level", "millstream=loud"]).0, Some(2));
}

#[test]
fn a_process_that_is_not_there_is_not_well() {
    let (code, error) = failed(&["health", "--http", "127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("127.0.0.1:1 cannot be asked"), "{error}");
}

#[test]
fn a_setting_that_a_topology_cannot_work_by_is_a_usage_error() {
    for setting in ["window=500ms", "most=0"] {
        let (code, error) = failed(&["describe", "clickstream-referrers", "--set", setting]);
        assert_eq!(code, Some(2), "{error}");
    }
}

#[test]
fn a_record_that_stops_a_run_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.jsonl");
    std::fs::write(&file, "no purchase\n").unwrap();
    let input = format!("demo.purchases={}", file.display());
    let (code, error) = failed(&["local", "running-totals", "--input", &input]);
    assert_eq!(code, Some(1));
    assert!(error.contains("offset 0") && error.contains("--bad-input"), "{error}");
}
