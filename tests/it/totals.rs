//! Running totals from end to end: the real purchases, to the cent.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use millstream::broker::{Broker, Outgoing, OutgoingRecord, Partitioning};
use millstream::record::InputNumber;
use millstream::{Headers, Timestamp};

use crate::broker::{RealBroker, topic, unique};
use crate::process::{Process, output};
use crate::sums::{self, Sums};

const PURCHASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/purchases.jsonl");

fn purchases() -> String {
    std::fs::read_to_string(PURCHASES).expect("the purchases")
}

fn expected() -> Sums {
    let sums = sums::of_purchases(purchases().lines().map(str::as_bytes));
    let transactions: i128 = sums.values().map(|sum| sum.transactions).sum();
    println!("{transactions} purchases of {} products", sums.len());
    assert_eq!(transactions, 290);
    sums
}

/// Writes values without keys, as the demo's producers do, to the partitions in turn.
pub fn write_values<'a>(broker: &dyn Broker, topic: &str, values: impl IntoIterator<Item = &'a [u8]>) {
    let partitions = u32::try_from(sums::partitions(broker, topic).len()).expect("few");
    let mut out = Outgoing::default();
    let topic = out.topic(topic);
    for (number, value) in (0_u32..).zip(values) {
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(number % partitions),
            key: None,
            value: Some(value),
            timestamp: Timestamp::from_millis(1_661_932_800_000 + i64::from(number)),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    }
    let mut writer = broker.writer().expect("a writer");
    writer.send(&out).expect("sent");
    writer.flush().expect("written");
}

#[test]
fn local_running_totals_are_exact_to_the_cent() {
    let input = format!("demo.purchases={PURCHASES}");
    for partitions in ["1", "4"] {
        let run = output(&["local", "running-totals", "--input", &input, "--partitions", partitions]);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let text = String::from_utf8(run.stdout).expect("text");
        let mut totals = Sums::new();
        for line in text.lines() {
            let line: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_str(line).expect("JSON");
            assert_eq!(line["topic"].get(), "\"demo.running.totals\"");
            let (product, sum) = sums::of_total(line["value"].get().as_bytes());
            assert_eq!(line["key"].get(), format!("{product:?}"));
            assert!(totals.insert(product, sum).is_none(), "only the newest of each key");
        }
        assert_eq!(totals, expected());
    }
}

#[test]
fn running_totals_on_kafka_are_exact_with_any_number_of_partitions_and_processes() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    for partitions in [1, 4] {
        for processes in [1, 3] {
            let input = topic(&broker, "purchases", partitions);
            let totals = topic(&broker, "totals", partitions);
            write_values(&broker, &input, purchases().lines().map(str::as_bytes));
            let application = unique("totals");
            let renames = [format!("demo.purchases={input}"), format!("demo.running.totals={totals}")];
            let arguments: Vec<&str> = ["run", "running-totals", "--until-end", "--application-id", &application]
                .into_iter()
                .chain(["--bootstrap-servers", real.bootstrap, "--topic", &renames[0], "--topic", &renames[1]])
                .collect();
            let mut running: Vec<Process> =
                (0..processes).map(|number| Process::start(&format!("process {number}"), &arguments)).collect();
            for process in &mut running {
                process.succeeds(Duration::from_mins(1));
            }
            let updates = sums::committed(&broker, &totals);
            println!("{partitions} partitions, {processes} processes: {} updates", updates.len());
            assert_eq!(sums::newest(&updates), expected(), "{partitions} partitions, {processes} processes");
            if (partitions, processes) == (4, 3) {
                assert_eq!(read_by_kafkas_own_consumer(&real, &totals), expected());
            }
        }
    }
}

/// The directory with Kafka's jars, which the broker has been started from.
pub fn jars() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target")).join("kafka/libs")
}

/// Runs one of Kafka's own tools and gives the lines that it prints.
pub fn kafka_tool(class: &str, arguments: &[&str]) -> Vec<String> {
    let mut tool = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-cp", &format!("{}/*", jars().display()), class])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("java starts");
    let lines = BufReader::new(tool.stdout.take().expect("piped")).lines().map(|line| line.expect("text")).collect();
    assert!(tool.wait().expect("a child").success(), "{class} failed: {lines:?}");
    lines
}

/// The newest totals as a committed reader of Kafka's own sees them.
fn read_by_kafkas_own_consumer(real: &RealBroker, topic: &str) -> Sums {
    let options = ["--from-beginning", "--isolation-level", "read_committed", "--timeout-ms", "4000"];
    let mut arguments = vec!["--bootstrap-server", real.bootstrap, "--topic", topic];
    arguments.extend(options);
    let lines = kafka_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments);
    let totals: Vec<_> = lines.iter().filter(|line| line.starts_with('{')).collect();
    println!("Kafka's own consumer read {} updates", totals.len());
    totals.into_iter().map(|line| sums::of_total(line.as_bytes())).collect()
}
