//! `millstream run` against a real broker, as a script sees it.
#![cfg(feature = "cli")]

use std::time::Duration;

use millstream::{Clock, SystemClock};

use crate::broker::{RealBroker, topic, unique};
use crate::process::{Process, output};
use crate::shop::{Shop, purchase, sums_of};

#[test]
fn a_missing_source_topic_is_named_with_what_to_do() {
    let Some(real) = RealBroker::start() else { return };
    let missing = unique("nowhere");
    let rename = format!("demo.purchases={missing}");
    let run = output(&["run", "running-totals", "--bootstrap-servers", real.bootstrap, "--topic", &rename]);
    let error = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{error}");
    let line = error.lines().last().unwrap_or_default();
    assert!(line.starts_with(&format!("error: source topic {missing} does not exist; create it")), "{error}");
    assert!(line.contains("--topic NAME=ACTUAL"), "{error}");
}

#[test]
fn an_address_where_no_broker_is_ends_in_an_error_in_time() {
    let commands = [
        ("127.0.0.1:1", &["run", "running-totals"][..]),
        ("nowhere.invalid:9092", &["run", "running-totals", "--until-end"]),
        ("127.0.0.1:1", &["generate", "sales", "--count", "1"]),
    ];
    let clock = SystemClock::new();
    let running = commands.map(|(address, command)| {
        (address, Process::start(address, &[command, &["--bootstrap-servers", address]].concat()))
    });
    for (address, mut process) in running {
        let status = process.wait(Duration::from_secs(29));
        let error = process.log();
        println!("{address} has failed after {:?}", clock.elapsed());
        assert_eq!(status.code(), Some(1), "{error}");
        let line = error.lines().last().unwrap_or_default();
        assert!(line.starts_with(&format!("error: no broker has answered at {address}")), "{error}");
        assert!(line.contains("check that the bootstrap address is right"), "{error}");
    }
}

#[test]
fn settings_may_stand_in_a_file() {
    let Some(real) = RealBroker::start() else { return };
    let mut shop = Shop::new(&real, 1);
    let purchases = vec![purchase("CS01", 2, "11.5"), purchase("CS01", 1, "0.25")];
    shop.write(&purchases);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("millstream.toml");
    let text = format!(
        "bootstrap-servers = \"{}\"\napplication-id = \"{}\"\nuntil-end = true\nthreads = 2\n\
         [topic]\n\"demo.purchases\" = \"{}\"\n\"demo.running.totals\" = \"{}\"\n[property]\n\"socket.timeout.ms\" = 9000\n",
        real.bootstrap, shop.application, shop.input, shop.totals
    );
    std::fs::write(&file, text).expect("written");
    let run = output(&["run", "running-totals", "--config", file.to_str().expect("a text")]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(shop.totals(), sums_of(&purchases));
}

#[test]
fn a_bounded_run_over_nothing_ends_at_once() {
    let Some(real) = RealBroker::start() else { return };
    let shop = Shop::new(&real, 4);
    let clock = SystemClock::new();
    shop.drain(&["--threads", "2"]);
    println!("a bounded run over empty topics took {:?}", clock.elapsed());
    assert!(shop.totals().is_empty());
}

#[test]
fn a_stop_commits_what_was_done_and_is_quick() {
    let Some(real) = RealBroker::start() else { return };
    for flags in [&[][..], &["--leave-on-stop"], &["--guarantee", "at-least-once"]] {
        let mut shop = Shop::new(&real, 4);
        let purchases: Vec<String> = (0..5_000).map(|n| purchase(&format!("P{}", n % 40), 1, "2.5")).collect();
        shop.write(&purchases);
        let mut process = shop.start("stopped", &[&["--threads", "2"], flags].concat());
        process.logged("partitions assigned");
        let clock = SystemClock::new();
        process.terminate();
        process.succeeds(Duration::from_secs(30));
        let took = clock.elapsed();
        println!("{flags:?}: stopped in {took:?}");
        assert!(took < Duration::from_secs(5), "{flags:?}: {took:?}:\n{}", process.log());
        // Nothing is lost by it: the next run goes on where it stopped.
        shop.drain(flags);
        assert_eq!(shop.totals(), sums_of(&purchases), "{flags:?}");
    }
}

#[test]
fn whoever_follows_a_process_that_cannot_be_back_does_not_wait_for_it() {
    let Some(real) = RealBroker::start() else { return };
    let shop = Shop::new(&real, 1);
    // Without a name and without a state directory: the next one is another member.
    let mut first = shop.start("first", &[]);
    first.logged(&format!("{}-0", shop.input));
    first.terminate();
    first.succeeds(Duration::from_secs(10));
    let clock = SystemClock::new();
    let mut second = shop.start("second", &[]);
    // Not an empty share.
    second.logged(&format!("{}-0", shop.input));
    let took = clock.elapsed();
    println!("taken over after {took:?}");
    assert!(took < Duration::from_secs(8), "it waited for the session timeout: {took:?}");
}

#[test]
fn a_passing_fault_at_the_start_is_no_warning() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let rename = format!("demo.purchases={}", topic(&broker, "purchases", 1));
    let application = unique("quiet");
    let mut arguments = vec!["run", "running-totals", "--until-end", "--bootstrap-servers", real.bootstrap];
    arguments.extend(["--application-id", &application, "--topic", &rename]);
    let mut process = Process::start("quiet", &arguments);
    process.succeeds(Duration::from_secs(30));
    let loud: Vec<String> = process.log().lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect();
    assert_eq!(loud, Vec::<String>::new());
}
