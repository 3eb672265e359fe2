//! Queries over real sockets, of applications on the broker in this process.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::MOST_ROWS;
use crate::broker::memory::{Call, Fault, Operation};
use crate::broker::{NewTopic, Outgoing, OutgoingRecord, Partitioning};
use crate::http::{Bound, HttpServer, Sources, Token};
use crate::metrics::Metrics;
use crate::operators::source::BadInput;
use crate::record::{Headers, InputNumber};
use crate::watch::Observer;
use crate::window::{SessionWindows, TumblingWindows};
use crate::{
    App, AppState, Broker, Builder, Clock, Config, MemoryBroker, NoKey, Running, SystemClock, Timestamp, Topic,
};

const WORDS: Topic<NoKey, String> = Topic::new("words");
const SUMS: Topic<String, u64> = Topic::new("sums");
const COUNTED: Topic<String, u64> = Topic::new("counted");
const NEWEST: Topic<String, u64> = Topic::new("newest");
const PARTITIONS: u32 = 4;
const MINUTE: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// Words, counted: behind a shuffle, in windows and in sessions; and numbers by a key that the topic has already.
pub(in crate::http) fn topology() -> crate::Topology {
    let b = Builder::new("words");
    let words = b.source(WORDS).stream().rekey(|_, word| word.clone()).group_by_key().named("by-word");
    words.count().named("counts").to(COUNTED);
    let _ = words.windowed(TumblingWindows::of(MINUTE)).count().named("windows");
    let _ = words.windowed(SessionWindows::of(MINUTE)).count().named("sessions");
    let sums = b.source(SUMS).on_bad_input(BadInput::dead_letter("dead"));
    let _ = sums.stream().group_by_key().reduce(|sum, more| *sum += more).named("totals");
    let newest = b.table(NEWEST).named("newest");
    let _ = newest.group_by(|_, value| value % 2).named("by-parity").count().named("parities");
    b.build().unwrap()
}

/// A process: an application that is asked over HTTP.
pub(in crate::http) struct Process {
    pub(in crate::http) running: Running,
    pub(in crate::http) http: HttpServer,
    pub(in crate::http) metrics: Metrics,
}

pub(in crate::http) fn start(broker: &MemoryBroker, name: &str, token: Option<&str>, advertised: bool) -> Process {
    let token = token.map(|token| Token::new(token).unwrap());
    let bound = Bound::at(([127, 0, 0, 1], 0).into(), token.as_ref()).unwrap();
    let mut config = Config::new("test");
    config.instance = Some(name.to_owned());
    config.leave_on_stop = true;
    config.advertise = advertised.then(|| bound.addr().to_string());
    let address = config.advertise.clone();
    let metrics = Metrics::new();
    let app = App::new(topology(), Arc::new(broker.process(name)), config).metrics(&metrics);
    let running = app.start().unwrap();
    let sources = Sources { token, advertised: address, ..sources(&running, &metrics) };
    Process { running, http: bound.serve(sources).unwrap(), metrics }
}

pub(in crate::http) fn sources(running: &Running, metrics: &Metrics) -> Sources {
    let (metrics, watches) = (metrics.clone(), vec![("words".to_owned(), running.watch())]);
    let observer = Observer::start(watches.clone(), &metrics, None);
    let topologies = Arc::new(|_| String::new());
    let (status, queries, topics) = (Arc::new(Vec::new), vec![running.queries()], vec![running.topics()]);
    Sources { metrics, status, topologies, queries, watches, observer, topics, advertised: None, token: None }
}

pub(in crate::http) fn topics(broker: &MemoryBroker) {
    let topic = |name: &str| NewTopic { name: name.to_owned(), partitions: PARTITIONS, settings: [].into() };
    broker.create_topics(&[topic("words"), topic("sums"), topic("newest")]).unwrap();
}

pub(in crate::http) fn new_broker() -> MemoryBroker {
    let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
    topics(&broker);
    broker
}

/// Writes records: partition, key, value, time in seconds.
pub(in crate::http) fn write(broker: &MemoryBroker, topic: &str, records: &[(u32, &str, &[u8], i64)]) {
    let mut out = Outgoing::default();
    let topic = out.topic(topic);
    for (partition, key, value, time) in records {
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(*partition),
            key: Some(key.as_bytes()),
            value: Some(value),
            timestamp: Timestamp::from_millis(time * 1_000),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    }
    let mut writer = broker.writer().unwrap();
    writer.send(&out).unwrap();
    writer.flush().unwrap();
}

