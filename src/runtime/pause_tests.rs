//! Pauses in the middle of work: of one process of several, and of an application with threads of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cluster::Process;
use super::config::Config;
use super::status::{AppState, Shared, ThreadStatus};
use super::thread::Turn;
use super::{App, Running};
use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, NewTopic, Outgoing, OutgoingRecord, Partitioning};
use crate::dsl::{Builder, Topic};
use crate::metrics::{Metrics, TopologyMetrics};
use crate::operators::DropReason;
use crate::record::{Headers, InputNumber};
use crate::time::{Clock, ManualClock, Timestamp};
use crate::topology::Topology;
use crate::window::{TumblingWindows, Windowed};
use crate::{BadInput, NoKey};

const IN: Topic<NoKey, String> = Topic::new("in");
const OUT: Topic<Windowed<String>, u64> = Topic::new("out");
const PLAIN: Topic<String, u64> = Topic::new("plain");

const PATIENCE: Duration = Duration::from_mins(1);

/// A key and a value.
type Message = (Vec<u8>, Vec<u8>);

/// Words counted in windows of ten seconds, each told once, when it closes. A partition that is silent for five is left out.
fn windows() -> Topology {
    let b = Builder::new("windows");
    let words = b.source(IN).idle_after(Duration::from_secs(5)).on_bad_input(BadInput::Skip).stream();
    let windows = TumblingWindows::of(Duration::from_secs(10));
    let words = words.rekey(|_, word| word.clone()).group_by_key();
    words.windowed(windows).on_close().count().to(OUT);
    b.build().expect("it is sound")
}

struct Rig {
    broker: MemoryBroker,
    clock: Arc<ManualClock>,
    metrics: TopologyMetrics,
    processes: Vec<Option<Process>>,
}

impl Rig {
    fn new(processes: usize) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let topics = [("in", 2), ("out", 1)];
        let topics = topics.map(|(name, partitions)| NewTopic { name: name.into(), partitions, settings: [].into() });
        broker.create_topics(&topics).expect("they are created");
        let metrics = Metrics::new().topology("windows");
        let mut rig = Self { broker, clock, metrics, processes: Vec::new() };
        (0..processes).for_each(|_| rig.start());
        rig
    }

    fn start(&mut self) {
        let mut config = Config::new("test");
        config.instance = Some(format!("p{}", self.processes.len()));
        let (broker, clock) = (Arc::new(self.broker.clone()), Arc::clone(&self.clock) as Arc<dyn Clock>);
        let started = Process::start(windows(), broker, config, clock, self.metrics.clone());
        self.processes.push(Some(started.expect("it starts")));
    }

    fn write(&self, partition: u32, word: &str, second: i64) {
        write(&self.broker, partition, word, second * 1_000);
    }

    /// One round of each process.
    fn round(&mut self) -> bool {
        let mut worked = false;
        for process in self.processes.iter_mut().flatten() {
            worked |= process.turn().expect("it goes on") == Turn::Worked;
        }
        worked
    }

    /// Lets the processes work for so long by the clock.
    fn run(&mut self, time: Duration) {
        let end = self.clock.elapsed() + time;
        while self.clock.elapsed() < end {
            let worked = self.round();
            self.clock.advance(Duration::from_millis(if worked { 1 } else { 20 }));
        }
    }

    fn process(&self, number: usize) -> &Process {
        self.processes[number].as_ref().expect("it runs")
    }

    /// Has a process pause, and waits until it does.
    fn pause(&mut self, number: usize) {
        self.process(number).pause(true);
        for _ in 0..10_000 {
            if self.process(number).status().state == AppState::Paused {
                return;
            }
            self.round();
            self.clock.advance(Duration::from_millis(1));
        }
        panic!("it does not pause: {:?}", self.process(number).status());
    }

    /// Closes all windows: both partitions go far ahead.
    fn finish(&mut self) {
        for partition in 0..2 {
            self.write(partition, "end", 100_000);
        }
        self.run(Duration::from_secs(3));
    }

    /// Key, window and count of each window that has closed.
    fn out(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let records = self.broker.records("out").unwrap_or_default();
        let mut out: Vec<_> =
            records.into_iter().map(|r| (r.key.unwrap_or_default(), r.value.unwrap_or_default())).collect();
        out.sort();
        out
    }

    fn late(&self) -> u64 {
        self.metrics.dropped().iter().filter(|(reason, _)| *reason == DropReason::Late).map(|(_, count)| count).sum()
    }
}

