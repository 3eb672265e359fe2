//! A real Kafka broker for the tests that need one, started by `scripts/kafka`, and what those tests do with it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use millstream::broker::kafka::KafkaBroker;
use millstream::broker::{
    Batch, Broker, CommittedOffset, Fetched, GroupEvent, Guarantee, Member, MemberOptions, NewTopic, Outgoing,
    OutgoingRecord, Partitioning, Reader,
};
use millstream::record::InputNumber;
use millstream::{Clock, Headers, Offset, SystemClock, Timestamp, TopicPartition};

use crate::process::within;

/// The broker that the tests of this program share. It ends with the program: it lives only while the program holds the
/// other end of its standard input.
#[derive(Debug)]
pub struct RealBroker {
    /// `host:port`.
    pub bootstrap: &'static str,
    /// Where it keeps its files: the logs of its partitions in `data`.
    pub directory: &'static Path,
    _turn: Turn,
}

/// Where a broker that asks who comes can be reached: addresses, and the file with the authority that signed its certificate.
#[derive(Debug)]
pub struct Doors {
    pub tls: String,
    pub scram: String,
    pub tokens: String,
    pub ca: String,
}

/// What a test holds while it uses the broker: tests that measure are alone with it.
#[derive(Debug)]
enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

static SHARED: OnceLock<Result<Launched, String>> = OnceLock::new();
static SECURED: OnceLock<Result<Launched, String>> = OnceLock::new();
static TURNS: RwLock<()> = RwLock::new(());

#[derive(Debug)]
struct Launched {
    /// `host:port` of a broker, the port of a controller.
    address: String,
    directory: PathBuf,
    /// All that the script has said of it.
    line: String,
    /// Lives as long as this program.
    script: Child,
}

/// The word after `name` in what the script has said.
fn field(line: &str, name: &str) -> Option<String> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name)).map(str::to_owned)
}

impl RealBroker {
    /// The shared broker, started where it does not run yet. `None`, with a word about it, on a machine without Java or
    /// Maven; in CI that is a failure instead.
    pub fn start() -> Option<Self> {
        let guard = TURNS.read().unwrap_or_else(PoisonError::into_inner);
        Self::with(Turn::Shared { _guard: guard })
    }

    /// As [`RealBroker::start`], while no other test uses it.
    pub fn alone() -> Option<Self> {
        let guard = TURNS.write().unwrap_or_else(PoisonError::into_inner);
        Self::with(Turn::Alone { _guard: guard })
    }

    fn with(turn: Turn) -> Option<Self> {
        match SHARED.get_or_init(|| launch(&[])) {
            Ok(Launched { address, directory, .. }) => Some(Self { bootstrap: address, directory, _turn: turn }),
            Err(why) => without(why),
        }
    }

    /// A broker that asks who comes, started where it does not run yet; what is given speaks for its administrator. `None` as
    /// with [`RealBroker::start`].
    pub fn secured() -> Option<(Self, Doors)> {
        let guard = TURNS.read().unwrap_or_else(PoisonError::into_inner);
        match SECURED.get_or_init(|| launch(&["--secure"])) {
            Ok(Launched { address, directory, line, .. }) => {
                let door = |name: &str| field(line, name).expect("the script says it");
                let doors =
                    Doors { tls: door("tls="), scram: door("scram="), tokens: door("tokens="), ca: door("ca=") };
                Some((Self { bootstrap: address, directory, _turn: Turn::Shared { _guard: guard } }, doors))
            }
            Err(why) => without(why),
        }
    }

    /// A connection to it.
    pub fn connect(&self) -> KafkaBroker {
        self.connect_with(&[])
    }

    /// A connection to it with librdkafka's properties.
    pub fn connect_with(&self, properties: &[(&str, &str)]) -> KafkaBroker {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        KafkaBroker::new(self.bootstrap, &properties).expect("valid properties")
    }
}

/// A broker of a test's own, to be killed and started again where it was. Its controller lives on meanwhile, as in a
/// cluster: one that dies with it takes the broker for alive when it comes back, and Kafka 4.3.1 then forgets the markers
/// of the transactions that were just ending ("Couldn't find leader endpoint for partitions ... likely deleted").
#[derive(Debug)]
pub struct OwnBroker {
    /// `host:port`.
    pub bootstrap: String,
    directory: tempfile::TempDir,
    running: Option<Launched>,
    controller: Launched,
}

