//! Counts go to a real Redis: all of them, and through its death.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream::broker::{Broker, Outgoing, OutgoingRecord, Partitioning};
use millstream::record::InputNumber;
use millstream::{Headers, Timestamp};
use redis::Commands as _;
use serde_json::Value;

use crate::broker::{RealBroker, topic, unique};
use crate::process::{Process, output, within};
use crate::sums;

const PASSWORD: &str = "hunter2";
const LONG: Duration = Duration::from_mins(2);

/// A real Redis that a test kills and starts again where it was.
struct RealRedis {
    port: u16,
    directory: tempfile::TempDir,
    server: Option<Child>,
}

impl RealRedis {
    /// Starts one. `None`, with a word about it, on a machine without `redis-server`; in CI that is a failure instead.
    fn start() -> Option<Self> {
        if let Err(error) = Command::new("redis-server").arg("--version").output() {
            assert!(std::env::var("CI").map_or(true, |ci| ci != "true"), "no redis-server: {error}");
            eprintln!("skipped, since it needs redis-server: {error}");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let mut redis = Self { port, directory: tempfile::tempdir().expect("a directory"), server: None };
        redis.start_with("+publish");
        Some(redis)
    }

    /// Starts it at its port, with what it had. The program's user may do what `docs/redis.md` says, as far as `publish` is
    /// given; whoever looks on may do anything.
    fn start_with(&mut self, publish: &str) {
        let file = self.directory.path().join("redis.conf");
        let (port, directory) = (self.port, self.directory.path().display());
        let configuration = format!(
            "port {port}\nbind 127.0.0.1\ndir {directory}\nsave \"\"\nappendonly yes\nappendfsync always\n\
             user default on nopass ~* &* +@all\n\
             user millstream on >{PASSWORD} resetchannels &ticker ~referrers {publish} +hset +hdel +ping +select\n"
        );
        std::fs::write(&file, configuration).expect("written");
        let mut command = Command::new("redis-server");
        let child = command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.server = Some(child.expect("redis-server starts"));
        within(LONG, "Redis to answer", || self.connection());
    }

    fn url(&self) -> String {
        format!("redis://millstream:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    fn connection(&self) -> Option<redis::Connection> {
        redis::Client::open(("127.0.0.1", self.port)).expect("an address").get_connection().ok()
    }

    /// Kills it at once, as a crash does.
    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("it runs");
            server.wait().expect("a child");
        }
    }

    /// Whoever subscribes to `ticker` from now on.
    fn subscribe(&self) -> Subscriber {
        let mut connection = self.connection().expect("Redis is there");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (kept, (ready, subscribed)) = (Arc::clone(&heard), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            let mut subscription = connection.as_pubsub();
            subscription.subscribe("ticker").expect("subscribed");
            ready.send(()).expect("somebody waits");
            // Until Redis is gone.
            while let Ok(message) = subscription.get_message() {
                let text = message.get_payload().expect("a text");
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            }
        });
        subscribed.recv().expect("it has subscribed");
        Subscriber(heard)
    }
}

impl Drop for RealRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Subscriber(Arc<Mutex<Vec<String>>>);

impl Subscriber {
    fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The topology on a real broker, with topics of its own.
struct Clicks<'a> {
    broker: &'a dyn Broker,
    input: String,
    output: String,
    /// Up to which second of event time clicks were written.
    second: i64,
}

impl<'a> Clicks<'a> {
    fn new(broker: &'a dyn Broker) -> Self {
        let (input, output) = (topic(broker, "clicks", 2), topic(broker, "counts", 2));
        Self { broker, input, output, second: 1_700_000_000 }
    }

    /// The flags that every run of it has. Results depend on the clicks alone, and on no clock.
    fn arguments(&self, bootstrap: &str, application: &str, redis: &Path) -> Vec<String> {
        let renamed = |topic: &str, actual: &str| ["--topic".to_owned(), format!("{topic}={actual}")];
        let words = ["run", "clickstream-referrers", "--bootstrap-servers", bootstrap, "--application-id", application];
        let more =
            ["--http", "127.0.0.1:0", "--set", "clock-after=0s", "--redis-file", redis.to_str().expect("a text")];
        let top = unique("top");
        let topics =
            [("demo.clickstream", &self.input), ("demo.referrers", &self.output), ("demo.referrers.top", &top)];
        let topics = topics.into_iter().flat_map(|(topic, actual)| renamed(topic, actual));
        words.into_iter().chain(more).map(str::to_owned).chain(topics).collect()
    }

