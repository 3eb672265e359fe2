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
        watches: Vec::new(),
        observer: Observer::start(Vec::new(), &Metrics::new(), None),
        topics: Vec::new(),
        advertised: None,
        token: None,
    }
}

fn start(sources: Sources) -> HttpServer {
    HttpServer::start(([127, 0, 0, 1], 0).into(), sources).unwrap()
}

/// The status code and the whole answer.
fn get(server: &HttpServer, path: &str, header: &str) -> (u16, String) {
    ask(server, &format!("GET {path}"), header, "")
}

fn ask(server: &HttpServer, what: &str, header: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let head =
        format!("{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{header}");
    raw(server, &format!("{head}\r\n{body}"))
}

fn raw(server: &HttpServer, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer[9..12].parse().unwrap(), answer)
}

/// The value of a header of an answer; empty where it has none.
fn value(answer: &str, name: &str) -> String {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .next()
        .unwrap_or_default()
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
fn the_page_and_its_files_come_from_the_program() {
    let server = start(sources(AppState::Running));
    let (code, answer) = get(&server, "/", "");
    assert_eq!(code, 200);
    assert!(answer.contains("/assets/plotly.js?v="), "{answer}");
    assert!(answer.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{answer}");
    for elsewhere in ["src=\"http", "href=\"http", "src=\"//"] {
        assert!(!answer.contains(elsewhere), "the page loads something from elsewhere: {elsewhere}");
    }
    let tag = value(&answer, "etag");
    assert_eq!(get(&server, "/", &format!("If-None-Match: {tag}\r\n")).0, 304);
    assert_eq!(get(&server, "/assets/layout.css", "").0, 200);
    assert_eq!(get(&server, "/assets/none.js", "").0, 404);
    assert_eq!(get(&server, "/nothing", "").0, 404);
}

#[test]
fn the_library_for_charts_is_compressed_and_kept_for_ever_under_its_version() {
    let server = start(sources(AppState::Running));
    let page = get(&server, "/", "").1;
    let (_, rest) = page.split_once("\"/assets/plotly.js").unwrap();
    let versioned = format!("/assets/plotly.js{}", rest.split('"').next().unwrap());
    let head = |path: &str, header: &str| ask(&server, &format!("HEAD {path}"), header, "");
    let (code, answer) = head(&versioned, "Accept-Encoding: br, gzip\r\n");
    assert_eq!((code, value(&answer, "content-encoding").as_str()), (200, "gzip"));
    assert!(value(&answer, "cache-control").contains("immutable"), "{answer}");
    let (code, answer) = head("/assets/plotly.js", "");
    assert_eq!((code, value(&answer, "cache-control").as_str()), (200, "no-cache"));
    assert_eq!(head("/assets/plotly.js", "Accept-Encoding: br\r\n").0, 406);
}

#[test]
fn with_a_token_a_browser_logs_in_and_out_and_the_token_is_in_nothing_that_is_sent() {
    let server = start(Sources { token: Some(Token::new("s3cret").unwrap()), ..sources(AppState::Running) });
    let (code, answer) = get(&server, "/", "Accept: text/html,*/*\r\n");
    assert_eq!((code, value(&answer, "location").as_str()), (303, "/login"));
    assert_eq!(get(&server, "/", "").0, 401);
    assert_eq!(get(&server, "/login", "").0, 200);
    let login = |token: &str, header: &str| {
        let header = format!("Content-Type: application/x-www-form-urlencoded\r\n{header}");
        ask(&server, "POST /login", &header, &format!("token={token}"))
    };
    let (code, answer) = login("wrong", "");
    assert_eq!(code, 401);
    assert!(answer.contains("That is not the token.") && !answer.contains("wrong\""), "{answer}");
    assert_eq!(login("s3cret", "Origin: http://evil.example\r\n").0, 403);
    assert_eq!(login("s3cret", "Sec-Fetch-Site: cross-site\r\n").0, 403);
    let (code, answer) = login("s3cret", "Sec-Fetch-Site: same-origin\r\nX-Forwarded-Proto: https\r\n");
    assert_eq!((code, value(&answer, "location").as_str()), (303, "/"));
    assert!(!answer.contains("s3cret"), "{answer}");
    let cookie = value(&answer, "set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Secure"), "{cookie}");
    let session = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    for path in ["/", "/metrics", "/live/topics", "/state"] {
        let (code, answer) = get(&server, path, &session);
        assert_eq!(code, 200, "{path}");
        assert!(!answer.contains("s3cret"), "{answer}");
    }
    assert_eq!(ask(&server, "POST /logout", &session, "").0, 303);
    assert_eq!(get(&server, "/metrics", &session).0, 401);
}

#[test]
fn who_gives_wrong_tokens_is_made_to_wait_even_with_the_right_one() {
    let server = start(Sources { token: Some(Token::new("s3cret").unwrap()), ..sources(AppState::Running) });
    let login = |token: &str| {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        ask(&server, "POST /login", form, &format!("token={token}"))
    };
    let codes: Vec<_> = (0..7).map(|n| login(&format!("guess{n}")).0).collect();
    assert_eq!(codes, [401, 401, 401, 401, 401, 429, 429]);
    let (code, answer) = login("s3cret");
    assert_eq!(code, 429);
    assert!(value(&answer, "retry-after").parse::<u64>().unwrap() <= 60);
    assert_eq!(get(&server, "/metrics", "Authorization: Bearer s3cret\r\n").0, 200, "programs are not held up");
}

#[test]
fn without_a_token_only_names_of_the_machine_itself_are_answered_to() {
    let server = start(Sources { advertised: Some("shop-0:80".into()), ..sources(AppState::Running) });
    let at =
        |host: &str| raw(&server, &format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).0;
    for own in ["localhost", "127.0.0.1:8080", "[::1]", "shop-0:80"] {
        assert_eq!(at(own), 200, "{own}");
    }
    for foreign in ["evil.example", "evil.example:8080", "10.0.0.1"] {
        assert_eq!(at(foreign), 421, "{foreign}");
    }
    let with = start(Sources { token: Some(Token::new("s3cret").unwrap()), ..sources(AppState::Running) });
    let request =
        "GET /metrics HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nAuthorization: Bearer s3cret\r\n\r\n";
    assert_eq!(raw(&with, request).0, 200);
}

#[test]
fn what_a_foreign_page_sends_is_refused() {
    let server = start(sources(AppState::Running));
    for header in ["Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n", "Origin: http://evil.example\r\n"]
    {
        assert_eq!(get(&server, "/live/topics", header).0, 403, "{header}");
    }
    assert_eq!(get(&server, "/live/topics", "Sec-Fetch-Site: same-origin\r\n").0, 200);
    let (code, answer) = ask(&server, "POST /live/pause", "Content-Type: application/json\r\n", "{}");
    assert_eq!(code, 403);
    assert!(answer.contains("x-millstream: 1"), "{answer}");
}

#[test]
fn a_topic_that_nobody_has_cannot_be_watched() {
    let server = start(sources(AppState::Running));
    let (code, answer) = get(&server, "/live/events/topic/none", "");
    assert_eq!(code, 404);
    assert!(answer.contains("/live/topics lists them"), "{answer}");
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
