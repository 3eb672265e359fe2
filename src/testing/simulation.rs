//! A whole cluster's life from one seed: processes that crash, lose their disks, join and leave; requests and replies
//! that are lost or late; fencing, rebalances, commits of unknown outcome. One thread, one clock, one random generator:
//! the same seed gives the same life.
//!
//! What runs is the production engine: its stream threads take turns in an order that the seed chooses, on the embedded
//! broker, whose every call may go wrong as the seed chooses. In the end all faults stop, everything is started again
//! and settles; then every input must have had exactly its effects, once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::broker::memory::{Call, Fault, MemoryBroker, Operation, is_crash};
use crate::broker::{Broker, NewTopic, Outgoing, OutgoingRecord, Partitioning, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{Metrics, TopologyMetrics};
use crate::record::{Headers, InputNumber};
use crate::runtime::Config;
use crate::runtime::cluster::Process;
use crate::runtime::thread::Turn;
use crate::state::{MemoryDisks, StateOptions};
use crate::time::{Clock, ManualClock, Timestamp};
use crate::topology::Topology;

/// How many rounds the cluster gets to come to rest once all faults have stopped.
const ROUNDS_TO_HEAL: usize = 100_000;

/// What a simulated cluster runs and what it is fed.
#[derive(Clone)]
pub struct Scenario {
    /// Declares the topology; called once a process start.
    pub topology: Arc<dyn Fn() -> Topology + Send + Sync>,
    /// The source topics and their partition counts.
    pub sources: Vec<(String, u32)>,
    /// Makes the `n`-th input: its topic (a place in `sources`), key and value.
    pub input: Arc<InputMaker>,
    /// The steps of a run, before it heals.
    pub steps: usize,
    /// How many inputs there are at most.
    pub inputs: u64,
    /// How many of them lie in the topics before the first process starts, as in a replay.
    pub backlog: u64,
    /// Whether the broker may refuse records: what it refuses is left out of the results by its source's policy.
    pub refusals: bool,
    /// Changes the configuration of every process.
    pub config: Arc<dyn Fn(&mut Config) + Send + Sync>,
}

/// Makes the `n`-th input of a run.
pub type InputMaker = dyn Fn(u64, &mut ChaCha8Rng) -> SimulatedInput + Send + Sync;

/// An input of a simulated cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedInput {
    /// Which source topic, as a place in [`Scenario::sources`].
    pub source: usize,
    /// Which partition of it; any where `None`.
    pub partition: Option<u32>,
    /// The key's bytes.
    pub key: Option<Vec<u8>>,
    /// The value's bytes.
    pub value: Option<Vec<u8>>,
    /// Kafka's timestamp.
    pub timestamp: Timestamp,
}

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Steps taken.
    pub steps: usize,
    /// A hash of everything that happened, in order: two runs of one seed must agree on it.
    pub trace: u64,
    /// Faults by name, as often as they struck.
    pub happened: BTreeMap<&'static str, u64>,
    /// Transactions committed.
    pub committed: u64,
    /// Transactions aborted.
    pub aborted: u64,
    /// Rebalances.
    pub generations: u64,
}

/// A cluster that has lived its life and come to rest.
pub struct Settled {
    /// The broker with all that was written.
    pub broker: MemoryBroker,
    /// The inputs, in the order in which they were written.
    pub inputs: Vec<SimulatedInput>,
    /// What happened.
    pub report: Report,
    /// What all processes together have counted. What was done by one that died before it heard of the commit is missing.
    pub metrics: TopologyMetrics,
}

/// Chances of the faults of one run: each seed draws its own mix, often with some of them at nothing.
struct Weather {
    crash: f64,
    lost: f64,
    delayed: f64,
    membership: f64,
    timeout: f64,
    refuse: f64,
}

impl Weather {
    fn of(random: &mut ChaCha8Rng) -> Self {
        let mut chance = |most: f64| if random.random_bool(0.4) { 0.0 } else { random.random_range(0.0..most) };
        Self {
            crash: chance(0.002),
            lost: chance(0.01),
            delayed: chance(0.1),
            membership: chance(0.003),
            timeout: chance(0.003),
            refuse: chance(0.02),
        }
    }
}

