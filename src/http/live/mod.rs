//! What the page shows while it changes.

mod pause;
mod peers;
mod places;
mod refused;
mod status;
mod topics;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use axum::routing::{get, post};

use super::Sources;
use super::connections::Ticket;
use super::events::Streams;
use super::state::answer::Problem;
use super::tap::Taps;
use crate::runtime::Watch;
use crate::time::{Clock, SystemClock};
use peers::Peers;
use status::Survey;

/// What the pages share.
#[derive(Clone)]
pub(super) struct Live {
    taps: Taps,
    streams: Streams,
    survey: Survey,
    peers: Peers,
    /// The applications, by their topologies' names.
    watches: Arc<[(String, Watch)]>,
    /// Where other processes reach this one.
    address: Option<String>,
}

impl Live {
    pub(super) fn new(sources: &Sources) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let peers = Peers::new(sources.queries.clone(), sources.token.clone(), Arc::clone(&clock));
        Self {
            taps: Taps::new(sources.topics.clone()),
            streams: Streams::default(),
            survey: Survey::new(sources.observer.clone(), peers.clone(), clock),
            peers,
            watches: sources.watches.clone().into(),
            address: sources.advertised.clone(),
        }
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.taps.close();
        self.survey.close();
    }
}

/// The pages.
pub(super) fn router<S>(live: Live) -> Router<S> {
    Router::new()
        .route("/live/status", get(status::status))
        .route("/live/history", get(status::history))
        .route("/live/events", get(status::events))
        .route("/live/refused", get(refused::list))
        .route("/live/pause", post(pause::pause))
        .route("/live/resume", post(pause::resume))
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

#[cfg(test)]
mod slow_tests;
#[cfg(test)]
mod tests;