fn write(broker: &MemoryBroker, partition: u32, word: &str, millis: i64) {
    let mut out = Outgoing::default();
    let topic = out.topic("in");
    out.push(&OutgoingRecord {
        topic,
        partitioning: Partitioning::Fixed(partition),
        key: None,
        value: Some(word.as_bytes()),
        timestamp: Timestamp::from_millis(millis),
        headers: &Headers::NONE,
        input: InputNumber(0),
    });
    let mut writer = broker.writer().expect("it connects");
    writer.send(&out).expect("it is sent");
    writer.flush().expect("it is written");
}

/// Writes words at times that go on in both partitions, with pauses of either process where `pauses` says so.
fn life(seed: u64, pauses: bool) -> (Vec<Message>, u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut rig = Rig::new(2);
    rig.run(Duration::from_secs(2));
    let mut seconds = [0; 2];
    let (mut resting, mut long_pauses) = ([false; 2], 0);
    for _ in 0..120 {
        let partition: u32 = random.random_range(0..2);
        let second = &mut seconds[partition as usize];
        *second += random.random_range(0..4);
        let (at, word) = (*second, ["a", "b", "c"][random.random_range(0..3)]);
        rig.write(partition, word, at);
        let (whom, change, time) = (random.random_range(0..2), random.random_bool(0.15), random.random_range(0..300));
        if pauses && change {
            resting[whom] = !resting[whom];
            rig.process(whom).pause(resting[whom]);
        }
        // Where both pause, longer than a silence that counts. Of one that does not pause it would be a silence.
        let long = random.random_bool(0.3) && resting == [true; 2];
        rig.run(Duration::from_millis(time + if long { 8_000 } else { 0 }));
        long_pauses += u32::from(long);
    }
    assert_eq!(long_pauses > 0, pauses, "seed {seed}");
    (0..2).for_each(|number| rig.process(number).pause(false));
    rig.run(Duration::from_secs(1));
    rig.finish();
    (rig.out(), rig.late())
}

#[test]
fn a_run_with_pauses_gives_exactly_what_one_without_gives() {
    for seed in 0..6 {
        println!("seed {seed}");
        let (plain, with_pauses) = (life(seed, false), life(seed, true));
        assert!(plain.0.len() > 10, "seed {seed}: {}", plain.0.len());
        assert_eq!(plain, with_pauses, "seed {seed}");
    }
}

#[test]
fn a_paused_process_commits_what_it_has_and_processes_nothing_until_it_goes_on() {
    let mut rig = Rig::new(1);
    rig.run(Duration::from_secs(1));
    rig.write(0, "a", 1);
    for _ in 0..3 {
        rig.round();
    }
    rig.pause(0);
    let status = rig.process(0).status();
    assert!(status.paused && status.tasks.iter().all(|task| task.state == "paused"), "{status:?}");
    let (before, read) = (rig.broker.transactions(), rig.metrics.records_in("in").get());
    assert_eq!(read, 1, "what came before is committed");
    for second in 2..50 {
        rig.write(0, "a", second);
    }
    rig.run(Duration::from_mins(5));
    assert_eq!(rig.metrics.records_in("in").get(), read);
    assert_eq!(rig.metrics.lag("in", 0).get(), 48, "what waits is told all the same");
    assert_eq!(rig.broker.transactions(), before, "none is begun, committed or aborted while it is paused");
    rig.process(0).pause(false);
    rig.run(Duration::from_secs(1));
    assert_eq!(rig.process(0).status().state, AppState::Running);
    rig.finish();
    assert_eq!((rig.out().len(), rig.late()), (5, 0));
}