/// Decides what goes wrong, and counts it.
struct Fate {
    random: ChaCha8Rng,
    weather: Weather,
    calm: bool,
    trace: Trace,
    happened: BTreeMap<&'static str, u64>,
}

impl Fate {
    fn decide(&mut self, call: &Call<'_>) -> Fault {
        let fault = if self.calm { Fault::None } else { self.draw(call.operation) };
        self.trace.add(call.operation as u64);
        let name = match fault {
            Fault::None => return fault,
            Fault::CrashBefore => "crash before a call",
            Fault::CrashAfter => "crash after a call",
            Fault::LostRequest => "lost request",
            Fault::LostReply => "lost reply",
            Fault::DelayedCommit { .. } => "delayed commit",
            Fault::PreparedCommit { .. } => "prepared commit",
            Fault::Refuse { .. } => "refused record",
            Fault::LoseMembership => "lost membership",
            Fault::TransactionTimeout => "transaction timeout",
        };
        *self.happened.entry(name).or_default() += 1;
        for byte in name.bytes() {
            self.trace.add(u64::from(byte));
        }
        fault
    }

    fn draw(&mut self, operation: Operation) -> Fault {
        let Self { random, weather, .. } = self;
        if matches!(operation, Operation::Write | Operation::CreateTopics) {
            return Fault::None;
        }
        if random.random_bool(weather.crash) {
            return if random.random() { Fault::CrashBefore } else { Fault::CrashAfter };
        }
        if random.random_bool(weather.lost) {
            return if random.random() { Fault::LostRequest } else { Fault::LostReply };
        }
        match operation {
            Operation::Commit if random.random_bool(weather.delayed) => {
                let calls = random.random_range(1..50);
                if random.random() { Fault::DelayedCommit { calls } } else { Fault::PreparedCommit { calls } }
            }
            Operation::Send if random.random_bool(weather.refuse) => {
                Fault::Refuse { record: random.random_range(0..4) }
            }
            Operation::Commit | Operation::Send | Operation::Poll if random.random_bool(weather.membership) => {
                Fault::LoseMembership
            }
            Operation::Commit | Operation::Send if random.random_bool(weather.timeout) => Fault::TransactionTimeout,
            _ => Fault::None,
        }
    }
}

/// A running hash.
#[derive(Clone, Copy, Debug)]
struct Trace(u64);

