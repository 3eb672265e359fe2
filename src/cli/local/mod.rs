//! `local`: runs a topology over files, in a broker inside the process.

mod input;

use std::sync::Arc;

use super::args::LocalArguments;
use super::catalog::{Catalog, unknown};
use super::failure::Failure;
use super::fleet::Fleet;
use super::{connect, left_out, output, report, signals};
use crate::broker::{Broker, NewTopic};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::operators::Emission;
use crate::runtime::{App, Config};
use crate::time::{Clock, SystemClock, Timestamp};
use crate::topology::Topology;

pub(super) fn local(catalog: &Catalog, arguments: &LocalArguments) -> Result<(), Failure> {
    let entry = catalog.topology(&arguments.topology)?;
    let settings = arguments.own.assign(entry)?;
    let bad_input = arguments.bad_input.clone().unwrap_or_default();
    let topology = (entry.build)(bad_input, &settings).map_err(Failure::of_build)?;
    check_topics(&topology, arguments)?;
    let outputs = chosen_outputs(&topology, arguments);
    let clock = Arc::new(SystemClock::new());
    let broker = connect::memory(Arc::clone(&clock) as Arc<dyn Clock>);
    create_topics(&*broker, &topology, arguments.partitions)?;
    feed(&*broker, &topology, arguments, clock.wall())?;
    let stop = signals::listen(|| {})?;
    let (metrics, name) = (Metrics::new(), topology.name().to_owned());
    run(topology, &broker, arguments, &metrics)?.wait(&stop)?;
    left_out::tell(&metrics, [name.as_str()]);
    if stop.asked() {
        return Err(stopped().into());
    }
    match report::of(entry, arguments.report, arguments.outputs.is_empty() && !arguments.every_update)? {
        Some(report) => report::print(&*broker, report, report.topic),
        None => print(&*broker, &outputs),
    }
}

/// An output topic, and whether the newest record of each key is all of it that is printed.
type Output = (String, bool);

/// The topics to be printed: those asked for, else all that the topology writes.
fn chosen_outputs(topology: &Topology, arguments: &LocalArguments) -> Vec<Output> {
    let asked = || arguments.outputs.iter().map(String::as_str).collect();
    let topics: Vec<&str> = if arguments.outputs.is_empty() { topology.sinks() } else { asked() };
    let newest = |topic: &str| !arguments.every_update && topology.writes_updates(topic);
    topics.into_iter().map(|topic| (topic.to_owned(), newest(topic))).collect()
}

/// Every topic that is named must be one of the topology's.
fn check_topics(topology: &Topology, arguments: &LocalArguments) -> Result<(), Failure> {
    let (sources, sinks) = (topology.sources(), topology.sinks());
    let inputs = arguments.inputs.iter().map(|(topic, _)| ("input topic", topic, &sources));
    let outputs = arguments.outputs.iter().map(|topic| ("output topic", topic, &sinks));
    for (what, topic, known) in inputs.chain(outputs) {
        if !known.contains(&topic.as_str()) {
            return Err(unknown(&format!("{what} of {}", topology.name()), topic, known.iter().copied()));
        }
    }
    Ok(())
}

/// Writes the files to the topics. What a file has for topics that the topology does not read is left out, and said.
fn feed(broker: &dyn Broker, topology: &Topology, arguments: &LocalArguments, now: Timestamp) -> Result<()> {
    let format = input::Format { records: arguments.records, partitions: arguments.partitions, now };
    let mut writer = broker.writer()?;
    for (topic, file) in &arguments.inputs {
        input::feed(&mut *writer, input::Route::To(topic), file, format)?;
    }
    let sources = topology.sources();
    for file in &arguments.input_records {
        let format = input::Format { records: true, ..format };
        let left_out = input::feed(&mut *writer, input::Route::ByLine(&sources), file, format)?;
        for (topic, count) in left_out {
            let (file, name) = (file.display(), topology.name());
            tracing::warn!("{file}: left out {count} records of {topic}, which {name} does not read");
        }
    }
    Ok(())
}

fn create_topics(broker: &dyn Broker, topology: &Topology, partitions: u32) -> Result<()> {
    let names = topology.sources().into_iter().chain(topology.sinks());
    let new = |name: &str| NewTopic { name: name.to_owned(), partitions, settings: [].into() };
    broker.create_topics(&names.map(new).collect::<Vec<_>>())
}

