//! `plan`: what a changed topology does to what was deployed last, and to what lies on Kafka.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::args::{PlanArguments, PlanFormat};
use super::catalog::Catalog;
use super::failure::{Failure, print};
use super::settings::Layer;
use super::{connect, lock, run};
use crate::error::Result;
use crate::runtime::survey::{Survey, TopicFound, Whose, survey};
use crate::topology::Topology;
use crate::topology::lock::{Comparison, Lock};

pub(super) fn plan(catalog: &Catalog, arguments: &PlanArguments) -> Result<(), Failure> {
    let layer = Layer { lock: arguments.lock.clone(), ..arguments.kafka.layer() };
    let mut settings = layer.with_file_and_environment(arguments.kafka.config.as_deref())?;
    settings.set.0.extend(arguments.own.set.iter().cloned());
    let topologies = run::build(catalog, &arguments.topologies, &settings)?;
    let others: Vec<String> = catalog.topologies.iter().map(|entry| entry.name.to_owned()).collect();
    show(&topologies, &settings, arguments.write, arguments.format, &others)
}

/// A topology beside what is locked of it, and beside what lies on Kafka where that was asked for.
#[derive(Serialize)]
struct Planned {
    #[serde(flatten)]
    comparison: Comparison,
    broker: Option<Survey>,
}

/// Shows the plans of topologies, and writes them to the lock file where that is asked for. `others` are the topologies that
/// may run under the same application.
pub(super) fn show(
    topologies: &[Topology],
    settings: &Layer,
    write: bool,
    format: PlanFormat,
    others: &[String],
) -> Result<(), Failure> {
    let file = settings.lock.as_deref().unwrap_or(Path::new(lock::FILE));
    let mut lock = Lock::read(file)?.unwrap_or_default();
    let surveys = surveys(topologies, settings, others)?;
    let planned: Vec<Planned> = topologies
        .iter()
        .zip(surveys)
        .map(|(topology, broker)| Planned { comparison: lock.compare(topology), broker })
        .collect();
    print(&match format {
        PlanFormat::Text => planned.iter().map(text).collect::<Vec<_>>().join("\n"),
        // Plain data of our own: it always has a text.
        PlanFormat::Json => serde_json::to_string_pretty(&planned).unwrap_or_default() + "\n",
    })?;
    if write {
        for topology in topologies {
            lock.set(topology);
        }
        lock.write(file)?;
        eprintln!("written to {}", file.display());
        return Ok(());
    }
    let risky: Vec<&str> = planned.iter().filter(|of| of.is_risky()).map(|of| &*of.comparison.topology).collect();
    if risky.is_empty() {
        return Ok(());
    }
    Err(Failure::Differs(format!(
        "something is changed or left behind in {}; --write accepts what is declared",
        risky.join(", ")
    )))
}

fn surveys(topologies: &[Topology], settings: &Layer, others: &[String]) -> Result<Vec<Option<Survey>>> {
    let Some(servers) = &settings.bootstrap_servers else {
        return Ok(topologies.iter().map(|_| None).collect());
    };
    let broker = connect::kafka(servers, settings)?;
    let whose = whose(settings, others);
    topologies.iter().map(|topology| survey(topology, &*broker, &whose).map(Some)).collect()
}

/// Whose topics the settings speak of.
pub(super) fn whose(settings: &Layer, others: &[String]) -> Whose {
    Whose {
        application: settings.application().to_owned(),
        topics: settings.topic.iter().map(|(declared, actual)| (declared.clone(), actual.clone())).collect(),
        others: others.to_vec(),
    }
}

impl Planned {
    fn is_risky(&self) -> bool {
        let on_kafka = self.broker.as_ref().is_some_and(|of| !of.orphans.is_empty() || of.problem.is_some());
        self.comparison.is_risky() || on_kafka
    }
}

fn text(planned: &Planned) -> String {
    let mut text = planned.comparison.to_string();
    let Some(Survey { group, internal, orphans, problem }) = &planned.broker else { return text };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  on Kafka, group {group}:");
    let width = internal.iter().chain(orphans).map(|topic| topic.name.len()).max().unwrap_or(0);
    for topic in internal {
        let _ = match topic.partitions {
            Some(_) => writeln!(text, "  = {:width$}  {}", topic.name, size(topic)),
            None => writeln!(text, "  + {:width$}  will be created", topic.name),
        };
    }
    for topic in orphans {
        let _ = writeln!(text, "  - {:width$}  {}: nobody reads it", topic.name, size(topic));
    }
    if let Some(problem) = problem {
        let _ = writeln!(text, "  ! it could not run there: {problem}");
    }
    text
}

fn size(topic: &TopicFound) -> String {
    let partitions = topic.partitions.unwrap_or(0);
    let plural = if partitions == 1 { "" } else { "s" };
    format!("{partitions} partition{plural}, {} offsets", topic.offsets)
}