impl OwnBroker {
    /// Starts one. `None` as with [`RealBroker::start`].
    pub fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let started = launch(&["--controller"]).and_then(|controller| {
            let running = launch(&["--of", &controller.address, "--dir", text(directory.path())])?;
            Ok((controller, running))
        });
        match started {
            Ok((controller, running)) => {
                let bootstrap = running.address.clone();
                Some(Self { bootstrap, directory, running: Some(running), controller })
            }
            Err(why) => without(&why),
        }
    }

    /// Kills it at once, and waits until its controller knows; what it had written stays.
    pub fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.directory.path().join("pid")).expect("the broker's process");
        let killed = Command::new("kill").args(["-KILL", pid.trim()]).status().expect("kill runs");
        assert!(killed.success());
        if let Some(mut running) = self.running.take() {
            // The script follows when nobody holds its standard input any more.
            drop(running.script.stdin.take());
            running.script.wait().expect("the script ends with its broker");
        }
        let known = "Fencing broker 1";
        let before = logged(&self.controller.directory, known).len();
        within(Duration::from_mins(1), "the controller to miss the broker", || {
            (logged(&self.controller.directory, known).len() > before).then_some(())
        });
    }

    /// Starts it again at the same address, with what it had.
    pub fn restart(&mut self) {
        let port = self.bootstrap.rsplit_once(':').expect("a port").1;
        let arguments = ["--of", &self.controller.address, "--dir", text(self.directory.path()), "--port", port];
        self.running = Some(launch(&arguments).expect("the broker starts again"));
    }
}

/// The lines of a broker's log that hold `text`, since it was started for the last time.
fn logged(directory: &Path, text: &str) -> Vec<String> {
    let log = std::fs::read_to_string(directory.join("broker.log")).expect("the broker's log");
    log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "--- what the broker has complained about\n{}",
                logged(self.directory.path(), " WARN ").join("\n")
            );
            println!("{}", logged(self.directory.path(), " ERROR ").join("\n"));
        }
    }
}

/// What a test does where there is no broker: nothing, with a word about it; in CI it fails.
fn without<T>(why: &str) -> Option<T> {
    assert!(std::env::var("CI").map_or(true, |ci| ci != "true"), "no real broker: {why}");
    eprintln!("skipped, since it needs a real Kafka broker: {why}");
    None
}

fn launch(more: &[&str]) -> Result<Launched, String> {
    // RUST_LOG=debug shows what the library and librdkafka say.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init().ok();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
    let mut child = Command::new(script)
        .args(["run", "--while-stdin"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("scripts/kafka did not start: {error}"))?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).map_err(|error| error.to_string())?;
    let address = field(&line, "bootstrap=").or_else(|| field(&line, "controller="));
    let (Some(address), Some(directory)) = (address, field(&line, "dir=")) else {
        let mut why = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut why).map_err(|error| error.to_string())?;
        assert!(why.contains("is missing"), "the broker does not start: {why}");
        return Err(why.trim().to_owned());
    };
    Ok(Launched { address, directory: directory.into(), line, script: child })
}

/// `name` with something that no other test has.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A new topic.
pub fn topic(broker: &dyn Broker, name: &str, partitions: u32) -> String {
    topic_with(broker, name, partitions, &[])
}

/// A new topic with settings.
pub fn topic_with(broker: &dyn Broker, name: &str, partitions: u32, settings: &[(&str, &str)]) -> String {
    let name = unique(name);
    // Records of the past must not be deleted for their age.
    let always = [("retention.ms", "-1")];
    let settings = always.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let topic = NewTopic { name: name.clone(), partitions, settings: settings.collect::<BTreeMap<_, _>>() };
    broker.create_topics(&[topic]).expect("the topic is created");
    name
}

/// A member's options.
pub fn options(group: &str, instance: &str) -> MemberOptions {
    MemberOptions {
        group: group.to_owned(),
        instance: instance.to_owned(),
        transactional_id: format!("{group}-{instance}"),
        client_id: format!("{group}|{instance}"),
        guarantee: Guarantee::ExactlyOnce,
        session_timeout: Duration::from_secs(10),
        transaction_timeout: Duration::from_secs(15),
    }
}