#[test]
fn time_paused_is_no_silence_that_a_partition_is_left_out_for() {
    let mut rig = Rig::new(1);
    rig.run(Duration::from_secs(1));
    for partition in 0..2 {
        rig.write(partition, "a", 1);
    }
    rig.run(Duration::from_secs(3));
    rig.pause(0);
    rig.run(Duration::from_mins(1));
    rig.process(0).pause(false);
    // One partition goes on at once, the other three seconds later: in time, as five would be too many.
    rig.write(0, "a", 500);
    rig.run(Duration::from_secs(1));
    assert_eq!(rig.out().len(), 0, "the other partition holds the windows open");
    rig.write(1, "a", 2);
    rig.run(Duration::from_secs(1));
    assert_eq!(rig.late(), 0);
    assert_eq!(rig.metrics.left_out("in").get(), 0);
    rig.finish();
    assert_eq!(rig.late(), 0);
}

#[test]
fn those_downstream_in_another_process_wait_for_a_paused_task_that_had_been_idle() {
    let mut rig = Rig::new(2);
    rig.run(Duration::from_secs(2));
    for partition in 0..2 {
        rig.write(partition, "a", 1);
    }
    // Both have been silent for long enough to be left out.
    rig.run(Duration::from_secs(8));
    assert_eq!(rig.metrics.left_out("in").get(), 2);
    let reads = |rig: &Rig, number: usize| {
        let tasks = rig.process(number).status().tasks;
        tasks.iter().filter(|task| task.time.held_by.as_deref().is_none()).count()
    };
    assert!(reads(&rig, 0) + reads(&rig, 1) > 0, "all is idle");
    rig.pause(0);
    // What the paused process reads and what the other one does: the second goes far ahead.
    for partition in 0..2 {
        rig.write(partition, "a", 2);
    }
    rig.run(Duration::from_secs(2));
    for partition in 0..2 {
        rig.write(partition, "b", 500);
    }
    rig.run(Duration::from_secs(20));
    assert_eq!(rig.out().len(), 0, "no window closes while one who feeds it is paused");
    rig.process(0).pause(false);
    rig.run(Duration::from_secs(2));
    rig.finish();
    assert_eq!(rig.late(), 0);
    // a in the first window with four records, b in a later one with two.
    assert_eq!(rig.out().len(), 2);
}

#[test]
fn a_rebalance_goes_on_while_a_process_is_paused_and_what_moves_away_is_processed_there() {
    let mut rig = Rig::new(1);
    rig.run(Duration::from_secs(1));
    rig.pause(0);
    for partition in 0..2 {
        for second in 0..30 {
            rig.write(partition, "a", second);
        }
    }
    let had = rig.process(0).status().tasks.len();
    rig.start();
    rig.run(Duration::from_secs(10));
    let (first, second) = (rig.process(0).status(), rig.process(1).status());
    assert_eq!(first.tasks.len() + second.tasks.len(), had, "each has a part");
    assert!(!first.tasks.is_empty() && !second.tasks.is_empty());
    assert_eq!((first.state, second.state), (AppState::Paused, AppState::Running));
    assert_eq!(rig.out().len(), 0);
    rig.process(0).pause(false);
    rig.run(Duration::from_secs(2));
    rig.finish();
    assert_eq!((rig.out().len(), rig.late()), (3, 0));
}

#[test]
fn a_paused_process_that_stops_leaves_its_work_to_the_others() {
    let mut rig = Rig::new(2);
    rig.run(Duration::from_secs(2));
    rig.pause(0);
    for partition in 0..2 {
        for second in 0..30 {
            rig.write(partition, "a", second);
        }
    }
    rig.run(Duration::from_secs(1));
    rig.processes[0].take().expect("it runs").close(true);
    rig.run(Duration::from_secs(5));
    rig.finish();
    assert_eq!((rig.out().len(), rig.late()), (3, 0));
}

/// An application with two threads of its own that counts words.
fn start(broker: &MemoryBroker, metrics: &Metrics, id: &str, until_end: bool) -> Running {
    let b = Builder::new("words");
    b.source(IN).stream().rekey(|_, word| word.clone()).group_by_key().count().to(PLAIN);
    let mut config = Config::new(id);
    config.instance = Some(id.into());
    config.threads = 2;
    config.until_end = until_end;
    let app = App::new(b.build().expect("it is sound"), Arc::new(broker.clone()), config).metrics(metrics);
    app.start().expect("it starts")
}

