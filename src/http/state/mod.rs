//! Committed state, asked for by key, by window and by range.
//!
//! What is in this process is read here. Of what another process has, that process is asked, once: a request that comes
//! from another process is answered from here or not at all, so that none goes in circles.

pub(super) mod answer;
mod key;
mod parameters;
pub(super) mod peer;
mod range;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::operators::lookup::Lookup;
use crate::runtime::queries::{Bounds, Unserved};
use crate::runtime::{Owner, Queries};
use crate::topology::stores::StoreDescription;
use answer::Problem;

/// How many ranges are read at once, and how many may wait for the group's coordinator: what is left of the threads that
/// may block answers single keys meanwhile.
const RANGES: usize = 4;
const OWNERS: usize = 2;
/// How many rows an answer has where nobody says, and how many at most.
const ROWS: usize = 100;
const MOST_ROWS: usize = 10_000;
/// How many bytes of rows an answer has at most, about.
const BYTES: usize = 4 << 20;
/// How long rows may be read for one answer.
const TIME: Duration = Duration::from_secs(2);

/// What the pages of state share.
#[derive(Clone)]
struct Desk {
    queries: Arc<[Queries]>,
    ranges: Arc<Semaphore>,
    owners: Arc<Semaphore>,
}

/// The pages of state.
pub(super) fn router<S>(queries: &[Queries]) -> Router<S> {
    let desk = Desk {
        queries: queries.into(),
        ranges: Arc::new(Semaphore::new(RANGES)),
        owners: Arc::new(Semaphore::new(OWNERS)),
    };
    Router::new()
        .route("/state", get(list))
        .route("/state/{topology}/{store}", get(range::range))
        .route("/state/{topology}/{store}/{key}", get(key::key))
        .with_state(desk)
}

/// A store that is asked.
#[derive(Clone)]
struct Asked {
    queries: Queries,
    store: StoreDescription,
    lookup: Lookup,
}

impl Desk {
    fn find(&self, topology: &str, store: &str) -> Result<Asked, Problem> {
        let Some(queries) = self.queries.iter().find(|queries| queries.topology() == topology) else {
            return Err(Problem::missing(format!("no topology {topology} runs here; /state lists those that do")));
        };
        let Some(found) = queries.store(store) else {
            return Err(Problem::missing(format!("{topology} has no store {store}; /state lists those it has")));
        };
        let Some(lookup) = found.lookup else {
            let why = found.why_not().unwrap_or_default();
            return Err(Problem::wrong(format!("the store {store} cannot be asked: {why}")));
        };
        Ok(Asked { queries: queries.clone(), store: found.clone(), lookup })
    }

    /// Who has a partition. The coordinator may be slow, or away.
    async fn owner(&self, asked: &Asked, partition: u32, anew: bool) -> Result<Owner, Problem> {
        let permit = Arc::clone(&self.owners).acquire_owned().await;
        let asked = asked.clone();
        let owner = blocking(move || {
            let _permit = permit;
            asked.queries.owner(&asked.store, partition, anew)
        });
        owner.await?.map_err(|error| Problem::later(format!("who has partition {partition} is not known: {error}")))
    }
}

/// What one answer may take.
const fn bounds(rows: usize) -> Bounds {
    Bounds { rows, bytes: BYTES, time: TIME }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::broken(format!("the query did not end: {error}")))
}

/// What keeps an owner from being asked; `None` where it may be.
fn out_of_reach(partition: u32, owner: Owner, here: Option<&Unserved>) -> Result<String, Problem> {
    match (owner, here) {
        (_, Some(Unserved::NotReady(why))) => Err(Problem::later(why.clone())),
        (Owner::At(address), _) => Ok(address),
        (Owner::Here, _) => Err(Problem::later(format!("partition {partition} is on its way to this process"))),
        (Owner::Unknown { why, passing: true }, _) => Err(Problem::later(why)),
        (Owner::Unknown { why, passing: false }, _) => {
            Err(Problem::later(format!("partition {partition} cannot be asked: {why}")))
        }
    }
}

/// What a request to another process has to bring along.
fn credentials(headers: &HeaderMap) -> Option<axum::http::HeaderValue> {
    headers.get(AUTHORIZATION).cloned()
}

#[derive(Serialize)]
struct List<'a> {
    topologies: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    topology: &'a str,
    stores: Vec<ListedStore<'a>>,
}

#[derive(Serialize)]
struct ListedStore<'a> {
    store: &'a str,
    operator: &'a str,
    key: &'a str,
    value: &'a str,
    windowed: bool,
    partitions: u32,
    /// The partitions that this process answers for now.
    here: Vec<u32>,
    queryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

/// All stores, and what of them is here.
async fn list(State(desk): State<Desk>) -> Response {
    answer::json(&List { topologies: desk.queries.iter().map(listed).collect() })
}

fn listed(queries: &Queries) -> Listed<'_> {
    let store = |store: &'_ StoreDescription| (queries.partitions(store), queries.here(store));
    let stores = queries.stores().iter().map(|of| {
        let (partitions, here) = store(of);
        ListedStore {
            store: &of.name,
            operator: of.operator,
            key: &of.key,
            value: &of.value,
            windowed: of.lookup.is_some_and(|lookup| lookup.is_windowed()),
            partitions,
            here,
            queryable: of.lookup.is_some(),
            why_not: of.why_not(),
        }
    });
    Listed { topology: queries.topology(), stores: stores.collect() }
}

#[cfg(test)]
pub(super) mod tests;
