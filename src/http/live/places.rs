//! Where the other processes are, as the groups' coordinators say.
//!
//! One look at a time, however many wait for it: a coordinator that is away holds a call up for many seconds, and the threads
//! that may block are few. Nobody waits long; what was said last counts until something else is said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::runtime::Queries;

/// How long anybody waits for a look.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a process is, or what it is known by, and why it cannot be asked.
pub(super) type Place = (String, Option<String>);

/// What the coordinators have said last.
#[derive(Clone)]
pub(super) struct Places(Arc<Inner>);

struct Inner {
    queries: Vec<Queries>,
    /// Of each topology.
    said: Mutex<BTreeMap<String, Said>>,
    looking: Arc<Semaphore>,
    /// How many looks have ended.
    looked: watch::Sender<u64>,
}

#[derive(Clone, Default)]
struct Said {
    places: BTreeMap<String, Option<String>>,
    /// Why it is not known whether that still holds.
    error: Option<String>,
}

impl Places {
    pub(super) fn new(queries: Vec<Queries>) -> Self {
        let (said, looking) = (Mutex::default(), Arc::new(Semaphore::new(1)));
        Self(Arc::new(Inner { queries, said, looking, looked: watch::Sender::new(0) }))
    }

    /// The processes of the chosen topologies; and why there may be others, if that is so.
    pub(super) async fn of(&self, chosen: impl Fn(&str) -> bool) -> (Vec<Place>, Option<String>) {
        self.look().await;
        let known = self.said();
        let (mut places, mut error) = (BTreeMap::new(), None);
        for queries in self.0.queries.iter().filter(|queries| chosen(queries.topology())) {
            match known.get(queries.topology()) {
                Some(said) => {
                    places.extend(said.places.clone());
                    error = error.or_else(|| said.error.clone());
                }
                None => error = Some("the group's coordinator has not answered yet".to_owned()),
            }
        }
        (places.into_iter().collect(), error)
    }

    /// Waits for a look, for a moment; begins one where none is under way.
    async fn look(&self) {
        let mut looked = self.0.looked.subscribe();
        if let Ok(turn) = Arc::clone(&self.0.looking).try_acquire_owned() {
            let places = self.clone();
            tokio::task::spawn_blocking(move || {
                places.ask();
                drop(turn);
                places.0.looked.send_modify(|looks| *looks += 1);
            });
        }
        // Whoever has waited in vain goes by what was said before.
        let _ = tokio::time::timeout(PATIENCE, looked.changed()).await;
    }

    fn ask(&self) {
        for queries in &self.0.queries {
            let found = queries.processes();
            let mut known = self.said();
            let said = known.entry(queries.topology().to_owned()).or_default();
            match found {
                Ok(processes) => *said = Said { places: processes, error: None },
                Err(error) => said.error = Some(error.to_string()),
            }
        }
    }

    fn said(&self) -> MutexGuard<'_, BTreeMap<String, Said>> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
