//! `generate`: writes made-up records to Kafka, or to standard output.

mod into;
mod stdout;

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::{FaultArguments, GenerateArguments};
use super::catalog::{Catalog, unknown};
use super::connect;
use super::failure::Failure;
use super::settings::Layer;
use super::signals::{self, Stop};
use crate::broker::{Broker, NewTopic, Writer};
use crate::error::Result;
use crate::generate::{Faults, Generator, Options, Pace, Watch, drive};
use crate::time::{Clock, SystemClock};

/// Partitions of a topic that does not exist yet.
const PARTITIONS: u32 = 4;

pub(super) fn generate(catalog: &Catalog, arguments: &GenerateArguments) -> Result<(), Failure> {
    if arguments.unpaced && arguments.count.is_none() && arguments.start.is_none() {
        return Err(Failure::Usage(
            "--unpaced needs --count or --start: its event times would run into the future".into(),
        ));
    }
    let entry = catalog.generator(&arguments.generator)?;
    let clock = SystemClock::new();
    let mut generator = (entry.make)(options(arguments, &clock))?;
    let stop = signals::listen(|| {})?;
    let mut writer = writer(&*generator, arguments, &stop)?;
    if !arguments.into.is_empty() {
        writer = Box::new(into::Into::new(writer, arguments.into.clone()));
    }
    let progress = Progress::new(stop, arguments.count);
    let pace = Pace { rate: (!arguments.unpaced).then_some(arguments.rate), count: arguments.count };
    let written = drive(&mut *generator, &mut *writer, &clock, pace, &progress)?;
    progress.bar.finish_and_clear();
    tracing::info!("wrote {written} records and what came along with them");
    Ok(())
}

/// Where the records go.
fn writer(generator: &dyn Generator, arguments: &GenerateArguments, stop: &Stop) -> Result<Box<dyn Writer>, Failure> {
    let topics = generator.topics();
    if let Some(strange) = arguments.only.iter().find(|topic| !topics.contains(&topic.as_str())) {
        let what = format!("topic of {}", arguments.generator);
        return Err(unknown(&what, strange, topics.iter().copied()));
    }
    match &arguments.bootstrap_servers {
        Some(servers) if !arguments.stdout => {
            // The variables that `run` takes: a password has no other way in.
            let flags =
                Layer { property: arguments.properties.iter().cloned().collect(), ..arguments.security.layer() };
            let broker = connect::kafka(servers, &flags.with_file_and_environment(None)?)?;
            create_topics(&*broker, topics, arguments)?;
            Ok(broker.writer()?)
        }
        _ => {
            let out = std::io::stdout();
            Ok(Box::new(stdout::Lines::new(out, arguments.only.clone(), arguments.partitions, stop.clone())))
        }
    }
}

fn options(arguments: &GenerateArguments, clock: &dyn Clock) -> Options {
    let FaultArguments { skew, late_rate, late_by, duplicate_rate, null_key_rate, broken_rate } = arguments.faults;
    let faults = Faults {
        skew,
        late: late_rate,
        late_by_millis: u64::try_from(late_by.as_millis()).unwrap_or(u64::MAX),
        duplicate: duplicate_rate,
        null_key: null_key_rate,
        broken: broken_rate,
    };
    let start = arguments.start.unwrap_or_else(|| clock.wall().minus(ahead(arguments)));
    Options { seed: arguments.seed, start, rate: arguments.rate, faults, changes: arguments.change_rate }
}

/// How far the event times run ahead of the clock: Kafka refuses records of the future, so they begin as much earlier.
fn ahead(arguments: &GenerateArguments) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let seconds = arguments.count.filter(|_| arguments.unpaced).map_or(0.0, |count| count as f64 / arguments.rate);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

/// Creates the topics that do not exist. With event times of the past they get no retention: the broker would throw
/// the records away by their timestamps.
fn create_topics(broker: &dyn Broker, topics: &[&str], arguments: &GenerateArguments) -> Result<()> {
    let past = arguments.start.is_some() || arguments.unpaced;
    let settings = past.then(|| ("retention.ms".to_owned(), "-1".to_owned())).into_iter().collect();
    let new = |name: &&str| NewTopic {
        name: (*name).to_owned(),
        partitions: arguments.partitions.unwrap_or(PARTITIONS),
        settings: Clone::clone(&settings),
    };
    broker.create_topics(&topics.iter().map(new).collect::<Vec<_>>())
}

/// The bar on the terminal, where there is one.
struct Progress {
    stop: Stop,
    bar: ProgressBar,
}

impl Progress {
    fn new(stop: Stop, count: Option<u64>) -> Self {
        let template = match count {
            Some(_) => "{wide_bar} {pos}/{len} records, {per_sec}",
            None => "{spinner} {pos} records, {per_sec}",
        };
        let bar = match (stderr().is_terminal(), count) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(count)) => ProgressBar::new(count),
            (true, None) => ProgressBar::new_spinner(),
        };
        // The templates are constants; one that does not parse leaves the usual bar.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { stop, bar }
    }
}

impl Watch for Progress {
    fn stopped(&self) -> bool {
        self.stop.asked()
    }

    fn written(&self, count: u64) {
        self.bar.set_position(count);
    }

    fn wait(&self, duration: Duration) {
        self.stop.wait(duration);
    }
}