impl Trace {
    fn add(&mut self, what: u64) {
        for byte in what.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A process of the cluster: its disks outlive it, unless they are lost.
struct Node {
    name: String,
    process: Option<Process>,
    disks: MemoryDisks,
}

struct Cluster {
    scenario: Scenario,
    random: ChaCha8Rng,
    clock: Arc<ManualClock>,
    broker: MemoryBroker,
    fate: Arc<Mutex<Fate>>,
    nodes: Vec<Node>,
    writer: Box<dyn Writer>,
    inputs: Vec<SimulatedInput>,
    metrics: TopologyMetrics,
}

/// Lives one cluster's life from `seed`.
///
/// # Errors
/// When a process stops for another reason than a simulated crash, or the cluster does not come to rest after all faults
/// have stopped.
pub fn simulate(seed: u64, scenario: &Scenario) -> Result<Settled> {
    let mut cluster = Cluster::new(seed, scenario)?;
    cluster.produce(scenario.backlog)?;
    for _ in 0..scenario.steps {
        cluster.step()?;
    }
    cluster.heal()?;
    Ok(cluster.settled())
}

/// Lives one cluster's life from `seed` with a pause in it: the first `before` inputs are written and the cluster comes to
/// rest; all its processes stop, in good order or not; the other inputs are written, and only then it goes on.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_with_a_pause(seed: u64, scenario: &Scenario, before: u64) -> Result<Settled> {
    let mut cluster = Cluster::new(seed, scenario)?;
    cluster.scenario.inputs = before;
    cluster.produce(scenario.backlog)?;
    for _ in 0..scenario.steps {
        cluster.step()?;
    }
    cluster.produce(before)?;
    cluster.heal()?;
    cluster.stop_all();
    cluster.scenario.inputs = scenario.inputs;
    cluster.produce(scenario.inputs)?;
    lock(&cluster.fate).calm = false;
    for _ in 0..scenario.steps {
        cluster.step()?;
    }
    cluster.heal()?;
    Ok(cluster.settled())
}

impl Cluster {
    fn new(seed: u64, scenario: &Scenario) -> Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut weather = Weather::of(&mut random);
        if !scenario.refusals {
            weather.refuse = 0.0;
        }
        let fate = Arc::new(Mutex::new(Fate {
            random: ChaCha8Rng::seed_from_u64(seed ^ 0x5eed),
            weather,
            calm: false,
            trace: Trace(0xcbf2_9ce4_8422_2325),
            happened: BTreeMap::new(),
        }));
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let decides = Arc::clone(&fate);
        let broker = MemoryBroker::simulated(
            Arc::clone(&clock) as Arc<dyn Clock>,
            Box::new(move |call| lock(&decides).decide(call)),
        );
        let topics = scenario.sources.iter().map(|(name, partitions)| NewTopic {
            name: name.clone(),
            partitions: *partitions,
            settings: BTreeMap::new(),
        });
        broker.create_topics(&topics.collect::<Vec<_>>())?;
        let nodes = (0..random.random_range(1..=3))
            .map(|number| Node { name: format!("p{number}"), process: None, disks: MemoryDisks::default() })
            .collect();
        let writer = broker.writer()?;
        let metrics = Metrics::new().topology("simulation");
        let (scenario, inputs) = (scenario.clone(), Vec::new());
        Ok(Self { scenario, random, clock, broker, fate, nodes, writer, inputs, metrics })
    }

    /// One event of the cluster's life.
    fn step(&mut self) -> Result<()> {
        match self.random.random_range(0..1_000) {
            0..120 => self.produce_some(),
            120..240 => {
                let millis = self.random.random_range(0..40);
                self.clock.advance(Duration::from_millis(millis));
                Ok(())
            }
            240..243 => {
                // Long enough for sessions and transactions of the dead to be over.
                let seconds = self.random.random_range(1..20);
                self.clock.advance(Duration::from_secs(seconds));
                Ok(())
            }
            243..248 => self.stop_one(),
            248..254 => {
                self.pause_one();
                Ok(())
            }
            _ => {
                let node = self.random.random_range(0..self.nodes.len());
                if self.nodes[node].process.is_none() {
                    return if self.random.random_bool(0.05) { self.start(node) } else { Ok(()) };
                }
                self.turn(node)
            }
        }
    }

    fn produce_some(&mut self) -> Result<()> {
        let many = self.random.random_range(1..6);
        self.produce(many)
    }

