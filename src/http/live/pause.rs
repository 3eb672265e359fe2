//! Pausing a topology, and letting it go on: in all processes that can be reached.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::Live;
use crate::http::state::answer::{Problem, json};
use crate::http::state::peer;

#[derive(Serialize, Deserialize)]
struct Wanted {
    topology: String,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    processes: Vec<Told>,
}

/// A process, and why it could not be told.
#[derive(Serialize, Deserialize)]
struct Told {
    address: Option<String>,
    error: Option<String>,
}

pub(super) async fn pause(State(live): State<Live>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    tell(&live, &headers, &body, "/live/pause").await
}

pub(super) async fn resume(State(live): State<Live>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    tell(&live, &headers, &body, "/live/resume").await
}

async fn tell(live: &Live, headers: &HeaderMap, body: &Bytes, path: &'static str) -> Result<Response, Problem> {
    let wanted: Wanted = serde_json::from_slice(body)
        .map_err(|error| Problem::wrong(format!("the body is {{\"topology\": \"NAME\"}}: {error}")))?;
    let Some((topology, watch)) = live.watches.iter().find(|(name, _)| *name == wanted.topology) else {
        return Err(Problem::missing(format!("no topology {} runs here; /state lists those that do", wanted.topology)));
    };
    if path == "/live/pause" {
        watch.pause();
    } else {
        watch.resume();
    }
    tracing::info!(topology, "told over HTTP: {path}");
    let mut processes = vec![Told { address: live.address.clone(), error: None }];
    if !peer::is_peer(headers) {
        let others = live.peers.each::<Answer>(|name| name == topology, Method::POST, path, body.to_vec()).await;
        processes.extend(others.into_iter().map(|(address, told)| Told { address: Some(address), error: told.err() }));
    }
    Ok(json(&Answer { processes }))
}
