//! What goes through a topic, seen by many: one reader a topic, started with the first who watches and ended a while after
//! the last.
//!
//! It reads committed records, outside of every group, from a little before the end on. It is a view and no copy: a topic
//! that is faster than eyes is conflated and jumped over, and every event says how much it leaves out.

mod board;
mod reader;
mod shown;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::events::{Feed, Hub};
use super::state::answer::Problem;
use crate::runtime::Topics;
use crate::runtime::topics::AppTopic;

/// How many topics are watched at once. Each has a thread, and on Kafka a client.
const TAPS: usize = 16;

/// The taps of one listener.
#[derive(Clone)]
pub(super) struct Taps(Arc<Inner>);

struct Inner {
    topics: Vec<Topics>,
    open: Mutex<HashMap<String, Arc<Hub>>>,
    closed: AtomicBool,
}

impl Taps {
    pub(super) fn new(topics: Vec<Topics>) -> Self {
        Self(Arc::new(Inner { topics, open: Mutex::default(), closed: AtomicBool::new(false) }))
    }

    /// All topics that can be watched, each topology's.
    pub(super) fn topics(&self) -> &[Topics] {
        &self.0.topics
    }

    /// One more watches a topic, by its name on the broker or as declared.
    pub(super) fn watch(&self, topic: &str) -> Result<Feed, Problem> {
        let Some((topics, topic)) = self.find(topic) else {
            return Err(Problem::missing(format!("no topology here has a topic {topic}; /live/topics lists them")));
        };
        let now = topics.clock().elapsed();
        let mut open = self.open();
        if let Some(hub) = open.get(&topic.name) {
            return Ok(hub.join(now));
        }
        if open.len() >= TAPS {
            return Err(Problem::later(format!("{TAPS} topics are watched, and no more are allowed at once")));
        }
        let hub = Arc::new(Hub::default());
        let feed = hub.join(now);
        let tap = reader::Tap::new(topics.clone(), topic.clone(), Arc::clone(&hub));
        let (taps, name) = (self.clone(), topic.name.clone());
        let started = std::thread::Builder::new().name("tap".into()).spawn(move || {
            let _removed = Removed { taps: taps.clone(), name: name.clone() };
            tap.run(|| taps.ends(&name));
        });
        started.map_err(|error| Problem::later(format!("no thread to watch the topic could be started: {error}")))?;
        open.insert(topic.name.clone(), hub);
        Ok(feed)
    }

    /// Ends all, soon.
    pub(super) fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.open().values().for_each(|hub| hub.close());
    }

    /// True where a tap is to end: then it is off the list, and who comes next starts another.
    fn ends(&self, name: &str) -> bool {
        let mut open = self.open();
        let ends = self.closed() || open.get(name).is_none_or(|hub| hub.len() == 0);
        if ends {
            open.remove(name);
        }
        ends
    }

    fn closed(&self) -> bool {
        self.0.closed.load(Ordering::SeqCst)
    }

    /// That of the topology whose codecs are known, where several have it.
    fn find(&self, name: &str) -> Option<(&Topics, &AppTopic)> {
        let all = || self.0.topics.iter().flat_map(|topics| topics.all().iter().map(move |topic| (topics, topic)));
        let by_name = || all().filter(|(_, topic)| topic.name == name);
        let declared = || all().find(|(_, topic)| topic.of.topic == name);
        by_name().find(|(_, topic)| !topic.of.value.is_empty()).or_else(|| by_name().next()).or_else(declared)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<Hub>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a tap goes on without anybody who watches.
const LINGER: Duration = Duration::from_secs(5);

/// A tap that ends, in whichever way, is off the list.
struct Removed {
    taps: Taps,
    name: String,
}

impl Drop for Removed {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(hub) = self.taps.open().remove(&self.name)
        {
            hub.close();
        }
    }
}
