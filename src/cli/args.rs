//! The command line's shape. What a flag means is said here, once, as its help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::catalog::{Catalog, TopologyEntry};
use super::failure::Failure;
use super::own_settings::{Settings, assign};
use super::parse;
use super::redis::RedisUrl;
use super::security::SecurityArguments;
use super::settings::{GuaranteeName, Layer, Own};
use crate::http::Format;
use crate::operators::source::BadInput;
use crate::time::Timestamp;

/// Keyed stream processors over Kafka topics, exactly once.
///
/// Without a command: the demo of all topologies. It needs nothing but this program: a shop sells smoothies, sensors report,
/// into a broker inside the process, and you watch what becomes of it.
#[derive(Debug, Parser)]
#[command(name = "millstream", version)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) demo: DemoArguments,
    #[command(flatten)]
    pub(super) log: LogArguments,
}

/// The command line of a program with this catalog: what it has nothing for is not shown.
pub(super) fn command(catalog: &Catalog) -> clap::Command {
    let mut command = Arguments::command();
    if catalog.demos.is_empty() {
        if let Some(name) = own_name() {
            command = command.bin_name(name);
        }
        command = command.about("Keyed stream processors over Kafka topics, exactly once.").long_about(None);
        command = command.mut_subcommand("demo", |demo| demo.hide(true));
        for flag in ["rate", "duration", "seed", "http"] {
            command = command.mut_arg(flag, |flag| flag.hide(true));
        }
    }
    if catalog.generators.is_empty() {
        command = command.mut_subcommand("generate", |generate| generate.hide(true));
    }
    command
}

/// What the program is called, as it was started.
fn own_name() -> Option<String> {
    let path = PathBuf::from(std::env::args_os().next()?);
    Some(path.file_name()?.to_string_lossy().into_owned())
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Watch topologies at work on made-up records, in a broker inside the process.
    Demo(Box<DemoCommand>),
    /// Run topologies on Kafka until they are stopped.
    ///
    /// Every setting can also stand in the file that --config names, under the flag's name, or in the environment, as in
    /// `MILLSTREAM_BOOTSTRAP_SERVERS`. A flag beats the file, the file beats the environment.
    Run(Box<RunArguments>),
    /// Run a topology over files, in a broker inside the process, and print what it gives.
    Local(LocalArguments),
    /// Show how a topology is put together.
    Describe(DescribeArguments),
    /// Show what a changed topology keeps, creates, changes and leaves behind of what was deployed last.
    ///
    /// What was deployed last is in the lock file, which --write writes. With --bootstrap-servers (or its variable) the topics
    /// on Kafka are looked at as well. The exit code is 3 where a store, a topic or a term is changed or left behind.
    Plan(PlanArguments),
    /// Start applications anew: offsets, internal topics and local state. Shows what it would do, unless --execute is given.
    ///
    /// No process of the application may run. Topics that the application writes for others are never touched: what it
    /// writes anew comes after what is there.
    Reset(Box<ResetArguments>),
    /// Ask a process on this machine whether it is well: for containers, which have no shell to ask with.
    ///
    /// The exit code is 0 where it is, 1 where it is not or does not answer.
    Health(HealthArguments),
    /// List the topologies.
    Topologies,
    /// Write made-up records to Kafka, or to standard output.
    Generate(Box<GenerateArguments>),
}

