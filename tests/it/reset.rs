//! `millstream plan` and `millstream reset` against a real broker, as a script sees them.
#![cfg(feature = "cli")]

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use millstream::TopicPartition;
use millstream::broker::{Broker, Isolation, NewTopic};

use crate::broker::RealBroker;
use crate::process::{output, within};
use crate::shop::{Shop, purchase, sums_of};
use crate::sums::{self, Sums};

/// Runs `command` on the shop's topology and topics.
fn shop_command(shop: &Shop<'_>, command: &str, more: &[&str]) -> Output {
    let mut arguments = shop.arguments(more);
    arguments[0] = command;
    output(&arguments)
}

fn stdout(run: &Output) -> String {
    String::from_utf8_lossy(&run.stdout).into_owned()
}

fn stderr(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

/// Runs it to its end and expects this exit code; gives what it has printed.
fn exits(run: &Output, code: i32) -> String {
    assert_eq!(run.status.code(), Some(code), "{}{}", stdout(run), stderr(run));
    stdout(run)
}

fn purchases(count: u32) -> Vec<String> {
    (0..count).map(|n| purchase(&format!("P{}", n % 40), n % 5, "2.25")).collect()
}

/// The ends of a topic's partitions, by which what is written later can be told.
fn ends(shop: &Shop<'_>, topic: &str) -> Vec<(TopicPartition, i64)> {
    sums::settled(&shop.broker, &[topic]);
    let partitions = sums::partitions(&shop.broker, topic);
    let ends = shop.broker.end_offsets(&partitions, Isolation::ReadUncommitted).expect("told");
    partitions.into_iter().zip(ends).collect()
}

/// The newest totals of what was written since.
fn totals_since(shop: &Shop<'_>, since: &[(TopicPartition, i64)]) -> Sums {
    sums::newest(&sums::committed_from(&shop.broker, since))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

#[test]
fn a_shop_is_planned_reset_and_counted_again_to_the_cent() {
    let Some(real) = RealBroker::start() else { return };
    let mut shop = Shop::new(&real, 4);
    let bought = purchases(4_000);
    shop.write(&bought);
    let directory = tempfile::tempdir().expect("a directory");
    let (state, lock) = (directory.path().join("state"), directory.path().join("millstream.lock"));
    let (state, lock) = (text(&state), text(&lock));
    let run = ["--state-dir", state, "--leave-on-stop", "--threads", "2"];

    // Without a lock file `run --lock` says how to get one; with it, it runs.
    let refused = shop_command(&shop, "run", &["--until-end", "--lock", lock]);
    exits(&refused, 1);
    assert!(
        stderr(&refused).contains(&format!("millstream plan running-totals --lock {lock}")),
        "{}",
        stderr(&refused)
    );
    exits(&shop_command(&shop, "plan", &["--lock", lock, "--write"]), 0);
    shop.drain(&[&run[..], &["--lock", lock]].concat());
    let expected = sums_of(&bought);
    assert_eq!(shop.totals(), expected);

    let internal = shop.internal_topics();
    let planned = exits(&shop_command(&shop, "plan", &["--lock", lock]), 0);
    println!("{planned}");
    assert!(planned.starts_with("running-totals: nothing changes\n"), "{planned}");
    let lines = || planned.lines().skip(1).filter(|line| !line.starts_with("  on Kafka"));
    assert!(lines().all(|line| line.starts_with("  = ")), "{planned}");
    assert!(internal.iter().all(|topic| lines().any(|line| line.contains(&format!("{topic} ")))), "{planned}");

    // A dry run changes nothing.
    let everything = || -> Vec<_> {
        let topics = [&shop.input, &shop.totals, &internal[0], &internal[1]];
        let group = format!("{}-running-totals", shop.application);
        let ends = topics.map(|topic| ends(&shop, topic));
        let committed: Vec<_> = [&shop.input, &internal[0]]
            .into_iter()
            .map(|topic| shop.broker.committed(&group, &sums::partitions(&shop.broker, topic)).expect("told"))
            .collect();
        vec![format!("{ends:?} {committed:?} {:?}", Path::new(state).join(&group).join("tasks").exists())]
    };
    let before = everything();
    let dry = exits(&shop_command(&shop, "reset", &["--state-dir", state]), 0);
    println!("{dry}");
    assert!(internal.iter().all(|topic| dry.contains(topic)) && dry.contains("Nothing was changed"), "{dry}");
    assert_eq!(everything(), before);

    // A member that is at work is named, and nothing happens.
    let mut process = shop.start("busy", &["--leave-on-stop"]);
    process.logged(&format!("{}-0", shop.input));
    let refused = shop_command(&shop, "reset", &["--state-dir", state, "--execute"]);
    exits(&refused, 1);
    let error = stderr(&refused);
    assert!(error.contains(&format!("group {}-running-totals has 1 member: ", shop.application)), "{error}");
    assert!(error.contains("at 127.0.0.1"), "{error}");
    process.terminate();
    process.succeeds(Duration::from_secs(30));

    let written = ends(&shop, &shop.totals);
    let done = exits(&shop_command(&shop, "reset", &["--state-dir", state, "--execute", "--wait", "20s"]), 0);
    println!("{done}");
    assert_eq!(done.matches("  done: ").count(), 6, "{done}");
    assert_eq!(ends(&shop, &shop.totals), written, "what was written for others stays");
    shop.drain(&run);
    assert_eq!(totals_since(&shop, &written), expected);
}

#[test]
fn state_of_a_directory_that_a_reset_did_not_see_is_not_believed() {
    let Some(real) = RealBroker::start() else { return };
    let mut shop = Shop::new(&real, 2);
    let directory = tempfile::tempdir().expect("a directory");
    let run = ["--state-dir", text(directory.path()), "--leave-on-stop"];
    shop.write(purchases(500));
    shop.drain(&run);
    let written = ends(&shop, &shop.totals);
    exits(&shop_command(&shop, "reset", &["--to-latest", "--execute"]), 0);
    let more = purchases(300);
    shop.write(&more);
    let process = shop.drain(&run);
    assert_eq!(totals_since(&shop, &written), sums_of(&more));
    assert!(process.count("was moved aside") > 0, "{}", process.log());
}

#[test]
fn an_orphan_on_the_broker_is_shown_with_its_size_and_fails_the_gate() {
    let Some(real) = RealBroker::start() else { return };
    let shop = Shop::new(&real, 2);
    let directory = tempfile::tempdir().expect("a directory");
    let lock = directory.path().join("millstream.lock");
    let lock = text(&lock);
    exits(&shop_command(&shop, "plan", &["--lock", lock, "--write"]), 0);
    let group = format!("{}-running-totals", shop.application);
    let names = [format!("{group}-old-changelog"), format!("{group}-uncombined-totals-changelog")];
    let topics = names.clone().map(|name| NewTopic { name, partitions: 3, settings: [].into() });
    shop.broker.create_topics(&topics).expect("created");
    crate::broker::fill(&shop.broker, &names[0], 1, 7, 10);
    let run = shop_command(&shop, "plan", &["--lock", lock]);
    let planned = exits(&run, 3);
    println!("{planned}");
    assert!(
        planned.contains(&format!("  - {}  ", names[0])) && planned.contains("3 partitions, 7 offsets"),
        "{planned}"
    );
    assert!(!planned.contains(&names[1]), "it is another topology's: {planned}");
    assert!(planned.contains("will be created"), "{planned}");
    assert!(stderr(&run).contains("something is changed or left behind in running-totals"), "{}", stderr(&run));
    let json = shop_command(&shop, "plan", &["--lock", lock, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&exits(&json, 3)).expect("JSON");
    assert_eq!(json[0]["broker"]["orphans"][0]["name"], names[0].as_str());
    assert_eq!(json[0]["differences"][0]["verdict"], "keep");

    exits(&shop_command(&shop, "reset", &["--orphans", "--execute"]), 0);
    within(Duration::from_secs(10), "the orphan to be gone", || {
        let there = shop.broker.list_topics().expect("told");
        (!there.contains_key(&names[0]) && there.contains_key(&names[1])).then_some(())
    });
    exits(&shop_command(&shop, "plan", &["--lock", lock]), 0);
}
