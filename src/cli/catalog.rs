//! What a binary has to offer: topologies, generators, and demos.

use super::failure::Failure;
use super::own_settings::{Declared, Settings};
use crate::error::Result;
use crate::generate::{Generator, Options};
use crate::operators::source::BadInput;
use crate::redis::RedisSink;
use crate::topology::Topology;

/// What a binary has to offer.
///
/// A program with topologies of its own, and all commands of `millstream` for them:
///
/// ```no_run
/// use millstream::cli::{Catalog, TopologyEntry};
/// use millstream::{BadInput, Builder, Result, Topic, Topology};
///
/// const CLICKS: Topic<String, String> = Topic::new("clicks");
/// const COUNTS: Topic<String, u64> = Topic::new("click-counts");
///
/// fn clicks(bad_input: BadInput) -> Result<Topology> {
///     let b = Builder::new("clicks");
///     b.source(CLICKS).on_bad_input(bad_input).stream().group_by_key().count().named("counts").to(COUNTS);
///     Ok(b.build()?)
/// }
///
/// fn main() -> std::process::ExitCode {
///     let clicks = TopologyEntry::new("clicks", "How often each page was seen", |bad_input, _| clicks(bad_input));
///     millstream::cli::main(&Catalog::of([clicks]))
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The topologies, by name.
    pub topologies: Vec<TopologyEntry>,
    /// The generators, by name.
    pub generators: Vec<GeneratorEntry>,
    /// What runs when no command is given, in the order in which it is shown.
    pub demos: Vec<Demo>,
}

/// Declares a topology, with what is to happen to input that cannot be used.
pub type Build = fn(BadInput) -> Result<Topology>;

/// Declares a topology, with what is to happen to input that cannot be used, and with its settings.
pub type BuildWith = fn(BadInput, &Settings) -> Result<Topology>;

/// Declares an output to Redis.
pub type RedisOutput = fn() -> Result<RedisSink>;

/// A topology.
#[derive(Clone, Debug)]
pub struct TopologyEntry {
    /// The name it is run by.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Declares it, with what is to happen to input that cannot be used, and with its settings.
    pub build: BuildWith,
    /// The settings that it has.
    pub settings: &'static [&'static dyn Declared],
    /// The topics it reads, as they are listed; those that it declares where none is given.
    pub inputs: &'static [&'static str],
    /// The topics it writes, as they are listed; those that it declares where none is given.
    pub outputs: &'static [&'static str],
    /// What people are shown of its output once a run has come to its end.
    pub report: Option<Report>,
    /// What of its output topics goes to Redis, where one is given with `--redis`.
    pub redis: &'static [RedisOutput],
}

/// What people are shown of an output topic when `local`, or `run --until-end`, has come to its end: a table, a row a key.
/// On a terminal without being asked, else with `--report`.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// The output topic. Its values are JSON objects.
    pub topic: &'static str,
    /// The field by which the rows stand in order: a number, the smallest first.
    pub order_by: &'static str,
    /// The fields that are shown.
    pub columns: &'static [&'static str],
}

/// A generator of records.
#[derive(Clone, Debug)]
pub struct GeneratorEntry {
    /// The name it is asked for by.
    pub name: &'static str,
    /// What it makes, in one line.
    pub about: &'static str,
    /// Makes it.
    pub make: fn(Options) -> Result<Box<dyn Generator>>,
}

/// A demo: a generator feeds a topology, and a table shows its output ranked. It is called as its topology.
///
/// Demos that name the same generator share it: it goes as fast as the fastest of them wants it.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The topology, by name.
    pub topology: &'static str,
    /// The generator, by name.
    pub generator: &'static str,
    /// The output topic that the table shows, one row a key. Its values are JSON objects.
    pub topic: &'static str,
    /// The field that the rows are ranked by, largest first.
    pub rank_by: &'static str,
    /// The other fields that are shown.
    pub columns: &'static [&'static str],
    /// Records a second, unless somebody asks for another rate. Few, so that a laptop stays idle.
    pub rate: f64,
    /// Seconds of event time that pass in a second: 1, or more where windows would take too long to watch. The screen
    /// says so. Event time then begins in the past.
    pub speed: f64,
}

impl TopologyEntry {
    /// The topology that is run as `name`, which `build` gives it as well. It has no settings and no report.
    #[must_use]
    pub const fn new(name: &'static str, about: &'static str, build: BuildWith) -> Self {
        Self { name, about, build, settings: &[], inputs: &[], outputs: &[], report: None, redis: &[] }
    }

    /// What it reads and what it writes, for the list.
    pub(super) fn topics(&self) -> Result<(Vec<String>, Vec<String>)> {
        let owned = |topics: &[&str]| topics.iter().map(|&topic| topic.to_owned()).collect::<Vec<_>>();
        if !self.inputs.is_empty() || !self.outputs.is_empty() {
            return Ok((owned(self.inputs), owned(self.outputs)));
        }
        let topology = (self.build)(BadInput::Fail, &Settings::default())?;
        Ok((owned(&topology.sources()), owned(&topology.sinks())))
    }
}

impl Catalog {
    /// These topologies, without generators and without a demo.
    pub fn of(topologies: impl IntoIterator<Item = TopologyEntry>) -> Self {
        Self { topologies: topologies.into_iter().collect(), ..Self::default() }
    }

    /// The topology called `name`.
    pub(super) fn topology(&self, name: &str) -> Result<&TopologyEntry, Failure> {
        let found = self.topologies.iter().find(|entry| entry.name == name);
        found.ok_or_else(|| unknown("topology", name, self.topologies.iter().map(|entry| entry.name)))
    }

    /// The generator called `name`.
    pub(super) fn generator(&self, name: &str) -> Result<&GeneratorEntry, Failure> {
        let found = self.generators.iter().find(|entry| entry.name == name);
        found.ok_or_else(|| unknown("generator", name, self.generators.iter().map(|entry| entry.name)))
    }
}

/// Says that there is no such thing, what there is, and what may have been meant.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: Vec<_> = known.collect();
    let nearest = known.iter().map(|known| (distance(name, known), *known)).min();
    let meant = match nearest {
        Some((distance, nearest)) if distance <= 1 + name.len() / 4 => format!("; did you mean {nearest}?"),
        _ => ".".to_owned(),
    };
    Failure::Usage(format!("there is no {what} called {name:?}{meant} Known are: {}", known.join(", ")))
}

/// How many letters have to be put in, taken out or changed to make `left` into `right`.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (number, letter) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], number + 1);
        for place in 0..right.len() {
            let changed = diagonal + usize::from(right[place] != letter);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones_and_a_near_miss() {
        let known = || ["running-totals", "low-stock"].into_iter();
        let near = unknown("topology", "runing-totals", known()).to_string();
        assert_eq!(
            near,
            "there is no topology called \"runing-totals\"; did you mean running-totals? Known are: running-totals, low-stock"
        );
        let far = unknown("topology", "clicks", known()).to_string();
        assert_eq!(far, "there is no topology called \"clicks\". Known are: running-totals, low-stock");
    }

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