#[derive(Debug, Args)]
pub(super) struct DemoCommand {
    /// The topologies, by name; all where none is given
    #[arg(value_name = "TOPOLOGY")]
    pub(super) topologies: Vec<String>,
    #[command(flatten)]
    pub(super) demo: DemoArguments,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Demo")]
pub(super) struct DemoArguments {
    /// Records a second of each generator [default: a few dozen]
    #[arg(long, value_name = "N", value_parser = parse::rate)]
    pub(super) rate: Option<f64>,
    /// Stop after this time, such as 10s
    #[arg(long = "for", value_name = "TIME", value_parser = parse::duration)]
    pub(super) duration: Option<Duration>,
    /// The same seed makes the same records
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Where to serve the live page, metrics, health and state [default: 127.0.0.1:8080, or a free port]
    #[arg(long, value_name = "ADDR")]
    pub(super) http: Option<SocketAddr>,
    /// Deliver what topologies have for Redis to this one, such as `redis://127.0.0.1:6379`
    #[arg(long, value_name = "URL")]
    pub(super) redis: Option<RedisUrl>,
}

impl DemoArguments {
    /// The demo's flags stand before a command only by mistake.
    pub(super) fn must_be_empty(&self) -> Result<(), Failure> {
        let given = [
            ("--rate", self.rate.is_some()),
            ("--for", self.duration.is_some()),
            ("--seed", self.seed.is_some()),
            ("--http", self.http.is_some()),
            ("--redis", self.redis.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(Failure::Usage(format!("{flag} before a command is for the demo; put it after the command")))
            }
            None => Ok(()),
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging, to standard error")]
pub(super) struct LogArguments {
    /// How log lines are written
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub(super) log: LogFormat,
    /// error, warn, info, debug, trace, or a filter as in `RUST_LOG`, which it overrides [default: info; warn for the demo and local]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The topologies, by name
    #[arg(required = true, value_name = "TOPOLOGY")]
    pub(super) topologies: Vec<String>,
    /// With --until-end: print a table of the results at the end, where TOPOLOGY has one; on a terminal that is done anyway
    #[arg(long)]
    pub(super) report: bool,
    #[command(flatten)]
    pub(super) own: OwnArguments,
    #[command(flatten)]
    pub(super) settings: SettingArguments,
}

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// The topologies, by name
    #[arg(required = true, value_name = "TOPOLOGY")]
    pub(super) topologies: Vec<String>,
    #[command(flatten)]
    pub(super) own: OwnArguments,
    /// The lock file [default: millstream.lock]
    #[arg(long, value_name = "FILE")]
    pub(super) lock: Option<PathBuf>,
    /// Write what is declared now to the lock file
    #[arg(long)]
    pub(super) write: bool,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: PlanFormat,
    #[command(flatten)]
    pub(super) kafka: KafkaArguments,
}

/// How a comparison is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    /// A line a part: = kept, + created, ~ changed, - left behind
    #[default]
    Text,
    /// For programs
    Json,
}

/// Which Kafka, and which application on it.
#[derive(Debug, Args)]
pub(super) struct KafkaArguments {
    /// Kafka's addresses
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(super) bootstrap_servers: Option<String>,
    /// Names the groups and the internal topics [default: millstream]
    #[arg(long, value_name = "ID")]
    pub(super) application_id: Option<String>,
    /// A topic that is called otherwise on this Kafka
    #[arg(long = "topic", value_name = "NAME=ACTUAL", value_parser = parse::pair)]
    pub(super) topics: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) security: SecurityArguments,
    /// A property of librdkafka; not for passwords, which other users of the machine would see: see --password-file
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = parse::pair)]
    pub(super) properties: Vec<(String, String)>,
    /// The TOML file that `run` takes; other settings in it are left alone
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