pub(in crate::http) fn write_words(broker: &MemoryBroker, words: &[(&str, i64)]) {
    let records =
        words.iter().enumerate().map(|(n, (word, time))| (u32::try_from(n).unwrap() % 4, "", word.as_bytes(), *time));
    write(broker, "words", &records.collect::<Vec<_>>());
}

/// The status code, the head of the answer, and its body.
pub(in crate::http) fn request(addr: SocketAddr, path: &str, header: &str) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn get(process: &Process, path: &str) -> (u16, Value) {
    let (code, _, body) = request(process.http.addr(), path, "");
    (code, body)
}

/// Asks until the answer is as it should be.
pub(in crate::http) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let clock = SystemClock::new();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(other) => assert!(clock.elapsed() < PATIENCE, "waited in vain for {what}: {other}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn until_value(process: &Process, path: &str, expected: &Value) -> Value {
    until(path, || match get(process, path) {
        (200, body) if body["value"] == *expected => Ok(body),
        other => Err(format!("{other:?}")),
    })
}

fn names() -> Vec<String> {
    (0..40).map(|n| format!("word {n:02}")).collect()
}

/// Two processes, and 40 words that were read once each.
pub(in crate::http) fn two(broker: &MemoryBroker, token: Option<&str>) -> [Process; 2] {
    let both = ["one", "two"].map(|name| start(broker, name, token, true));
    for process in &both {
        until("its share", || {
            let tasks = process.running.status().tasks.len();
            let ready = process.running.status().state == AppState::Running && tasks == 10;
            if ready { Ok(()) } else { Err(format!("{tasks} tasks")) }
        });
    }
    let names = names();
    write_words(broker, &names.iter().map(|name| (name.as_str(), 30)).collect::<Vec<_>>());
    both
}

#[test]
fn every_key_is_answered_by_every_process_and_always_the_same() {
    let broker = new_broker();
    let [one, two] = two(&broker, None);
    for name in names() {
        let path = format!("/state/words/counts/{}", name.replace(' ', "%20"));
        let here = until_value(&one, &path, &json!(1));
        assert_eq!(here, until_value(&two, &path, &json!(1)));
        assert_eq!(here["key"], json!(name));
        assert_eq!(here["timestamp"], json!(30_000));
        assert!(here["commit"].as_u64().unwrap() > 0, "{here}");
    }
    let (code, listed) = get(&one, "/state");
    assert_eq!(code, 200);
    let stores = listed["topologies"][0]["stores"].as_array().unwrap();
    let counts = stores.iter().find(|store| store["store"] == "counts").unwrap();
    assert_eq!((&counts["key"], &counts["value"]), (&json!("String"), &json!("u64")));
    assert_eq!(
        counts["here"].as_array().unwrap().len(),
        2,
        "half of the keys were asked of the other process: {counts}"
    );
}

