//! What the topologies do, over all processes of the group: once a second for all who watch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::Live;
use super::peers::Peers;
use crate::http::connections::Ticket;
use crate::http::events::{Event, Feed, Hub};
use crate::http::state::answer::{Problem, json};
use crate::http::state::peer;
use crate::time::Clock;
use crate::watch::{HISTORY_STEP, History, Observation, Observer, keep_since, merge, merge_histories};

/// How often it is told.
const EVERY: Duration = Duration::from_secs(1);
/// What was told less than so many milliseconds ago was told just before.
const RECENT: u64 = 10_000;
/// How long the first who watches, and who asks once, waits for other processes.
const PATIENCE: Duration = Duration::from_millis(500);

/// How it went on.
#[derive(Serialize, Deserialize)]
pub(super) struct Histories {
    step_ms: u128,
    pub(super) topologies: Vec<History>,
}

/// What all who watch share.
#[derive(Clone)]
pub(super) struct Survey(Arc<Inner>);

struct Inner {
    observer: Observer,
    peers: Peers,
    clock: Arc<dyn Clock>,
    hub: Hub,
    /// What was last told.
    last: Mutex<Option<Observation>>,
    /// True while somebody tells it.
    told: AtomicBool,
    /// Taken to begin and to end the telling.
    turn: Mutex<()>,
}

impl Survey {
    pub(super) fn new(observer: Observer, peers: Peers, clock: Arc<dyn Clock>) -> Self {
        let (hub, last, told, turn) = (Hub::default(), Mutex::default(), AtomicBool::new(false), Mutex::default());
        Self(Arc::new(Inner { observer, peers, clock, hub, last, told, turn }))
    }

    /// Ends the streams.
    pub(super) fn close(&self) {
        self.0.hub.close();
    }

    /// One more watches. Within the listener's runtime: whoever is the first starts the telling there.
    fn watch(&self) -> Feed {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let feed = self.0.hub.join(self.0.clock.elapsed());
        if !self.0.told.swap(true, Ordering::SeqCst) {
            tokio::spawn(self.clone().tell());
        }
        feed
    }

    /// Tells it each second, for as long as anybody watches.
    async fn tell(self) {
        self.ask_others().await;
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.ends() {
                return;
            }
            self.publish();
            let peers = self.0.peers.clone();
            tokio::spawn(async move { peers.ask_all().await });
        }
    }

    /// True where nobody watches: who comes next starts it again.
    fn ends(&self) -> bool {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = self.0.hub.len() == 0;
        if ends {
            self.0.told.store(false, Ordering::SeqCst);
        }
        ends
    }

    fn publish(&self) {
        let status = event("status", &self.now());
        let mut history: Option<Bytes> = None;
        self.0.hub.publish(self.0.clock.elapsed(), |seen| {
            // The first thing that a watcher gets, with what is now behind it.
            let event = match seen {
                None => {
                    let history = history.get_or_insert_with(|| event("history", &self.history())).clone();
                    Event { head: history, tail: status.clone() }
                }
                Some(_) => Event { head: status.clone(), tail: Bytes::new() },
            };
            Some((event, 0))
        });
    }

    /// Of all processes, as far as they have answered.
    fn now(&self) -> Observation {
        let mut now = merge(&self.0.observer.now(), self.0.peers.said());
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody has looked at for a while may have ended and begun anew.
        if let Some(last) = last.as_ref().filter(|last| now.time.millis_since(last.time) < RECENT) {
            keep_since(&mut now, last);
        }
        *last = Some(now.clone());
        now
    }

    fn history(&self) -> Histories {
        let topologies = merge_histories(self.0.observer.history(), self.0.peers.histories());
        Histories { step_ms: HISTORY_STEP.as_millis(), topologies }
    }

    /// Asks the others, for a moment: who has not answered then may do so later.
    async fn ask_others(&self) {
        let peers = self.0.peers.clone();
        let asked = tokio::spawn(async move { peers.ask_all().await });
        let _ = tokio::time::timeout(PATIENCE, asked).await;
    }

    /// Asks the others, unless that is done each second anyway.
    async fn refresh(&self) {
        if !self.0.told.load(Ordering::SeqCst) {
            self.ask_others().await;
        }
    }
}

fn event(name: &str, of: &impl Serialize) -> Bytes {
    // Numbers, texts and lists: they can be written.
    let data = serde_json::to_string(of).unwrap_or_else(|_| "null".to_owned());
    Event::new(name, &data).head
}

/// Now: of all processes, or, for another process, of this one.
pub(super) async fn status(State(live): State<Live>, headers: HeaderMap) -> Response {
    if peer::is_peer(&headers) {
        return json(&*live.survey.0.observer.now());
    }
    live.survey.refresh().await;
    json(&live.survey.now())
}

/// The last ten minutes.
pub(super) async fn history(State(live): State<Live>, headers: HeaderMap) -> Response {
    if peer::is_peer(&headers) {
        let topologies = live.survey.0.observer.history();
        return json(&Histories { step_ms: HISTORY_STEP.as_millis(), topologies });
    }
    live.survey.refresh().await;
    json(&live.survey.history())
}

/// How it went on, and then each second how it stands.
pub(super) async fn events(
    State(live): State<Live>,
    ticket: Option<Extension<Arc<Ticket>>>,
) -> Result<Response, Problem> {
    let ticket = ticket.map(|Extension(ticket)| ticket);
    live.streams.answer(ticket.as_ref(), || Ok(live.survey.watch()))
}
