//! What the page shows while it changes.

mod topics;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use axum::routing::get;

use super::Sources;
use super::connections::Ticket;
use super::events::Streams;
use super::state::answer::Problem;
use super::tap::Taps;

/// What the pages share.
#[derive(Clone)]
pub(super) struct Live {
    taps: Taps,
    streams: Streams,
}

impl Live {
    pub(super) fn new(sources: &Sources) -> Self {
        Self { taps: Taps::new(sources.topics.clone()), streams: Streams::default() }
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.taps.close();
    }
}

/// The pages.
pub(super) fn router<S>(live: Live) -> Router<S> {
    Router::new()
        .route("/live/topics", get(topics::list))
        .route("/live/events/topic/{topic}", get(topic))
        .with_state(live)
}

/// The records of a topic.
async fn topic(
    State(live): State<Live>,
    Path(topic): Path<String>,
    ticket: Option<Extension<Arc<Ticket>>>,
) -> Result<Response, Problem> {
    let ticket = ticket.map(|Extension(ticket)| ticket);
    live.streams.answer(ticket.as_ref(), || live.taps.watch(&topic))
}
