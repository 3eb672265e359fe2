//! The thread that looks at the applications once a second.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::subject::Subject;
use super::view::{History, Observation};
use crate::metrics::Metrics;
use crate::runtime::Watch;
use crate::time::{Clock, SystemClock};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the applications of a process once a second, until the last clone is dropped.
///
/// What it finds is said in [`now`](Self::now), once in the log when it begins and once when it ends, and in the metric
/// `millstream_findings`.
#[derive(Clone)]
pub struct Observer(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread and those who ask share.
#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    stop: Mutex<bool>,
    stopped: Condvar,
}

/// What was seen last.
#[derive(Clone, Default)]
struct Seen {
    now: Arc<Observation>,
    histories: Vec<History>,
}

impl Observer {
    /// Observes `applications`, by the name of their topology, which have these `metrics`. `address` is where other
    /// processes reach this one.
    #[must_use]
    pub fn start(applications: Vec<(String, Watch)>, metrics: &Metrics, address: Option<String>) -> Self {
        Self::start_with(applications, metrics, address, Arc::new(SystemClock::new()))
    }

    /// As [`start`](Self::start), with what `clock` says of the time of day and of how long things last.
    #[must_use]
    pub fn start_with(
        applications: Vec<(String, Watch)>,
        metrics: &Metrics,
        address: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let subject = |(name, watch): (String, Watch)| Subject::new(&name, watch, metrics);
        let mut eye = Eye { subjects: applications.into_iter().map(subject).collect(), address, clock };
        let shared = Arc::new(Shared::default());
        // The first look is taken here: whoever asks at once is told something.
        eye.look(&shared);
        let sharing = Arc::clone(&shared);
        let spawned = std::thread::Builder::new().name("observer".into()).spawn(move || eye.run(&sharing));
        if let Err(error) = &spawned {
            tracing::warn!(%error, "the applications are not observed: a thread could not be started");
        }
        Self(Arc::new(Handle { shared, thread: Mutex::new(spawned.ok()) }))
    }

    /// What was seen last: of this process alone.
    #[must_use]
    pub fn now(&self) -> Arc<Observation> {
        Arc::clone(&self.0.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).now)
    }

    /// How each topology went on over the last ten minutes, in this process.
    #[must_use]
    pub fn history(&self) -> Vec<History> {
        self.0.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).histories.clone()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.stopped.notify_all();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Eye {
    subjects: Vec<Subject>,
    address: Option<String>,
    clock: Arc<dyn Clock>,
}