    /// Writes the next `many` inputs, as far as there are so many.
    fn produce(&mut self, many: u64) -> Result<()> {
        let many = many.min(self.scenario.inputs.saturating_sub(self.inputs.len() as u64));
        let mut out = Outgoing::default();
        for _ in 0..many {
            let input = (self.scenario.input)(self.inputs.len() as u64, &mut self.random);
            let (name, partitions) = &self.scenario.sources[input.source];
            let partition = input.partition.unwrap_or_else(|| self.random.random_range(0..*partitions));
            let topic = out.topic(name);
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::Fixed(partition),
                key: input.key.as_deref(),
                value: input.value.as_deref(),
                timestamp: input.timestamp,
                headers: &Headers::NONE,
                input: InputNumber(0),
            });
            self.inputs.push(input);
        }
        self.writer.send(&out)?;
        self.writer.flush()
    }

    fn stop_one(&mut self) -> Result<()> {
        let node = self.random.random_range(0..self.nodes.len());
        if self.nodes[node].process.is_none() {
            return self.start(node);
        }
        self.stop(node);
        Ok(())
    }

    /// Has a process rest, or go on.
    fn pause_one(&mut self) {
        let (node, pause) = (self.random.random_range(0..self.nodes.len()), self.random.random());
        if let Some(process) = &self.nodes[node].process {
            process.pause(pause);
            if pause {
                self.count("pause");
            }
        }
    }

    fn stop_all(&mut self) {
        for node in 0..self.nodes.len() {
            self.stop(node);
        }
    }

    fn stop(&mut self, node: usize) {
        let (power, leave) = (self.random.random_bool(0.5), self.random.random());
        let Some(process) = self.nodes[node].process.take() else { return };
        if power {
            drop(process);
            self.count("power cut");
            if self.random.random_bool(0.3) {
                self.nodes[node].disks = MemoryDisks::default();
                self.count("lost disk");
            }
        } else {
            process.close(leave);
            self.count("graceful stop");
        }
    }

    fn count(&self, what: &'static str) {
        *lock(&self.fate).happened.entry(what).or_default() += 1;
    }

    fn start(&mut self, node: usize) -> Result<()> {
        let Node { name, disks, .. } = &self.nodes[node];
        let mut config = Config::new("simulated");
        config.instance = Some(name.clone());
        config.threads = 1 + node % 2;
        config.state = StateOptions::Disks(disks.clone());
        (self.scenario.config)(&mut config);
        let broker = Arc::new(self.broker.process(name));
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        match Process::start((self.scenario.topology)(), broker, config, clock, self.metrics.clone()) {
            Ok(process) => self.nodes[node].process = Some(process),
            // A lost request before the first turn: whoever started the process starts it again.
            Err(error) if is_crash(&error) || error.kind() == ErrorKind::Broker => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn turn(&mut self, node: usize) -> Result<()> {
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        let thread = self.random.random_range(0..process.threads());
        let turned = process.turn_of(thread);
        lock(&self.fate).trace.add(node as u64);
        match turned {
            Ok(_) => Ok(()),
            Err(error) if is_crash(&error) => {
                self.nodes[node].process = None;
                if self.random.random_bool(0.2) {
                    self.nodes[node].disks = MemoryDisks::default();
                    self.count("lost disk");
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// All faults stop; everything is started and works until nothing is left to do.
    fn heal(&mut self) -> Result<()> {
        lock(&self.fate).calm = true;
        self.nodes.iter().filter_map(|node| node.process.as_ref()).for_each(|process| process.pause(false));
        let mut quiet = 0;
        for _ in 0..ROUNDS_TO_HEAL {
            let mut worked = false;
            for node in 0..self.nodes.len() {
                if self.nodes[node].process.is_none() {
                    self.start(node)?;
                }
                let Some(process) = &mut self.nodes[node].process else { continue };
                match process.turn() {
                    Ok(turn) => worked |= turn == Turn::Worked || process.is_busy(),
                    // A process that a fault had killed before the calm.
                    Err(error) if is_crash(&error) => self.nodes[node].process = None,
                    Err(error) => return Err(error),
                }
            }
            quiet = if worked { 0 } else { quiet + 1 };
            self.clock.advance(Duration::from_millis(if worked { 20 } else { 500 }));
            // Longer than every session and transaction: nothing that is still to come is missed.
            if quiet > 100 {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Internal, "the cluster did not come to rest after all faults had stopped"))
    }

    fn settled(self) -> Settled {
        let fate = lock(&self.fate);
        let counts = self.broker.transactions();
        let mut trace = fate.trace;
        trace.add(counts.committed);
        trace.add(counts.aborted);
        let report = Report {
            steps: self.scenario.steps,
            trace: trace.0,
            happened: fate.happened.clone(),
            committed: counts.committed,
            aborted: counts.aborted,
            generations: 0,
        };
        let metrics = self.metrics.clone();
        Settled { broker: self.broker.clone(), inputs: self.inputs.clone(), report, metrics }
    }
}

fn lock(fate: &Mutex<Fate>) -> MutexGuard<'_, Fate> {
    fate.lock().unwrap_or_else(PoisonError::into_inner)
}
