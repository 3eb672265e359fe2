//! The other processes of the group, asked for what each says of itself.
//!
//! Nobody waits for one that does not answer: what is known of the others is shown, and of that one the error.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::task::{JoinHandle, JoinSet};

use super::places::Places;
use crate::http::access::Token;
use crate::http::state::peer;
use crate::runtime::Queries;
use crate::time::Clock;
use crate::watch::{History, Observation};

/// After so long without an answer, what a process has said before is not shown any more.
const STALE: Duration = Duration::from_secs(5);
/// What stands for processes that are not known of.
const UNKNOWN: &str = "(unknown)";
/// How often a process is asked how it went on.
const HISTORY: Duration = Duration::from_secs(10);

/// The others, and what each has said last.
#[derive(Clone)]
pub(super) struct Peers(Arc<Inner>);

struct Inner {
    places: Places,
    token: Option<Token>,
    clock: Arc<dyn Clock>,
    known: Mutex<BTreeMap<String, Known>>,
    /// Why there may be processes that are not known of.
    unknown: Mutex<Option<String>>,
}

/// What is known of a process.
#[derive(Default)]
struct Known {
    asking: bool,
    said: Option<(Duration, Observation)>,
    failed: Option<String>,
    history: Option<(Duration, Vec<History>)>,
}

impl Peers {
    pub(super) fn new(queries: Vec<Queries>, token: Option<Token>, clock: Arc<dyn Clock>) -> Self {
        let (places, known, unknown) = (Places::new(queries), Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { places, token, clock, known, unknown }))
    }

    /// Asks each that is not being asked already, and waits for their answers, as long as the caller does.
    pub(super) async fn ask_all(&self) {
        let (places, unknown) = self.0.places.of(|_| true).await;
        *self.unknown() = unknown.as_deref().map(not_known);
        // They go on also where the caller does not wait for them.
        let mut asking: Vec<JoinHandle<()>> = Vec::new();
        {
            let mut known = self.known();
            known.retain(|address, of| of.asking || places.iter().any(|(place, _)| place == address));
            for (address, why) in places {
                let of = known.entry(address.clone()).or_default();
                match why {
                    Some(why) => *of = Known { failed: Some(why), ..Known::default() },
                    None if of.asking => {}
                    None => {
                        of.asking = true;
                        let now = self.0.clock.elapsed();
                        let wants = of.history.as_ref().is_none_or(|(at, _)| now.saturating_sub(*at) >= HISTORY);
                        asking.push(tokio::spawn(self.clone().ask_one(address, wants)));
                    }
                }
            }
        }
        for asked in asking {
            // One that has not ended in good order has said nothing.
            let _ = asked.await;
        }
    }

    async fn ask_one(self, address: String, wants_history: bool) {
        let asked = Asked { peers: &self, address: &address };
        let said: Result<Observation, String> = self.get(&address, "/live/status").await;
        let history = match &said {
            Ok(_) if wants_history => self.get::<super::status::Histories>(&address, "/live/history").await.ok(),
            _ => None,
        };
        drop(asked);
        let now = self.0.clock.elapsed();
        let mut known = self.known();
        let Some(of) = known.get_mut(&address) else { return };
        match said {
            Ok(said) => (of.said, of.failed) = (Some((now, said)), None),
            Err(why) => of.failed = Some(why),
        }
        if let Some(history) = history {
            of.history = Some((now, history.topologies));
        }
    }

    /// What each has said last, or why it has not.
    pub(super) fn said(&self) -> Vec<(String, Result<Observation, String>)> {
        let now = self.0.clock.elapsed();
        let fresh = |at: &Duration| now.saturating_sub(*at) < STALE;
        let known = self.known();
        let said = known.iter().filter_map(|(address, of)| {
            let said = match (&of.failed, &of.said) {
                (Some(why), _) => Err(why.clone()),
                (None, Some((at, said))) if fresh(at) => Ok(said.clone()),
                (None, Some(_)) => Err(format!("it has not answered for {} seconds", STALE.as_secs())),
                // It is being asked for the first time.
                (None, None) => return None,
            };
            Some((address.clone(), said))
        });
        let unknown = self.unknown().clone().map(|why| (UNKNOWN.to_owned(), Err(why)));
        said.chain(unknown).collect()
    }

    /// How it went on with each that has said so.
    pub(super) fn histories(&self) -> Vec<Vec<History>> {
        self.known().values().filter_map(|of| of.history.as_ref().map(|(_, history)| history.clone())).collect()
    }

    /// Asks every process of the chosen topologies for `path`, all at once, and waits for each as long as it may take.
    pub(super) async fn each<T: DeserializeOwned + Send + 'static>(
        &self,
        of: impl Fn(&str) -> bool,
        method: Method,
        path: &'static str,
        body: Vec<u8>,
    ) -> Vec<(String, Result<T, String>)> {
        let mut asking = JoinSet::new();
        let (places, unknown) = self.0.places.of(of).await;
        let mut answers: Vec<_> = unknown.map(|why| (UNKNOWN.to_owned(), Err(not_known(&why)))).into_iter().collect();
        for (address, why) in places {
            if let Some(why) = why {
                answers.push((address, Err(why)));
                continue;
            }
            let (peers, method, body) = (self.clone(), method.clone(), body.clone());
            asking.spawn(async move {
                let answer = peers.exchange(&address, method, path, body).await;
                (address, answer)
            });
        }
        while let Some(answer) = asking.join_next().await {
            answers.extend(answer.ok());
        }
        answers.sort_by(|(one, _), (other, _)| one.cmp(other));
        answers
    }

    async fn get<T: DeserializeOwned>(&self, address: &str, path: &'static str) -> Result<T, String> {
        self.exchange(address, Method::GET, path, Vec::new()).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        address: &str,
        method: Method,
        path: &'static str,
        body: Vec<u8>,
    ) -> Result<T, String> {
        let credentials: Option<HeaderValue> = self.0.token.as_ref().map(Token::header);
        let (status, body) = peer::send(address, (method, path, body), credentials).await?;
        if status != StatusCode::OK {
            return Err(peer::refusal(address, status, &body));
        }
        let other = |error| format!("the process at {address} answers something else: {error}");
        serde_json::from_slice(&body).map_err(other)
    }

    fn unknown(&self) -> MutexGuard<'_, Option<String>> {
        self.0.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_known(why: &str) -> String {
    format!("which other processes there are is not known: {why}")
}

/// A process that is asked, until it is not any more, for whatever reason.
struct Asked<'a> {
    peers: &'a Peers,
    address: &'a str,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(of) = self.peers.known().get_mut(self.address) {
            of.asking = false;
        }
    }
}
