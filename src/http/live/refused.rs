//! The last records that did not go the usual way, of all processes.

use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::Live;
use crate::http::state::answer::json;
use crate::http::state::peer;
use crate::record::Offset;
use crate::runtime::Refused;
use crate::time::Timestamp;

/// A record, as [`Refused`], with where that was. Not flattened: numbers that keep their digits cannot be read back so.
#[derive(Serialize, Deserialize)]
struct Line {
    topology: String,
    /// The address of the process that refused it.
    process: Option<String>,
    at: Timestamp,
    task: String,
    topic: String,
    partition: u32,
    offset: Option<Offset>,
    timestamp: Option<Timestamp>,
    reason: String,
    operator: Option<String>,
    message: Option<String>,
}

impl Line {
    fn of(topology: &str, process: Option<&String>, refused: Refused) -> Self {
        let (topology, process) = (topology.to_owned(), process.cloned());
        let Refused { at, task, topic, partition, offset, timestamp, reason, operator, message } = refused;
        Self { topology, process, at, task, topic, partition, offset, timestamp, reason, operator, message }
    }
}

/// Newest first; for another process, those of this one.
pub(super) async fn list(State(live): State<Live>, headers: HeaderMap) -> Response {
    let mut lines: Vec<Line> = Vec::new();
    for (topology, watch) in &*live.watches {
        let tell = |refused| Line::of(topology, live.address.as_ref(), refused);
        lines.extend(watch.refused().into_iter().map(tell));
    }
    if !peer::is_peer(&headers) {
        let others = live.peers.each::<Vec<Line>>(|_| true, Method::GET, "/live/refused", Vec::new()).await;
        for (address, theirs) in others {
            // One that does not answer is told of in the status.
            for mut line in theirs.unwrap_or_default() {
                line.process.get_or_insert_with(|| address.clone());
                lines.push(line);
            }
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.at));
    json(&lines)
}