impl KafkaArguments {
    /// The flags as a layer of settings.
    pub(super) fn layer(&self) -> Layer {
        Layer {
            bootstrap_servers: self.bootstrap_servers.clone(),
            application_id: self.application_id.clone(),
            topic: self.topics.iter().cloned().collect(),
            property: self.properties.iter().cloned().collect(),
            ..self.security.layer()
        }
    }
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct ResetArguments {
    /// The topologies, by name
    #[arg(required = true, value_name = "TOPOLOGY")]
    pub(super) topologies: Vec<String>,
    #[command(flatten)]
    pub(super) own: OwnArguments,
    /// Do it; without this, only what would be done is shown
    #[arg(long)]
    pub(super) execute: bool,
    /// Show what would be done and do nothing, as is the default
    #[arg(long, conflicts_with = "execute")]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) start: StartArguments,
    /// Move the offsets of the sources only: internal topics and state stay, and what is read again counts again
    #[arg(long, conflicts_with_all = ["state_dir", "orphans"])]
    pub(super) keep_internal: bool,
    /// Delete internal topics as well that an older version of the topology has left behind
    #[arg(long)]
    pub(super) orphans: bool,
    /// The directory with the local state of this machine, which is deleted
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// With --execute: wait so long for members of the group to be gone, such as 15s
    #[arg(long, value_name = "TIME", value_parser = parse::duration, requires = "execute")]
    pub(super) wait: Option<Duration>,
    #[command(flatten)]
    pub(super) kafka: KafkaArguments,
}

/// Where the sources are to be read from.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Where to read the sources from")]
pub(super) struct StartArguments {
    /// The first record that is still there, as is the default
    #[arg(long)]
    pub(super) to_earliest: bool,
    /// Only what comes from now on
    #[arg(long)]
    pub(super) to_latest: bool,
    /// The first record with this Kafka timestamp or a later one, such as 2022-08-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub(super) to_timestamp: Option<Timestamp>,
    /// The first record with a Kafka timestamp not longer ago than this, such as 1h
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(super) by_duration: Option<Duration>,
    /// So many records on from what is committed, or back, such as -100
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) shift_by: Option<i64>,
    /// The offsets in this file, a partition a line: TOPIC,PARTITION,OFFSET; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(super) to_offsets: Option<PathBuf>,
}

/// Settings of the topologies' own.
#[derive(Debug, Args)]
pub(super) struct OwnArguments {
    /// A setting of a topology, as `millstream topologies` lists them; TOPOLOGY.NAME=VALUE where several have it
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse::pair)]
    pub(super) set: Vec<(String, String)>,
}

impl OwnArguments {
    /// The settings of the only topology of a command.
    pub(super) fn assign(&self, entry: &TopologyEntry) -> Result<Settings, Failure> {
        let all = assign(&[entry], &self.set.iter().cloned().collect())?;
        Ok(all.into_iter().next().unwrap_or_default())
    }
}

/// The command line of a program that runs a topology of its own.
#[derive(Debug, Parser)]
#[command(version)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    pub(super) settings: SettingArguments,
    /// Show what the topology keeps, creates, changes and leaves behind of what --lock says, and run nothing
    #[arg(long, requires = "lock")]
    pub(super) plan: bool,
    /// With --plan: write what is declared now to the lock file
    #[arg(long, requires = "plan")]
    pub(super) write: bool,
    #[command(flatten)]
    pub(super) log: LogArguments,
}