fn run(topology: Topology, broker: &Arc<dyn Broker>, arguments: &LocalArguments, metrics: &Metrics) -> Result<Fleet> {
    let mut fleet = Fleet::default();
    let application = App::new(topology, Arc::clone(broker), configuration(arguments)).metrics(metrics);
    fleet.start(&arguments.topology, application)?;
    Ok(fleet)
}

fn configuration(arguments: &LocalArguments) -> Config {
    let mut config = Config::new("local");
    config.until_end = true;
    config.close_at_end = true;
    config.emission = if arguments.every_update { Emission::EachUpdate } else { Emission::EachCommit };
    config
}

/// The results of half the input would look like results.
fn stopped() -> Error {
    Error::new(ErrorKind::Config, "stopped before the end of the input; nothing was printed")
        .remedy("let it run to its end")
}

fn print(broker: &dyn Broker, outputs: &[Output]) -> Result<(), Failure> {
    let mut text = String::new();
    for (topic, newest) in outputs {
        let records = output::read(broker, topic)?;
        let records = if *newest { output::newest(records) } else { records };
        for record in &records {
            text.push_str(&record.line(topic)?);
        }
    }
    super::failure::print(&text)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Arguments, Command};
    use crate::dsl::{Builder, Topic};
    use crate::time::ManualClock;

    const USERS: Topic<String, String> = Topic::new("users");
    const VISITS: Topic<String, String> = Topic::new("visits");
    const NAMES: Topic<String, String> = Topic::new("names");

    fn names() -> Topology {
        let b = Builder::new("names");
        let users = b.global_table(USERS);
        let name = |_: &String, _: String, name: Option<&String>| name.cloned().unwrap_or_default();
        b.source(VISITS).stream().left_join_global(&users, |_, user| Some(user.clone()), name).to(NAMES);
        b.build().expect("it is sound")
    }

    #[test]
    fn the_rows_of_a_global_table_are_there_before_the_first_record_of_a_stream() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str, line: &dyn Fn(u32) -> String| {
            let path = directory.path().join(name);
            std::fs::write(&path, (0..5_000).map(line).collect::<String>()).expect("written");
            format!("{name}={}", path.display())
        };
        let visits = file("visits", &|n| format!("{{\"key\":\"{n:04}\",\"value\":\"u{n}\",\"timestamp\":{n}}}\n"));
        let users =
            file("users", &|n| format!("{{\"key\":\"u{n}\",\"value\":\"user {n}\",\"partition\":{}}}\n", n % 3));
        let line = ["millstream", "local", "names", "--records", "--partitions", "3", "--input", &visits, "--input"];
        let arguments = Arguments::try_parse_from(line.into_iter().chain([users.as_str()])).expect("it is right");
        let Some(Command::Local(arguments)) = arguments.command else { panic!("not local") };
        let topology = names();
        assert!(check_topics(&topology, &arguments).is_ok());
        let broker = connect::memory(Arc::new(ManualClock::new(Timestamp::from_millis(0))));
        create_topics(&*broker, &topology, arguments.partitions).expect("created");
        feed(&*broker, &topology, &arguments, Timestamp::from_millis(0)).expect("fed");
        let application = App::new(topology, Arc::clone(&broker), configuration(&arguments));
        application.start().expect("it starts").join().expect("it reaches its end");
        let printed = output::newest(output::read(&*broker, "names").expect("read"));
        assert_eq!(printed.len(), 5_000);
        for (n, record) in printed.iter().enumerate() {
            let line = record.line("names").expect("a line");
            assert!(line.contains(&format!("\"value\":\"user {n}\"")), "{line}");
        }
    }

    #[test]
    fn what_a_file_put_in_comes_out_again() {
        let broker = connect::memory(Arc::new(ManualClock::new(Timestamp::from_millis(0))));
        let new = crate::broker::NewTopic { name: "t".into(), partitions: 2, settings: [].into() };
        broker.create_topics(&[new]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in.jsonl");
        let lines = "{\"topic\":\"t\",\"partition\":0,\"key\":\"a\",\"value\":{\"n\":1.0},\"timestamp\":7}\n\
                     {\"topic\":\"t\",\"partition\":1,\"key\":null,\"value\":\"x\",\"timestamp\":8,\"headers\":{\"h\":\"1\",\"n\":null}}\n";
        std::fs::write(&path, lines).unwrap();
        let format = input::Format { records: true, partitions: 2, now: Timestamp::from_millis(0) };
        input::feed(&mut *broker.writer().unwrap(), input::Route::To("t"), &path, format).unwrap();
        let text: String =
            output::read(&*broker, "t").unwrap().iter().map(|record| record.line("t").unwrap()).collect();
        assert_eq!(text, lines);
    }
}