    /// Writes a hundred clicks for each of so many seconds of event time, from five referrers, to both partitions.
    fn write(&mut self, seconds: i64) {
        let mut out = Outgoing::default();
        let topic = out.topic(&self.input);
        for (second, number) in (self.second..self.second + seconds).flat_map(|s| (0..100).map(move |n| (s, n))) {
            let site = ["amazon", "google", "yahoo", "bing", "reddit"]
                [usize::try_from((second + number * number) % 5).unwrap()];
            let value = format!(r#"{{"resource":"/","referrer":"http://www.{site}.com"}}"#);
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::Fixed(u32::try_from(number % 2).unwrap()),
                key: Some(b"/"),
                value: Some(value.as_bytes()),
                timestamp: Timestamp::from_millis(second * 1_000 + number * 10),
                headers: &Headers::NONE,
                input: InputNumber(0),
            });
        }
        let mut writer = self.broker.writer().expect("a writer");
        writer.send(&out).expect("sent");
        writer.flush().expect("written");
        self.second += seconds;
    }

    /// The counts that a committed reader finds.
    fn told(&self) -> Vec<String> {
        let text = |record: &sums::Stored| String::from_utf8(record.value().to_vec()).expect("a text");
        sums::committed(self.broker, &self.output).iter().map(text).collect()
    }

    /// Waits until the counts of nearly all clicks are told.
    fn all_told(&self, process: &mut Process) -> Vec<String> {
        within(LONG, "the counts of the clicks", || {
            assert!(!process.ended(), "{}", process.log());
            let told = self.told();
            // The last second is still open, by the disorder that is allowed.
            told.iter().any(|count| second(count) >= self.second - 1).then_some(told)
        })
    }
}

fn second(count: &str) -> i64 {
    parsed(count)["time"].as_i64().expect("a time")
}

fn parsed(count: &str) -> Value {
    serde_json::from_str(count).expect("JSON")
}

fn sorted(mut counts: Vec<String>) -> Vec<String> {
    counts.sort_unstable();
    counts
}

/// The newest count of each referrer.
fn newest(counts: &[String]) -> BTreeMap<String, String> {
    let mut newest: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for count in counts.iter().map(|count| parsed(count)) {
        let (name, time) = (count["name"].as_str().expect("a name"), count["time"].as_i64().expect("a time"));
        let known = newest.entry(name.to_owned()).or_default();
        if time >= known.0 {
            *known = (time, count["count"].to_string());
        }
    }
    newest.into_iter().map(|(name, (_, count))| (name, count)).collect()
}

