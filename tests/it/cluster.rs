//! An application of several processes on a real broker, which are killed again and again.
#![cfg(feature = "cli")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use millstream::{Clock, SystemClock};

use crate::broker::{RealBroker, unique};
use crate::process::{Process, within};
use crate::totals::kafka_tool;

/// The seed of a test: `KILLS_SEED`, or one that is different each time.
pub fn seed() -> u64 {
    let seed = std::env::var("KILLS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::random::<u32>().into());
    println!("seed {seed} (KILLS_SEED={seed} takes it again)");
    seed
}

/// An application of several processes, and what happened to them.
pub struct Cluster<'a> {
    real: &'a RealBroker,
    topology: &'static str,
    application: String,
    directory: &'a Path,
    flags: Vec<String>,
    pub running: BTreeMap<&'static str, Process>,
    pub kills: u32,
    /// Kills of a process that had been given partitions.
    pub struck: u32,
    restarts: u32,
    /// The logs of all that have ended.
    logs: String,
}

impl<'a> Cluster<'a> {
    pub fn new(real: &'a RealBroker, topology: &'static str, directory: &'a Path, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (running, logs) = (BTreeMap::new(), String::new());
        let application = unique("kills");
        Self { real, topology, application, directory, flags, running, kills: 0, struck: 0, restarts: 0, logs }
    }

    pub fn start_with(&mut self, instance: &'static str, more: &[&str]) {
        let state = self.directory.join(instance);
        let mut arguments = vec!["run", self.topology, "--bootstrap-servers", self.real.bootstrap];
        arguments.extend(["--application-id", &self.application, "--instance", instance]);
        arguments.extend(["--state-dir", state.to_str().expect("a text"), "--threads", "2"]);
        arguments.extend(self.flags.iter().map(String::as_str));
        arguments.extend(more);
        self.running.insert(instance, Process::start(instance, &arguments));
    }

    pub fn start(&mut self, instance: &'static str) {
        self.start_with(instance, &[]);
    }

    pub fn process(&mut self, instance: &str) -> &mut Process {
        self.running.get_mut(instance).expect("it runs")
    }

    fn end(&mut self, instance: &str) {
        let process = self.running.remove(instance).expect("it runs");
        self.logs.push_str(&process.log());
    }

    /// Kills a process and starts it again.
    pub fn kill(&mut self, instance: &'static str) {
        let process = self.process(instance);
        assert!(!process.ended(), "{instance} ended by itself:\n{}", process.log());
        let assigned = process.count("partitions assigned") > 0;
        process.kill();
        self.kills += 1;
        self.struck += u32::from(assigned);
        self.end(instance);
        self.start(instance);
        self.restarts += 1;
    }

    pub fn stop(&mut self, instance: &'static str) {
        let process = self.process(instance);
        // Before that it may not be listening for signals yet.
        process.logged("partitions assigned");
        process.terminate();
        // Longer than any call to the broker is tried again: what is tested here is what it leaves behind.
        process.succeeds(Duration::from_mins(3));
        self.end(instance);
    }

    /// Processes all that is left, as a bounded run does.
    pub fn drain(&mut self) {
        self.start_with("a", &["--until-end"]);
        self.process("a").succeeds(Duration::from_mins(1));
        self.end("a");
    }

    /// The topics of the application's own.
    pub fn internal_topics(&self) -> Vec<String> {
        let partitions = std::fs::read_dir(self.real.directory.join("data")).expect("the broker's logs");
        let names = partitions.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
        let own = names.filter(|name| name.starts_with(&self.application));
        let topics: BTreeSet<String> =
            own.filter_map(|name| name.rsplit_once('-').map(|(topic, _)| topic.to_owned())).collect();
        topics.into_iter().collect()
    }

    /// How many abort markers lie in the topics' logs, and how many producers' epochs they end.
    pub fn aborted(&self, topics: &[&str]) -> (usize, usize) {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.real.directory.join("data")).expect("the broker's logs") {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if name.rsplit_once('-').is_some_and(|(topic, _)| topics.contains(&topic)) {
                let segments =
                    std::fs::read_dir(path).expect("a partition's log").map(|entry| entry.expect("readable"));
                let segments = segments.map(|entry| entry.path().to_string_lossy().into_owned());
                files.extend(segments.filter(|path| Path::new(path).extension().is_some_and(|kind| kind == "log")));
            }
        }
        let files = files.join(",");
        let lines = kafka_tool("org.apache.kafka.tools.DumpLogSegments", &["--print-data-log", "--files", &files]);
        let aborts: Vec<&String> = lines.iter().filter(|line| line.contains("endTxnMarker: ABORT")).collect();
        let mut epochs = BTreeSet::new();
        let field = |line: &str, name: &str| {
            line.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next()).unwrap_or("?").to_owned()
        };
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("endTxnMarker: ABORT")) {
            let batch = lines[..number].iter().rfind(|line| line.starts_with("baseOffset")).unwrap_or(line);
            epochs.insert((field(batch, "producerId: "), field(batch, "producerEpoch: ")));
        }
        (aborts.len(), epochs.len())
    }

    pub fn report(&self, took: Duration) {
        let count = |text: &str| self.logs.lines().filter(|line| line.contains(text)).count();
        println!(
            "{} kills in {took:.1?} ({} of a process that had partitions), {} restarts; logged: {} aborted transactions, \
             {} lost ownerships, {} unknown outcomes, {} restores, {} states moved aside",
            self.kills,
            self.struck,
            self.restarts,
            count("the transaction is aborted") + count("a transaction is aborted"),
            count("the ownership is checked again"),
            count("is not known, the broker is asked"),
            count(" restored"),
            count("was moved aside"),
        );
        assert_eq!(count("was moved aside"), 0, "a crash must not spoil the state");
    }

    /// Kills one of `a` and `b` at a random moment: mostly at work, at times while it starts.
    pub fn strike(&mut self, rng: &mut ChaCha8Rng, most_millis: u64) {
        let (clock, instance) = (SystemClock::new(), ["a", "b"][rng.random_range(0..2)]);
        if rng.random_bool(0.7) {
            self.process(instance).logged("partitions assigned");
        }
        let moment = clock.elapsed() + Duration::from_millis(rng.random_range(0..most_millis));
        within(Duration::from_secs(5), "the moment", || (clock.elapsed() >= moment).then_some(()));
        self.kill(instance);
    }
}