/// Partition `partition` of `topic`.
pub fn at(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

/// An offset to commit.
pub fn offset(topic: &str, partition: u32, offset: Offset) -> CommittedOffset {
    CommittedOffset { partition: at(topic, partition), offset, metadata: String::new() }
}

/// Records for one partition, numbered from 0 by input, all with the key "k".
pub fn records<'a>(topic: &str, partition: u32, values: impl IntoIterator<Item = &'a [u8]>) -> Outgoing {
    let mut out = Outgoing::default();
    let topic = out.topic(topic);
    for (input, value) in (0..).zip(values) {
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(partition),
            key: Some(b"k"),
            value: Some(value),
            timestamp: Timestamp::from_millis(1_000),
            headers: &Headers::NONE,
            input: InputNumber(input),
        });
    }
    out
}

/// Fills a partition with `count` records, "0", "1", …, padded to `size` bytes.
pub fn fill(broker: &dyn Broker, topic: &str, partition: u32, count: u32, size: usize) {
    let values: Vec<Vec<u8>> = (0..count).map(|n| format!("{n:0size$}").into_bytes()).collect();
    let mut writer = broker.writer().expect("a writer");
    writer.send(&records(topic, partition, values.iter().map(Vec::as_slice))).expect("sent");
    writer.flush().expect("written");
}

/// Asks `what` again and again until it gives something; fails after half a minute.
pub fn until<T>(waiting_for: &str, mut what: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock::new();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(clock.elapsed() < Duration::from_secs(30), "waited in vain for {waiting_for}");
        std::thread::yield_now();
    }
}

/// Waits for the member's next event.
pub fn next_event(member: &mut dyn Member) -> GroupEvent {
    until("an event of the group", || {
        let event = member.poll().expect("a good membership");
        if event.is_none() {
            member.wait(Duration::from_millis(20));
        }
        event
    })
}

/// Waits for partitions, answering whatever comes before.
pub fn next_assignment(member: &mut dyn Member) -> Vec<TopicPartition> {
    until("an assignment", || match next_event(member) {
        GroupEvent::Assigned(partitions) => Some(partitions),
        GroupEvent::Revoked | GroupEvent::Lost => {
            member.unassign().expect("unassigned");
            None
        }
    })
}

/// A member that has joined for `topics` and reads everything from 0.
pub fn joined(broker: &dyn Broker, options: &MemberOptions, topics: &[&str]) -> (Box<dyn Member>, Vec<TopicPartition>) {
    let mut member = broker.connect(options).expect("connected");
    member.subscribe(topics).expect("subscribed");
    let partitions = next_assignment(&mut *member);
    member.assign(&from_start(&partitions)).expect("assigned");
    (member, partitions)
}

/// Each partition from offset 0.
pub fn from_start(partitions: &[TopicPartition]) -> Vec<(TopicPartition, Offset)> {
    partitions.iter().map(|partition| (partition.clone(), 0)).collect()
}

/// The values of a batch as text.
pub fn texts(batch: &Batch) -> Vec<String> {
    batch.iter().map(|record| String::from_utf8_lossy(record.value.unwrap_or(b"null")).into_owned()).collect()
}

/// Reads a reader's first partition until nothing is left of it, open transactions included: a commit is answered before
/// its markers are written, so that for a moment the records of a committed transaction cannot be read yet.
pub fn read_all(reader: &mut dyn Reader, into: &mut Batch) -> Fetched {
    until("the end of the partition", || {
        let fetched = reader.fetch(0, 1_000_000, into).expect("readable");
        let done = fetched.caught_up() && fetched.position == fetched.high_watermark;
        if !done {
            reader.wait(Duration::from_millis(20));
        }
        done.then_some(fetched)
    })
}

/// All committed values of partition 0 of `topic`.
pub fn committed_values(broker: &dyn Broker, topic: &str) -> Vec<String> {
    let mut batch = Batch::default();
    let mut reader = broker.reader(&[(at(topic, 0), 0)]).expect("a reader");
    read_all(&mut *reader, &mut batch);
    texts(&batch)
}
