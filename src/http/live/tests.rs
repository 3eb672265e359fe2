//! What the page is shown, over real sockets, of applications on the broker in this process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::broker::memory::{Call, Fault, Operation};
use crate::http::state::tests::{Process, new_broker, request, start, topics, two, until, write, write_words};
use crate::{AppState, Broker as _, MemoryBroker, SystemClock};

const PATIENCE: Duration = Duration::from_secs(30);

/// A stream of events.
pub(super) struct Events(BufReader<TcpStream>);

impl Events {
    pub(super) fn open(addr: SocketAddr, path: &str, header: &str) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n").unwrap();
        let mut events = Self(BufReader::new(stream));
        let head = events.line();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        events
    }

    /// The next line; empty at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// The next event: its name and its data. Sizes of chunks and headers are passed over.
    pub(super) fn next(&mut self) -> Option<(String, Value)> {
        let mut name = None;
        loop {
            let line = self.line();
            if line.is_empty() {
                return None;
            }
            if let Some(event) = line.strip_prefix("event: ") {
                name = Some(event.trim().to_owned());
            }
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let mut data = data.trim_end().to_owned();
            // An event is sent in two pieces, with the chunk's bounds between them.
            while serde_json::from_str::<Value>(&data).is_err() {
                let more = self.line();
                assert!(!more.is_empty(), "an event ends early: {data}");
                let more = more.trim_end();
                if !more.is_empty() && !more.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    data.push_str(more);
                }
            }
            return Some((name.unwrap_or_default(), serde_json::from_str(&data).unwrap()));
        }
    }

    /// The next event of this name for which `found` gives something.
    fn until<T>(&mut self, name: &str, mut found: impl FnMut(&Value) -> Option<T>) -> T {
        for _ in 0..200 {
            let (event, data) = self.next().expect("the stream goes on");
            if event == name
                && let Some(found) = found(&data)
            {
                return found;
            }
        }
        panic!("no {name} was as it should be");
    }
}

fn records(data: &Value) -> Vec<(Value, Value)> {
    data["records"].as_array().unwrap().iter().map(|record| (record["k"].clone(), record["v"].clone())).collect()
}

