//! Clicks by referrer, from end to end: as a script sees them, and beside a generator on a real broker.
#![cfg(feature = "cli")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use millstream::broker::{Batch, Broker, NewTopic, Reader};
use millstream::{Clock, SystemClock};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::broker::{RealBroker, from_start, topic, unique};
use crate::process::{Process, output, within};
use crate::sums;

const CLICKS: &str = concat!(
    r#"{"value":{"resource":"/index.html","referrer":"http://www.amazon.com"},"timestamp":1700000000100}"#,
    "\n",
    r#"{"value":{"resource":"/index.html","referrer":"https://www.google.co.uk/search"},"timestamp":1700000000900}"#,
    "\n",
    r#"{"value":{"resource":"/cart","referrer":"http://www.google.com"},"timestamp":1700000001500}"#,
    "\n",
    r#"{"value":{"resource":"/cart","referrer":null,"user":7},"timestamp":1700000001400}"#,
    "\n"
);

/// What `local` prints of [`CLICKS`] with windows of two seconds, topic, key and time taken off.
const REFERRERS: [&str; 13] = [
    r#"{"name":"amazon","time":1700000001,"count":1}"#,
    r#"{"name":"google","time":1700000001,"count":1}"#,
    r#"{"name":"amazon","time":1700000002,"count":1}"#,
    r#"{"name":"direct","time":1700000002,"count":1}"#,
    r#"{"name":"google","time":1700000002,"count":2}"#,
    r#"{"name":"amazon","time":1700000003,"count":0}"#,
    r#"{"name":"direct","time":1700000003,"count":1}"#,
    r#"{"name":"google","time":1700000003,"count":1}"#,
    r#"{"name":"amazon","time":1700000004,"count":0}"#,
    r#"{"name":"direct","time":1700000004,"count":0}"#,
    r#"{"name":"google","time":1700000004,"count":0}"#,
    r#"{"name":"direct","time":1700000005,"count":0}"#,
    r#"{"name":"google","time":1700000005,"count":0}"#,
];

const RANKINGS: [&str; 6] = [
    r#"{"resource":"/index.html","time":1700000001,"host":"clickstream-referrers","referrers":[{"referrer":"amazon","count":1},{"referrer":"google","count":1}]}"#,
    r#"{"resource":"/cart","time":1700000002,"host":"clickstream-referrers","referrers":[{"referrer":"direct","count":1},{"referrer":"google","count":1}]}"#,
    r#"{"resource":"/index.html","time":1700000002,"host":"clickstream-referrers","referrers":[{"referrer":"amazon","count":1},{"referrer":"google","count":1}]}"#,
    r#"{"resource":"/cart","time":1700000003,"host":"clickstream-referrers","referrers":[{"referrer":"direct","count":1},{"referrer":"google","count":1}]}"#,
    r#"{"resource":"/index.html","time":1700000003,"host":"clickstream-referrers","referrers":[]}"#,
    r#"{"resource":"/cart","time":1700000004,"host":"clickstream-referrers","referrers":[]}"#,
];