fn words() -> MemoryBroker {
    let broker = MemoryBroker::new(Arc::new(crate::SystemClock::new()));
    let topics = [("in", 2), ("plain", 1)];
    let topics = topics.map(|(name, partitions)| NewTopic { name: name.into(), partitions, settings: BTreeMap::new() });
    broker.create_topics(&topics).expect("they are created");
    broker
}

/// Waits until `done`; the clock is the application's.
fn wait_until(running: &Running, done: impl Fn() -> bool) {
    let clock = crate::SystemClock::new();
    while !done() {
        assert!(clock.elapsed() < PATIENCE, "{:?}", running.status());
        running.wait_for(AppState::Failed, Duration::from_millis(5));
    }
}

#[test]
fn an_application_that_is_paused_waits_until_it_is_resumed() {
    let (broker, metrics, others) = (words(), Metrics::new(), Metrics::new());
    let running = start(&broker, &metrics, "one", false);
    assert!(running.wait_for(AppState::Running, PATIENCE));
    let watch = running.watch();
    watch.pause();
    assert!(running.wait_for(AppState::Paused, PATIENCE), "{:?}", running.status());
    assert!(metrics.render().contains("millstream_paused{topology=\"words\"} 1"));
    (0..100).for_each(|n| write(&broker, n % 2, "a", 1_000));
    // Another application that reads the same shows when it could have been done.
    let other = start(&broker, &others, "other", false);
    wait_until(&other, || others.topology("words").records_in("in").get() == 100);
    assert_eq!(metrics.topology("words").totals().records_in, 0);
    assert_eq!(watch.status().state, AppState::Paused);
    watch.resume();
    wait_until(&running, || metrics.topology("words").records_in("in").get() == 100);
    assert!(running.wait_for(AppState::Running, PATIENCE));
    assert!(metrics.render().contains("millstream_paused{topology=\"words\"} 0"));
    assert!(metrics.topology("words").busy_seconds(0).get() > 0.0);
    running.stop();
    running.join().expect("it stops in good order");
}

#[test]
fn a_paused_application_can_be_stopped_and_a_bounded_run_that_was_paused_comes_to_its_end() {
    let (broker, metrics) = (words(), Metrics::new());
    let running = start(&broker, &metrics, "one", false);
    running.pause();
    assert!(running.wait_for(AppState::Paused, PATIENCE), "{:?}", running.status());
    running.stop();
    running.join().expect("it stops in good order");

    (0..100).for_each(|n| write(&broker, n % 2, "a", 1_000));
    let metrics = Metrics::new();
    let bounded = start(&broker, &metrics, "bounded", true);
    bounded.pause();
    // It may have come to its end before.
    assert!(bounded.wait_for(AppState::Paused, PATIENCE) || bounded.is_finished());
    bounded.resume();
    bounded.join().expect("it comes to its end");
    assert_eq!(metrics.topology("words").records_in("in").get(), 100);
}

#[test]
fn who_rests_is_woken_by_the_end_of_the_pause_and_not_by_what_others_report() {
    let (shared, clock, nap) = (Shared::default(), crate::SystemClock::new(), Duration::from_millis(50));
    let rested = |timeout| {
        let start = clock.elapsed();
        shared.rest(timeout);
        clock.elapsed().saturating_sub(start)
    };
    shared.pause(true);
    std::thread::scope(|scope| {
        let reporting = scope.spawn(|| {
            while shared.pausing() {
                shared.report(0, ThreadStatus::default());
                std::thread::yield_now();
            }
        });
        let times = [rested(nap), rested(nap)];
        let resting = scope.spawn(|| rested(PATIENCE));
        shared.pause(false);
        assert!(resting.join().expect("it wakes") < PATIENCE);
        reporting.join().expect("it ends");
        assert!(times.iter().all(|time| *time >= nap), "{times:?}");
    });
    shared.pause(true);
    shared.stop();
    assert!(rested(PATIENCE) < PATIENCE, "who is told to stop does not rest");
}