/// How topologies are run.
///
/// Every setting can also stand in the file that --config names, under the flag's name, or in the environment, as in
/// `MILLSTREAM_BOOTSTRAP_SERVERS`. A flag beats the file, the file beats the environment.
#[derive(Debug, Args)]
pub(super) struct SettingArguments {
    /// Kafka's addresses
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(super) bootstrap_servers: Option<String>,
    /// Names the groups, the transactional ids and the internal topics [default: millstream]
    #[arg(long, value_name = "ID")]
    pub(super) application_id: Option<String>,
    /// Names this process within the group, so that it gets its tasks back after a restart
    #[arg(long, value_name = "NAME")]
    pub(super) instance: Option<String>,
    /// Stream threads for each topology [default: 1]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(super) threads: Option<usize>,
    /// Where local state lies; in memory where it is not given
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// What holds after a crash [default: exactly-once]
    #[arg(long, value_enum, value_name = "GUARANTEE")]
    pub(super) guarantee: Option<GuaranteeName>,
    /// How long results wait for the next commit at most [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(super) commit_interval: Option<Duration>,
    /// How long the group waits for a silent process before its tasks move [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(super) session_timeout: Option<Duration>,
    /// How long the open transaction of a dead process may hold its readers up [default: 15s]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(super) transaction_timeout: Option<Duration>,
    /// Stop where the topics end at the start
    #[arg(long)]
    pub(super) until_end: bool,
    /// What happens to a record that cannot be used: fail, skip, or dead-letter=TOPIC [default: fail]
    #[arg(long, value_name = "POLICY", value_parser = parse::bad_input)]
    pub(super) bad_input: Option<BadInput>,
    /// Leave the group at once when stopped, so that others take over; else they wait for this process to be back
    #[arg(long)]
    pub(super) leave_on_stop: bool,
    /// Serve the live page, metrics, health and state here, such as 127.0.0.1:8080; off where it is not given. An address
    /// that is not loopback needs a token
    #[arg(long, value_name = "ADDR")]
    pub(super) http: Option<SocketAddr>,
    /// The file with the token that HTTP requests must bring along, and that a browser is asked for once; needed where
    /// the address is not loopback
    #[arg(long, value_name = "FILE")]
    pub(super) http_token_file: Option<PathBuf>,
    /// Where other processes reach the HTTP address, to ask for the state that is here [default: the address itself]
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) advertise: Option<String>,
    /// Refuse to start where a topology is not what this lock file says, which `millstream plan --write` has written
    #[arg(long, value_name = "FILE")]
    pub(super) lock: Option<PathBuf>,
    /// Deliver what topologies have for Redis to this one, such as `redis://127.0.0.1:6379`; with a password better by
    /// --redis-file or `MILLSTREAM_REDIS`, which other users of the machine do not see
    #[arg(long, value_name = "URL")]
    pub(super) redis: Option<RedisUrl>,
    /// The file with the Redis URL
    #[arg(long, value_name = "FILE", conflicts_with = "redis")]
    pub(super) redis_file: Option<PathBuf>,
    /// A topic that is called otherwise on this Kafka
    #[arg(long = "topic", value_name = "NAME=ACTUAL", value_parser = parse::pair)]
    pub(super) topics: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) security: SecurityArguments,
    /// A property of librdkafka; not for passwords, which other users of the machine would see: see --password-file
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = parse::pair)]
    pub(super) properties: Vec<(String, String)>,
    /// A TOML file with the same settings
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

