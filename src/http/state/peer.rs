//! Asking another process of the group.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::http::guard::CHANGES;

/// Says that a request comes from another process, which knows no better.
const PEER: HeaderName = HeaderName::from_static("x-millstream-peer");
/// How long it takes at most to be connected, and to be answered.
const CONNECT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(4);
/// More than an answer has at most: rows may be longer as JSON than they are as bytes.
const BYTES: usize = 32 << 20;

/// Whether a request comes from another process.
pub(in crate::http) fn is_peer(headers: &HeaderMap) -> bool {
    headers.contains_key(PEER)
}

/// What the process at `address` answers.
pub(in crate::http) async fn ask(
    address: &str,
    path: &str,
    credentials: Option<HeaderValue>,
) -> Result<(StatusCode, Bytes), String> {
    send(address, (Method::GET, path, Vec::new()), credentials).await
}

/// What the process at `address` answers to a request: its method, its path and its body, which is JSON.
pub(in crate::http) async fn send(
    address: &str,
    request: (Method, &str, Vec<u8>),
    credentials: Option<HeaderValue>,
) -> Result<(StatusCode, Bytes), String> {
    match tokio::time::timeout(ANSWER, exchange(address, request, credentials)).await {
        Ok(answer) => answer.map_err(|error| format!("the process at {address} cannot be asked: {error}")),
        Err(_) => Err(format!("the process at {address} has not answered within {ANSWER:?}")),
    }
}

/// Why the process at `address` gives no answer, in its own words where it has any.
pub(in crate::http) fn refusal(address: &str, status: StatusCode, body: &[u8]) -> String {
    if status == StatusCode::UNAUTHORIZED {
        return format!("the process at {address} has another token");
    }
    let said: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    match said.as_ref().and_then(|said| said["error"].as_str()) {
        Some(said) => format!("the process at {address}: {said}"),
        None => format!("the process at {address} answers {status}"),
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(
    address: &str,
    (method, path, body): (Method, &str, Vec<u8>),
    credentials: Option<HeaderValue>,
) -> Result<(StatusCode, Bytes), Fault> {
    let stream =
        tokio::time::timeout(CONNECT, TcpStream::connect(address)).await.map_err(|_| "no connection in time")??;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header(HOST, address).header(PEER, "1").header(CHANGES, "1");
    let mut request = request.header(CONTENT_TYPE, "application/json").body(Body::from(body))?;
    if let Some(credentials) = credentials {
        request.headers_mut().insert(AUTHORIZATION, credentials);
    }
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = to_bytes(Body::new(response.into_body()), BYTES).await?;
    connection.abort();
    Ok((status, body))
}