#[test]
fn local_tells_the_same_of_a_file_every_time() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(CLICKS.as_bytes()).expect("written");
    let input = format!("demo.clickstream={}", file.path().display());
    let arguments = ["local", "clickstream-referrers", "--input", &input, "--records", "--every-update"];
    for (topic, expected) in [("demo.referrers", &REFERRERS[..]), ("demo.referrers.top", &RANKINGS)] {
        let settings = ["--set", "window=2s", "--set", "clickstream-referrers.silent-for=4s", "--output", topic];
        let run = output(&[&arguments[..], &settings].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let text = String::from_utf8(run.stdout).expect("text");
        let value = |line: &str| {
            let (_, value) = line.split_once(r#""value":"#).expect("a value");
            value.split_once(r#","timestamp""#).expect("a timestamp").0.to_owned()
        };
        assert_eq!(text.lines().map(value).collect::<Vec<_>>(), expected, "{topic}");
    }
}

#[test]
fn settings_are_listed_and_wrong_ones_are_named() {
    let listed = String::from_utf8(output(&["topologies"]).stdout).expect("text");
    assert!(listed.contains("--set window=10s") && listed.contains("--set silent-for=10m"), "{listed}");
    let failed = |arguments: &[&str]| {
        let run = output(arguments);
        (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let (code, error) = failed(&["describe", "clickstream-referrers", "--set", "winow=2s"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("did you mean window?"), "{error}");
    let both = ["run", "clickstream-referrers", "running-totals", "--set"];
    let (code, error) = failed(&[&both[..], &["running-totals.window=2s"]].concat());
    assert_eq!(code, Some(2));
    assert!(error.contains("running-totals has no settings"), "{error}");
    let (code, error) = failed(&["describe", "clickstream-referrers", "--set", "window=1500ms"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("a window of 1.5s is not possible"), "{error}");
}

const RATE: usize = 10_000;
const WINDOW: i64 = 3;
const SILENT: i64 = 5;

#[test]
fn ten_thousand_clicks_a_second_are_counted_by_the_second_and_silence_is_told() {
    let Some(real) = RealBroker::alone() else { return };
    let broker = real.connect();
    let input = NewTopic { name: "demo.clickstream".into(), partitions: 4, settings: BTreeMap::new() };
    broker.create_topics(&[input]).expect("created");
    let counts = topic(&broker, "referrers", 4);
    let seconds: usize = std::env::var("CLICK_SECONDS").map_or(6, |text| text.parse().expect("a number of seconds"));
    let count = RATE * seconds;
    // The generator first: what it makes before it has a connection would be late in a run that follows the clock by then.
    let texts = [RATE.to_string(), count.to_string()];
    let mut generate = vec!["generate", "clickstream", "--bootstrap-servers", real.bootstrap];
    generate.extend(["--rate", &texts[0], "--count", &texts[1]]);
    let mut generator = Process::start("generator", &generate);
    let (application, rename) = (unique("clicks"), format!("demo.referrers={counts}"));
    let top = format!("demo.referrers.top={}", topic(&broker, "top", 4));
    let mut arguments = vec!["run", "clickstream-referrers", "--bootstrap-servers", real.bootstrap, "--threads", "2"];
    arguments.extend(["--application-id", &application, "--topic", &rename, "--topic", &top, "--http", "127.0.0.1:0"]);
    arguments.extend(["--set", "window=3s", "--set", "silent-for=5s"]);
    let mut process = Process::start("referrers", &arguments);

    let clock = SystemClock::new();
    let mut clicks: Topic<Click> = Topic::new(&broker, "demo.clickstream");
    let mut told: Topic<Count> = Topic::new(&broker, &counts);
    // What it takes is measured from the first count on that is less than two seconds old, until the generator ends.
    let (mut caught_up, mut done) = (None, None);
    within(Duration::from_mins(3), "the counts of all clicks, and of the silence after them", || {
        told.read(clock.elapsed());
        clicks.read(clock.elapsed());
        let now = (clock.elapsed(), process.cpu());
        if told.newest > 0 && told.newest >= clicks.newest - 2 {
            caught_up.get_or_insert(now);
        }
        if done.is_none() && generator.ended() {
            done = Some(now);
        }
        (done.is_some() && clicks.records.len() == count && silence_is_told(&clicks.records, &told.records))
            .then_some(())
    });
    generator.succeeds(Duration::from_secs(1));
    report_cost(caught_up.zip(done), &clicks.records, &told.records);
    let found: BTreeMap<(String, i64), u64> = told.records.iter().map(Count::of).collect();
    assert_eq!(found.len(), told.records.len(), "something was told twice");
    let late = process.metric("millstream_records_dropped_total", &[]);
    println!("{} clicks; {late} windows missed", clicks.records.len());
    if late == 0 {
        assert_eq!(found, expected(&clicks.records));
    } else {
        // A generator that stood still for longer than the clock waits: each click is in three windows but for what has
        // been counted as missed, by either of the two counters.
        let (counted, all) = (found.values().sum::<u64>(), 3 * clicks.records.len() as u64);
        assert!(counted <= all && counted + late >= all, "{counted} of {all} counted, {late} missed");
    }
}

#[derive(Deserialize)]
struct Click {
    referrer: String,
}

#[derive(Deserialize)]
struct Count {
    name: String,
    time: i64,
    #[serde(rename = "count")]
    clicks: u64,
}

/// A record of a topic: when it was read, the second of its timestamp, and its value.
type Read<V> = (Duration, i64, V);

impl Count {
    fn of((_, second, count): &Read<Self>) -> ((String, i64), u64) {
        assert_eq!(*second, count.time, "the record's timestamp is the end of its window");
        ((count.name.clone(), count.time), count.clicks)
    }
}

/// A topic that is read as it is written.
struct Topic<V> {
    reader: Box<dyn Reader>,
    partitions: usize,
    batch: Batch,
    records: Vec<Read<V>>,
    /// The newest second.
    newest: i64,
}

impl<V: DeserializeOwned> Topic<V> {
    fn new(broker: &dyn Broker, name: &str) -> Self {
        let partitions = sums::partitions(broker, name);
        let reader = broker.reader(&from_start(&partitions)).expect("a reader");
        Self { reader, partitions: partitions.len(), batch: Batch::default(), records: Vec::new(), newest: 0 }
    }

    fn read(&mut self, now: Duration) {
        self.batch.clear();
        for partition in 0..self.partitions {
            self.reader.fetch(partition, 10_000, &mut self.batch).expect("readable");
        }
        for record in self.batch.iter() {
            let value = serde_json::from_slice(record.value.expect("a value")).expect("JSON");
            let second = record.timestamp.expect("a timestamp").millis().div_euclid(1_000);
            self.newest = second.max(self.newest);
            self.records.push((now, second, value));
        }
    }
}

/// True once each referrer has been told for the last time.
fn silence_is_told(clicks: &[Read<Click>], told: &[Read<Count>]) -> bool {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for (_, second, click) in clicks {
        let newest = last.entry(name(&click.referrer)).or_insert(*second);
        *newest = (*newest).max(*second);
    }
    let told: BTreeSet<(&str, i64)> = told.iter().map(|(_, second, count)| (count.name.as_str(), *second)).collect();
    last.into_iter().all(|(name, second)| told.contains(&(name, second + SILENT)))
}

fn name(address: &str) -> &str {
    address.trim_start_matches("http://www.").trim_end_matches(".com")
}

/// The counts of every second, click by click.
fn expected(clicks: &[Read<Click>]) -> BTreeMap<(String, i64), u64> {
    let mut by_second: BTreeMap<(&str, i64), u64> = BTreeMap::new();
    for (_, second, click) in clicks {
        *by_second.entry((&click.referrer, *second)).or_default() += 1;
    }
    let mut counts = BTreeMap::new();
    for ((address, second), clicks) in by_second {
        let name = name(address).to_owned();
        for after in 1..=SILENT {
            *counts.entry((name.clone(), second + after)).or_insert(0) += if after <= WINDOW { clicks } else { 0 };
        }
    }
    counts
}

/// The CPU that was used from one time to another, and how long after the last click of a second could be read its counts
/// could, of the seconds that were told meanwhile.
fn report_cost(
    times: Option<((Duration, Duration), (Duration, Duration))>,
    clicks: &[Read<Click>],
    told: &[Read<Count>],
) {
    let Some(((from, cpu_before), (to, cpu))) = times.filter(|((from, _), (to, _))| from < to) else {
        return println!("nothing is measured: it had not caught up before the generator ended");
    };
    let (took, cpu) = (to.saturating_sub(from), cpu.saturating_sub(cpu_before));
    println!(
        "{:.1} % of a core at {RATE} clicks a second, over {took:?}",
        100.0 * cpu.as_secs_f64() / took.as_secs_f64()
    );
    let mut written: BTreeMap<i64, Duration> = BTreeMap::new();
    for (at, second, _) in clicks {
        let last = written.entry(second + 1).or_default();
        *last = (*at).max(*last);
    }
    let during = told.iter().filter(|(at, ..)| (from..to).contains(at));
    let mut latencies: Vec<Duration> =
        during.filter_map(|(at, second, _)| Some(at.saturating_sub(*written.get(second)?))).collect();
    latencies.sort_unstable();
    let of = |share: usize| latencies.get(latencies.len().saturating_sub(1) * share / 100);
    println!("from the last click of a second to its count, with 200 ms of disorder: {:?}", [50, 95, 100].map(of));
}
