//! The listener over a real socket, on a port that is free.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::*;
use crate::runtime::{AppState, TaskStatus, TaskTime};

fn sources(state: AppState) -> Sources {
    let task = TaskStatus {
        name: "0_0".into(),
        thread: 0,
        state: "restoring".into(),
        lag: None,
        processed: 0,
        time: TaskTime {
            watermark: Some(crate::Timestamp::from_millis(1_700_000_000_000)),
            held_by: Some("in-3".into()),
            held_back: Duration::from_secs(90),
        },
        restore_remaining: 7,
        ended: false,
    };
    let status =
        Status { state, threads: 1, tasks: vec![task], error: None, rebalances: 0, paused: false, reports: vec![1] };
    let metrics = Metrics::new();
    metrics.topology("totals").records_in("in").inc_by(3);
    Sources {
        metrics,
        status: Arc::new(move || vec![("totals".into(), status.clone())]),
        topologies: Arc::new(|format| format!("{format:?}")),
        queries: Vec::new(),
        token: None,
    }
}

fn start(sources: Sources) -> HttpServer {
    HttpServer::start(([127, 0, 0, 1], 0).into(), sources).unwrap()
}

/// The status code and the whole answer.
fn get(server: &HttpServer, path: &str, header: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[test]
fn metrics_come_as_text() {
    let server = start(sources(AppState::Running));
    let (code, answer) = get(&server, "/metrics", "");
    assert_eq!(code, 200);
    assert!(answer.contains("millstream_records_in_total{topic=\"in\",topology=\"totals\"} 3"), "{answer}");
}

#[test]
fn a_running_process_is_ready_and_live() {
    let server = start(sources(AppState::Running));
    assert_eq!(get(&server, "/health/live", "").0, 200);
    assert_eq!(get(&server, "/health/ready", "").0, 200);
}

#[test]
fn a_restoring_process_says_what_it_waits_for() {
    let server = start(sources(AppState::Restoring));
    let (code, answer) = get(&server, "/health/ready", "");
    assert_eq!(code, 503);
    assert!(answer.contains("restoring task 0_0, 7 records to go"), "{answer}");
    assert_eq!(get(&server, "/health/live", "").0, 200);
}

#[test]
fn the_topology_comes_in_the_format_that_was_asked_for() {
    let server = start(sources(AppState::Running));
    assert!(get(&server, "/topology", "").1.ends_with("Text"));
    assert!(get(&server, "/topology?format=mermaid", "").1.ends_with("Mermaid"));
    let (code, answer) = get(&server, "/topology?format=json", "");
    assert_eq!(code, 200);
    assert!(answer.contains("application/json"), "{answer}");
    assert_eq!(get(&server, "/topology?format=png", "").0, 400);
}

#[test]
fn the_index_lists_what_there_is_and_the_rest_is_not_found() {
    let server = start(sources(AppState::Running));
    let (code, answer) = get(&server, "/", "");
    assert_eq!(code, 200);
    for path in [
        "/metrics",
        "/health/live",
        "/health/ready",
        "/topology",
        "/state",
        "totals: running",
        "2023-11-14T22:13:20Z",
        "in-3, by 90 s",
    ] {
        assert!(answer.contains(path), "{path} is missing");
    }
    assert_eq!(get(&server, "/nothing", "").0, 404);
}

#[test]
fn with_a_token_only_its_bearer_is_let_in() {
    let server = start(Sources { token: Some(Token::new("s3cret").unwrap()), ..sources(AppState::Running) });
    let (code, answer) = get(&server, "/metrics", "");
    assert_eq!(code, 401);
    assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
    assert_eq!(get(&server, "/metrics", "Authorization: Bearer wrong\r\n").0, 401);
    assert_eq!(get(&server, "/metrics", "Authorization: Bearer s3cret\r\n").0, 200);
    assert_eq!(get(&server, "/health/live", "").0, 200);
}

#[test]
fn an_open_address_without_a_token_is_refused() {
    let error = HttpServer::start(([0, 0, 0, 0], 0).into(), sources(AppState::Running)).err().unwrap();
    assert!(error.to_string().contains("--http-token-file"), "{error}");
}

#[test]
fn an_address_in_use_says_so() {
    let server = start(sources(AppState::Running));
    let error = HttpServer::start(server.addr(), sources(AppState::Running)).err().unwrap();
    assert!(error.to_string().contains(&server.addr().to_string()), "{error}");
}

#[test]
fn the_stop_does_not_wait_for_a_silent_connection_for_ever() {
    let server = start(sources(AppState::Running));
    let silent = TcpStream::connect(server.addr()).unwrap();
    drop(server);
    drop(silent);
}