#[test]
fn every_count_reaches_a_subscriber_and_the_death_of_redis_holds_nothing_up_and_loses_nothing() {
    let Some(mut redis) = RealRedis::start() else { return };
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let mut clicks = Clicks::new(&broker);
    let secret = redis.directory.path().join("url");
    std::fs::write(&secret, redis.url()).expect("written");
    let arguments = clicks.arguments(real.bootstrap, &unique("redis"), &secret);
    let listener = redis.subscribe();
    let mut process = Process::start("referrers", &arguments.iter().map(String::as_str).collect::<Vec<_>>());

    clicks.write(40);
    clicks.all_told(&mut process);
    within(LONG, "a subscriber to hear every count", || {
        let told = clicks.told();
        (told.len() >= 5 * 38 && sorted(told) == sorted(listener.heard())).then_some(())
    });

    // In the middle: while counts are on their way.
    clicks.write(40);
    let before = listener.heard().len();
    within(LONG, "more counts to be heard", || (listener.heard().len() > before).then_some(()));
    redis.kill();
    clicks.write(40);
    let told = clicks.all_told(&mut process);
    println!("{} counts told, {} heard before Redis died", told.len(), listener.heard().len());
    let waiting = u64::try_from(told.len() - listener.heard().len()).expect("a number");
    assert!(waiting >= 5 * 38, "{waiting} wait");
    within(LONG, "the metrics to say so", || {
        let lag = process.metric("millstream_redis_lag_records", &["sink=\"ticker\""]);
        let failures = process.metric("millstream_redis_failures_total", &["kind=\"unreachable\""]);
        (lag >= waiting && failures > 1).then_some(())
    });
    assert_eq!(process.metric("millstream_redis_connections", &[]), 0);
    assert!(process.metric("millstream_redis_delivered_total", &[]) <= listener.heard().len() as u64);

    // Nobody may publish before somebody listens again.
    redis.start_with("-publish");
    within(LONG, "the refusal to be counted", || {
        (process.metric("millstream_redis_failures_total", &["kind=\"denied\""]) > 0).then_some(())
    });
    let again = redis.subscribe();
    let mut admin = redis.connection().expect("Redis is there");
    let granted: String =
        redis::cmd("ACL").arg(&["SETUSER", "millstream", "+publish"]).query(&mut admin).expect("granted");
    assert_eq!(granted, "OK");
    clicks.write(10);
    clicks.all_told(&mut process);
    within(LONG, "every count to be heard", || {
        let (before, after) = (listener.heard(), again.heard());
        let missing = clicks.told().into_iter().filter(|count| !before.contains(count) && !after.contains(count));
        (missing.count() == 0).then_some(())
    });
    within(LONG, "the end of the lag", || {
        (process.metric("millstream_redis_lag_records", &["sink=\"ticker\""]) == 0).then_some(())
    });
    let told = clicks.told();
    let told_twice = told.len() - sorted(told.clone()).chunk_by(|one, next| one == next).count();
    assert_eq!(told_twice, 0, "the topic itself holds each count once");
    assert_eq!(admin.hgetall::<_, BTreeMap<String, String>>("referrers").expect("a hash"), newest(&told));
    assert_eq!(process.metric("millstream_redis_connections", &[]), 1);
    assert!(process.metric("millstream_redis_delivered_total", &[]) >= told.len() as u64);
    assert_eq!(process.metric("millstream_redis_unheard_total", &[]), 0);
    println!("{} counts, {} heard after it was back", told.len(), again.heard().len());
    process.terminate();
    process.succeeds(LONG);
    assert!(!process.log().contains(PASSWORD), "{}", process.log());
}

#[test]
fn a_bounded_run_ends_when_its_counts_are_delivered() {
    let Some(redis) = RealRedis::start() else { return };
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let mut clicks = Clicks::new(&broker);
    clicks.write(20);
    let secret = redis.directory.path().join("url");
    std::fs::write(&secret, redis.url()).expect("written");
    let mut arguments = clicks.arguments(real.bootstrap, &unique("redis"), &secret);
    arguments.push("--until-end".to_owned());
    let listener = redis.subscribe();
    let run = output(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let told = clicks.told();
    assert!(told.len() >= 5 * 18, "{} told", told.len());
    within(LONG, "the last message", || (listener.heard().len() >= told.len()).then_some(()));
    assert_eq!(sorted(listener.heard()), sorted(told));
}

#[test]
fn the_demo_publishes_what_it_counts() {
    let Some(redis) = RealRedis::start() else { return };
    let listener = redis.subscribe();
    let url = redis.url();
    let arguments = ["demo", "clickstream-referrers", "--http", "127.0.0.1:0", "--redis", &url];
    let mut demo = Process::start("the demo", &[&arguments[..], &["--log-level", "millstream=info"]].concat());
    within(LONG, "counts to be heard", || {
        assert!(!demo.ended(), "{}", demo.log());
        (listener.heard().len() >= 10).then_some(())
    });
    assert!(listener.heard().iter().all(|count| second(count) > 0));
    demo.terminate();
    demo.succeeds(LONG);
}

#[test]
fn a_redis_without_an_output_is_a_mistake_and_its_password_is_not_shown() {
    let failed = |arguments: &[&str]| {
        let run = output(&[&["run", "--bootstrap-servers", "127.0.0.1:1"], arguments].concat());
        (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let (code, error) = failed(&["running-totals", "--redis", "redis://:hunter2@127.0.0.1:1"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("no topology that runs has an output to Redis; clickstream-referrers has one"), "{error}");
    assert!(!error.contains(PASSWORD), "{error}");
    for (url, says) in [("redis:/:hunter2@", "the Redis URL is none"), ("rediss://:hunter2@x", "asks for TLS")] {
        let (code, error) = failed(&["clickstream-referrers", "--redis", url]);
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains(says) && !error.contains(PASSWORD), "{error}");
    }
}
