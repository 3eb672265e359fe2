//! `reset`: starts applications anew.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use super::args::{ResetArguments, StartArguments};
use super::catalog::Catalog;
use super::failure::{Failure, print};
use super::settings::Layer;
use super::{connect, plan, run};
use crate::broker::Broker;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};
use crate::runtime::reset::{Reset, ResetOptions, Start, Step};
use crate::time::{Clock, SystemClock};

/// How often to look whether the members are gone.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn reset(catalog: &Catalog, arguments: &ResetArguments) -> Result<(), Failure> {
    let layer = Layer { state_dir: arguments.state_dir.clone(), ..arguments.kafka.layer() };
    let mut settings = layer.with_file_and_environment(arguments.kafka.config.as_deref())?;
    settings.set.0.extend(arguments.own.set.iter().cloned());
    let topologies = run::build(catalog, &arguments.topologies, &settings)?;
    let Some(servers) = &settings.bootstrap_servers else {
        return Err(Failure::Usage("no Kafka is named; give --bootstrap-servers HOST:PORT".into()));
    };
    let others: Vec<String> = catalog.topologies.iter().map(|entry| entry.name.to_owned()).collect();
    let clock = SystemClock::new();
    let options = ResetOptions {
        whose: plan::whose(&settings, &others),
        start: start(&arguments.start, &clock)?,
        keep_internal: arguments.keep_internal,
        orphans: arguments.orphans,
        state: settings.state_dir.clone(),
    };
    let broker = connect::kafka(servers, &settings)?;
    if arguments.execute {
        // All before one is reset: a group that is at work is told before anything has happened.
        for topology in &topologies {
            at_rest(&Reset::plan(topology, &*broker, &options)?, &*broker, arguments.wait, &clock)?;
        }
    }
    for topology in &topologies {
        let reset = Reset::plan(topology, &*broker, &options)?;
        if arguments.execute {
            execute(&reset, &*broker)?;
        } else {
            show(&reset, &*broker)?;
        }
    }
    Ok(())
}

/// Waits until the group has no members any more, if it is allowed to.
fn at_rest(reset: &Reset, broker: &dyn Broker, wait: Option<Duration>, clock: &SystemClock) -> Result<()> {
    let deadline = clock.elapsed() + wait.unwrap_or_default();
    loop {
        match reset.check_members(broker) {
            Err(error) if error.kind() == ErrorKind::Config && clock.elapsed() < deadline => {
                tracing::debug!("{error}");
                std::thread::sleep(LOOK);
            }
            checked => return checked,
        }
    }
}

fn show(reset: &Reset, broker: &dyn Broker) -> Result<(), Failure> {
    let mut lines = vec![format!("group {}: a reset would", reset.group())];
    lines.extend(reset.steps().iter().map(|step| format!("  {step}")));
    lines.extend(reset.notes().iter().map(|note| format!("  note: {note}")));
    lines.extend(reset.check_members(broker).err().map(|error| format!("  but not now: {error}")));
    lines.push("Nothing was changed; --execute does it. Topics that are written for others stay as they are.\n".into());
    print(&lines.join("\n"))
}

fn execute(reset: &Reset, broker: &dyn Broker) -> Result<(), Failure> {
    print(&format!("group {}:\n", reset.group()))?;
    reset.notes().iter().try_for_each(|note| print(&format!("  note: {note}\n")))?;
    // A reader of the output that has gone must not stop the work half-way.
    let mut told = Ok(());
    reset.execute(broker, &mut |step: &Step| {
        if told.is_ok() {
            told = print(&format!("  done: {step}\n"));
        }
    })?;
    told
}

fn start(arguments: &StartArguments, clock: &SystemClock) -> Result<Start> {
    let StartArguments { to_earliest: _, to_latest, to_timestamp, by_duration, shift_by, to_offsets } = arguments;
    Ok(match (to_timestamp, by_duration, shift_by, to_offsets) {
        (Some(time), ..) => Start::Time(*time),
        (_, Some(ago), ..) => Start::Time(clock.wall().minus(*ago)),
        (_, _, Some(by), _) => Start::Shift(*by),
        (_, _, _, Some(file)) => Start::Offsets(offsets(file)?),
        _ if *to_latest => Start::Latest,
        _ => Start::Earliest,
    })
}

fn offsets(file: &Path) -> Result<BTreeMap<TopicPartition, Offset>> {
    let read = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text = read.map_err(|error| {
        Error::new(ErrorKind::Config, format!("the offsets in {} cannot be read", file.display())).caused_by(error)
    })?;
    parse(&text).map_err(|(line, why)| {
        Error::new(ErrorKind::Config, format!("{}:{line}: {why}", file.display()))
            .remedy("write a partition a line, as in demo.purchases,0,1200; what begins with # is left out")
    })
}

/// Reads `TOPIC,PARTITION,OFFSET` lines. An error comes with the number of its line.
fn parse(text: &str) -> Result<BTreeMap<TopicPartition, Offset>, (usize, String)> {
    let mut offsets = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why: &str| (number + 1, format!("{line:?} {why}"));
        let [topic, partition, offset] = line.split(',').map(str::trim).collect::<Vec<_>>()[..] else {
            return Err(wrong("is not a topic, a partition and an offset"));
        };
        let partition = partition.parse().map_err(|_| wrong("has no partition's number"))?;
        let offset: Offset = offset.parse().map_err(|_| wrong("has no offset"))?;
        if offset < 0 {
            return Err(wrong("has an offset below 0"));
        }
        if offsets.insert(TopicPartition::new(topic, partition), offset).is_some() {
            return Err(wrong("names a partition for the second time"));
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_a_partition_a_line() {
        let given = parse("# where it was\na.b,0,12\n\n a.b , 1 , 0 \n").unwrap();
        assert_eq!(given, BTreeMap::from([(TopicPartition::new("a.b", 0), 12), (TopicPartition::new("a.b", 1), 0)]));
    }

    #[test]
    fn a_line_that_is_no_offset_is_named() {
        for (text, expected) in [
            ("a,0,1\na,0", (2, "\"a,0\" is not a topic, a partition and an offset")),
            ("a,x,1", (1, "\"a,x,1\" has no partition's number")),
            ("a,0,", (1, "\"a,0,\" has no offset")),
            ("a,0,-1", (1, "\"a,0,-1\" has an offset below 0")),
            ("a,0,1\na,0,2", (2, "\"a,0,2\" names a partition for the second time")),
        ] {
            let (line, why) = parse(text).unwrap_err();
            assert_eq!((line, &*why), expected);
        }
    }
}