impl SettingArguments {
    /// The flags as a layer of settings.
    pub(super) fn layer(&self) -> Layer {
        Layer {
            bootstrap_servers: self.bootstrap_servers.clone(),
            application_id: self.application_id.clone(),
            instance: self.instance.clone(),
            threads: self.threads,
            state_dir: self.state_dir.clone(),
            guarantee: self.guarantee,
            commit_interval: self.commit_interval,
            session_timeout: self.session_timeout,
            transaction_timeout: self.transaction_timeout,
            until_end: self.until_end.then_some(true),
            bad_input: self.bad_input.clone(),
            leave_on_stop: self.leave_on_stop.then_some(true),
            http: self.http,
            http_token_file: self.http_token_file.clone(),
            advertise: self.advertise.clone(),
            lock: self.lock.clone(),
            redis: self.redis.clone(),
            redis_file: self.redis_file.clone(),
            topic: self.topics.iter().cloned().collect(),
            property: self.properties.iter().cloned().collect(),
            set: Own::default(),
            ..self.security.layer()
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct LocalArguments {
    /// The topology, by name
    pub(super) topology: String,
    #[command(flatten)]
    pub(super) own: OwnArguments,
    /// The records of a topic: a value a line, or a record a line with --records; - is standard input
    #[arg(long = "input", required_unless_present = "input_records", value_name = "TOPIC=FILE", value_parser = parse::topic_file)]
    pub(super) inputs: Vec<(String, PathBuf)>,
    /// The records of several topics: a record a line, as with --records, which names its "topic". Lines of topics that
    /// TOPOLOGY does not read are left out, and counted on standard error; - is standard input
    #[arg(long = "input-records", value_name = "FILE")]
    pub(super) input_records: Vec<PathBuf>,
    /// Print this topic; all that the topology writes where none is given
    #[arg(long = "output", value_name = "TOPIC")]
    pub(super) outputs: Vec<String>,
    /// Print a table of the results instead of the records, where TOPOLOGY has one; on a terminal that is done unless
    /// --output is given
    #[arg(long, conflicts_with_all = ["outputs", "every_update"])]
    pub(super) report: bool,
    /// A line is a record: {"partition", "key", "value", "timestamp", "headers"}, each of them optional
    #[arg(long)]
    pub(super) records: bool,
    /// Print every update of a table, not only the newest of each key; of a stream every record is printed anyway
    #[arg(long)]
    pub(super) every_update: bool,
    /// What happens to a record that cannot be used: fail, skip, or dead-letter=TOPIC [default: fail]
    #[arg(long, value_name = "POLICY", value_parser = parse::bad_input)]
    pub(super) bad_input: Option<BadInput>,
    /// Partitions of each topic
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) partitions: u32,
}

#[derive(Debug, Args)]
pub(super) struct HealthArguments {
    /// Where its listener is, as it was given to it
    #[arg(long, value_name = "ADDR", env = "MILLSTREAM_HTTP", default_value = "127.0.0.1:8080")]
    pub(super) http: SocketAddr,
    /// The file with its token; else `MILLSTREAM_HTTP_TOKEN` holds it
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_HTTP_TOKEN_FILE")]
    pub(super) http_token_file: Option<PathBuf>,
    /// Ask whether it is ready: it has its partitions, and their state is restored
    #[arg(long)]
    pub(super) ready: bool,
    /// Say what is stuck or goes wrong there, and why; whatever that is, the exit code is 0
    #[arg(long, conflicts_with = "ready")]
    pub(super) why: bool,
}

#[derive(Debug, Args)]
pub(super) struct DescribeArguments {
    /// The topology, by name
    pub(super) topology: String,
    #[command(flatten)]
    pub(super) own: OwnArguments,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
pub(super) struct GenerateArguments {
    /// The generator, by name
    pub(super) generator: String,
    /// Kafka's addresses
    #[arg(long, value_name = "HOST:PORT,…", env = "MILLSTREAM_BOOTSTRAP_SERVERS", required_unless_present = "stdout")]
    pub(super) bootstrap_servers: Option<String>,
    /// Write to standard output instead of Kafka, a record a line: {"topic", "partition", "key", "value", "timestamp"}, as
    /// `local --input-records` reads them
    #[arg(long)]
    pub(super) stdout: bool,
    /// With --stdout: only the records of this topic
    #[arg(long, value_name = "TOPIC", requires = "stdout")]
    pub(super) only: Vec<String>,
    /// Records a second
    #[arg(long, value_name = "N", default_value_t = 50.0, value_parser = parse::rate)]
    pub(super) rate: f64,
    /// How many; goes on until it is stopped where it is not given
    #[arg(long, value_name = "N")]
    pub(super) count: Option<u64>,
    /// Write as fast as it goes; --rate is then only that of the event times
    #[arg(long)]
    pub(super) unpaced: bool,
    /// The same seed gives the same records
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// The event time of the first record, such as 2022-08-31T08:00:00Z; now where it is not given
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub(super) start: Option<Timestamp>,
    /// Partitions of a topic that does not exist yet [default: 4]; with --stdout a line names its partition only where
    /// this is given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) partitions: Option<u32>,
    /// Write into these partitions only, in turn, such as 0,1,2: another run can then let partition 3 lag behind
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub(super) into: Vec<u32>,
    /// How often a record of a table, such as a product, is written again with a change: a share of the records, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse::share)]
    pub(super) change_rate: f64,
    #[command(flatten)]
    pub(super) security: SecurityArguments,
    /// A property of librdkafka; not for passwords, which other users of the machine would see: see --password-file
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = parse::pair)]
    pub(super) properties: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) faults: FaultArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What goes wrong, as shares from 0 to 1")]
pub(super) struct FaultArguments {
    /// Records that go to one key above its own share
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse::share)]
    pub(super) skew: f64,
    /// Records whose event time lies back
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse::share)]
    pub(super) late_rate: f64,
    /// How far a late record lies back at most
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = parse::duration)]
    pub(super) late_by: Duration,
    /// Records that are written twice
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse::share)]
    pub(super) duplicate_rate: f64,
    /// Records whose key field is null
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse::share)]
    pub(super) null_key_rate: f64,
    /// Records whose value is cut off in the middle
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse::share)]
    pub(super) broken_rate: f64,
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