#[test]
fn a_range_has_the_rows_of_all_processes_in_order_and_goes_on_where_it_was_cut() {
    let broker = new_broker();
    let [one, two] = two(&broker, None);
    for name in names() {
        until_value(&one, &format!("/state/words/counts/{}", name.replace(' ', "%20")), &json!(1));
    }
    let keys = |body: &Value| -> Vec<String> {
        body["rows"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
    };
    for process in [&one, &two] {
        let (mut all, mut path) = (Vec::new(), "/state/words/counts?limit=7".to_owned());
        loop {
            let (code, body) = get(process, &path);
            assert_eq!(code, 200, "{body}");
            assert_eq!(body["commits"].as_array().unwrap().len(), 4, "{body}");
            all.extend(keys(&body));
            let Some(next) = body["next"].as_str() else { break };
            assert_eq!(body["cut"], "rows");
            path = format!("/state/words/counts?limit=7&cursor={next}");
        }
        assert_eq!(all, names());
        let (_, body) = get(process, "/state/words/counts?from=word%2010&to=word%2012");
        assert_eq!(keys(&body), names()[10..13]);
        assert_eq!((&body["next"], &body["cut"]), (&Value::Null, &Value::Null));
    }
    let local: Vec<usize> =
        [&one, &two].map(|process| keys(&get(process, "/state/words/counts?scope=local").1).len()).into();
    assert_eq!(local.iter().sum::<usize>(), 40);
    assert!(local.iter().all(|rows| *rows > 0), "{local:?}");
}

#[test]
fn windows_are_asked_for_by_key_and_time() {
    let broker = new_broker();
    let process = start(&broker, "one", None, true);
    write_words(&broker, &[("a", 10), ("a", 20), ("b", 30), ("a", 70), ("a", 500)]);
    let windows = |path: &str| -> Vec<[i64; 3]> {
        let (_, body) = get(&process, path);
        let windows = body["windows"].as_array().or_else(|| body["rows"].as_array()).cloned().unwrap_or_default();
        let field = |window: &Value, name: &str| window[name].as_i64().unwrap();
        windows.iter().map(|w| [field(w, "window_start"), field(w, "window_end"), field(w, "value")]).collect()
    };
    let expect = |path: &str, expected: &[[i64; 3]]| {
        until(path, || {
            let found = windows(path);
            if found == expected { Ok(()) } else { Err(format!("{found:?} {:?}", get(&process, path))) }
        });
    };
    expect("/state/words/windows/a", &[[0, 60_000, 2], [60_000, 120_000, 1], [480_000, 540_000, 1]]);
    expect("/state/words/windows/a?from=60000&to=60000", &[[60_000, 120_000, 1]]);
    expect("/state/words/windows/a?from=1970-01-01T00:01:00Z", &[[60_000, 120_000, 1], [480_000, 540_000, 1]]);
    expect("/state/words/windows?to=0", &[[0, 60_000, 2], [0, 60_000, 1]]);
    expect("/state/words/sessions/b", &[[30_000, 30_000, 1]]);
    assert_eq!(get(&process, "/state/words/windows/a?from=1000&to=2000").0, 404);
    assert_eq!(get(&process, "/state/words/windows/a?from=noon").0, 400);
    assert_eq!(get(&process, "/state/words/counts/a?from=1").0, 400);
}

#[test]
fn a_key_in_an_unusual_partition_of_a_users_topic_is_found_all_the_same() {
    let broker = new_broker();
    let [one, two] = two(&broker, None);
    for partition in 0..PARTITIONS {
        write(&broker, "sums", &[(partition, &format!("in {partition}"), &7_u64.to_be_bytes(), 1)]);
    }
    for process in [&one, &two] {
        for partition in 0..PARTITIONS {
            let found = until_value(process, &format!("/state/words/totals/in%20{partition}"), &json!(7));
            assert_eq!(found["partition"], json!(partition));
        }
        assert_eq!(get(process, "/state/words/totals/nowhere").0, 404);
    }
}

#[test]
fn a_table_of_a_topic_is_asked_like_any_other() {
    let broker = new_broker();
    let process = start(&broker, "one", None, true);
    write(&broker, "newest", &[(2, "a", &7_u64.to_be_bytes(), 5), (2, "a", &8_u64.to_be_bytes(), 6)]);
    let found = until_value(&process, "/state/words/newest/a", &json!(8));
    assert_eq!((&found["timestamp"], &found["partition"]), (&json!(6_000), &json!(2)));
}

#[test]
fn a_group_of_a_table_is_asked_like_any_other() {
    let broker = new_broker();
    let process = start(&broker, "one", None, true);
    let number = |key, number: u64, time| (2, key, number.to_be_bytes(), time);
    let rows = [number("a", 7, 5), number("b", 9, 6), number("c", 4, 7), number("a", 8, 8)];
    let rows: Vec<_> = rows.iter().map(|(partition, key, value, time)| (*partition, *key, &value[..], *time)).collect();
    write(&broker, "newest", &rows);
    until_value(&process, "/state/words/parities/0", &json!(2));
    until_value(&process, "/state/words/parities/1", &json!(1));
}

#[test]
fn a_wrong_question_is_told_what_is_wrong() {
    let broker = new_broker();
    let process = start(&broker, "one", None, true);
    let (code, body) = until("an answer", || match get(&process, "/state/words/counts/nothing") {
        (503, body) => Err(body.to_string()),
        answer => Ok(answer),
    });
    assert_eq!(code, 404);
    assert!(body["error"].as_str().unwrap().starts_with(r#"no row of the key "nothing" in the store counts of words"#));
    for (path, code, said) in [
        ("/state/sentences/counts/a", 404, "no topology sentences runs here"),
        ("/state/words/count/a", 404, "words has no store count"),
        ("/state/words/counts?limit=0", 400, "limit is 1 to"),
        (&format!("/state/words/counts?limit={}", MOST_ROWS + 1), 400, "limit is 1 to"),
        ("/state/words/counts?cursor=*", 400, "cursor"),
        ("/state/words/counts?form=a", 400, "unknown field"),
    ] {
        let (found, body) = get(&process, path);
        assert_eq!(found, code, "{path}: {body}");
        assert!(body["error"].as_str().unwrap_or_default().contains(said), "{path}: {body}");
    }
}

#[test]
fn a_request_from_another_process_is_never_passed_on() {
    let broker = new_broker();
    let [one, two] = two(&broker, None);
    until_value(&one, "/state/words/counts/word%2007", &json!(1));
    let asked =
        |process: &Process| request(process.http.addr(), "/state/words/counts/word%2007", "x-millstream-peer: 1\r\n").0;
    let mut codes = [asked(&one), asked(&two)];
    codes.sort_unstable();
    assert_eq!(codes, [200, 421]);
}

#[test]
fn whoever_asks_to_be_redirected_is_sent_to_the_owner() {
    let broker = new_broker();
    let [one, two] = two(&broker, None);
    let path = "/state/words/counts/word%2007?redirect=1";
    until_value(&one, "/state/words/counts/word%2007", &json!(1));
    let answers = [&one, &two].map(|process| request(process.http.addr(), path, ""));
    let (sent, other) = if answers[0].0 == 307 { (&answers[0], &two) } else { (&answers[1], &one) };
    assert_eq!(sent.0, 307, "{answers:?}");
    assert!(sent.1.contains(&format!("location: http://{}{path}", other.http.addr())), "{}", sent.1);
    assert_eq!(get(other, path).0, 200);
}

#[test]
fn the_token_goes_along_to_the_owner() {
    let broker = new_broker();
    let both = two(&broker, Some("s3cret"));
    for process in &both {
        for name in names() {
            let path = format!("/state/words/counts/{}", name.replace(' ', "%20"));
            assert_eq!(request(process.http.addr(), &path, "").0, 401);
            until(&path, || match request(process.http.addr(), &path, "Authorization: Bearer s3cret\r\n") {
                (200, ..) => Ok(()),
                other => Err(format!("{other:?}")),
            });
        }
        let range = request(process.http.addr(), "/state/words/counts", "Authorization: Bearer s3cret\r\n");
        assert_eq!(range.2["rows"].as_array().map(Vec::len), Some(40), "{range:?}");
    }
}

#[test]
fn an_owner_that_has_told_no_address_is_named_as_the_reason() {
    let broker = new_broker();
    let silent = start(&broker, "silent", None, false);
    let asked = start(&broker, "asked", None, true);
    let said = until("a partition of the silent process", || {
        let answers: Vec<_> = names()
            .iter()
            .map(|name| get(&asked, &format!("/state/words/counts/{}", name.replace(' ', "%20"))))
            .collect();
        let refused = answers.iter().find(|(code, body)| *code == 503 && body.to_string().contains("no address"));
        refused.map(|(_, body)| body.to_string()).ok_or_else(|| format!("{answers:?}"))
    });
    assert!(said.contains("--http"), "{said}");
    let (code, body) = get(&asked, "/state/words/counts");
    assert_eq!(code, 503, "a range with holes is no answer: {body}");
    drop(silent);
}

#[test]
fn the_keys_of_a_process_that_has_left_are_answered_by_the_other() {
    let broker = new_broker();
    let [one, two] = two(&broker, None);
    let paths: Vec<String> =
        names().iter().map(|name| format!("/state/words/counts/{}", name.replace(' ', "%20"))).collect();
    for path in &paths {
        until_value(&two, path, &json!(1));
    }
    one.running.stop();
    // All that may be said meanwhile is that it is not known yet.
    for path in &paths {
        until(path, || match get(&two, path) {
            (200, body) => {
                assert_eq!(body["value"], json!(1));
                Ok(())
            }
            (503, body) => Err(body.to_string()),
            other => panic!("{path}: {other:?}"),
        });
    }
    one.running.join().unwrap();
    until("all partitions", || match get(&two, "/state/words/counts?scope=local") {
        (200, body) if body["rows"].as_array().unwrap().len() == 40 => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Holds the first commit up whose transaction has sent something since a record was written.
#[derive(Default)]
struct Gate {
    stage: Mutex<Stage>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    Armed,
    Written,
    Sent,
    Held,
}

impl Gate {
    fn set(&self, stage: Stage) {
        *self.stage.lock().unwrap() = stage;
        self.changed.notify_all();
    }

    fn wait_for(&self, wanted: Stage) {
        let mut stage = self.stage.lock().unwrap();
        while *stage != wanted {
            let (next, timeout) = self.changed.wait_timeout(stage, PATIENCE).unwrap();
            assert!(!timeout.timed_out(), "waited in vain for {wanted:?}");
            stage = next;
        }
    }

    fn pass(&self, operation: Operation) {
        let stage = *self.stage.lock().unwrap();
        match (stage, operation) {
            (Stage::Armed, Operation::Write) => self.set(Stage::Written),
            (Stage::Written, Operation::Send) => self.set(Stage::Sent),
            (Stage::Sent, Operation::Commit) => {
                self.set(Stage::Held);
                self.wait_for(Stage::Open);
            }
            _ => {}
        }
    }
}

#[test]
fn what_a_commit_in_flight_brings_is_not_seen_before_it_has_ended() {
    let gate = Arc::new(Gate::default());
    let passing = Arc::clone(&gate);
    let faults = move |call: &Call<'_>| {
        passing.pass(call.operation);
        Fault::None
    };
    let broker = MemoryBroker::with_faults(Arc::new(SystemClock::new()), Box::new(faults));
    topics(&broker);
    let process = start(&broker, "one", None, true);
    write(&broker, "sums", &[(0, "a", &1_u64.to_be_bytes(), 1)]);
    let before = until_value(&process, "/state/words/totals/a", &json!(1));
    gate.set(Stage::Armed);
    write(&broker, "sums", &[(0, "a", &1_u64.to_be_bytes(), 2)]);
    gate.wait_for(Stage::Held);
    for _ in 0..20 {
        assert_eq!(get(&process, "/state/words/totals/a"), (200, before.clone()));
    }
    gate.set(Stage::Open);
    let after = until_value(&process, "/state/words/totals/a", &json!(2));
    assert!(after["commit"].as_u64() > before["commit"].as_u64(), "{before} {after}");
}

#[test]
fn a_task_that_is_being_restored_is_not_answered_for() {
    let stuck = Arc::new(AtomicBool::new(false));
    let looked = Arc::clone(&stuck);
    // The changelogs are read by no member.
    let faults = move |call: &Call<'_>| match call.operation {
        Operation::Read if looked.load(Ordering::SeqCst) => Fault::LostReply,
        _ => Fault::None,
    };
    let broker = MemoryBroker::with_faults(Arc::new(SystemClock::new()), Box::new(faults));
    topics(&broker);
    let first = start(&broker, "one", None, true);
    write_words(&broker, &[("a", 1), ("a", 2)]);
    until_value(&first, "/state/words/counts/a", &json!(2));
    first.running.stop();
    first.running.join().unwrap();
    stuck.store(true, Ordering::SeqCst);
    let second = start(&broker, "two", None, true);
    let said = until("a restore", || {
        let (code, head, body) = request(second.http.addr(), "/state/words/counts/a", "");
        assert_eq!(code, 503, "{body}");
        let restoring = body["error"].as_str().unwrap().contains("is restoring, ");
        if restoring { Ok(head) } else { Err(body.to_string()) }
    });
    assert!(said.contains("retry-after: 1"), "{said}");
    stuck.store(false, Ordering::SeqCst);
    until_value(&second, "/state/words/counts/a", &json!(2));
}