impl Eye {
    fn run(mut self, shared: &Shared) {
        let mut stop = shared.stop.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stop {
            let waited = shared.stopped.wait_timeout(stop, EVERY);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            stop = guard;
            if waited.timed_out() && !*stop {
                drop(stop);
                self.look(shared);
                stop = shared.stop.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Looks at all applications and tells what it sees.
    fn look(&mut self, shared: &Shared) {
        let (elapsed, wall) = (self.clock.elapsed(), self.clock.wall());
        let address = self.address.as_deref();
        let topologies = self.subjects.iter_mut().filter_map(|subject| subject.look(elapsed, wall, address));
        let now = Arc::new(Observation { time: wall, topologies: topologies.collect() });
        let histories = self.subjects.iter().map(Subject::history).collect();
        *shared.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { now, histories };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::MemoryBroker;
    use crate::broker::{Broker as _, NewTopic, Outgoing, OutgoingRecord, Partitioning};
    use crate::dsl::{Builder, Topic};
    use crate::operators::source::BadInput;
    use crate::record::{Headers, InputNumber};
    use crate::runtime::{App, AppState, Config, Running};
    use crate::time::{ManualClock, Timestamp};
    use crate::watch::{Finding, FindingKind, TopicRole};

    const WORDS: Topic<String, String> = Topic::new("words");
    const LENGTHS: Topic<String, u64> = Topic::new("lengths");

    /// An application that runs, and its broker. It waits in every record for as long as `gate` is locked.
    fn running(metrics: &Metrics, gate: &Arc<Mutex<()>>) -> (Running, MemoryBroker) {
        let b = Builder::new("lengths");
        let words = b.source(WORDS).on_bad_input(BadInput::Skip).stream();
        let gate = Arc::clone(gate);
        let words = words.peek(move |_, _| drop(gate.lock()));
        words.map(|word, _| (word.clone(), word.len() as u64)).to(LENGTHS);
        let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
        let new = |name: &str| NewTopic { name: name.into(), partitions: 2, settings: [].into() };
        broker.create_topics(&["words", "lengths"].map(new)).expect("created");
        let app = App::new(b.build().expect("sound"), Arc::new(broker.clone()), Config::new("test")).metrics(metrics);
        let running = app.start().expect("it starts");
        assert!(running.wait_for(AppState::Running, Duration::from_secs(30)));
        (running, broker)
    }

    fn write(broker: &MemoryBroker, word: &str) {
        let mut out = Outgoing::default();
        let topic = out.topic("words");
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(0),
            key: Some(word.as_bytes()),
            value: Some(b"-"),
            timestamp: Timestamp::from_millis(7),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
        let mut writer = broker.writer().expect("a writer");
        writer.send(&out).and_then(|()| writer.flush()).expect("written");
    }

    /// Waits for something; the application itself goes by the machine's clock.
    fn await_until(running: &Running, what: &str, holds: impl Fn() -> bool) {
        let clock = SystemClock::new();
        while !holds() {
            assert!(clock.elapsed() < Duration::from_secs(30), "{what} has not come");
            running.wait_for(AppState::Stopped, Duration::from_millis(20));
        }
    }

    fn eye(running: &Running, metrics: &Metrics) -> (Eye, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let subjects = vec![Subject::new("lengths", running.watch(), metrics)];
        (Eye { subjects, address: None, clock: Arc::clone(&clock) as Arc<dyn Clock> }, clock)
    }

    /// What is seen in so many looks, a second apart.
    fn looks(eye: &mut Eye, clock: &ManualClock, times: u32) -> Seen {
        let shared = Shared::default();
        for _ in 0..times {
            eye.look(&shared);
            clock.advance(Duration::from_secs(1));
        }
        shared.seen.lock().expect("nobody panicked").clone()
    }

    #[test]
    fn a_record_that_is_dropped_before_the_first_look_is_told() {
        let (metrics, gate) = (Metrics::new(), Arc::new(Mutex::new(())));
        let (running, broker) = running(&metrics, &gate);
        let mut out = Outgoing::default();
        let topic = out.topic("words");
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(0),
            key: Some(b"word"),
            value: Some(b"\xff"),
            timestamp: Timestamp::from_millis(7),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
        let mut writer = broker.writer().expect("a writer");
        writer.send(&out).and_then(|()| writer.flush()).expect("written");
        await_until(&running, "what is dropped", || metrics.topology("lengths").totals().dropped == 1);
        let (mut eye, clock) = eye(&running, &metrics);
        let seen = looks(&mut eye, &clock, 2);
        let kinds: Vec<FindingKind> = seen.now.topologies[0].findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::Dropping]);
    }

    #[test]
    fn a_function_that_does_not_return_is_found_and_the_thread_named() {
        let (metrics, gate) = (Metrics::new(), Arc::new(Mutex::new(())));
        let (running, broker) = running(&metrics, &gate);
        let (mut eye, clock) = eye(&running, &metrics);
        let held = gate.lock().expect("nobody panicked");
        write(&broker, "house");
        await_until(&running, "the record", || metrics.topology("lengths").totals().lag > 0);
        // It may still say something once, on its way.
        looks(&mut eye, &clock, 1);
        let seen = looks(&mut eye, &clock, 60);
        let found = &seen.now.topologies[0].findings[0];
        assert_eq!((found.kind, found.subject.as_deref()), (FindingKind::NoProgress, Some("words-0")));
        assert!(found.why.starts_with("Thread 0 has been inside one call"), "{}", found.why);
        drop(held);
        await_until(&running, "its end", || metrics.topology("lengths").totals().records_in == 1);
        await_until(&running, "a report", || metrics.topology("lengths").totals().lag == 0);
        let seen = looks(&mut eye, &clock, 4);
        assert_eq!(seen.now.topologies[0].findings, []);
    }

    #[test]
    fn the_first_look_is_there_at_once_and_a_pause_is_found_in_the_next() {
        let (metrics, gate) = (Metrics::new(), Arc::default());
        let (running, _broker) = running(&metrics, &gate);
        let applications = vec![("lengths".to_owned(), running.watch())];
        let observer = Observer::start(applications, &metrics, Some("127.0.0.1:8080".into()));
        let first = observer.now();
        assert_eq!(first.topologies.len(), 1);
        let topics: Vec<_> = first.topologies[0].topics.iter().map(|of| (of.topic.as_str(), of.role)).collect();
        assert_eq!(topics, [("lengths", TopicRole::Output), ("words", TopicRole::Source)]);
        assert!(metrics.render().contains("millstream_findings{kind=\"paused\",topology=\"lengths\"} 0"));
        running.pause();
        let is_paused = |found: &Finding| found.kind == FindingKind::Paused;
        await_until(&running, "the pause", || observer.now().topologies[0].findings.iter().any(is_paused));
        assert!(metrics.render().contains("millstream_findings{kind=\"paused\",topology=\"lengths\"} 1"));
    }

    #[test]
    fn rates_and_history_go_by_the_clock_that_is_given() {
        let (metrics, gate) = (Metrics::new(), Arc::default());
        let (running, _broker) = running(&metrics, &gate);
        let (mut eye, clock) = eye(&running, &metrics);
        for _ in 0..11 {
            looks(&mut eye, &clock, 1);
            metrics.topology("lengths").records_in("words").inc_by(30);
            metrics.topology("lengths").records_out("lengths").inc_by(3);
        }
        let seen = looks(&mut eye, &clock, 1);
        let topology = &seen.now.topologies[0];
        let rates: Vec<f64> = topology.topics.iter().map(|of| of.in_rate + of.out_rate).collect();
        assert_eq!(rates, [3.0, 30.0]);
        assert_eq!(topology.processes[0].uptime_ms, 11_000);
        assert_eq!(
            (seen.histories[0].in_rate.as_slice(), seen.histories[0].out_rate.as_slice()),
            (&[30.0, 30.0][..], &[3.0, 3.0][..])
        );
        let json = serde_json::to_string(&*seen.now).expect("it is JSON");
        assert_eq!(serde_json::from_str::<Observation>(&json).expect("read back"), *seen.now);
    }
}