fn post(process: &Process, path: &str, header: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(process.http.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\nx-millstream: 1\r\n{header}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn running(process: &Process) {
    until("it to run", || match process.running.status().state {
        AppState::Running => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn the_topics_that_can_be_watched_are_listed_with_their_types() {
    let broker = new_broker();
    let one = start(&broker, "one", None, true);
    let (code, _, listed) = request(one.http.addr(), "/live/topics", "");
    assert_eq!(code, 200);
    let find = |topic: &str| listed.as_array().unwrap().iter().find(|row| row["topic"] == topic).unwrap().clone();
    let counted = json!({"topology": "words", "topic": "counted", "role": "output", "key": "String", "value": "u64",
                         "windowed": false, "updates": true});
    assert_eq!(find("counted"), counted);
    assert_eq!((&find("words")["role"], &find("words")["updates"]), (&json!("source"), &json!(false)));
    assert_eq!(find("dead")["role"], "dead_letter");
}

#[test]
fn a_topic_is_watched_from_a_snapshot_on_and_each_record_is_shown_by_its_codecs() {
    let broker = new_broker();
    let one = start(&broker, "one", None, true);
    write(&broker, "newest", &[(0, "a", b"1", 1), (0, "b", b"2", 2), (0, "a", b"3", 3)]);
    let mut events = Events::open(one.http.addr(), "/live/events/topic/newest", "");
    let (name, first) = events.next().unwrap();
    assert_eq!(name, "records");
    assert_eq!((&first["snapshot"], &first["skipped"]), (&json!(true), &json!(0)));
    assert_eq!(records(&first), [(json!("a"), json!(3)), (json!("b"), json!(2))]);
    let record = &first["records"][0];
    assert_eq!(
        (&record["p"], &record["o"], &record["t"], &record["h"]),
        (&json!(0), &json!(2), &json!(3_000), &json!({}))
    );
    let mut again = Events::open(one.http.addr(), "/live/events/topic/newest", "");
    assert_eq!(again.next().unwrap().1["records"], first["records"], "both read from one tap");
    write(&broker, "newest", &[(1, "c", b"4", 4), (1, "c", b"5", 5)]);
    for stream in [&mut events, &mut again] {
        let (_, news) = stream.next().unwrap();
        assert_eq!(news["snapshot"], false);
        // Both at once, or one after the other where a tick came between them.
        let last = if records(&news) == [(json!("c"), json!(4))] { stream.next().unwrap().1 } else { news };
        assert_eq!(records(&last), [(json!("c"), json!(5))]);
    }
}

#[test]
fn outputs_are_seen_as_they_are_committed_and_dead_letters_with_their_reasons() {
    let broker = new_broker();
    let one = start(&broker, "one", None, true);
    running(&one);
    let mut counted = Events::open(one.http.addr(), "/live/events/topic/counted", "");
    let mut dead = Events::open(one.http.addr(), "/live/events/topic/dead", "");
    assert_eq!(counted.next().unwrap().1, json!({"snapshot": true, "skipped": 0, "records": []}));
    write_words(&broker, &[("tea", 1), ("tea", 2), ("wine", 3)]);
    let wanted = (json!("tea"), json!(2));
    counted.until("records", |data| records(data).contains(&wanted).then_some(()));
    write(&broker, "sums", &[(2, "k", b"seven", 1)]);
    let letter = dead.until("records", |data| data["records"].as_array().unwrap().first().cloned());
    assert_eq!((&letter["k"], &letter["v"]), (&json!("k"), &json!("seven")));
    assert_eq!(letter["h"]["millstream.error.reason"], "unreadable");
    assert_eq!(letter["h"]["millstream.error.partition"], "2");
    let refused = until("the refused record", || {
        let (_, _, refused) = request(one.http.addr(), "/live/refused", "");
        refused.as_array().and_then(|list| list.first()).cloned().ok_or_else(|| refused.to_string())
    });
    assert_eq!((&refused["topic"], &refused["partition"]), (&json!("sums"), &json!(2)), "{refused}");
    assert_eq!((&refused["topology"], &refused["offset"]), (&json!("words"), &json!(0)), "{refused}");
}

#[test]
fn a_topic_that_is_not_there_any_more_is_a_problem_that_is_told_once_and_passes() {
    let broker = new_broker();
    let one = start(&broker, "one", None, true);
    running(&one);
    write(&broker, "newest", &[(0, "a", b"1", 1)]);
    let mut events = Events::open(one.http.addr(), "/live/events/topic/newest", "");
    events.until("records", |data| (data["snapshot"] == true).then_some(()));
    broker.delete_topics(&["newest"]).unwrap();
    let why = events.until("problem", |data| data["error"].as_str().map(str::to_owned));
    assert!(why.contains("newest"), "{why}");
}

#[test]
fn the_status_is_that_of_all_processes_each_second() {
    let broker = new_broker();
    let [one, two] = two(&broker, Some("s3cret"));
    let header = "Authorization: Bearer s3cret\r\n";
    for process in [&one, &two] {
        let mut events = Events::open(process.http.addr(), "/live/events", header);
        let (name, history) = events.next().unwrap();
        assert_eq!((name.as_str(), &history["step_ms"]), ("history", &json!(5_000)));
        let status = events.until("status", |status| {
            let topology = &status["topologies"][0];
            (topology["tasks"].as_array()?.len() == 20).then(|| topology.clone())
        });
        let processes = status["processes"].as_array().unwrap();
        assert_eq!(processes.len(), 2, "{processes:?}");
        assert_eq!(processes.iter().filter(|process| process["here"] == true).count(), 1);
        assert!(processes.iter().all(|process| process["error"].is_null()), "{processes:?}");
    }
    let (code, _, status) = request(one.http.addr(), "/live/status", header);
    assert_eq!((code, status["topologies"][0]["tasks"].as_array().map(Vec::len)), (200, Some(20)));
    assert!(!status.to_string().contains("s3cret"));
}

#[test]
fn a_process_that_does_not_answer_is_a_row_with_its_error_and_holds_nobody_up() {
    let broker = new_broker();
    // It takes connections and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let one = start(&broker, "one", None, true);
    let mut config = crate::Config::new("test");
    config.instance = Some("two".to_owned());
    config.leave_on_stop = true;
    config.advertise = Some(address.clone());
    let topology = crate::http::state::tests::topology();
    let _two = crate::App::new(topology, std::sync::Arc::new(broker.process("two")), config).start().unwrap();
    until("both to have their share", || match one.running.status().tasks.len() {
        10 => Ok(()),
        other => Err(format!("{other} tasks")),
    });
    let clock = crate::SystemClock::new();
    let mut events = Events::open(one.http.addr(), "/live/events", "");
    let mut first = None;
    let row = events.until("status", |status| {
        first.get_or_insert(crate::Clock::elapsed(&clock));
        let processes = status["topologies"][0]["processes"].as_array()?;
        processes.iter().find(|process| process["address"] == *address).cloned()
    });
    assert!(row["error"].as_str().unwrap().contains("has not answered"), "{row}");
    assert!(first.unwrap() < Duration::from_secs(3), "the others were held up for {first:?}");
}

#[test]
fn a_pause_reaches_all_processes_and_so_does_the_resume() {
    let broker = new_broker();
    let both = two(&broker, Some("s3cret"));
    let header = "Authorization: Bearer s3cret\r\n";
    let all = |state: AppState| {
        until("all to be told", || {
            let states = both.each_ref().map(|process| process.running.status().state);
            if states == [state; 2] { Ok(()) } else { Err(format!("{states:?}")) }
        });
    };
    for (path, state) in [("/live/pause", AppState::Paused), ("/live/resume", AppState::Running)] {
        let (code, told) = post(&both[0], path, header, r#"{"topology":"words"}"#);
        assert_eq!(code, 200);
        let processes = told["processes"].as_array().unwrap();
        assert_eq!(processes.len(), 2, "{told}");
        assert!(processes.iter().all(|process| process["error"].is_null()), "{told}");
        all(state);
    }
    assert_eq!(post(&both[0], "/live/pause", header, r#"{"topology":"other"}"#).0, 404);
    assert_eq!(post(&both[0], "/live/pause", header, "words").0, 400);
    assert_eq!(post(&both[0], "/live/pause", "", r#"{"topology":"words"}"#).0, 401);
}

/// Holds up whoever asks for a group's members.
#[derive(Default)]
struct Coordinator {
    away: Mutex<bool>,
    back: Condvar,
}

impl Coordinator {
    fn set(&self, away: bool) {
        *self.away.lock().unwrap() = away;
        self.back.notify_all();
    }

    fn pass(&self, operation: Operation) {
        let away = self.away.lock().unwrap();
        if operation == Operation::GroupMembers {
            drop(self.back.wait_while(away, |away| *away).unwrap());
        }
    }
}

#[test]
fn while_the_coordinator_is_away_the_processes_that_are_known_are_asked_and_nothing_else_waits() {
    let coordinator = Arc::new(Coordinator::default());
    let passing = Arc::clone(&coordinator);
    let faults = move |call: &Call<'_>| {
        passing.pass(call.operation);
        Fault::None
    };
    let broker = MemoryBroker::with_faults(Arc::new(SystemClock::new()), Box::new(faults));
    topics(&broker);
    let both = two(&broker, None);
    let one = &both[0];
    let mut events = Events::open(one.http.addr(), "/live/events", "");
    let seen = |status: &Value| {
        let processes = status["topologies"][0]["processes"].as_array()?;
        (processes.len() == 2 && processes.iter().all(|process| process["error"].is_null())).then_some(())
    };
    events.until("status", seen);
    coordinator.set(true);
    // Longer than an answer of the coordinator counts, and than an answer of the other process.
    for _ in 0..8 {
        let (_, status) = events.next().expect("the stream goes on");
        assert!(seen(&status).is_some(), "{status}");
    }
    let (code, told) = post(one, "/live/pause", "", r#"{"topology":"words"}"#);
    assert_eq!((code, told["processes"].as_array().map(Vec::len)), (200, Some(2)), "{told}");
    let path = "/state/words/counts?scope=local&limit=1";
    assert_eq!(request(one.http.addr(), path, "").0, 200);
    coordinator.set(false);
}

#[test]
fn the_stop_ends_all_streams() {
    let broker = new_broker();
    let one = start(&broker, "one", None, true);
    let mut streams = ["/live/events", "/live/events/topic/newest"].map(|path| Events::open(one.http.addr(), path, ""));
    for stream in &mut streams {
        assert!(stream.next().is_some());
    }
    let Process { http, running, .. } = one;
    drop(http);
    for stream in &mut streams {
        while stream.next().is_some() {}
    }
    drop(running);
}
