//! Fits a plan to a broker: actual names, and partition counts from those of the users' topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::layout::{GlobalLayout, InputLayout, InternalKind, InternalTopic, Layout, Renames, StoreLayout, SubLayout};
use super::names::topic_name_mistake;
use super::plan::{Fnv, GlobalTopic, InputKind, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::operators::source::BadInput;

pub(super) fn layout(
    plan: &Plan,
    application: &str,
    renames: &Renames,
    counts: &BTreeMap<String, u32>,
) -> Result<Layout> {
    check_renames(plan, renames)?;
    let fit = Fit { plan, application, renames, counts };
    let partitions = fit.partitions()?;
    let mut internal = Vec::new();
    for (place, repartition) in plan.repartitions.iter().enumerate() {
        let (name, of) = (fit.repartition(place), Arc::clone(&repartition.name));
        internal.push(InternalTopic {
            name,
            of,
            kind: InternalKind::Repartition,
            partitions: partitions[repartition.to],
        });
    }
    let mut subs = Vec::new();
    for (sub, partitions) in plan.subs.iter().zip(partitions) {
        let inputs = sub.inputs.iter().map(|input| InputLayout {
            topic: fit.topic(&input.kind),
            upstream: match input.kind {
                InputKind::Topic(_) => None,
                InputKind::Repartition(place) => Some(plan.repartitions[place].from),
            },
            policy: match &input.policy {
                BadInput::DeadLetter(topic) => BadInput::dead_letter(renames.actual(topic)),
                policy => policy.clone(),
            },
        });
        let stores: Vec<StoreLayout> = sub
            .stores
            .iter()
            .map(|name| StoreLayout { name: Arc::clone(name), changelog: changelog_topic(application, name).into() })
            .collect();
        internal.extend(stores.iter().map(|store| InternalTopic {
            name: Arc::clone(&store.changelog),
            of: Arc::clone(&store.name),
            kind: InternalKind::Changelog,
            partitions,
        }));
        subs.push(SubLayout { name: Arc::clone(&sub.name), partitions, inputs: inputs.collect(), stores });
    }
    let globals = fit.globals()?;
    check_names(&subs, &globals, &internal, counts)?;
    let outputs = plan.sinks().into_iter().map(|topic| renames.actual(topic).into()).collect();
    let mut hash = Fnv::default();
    hash.text(&format!("{:016x}", plan.fingerprint));
    hash.text(application);
    for topic in plan.sources().into_iter().chain(plan.sinks()) {
        hash.text(renames.actual(topic));
    }
    Ok(Layout {
        application: application.to_owned(),
        subs,
        globals,
        internal,
        outputs,
        renames: renames.clone(),
        fingerprint: hash.0,
    })
}

pub(super) fn topics(plan: &Plan, application: &str, renames: &Renames) -> Vec<String> {
    let users = plan.sources().into_iter().chain(plan.sinks()).map(|topic| renames.actual(topic).to_owned());
    let repartitions = plan.repartitions.iter().map(|topic| repartition_topic(application, &topic.name));
    let stores = plan.subs.iter().flat_map(|sub| &sub.stores);
    users.chain(repartitions).chain(stores.map(|store| changelog_topic(application, store))).collect()
}

fn repartition_topic(application: &str, name: &str) -> String {
    format!("{application}-{name}-repartition")
}

fn changelog_topic(application: &str, store: &str) -> String {
    format!("{application}-{store}-changelog")
}

struct Fit<'a> {
    plan: &'a Plan,
    application: &'a str,
    renames: &'a Renames,
    counts: &'a BTreeMap<String, u32>,
}

impl Fit<'_> {
    fn repartition(&self, place: usize) -> Arc<str> {
        repartition_topic(self.application, &self.plan.repartitions[place].name).into()
    }

    fn topic(&self, kind: &InputKind) -> Arc<str> {
        match kind {
            InputKind::Topic(topic) => self.renames.actual(topic).into(),
            InputKind::Repartition(place) => self.repartition(*place),
        }
    }

    /// The global tables' topics, which must be there; how many partitions they have does not matter.
    fn globals(&self) -> Result<Vec<GlobalLayout>> {
        let global = |global: &GlobalTopic| {
            let actual = self.renames.actual(&global.topic);
            let known = self.counts.get(actual).is_some_and(|count| *count > 0);
            let found = || GlobalLayout { topic: actual.into(), policy: global.policy.clone() };
            known.then(found).ok_or_else(|| missing(&global.topic, actual))
        };
        self.plan.globals.iter().map(global).collect()
    }

    /// The partition count of each sub-topology. Counts flow downstream: a sub-topology that reads users' topics or
    /// topics that exist already has theirs; one that reads only new repartition topics has what the user asked for,
    /// else the largest count upstream.
    fn partitions(&self) -> Result<Vec<u32>> {
        let mut found: Vec<Option<u32>> = vec![None; self.plan.subs.len()];
        for (place, count) in found.iter_mut().enumerate() {
            *count = self.given(place)?;
        }
        for _ in 0..found.len() {
            for place in 0..found.len() {
                if found[place].is_some() {
                    continue;
                }
                let upstream = self.plan.repartitions.iter().filter(|topic| topic.to == place);
                let counts: Option<Vec<u32>> = upstream.map(|topic| found[topic.from]).collect();
                found[place] = counts.and_then(|counts| counts.into_iter().max());
            }
        }
        let unknown = || Error::new(ErrorKind::Internal, "a sub-topology has no input whose partition count is known");
        found.into_iter().map(|count| count.ok_or_else(unknown)).collect()
    }

    /// The count that a sub-topology's inputs have by themselves, which must be one.
    fn given(&self, sub: usize) -> Result<Option<u32>> {
        let mut given: Option<(u32, String)> = None;
        for input in &self.plan.subs[sub].inputs {
            let topic = self.topic(&input.kind);
            let known = self.counts.get(&*topic).copied();
            let (count, what) = match &input.kind {
                InputKind::Topic(declared) => {
                    let known = known.filter(|count| *count > 0).ok_or_else(|| missing(declared, &topic))?;
                    (known, format!("topic {topic} has {known}"))
                }
                InputKind::Repartition(place) => match (known, self.plan.repartitions[*place].partitions) {
                    (Some(known), Some(asked)) if known != asked => return Err(resized(&topic, known, asked)),
                    (Some(known), _) => (known, format!("repartition topic {topic} has {known}")),
                    (None, Some(asked)) => {
                        let at = &self.plan.repartitions[*place].declared_at;
                        (asked, format!("repartition topic {topic} is declared with {asked} at {at}"))
                    }
                    (None, None) => continue,
                },
            };
            match &given {
                Some((other, before)) if *other != count => return Err(unequal(before, &what)),
                Some(_) => {}
                None => given = Some((count, what)),
            }
        }
        Ok(given.map(|(count, _)| count))
    }
}

fn missing(declared: &str, actual: &str) -> Error {
    let message = if declared == actual {
        format!("topic {actual} does not exist")
    } else {
        format!("topic {actual} does not exist; it stands for {declared}")
    };
    Error::new(ErrorKind::Topic, message)
        .remedy(format!("create it, or say which topic is meant with --topic {declared}=NAME"))
}

fn resized(topic: &str, known: u32, asked: u32) -> Error {
    Error::new(
        ErrorKind::Topic,
        format!("repartition topic {topic} has {known} partitions, and the topology asks for {asked}"),
    )
    .remedy("declare the count that it has, or reset the application so that the topic is made anew")
}

fn unequal(one: &str, other: &str) -> Error {
    Error::new(
        ErrorKind::Topic,
        format!("topics that meet in one task must have equally many partitions: {one}, {other}"),
    )
    .remedy("put repartition() before the meeting on one side")
}

fn check_renames(plan: &Plan, renames: &Renames) -> Result<()> {
    let declared: Vec<&str> = plan.sources().into_iter().chain(plan.sinks()).collect();
    let by_record = plan.writes_anywhere;
    for (name, actual) in renames.iter() {
        if !by_record && !declared.contains(&name) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("topology {} has no topic {name} that could be called {actual}", plan.name),
            )
            .remedy(format!("its topics are {}", declared.join(", "))));
        }
        if let Some(mistake) = topic_name_mistake(actual) {
            return Err(Error::new(ErrorKind::Config, format!("{actual:?} is not a topic's name: {mistake}")));
        }
    }
    Ok(())
}

fn check_names(
    subs: &[SubLayout],
    globals: &[GlobalLayout],
    internal: &[InternalTopic],
    counts: &BTreeMap<String, u32>,
) -> Result<()> {
    let mut read: Vec<&str> = Vec::new();
    let inputs = subs.iter().flat_map(|sub| &sub.inputs).map(|input| &*input.topic);
    for topic in inputs.chain(globals.iter().map(|global| &*global.topic)) {
        if read.contains(&topic) {
            return Err(Error::new(ErrorKind::Config, format!("topic {topic} would be read by two sources"))
                .remedy("give each declared topic its own actual topic"));
        }
        read.push(topic);
    }
    for topic in internal {
        if let Some(mistake) = topic_name_mistake(&topic.name) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the internal topic {} cannot be called so: {mistake}", topic.name),
            )
            .remedy("choose a shorter application id, or name the operator with .named()"));
        }
        let known = counts.get(&*topic.name).copied();
        if topic.kind == InternalKind::Changelog
            && let Some(known) = known
            && known != topic.partitions
        {
            return Err(Error::new(
                ErrorKind::Topic,
                format!(
                    "changelog {} has {known} partitions, and its store has {} tasks: rows would be looked for in the wrong place",
                    topic.name, topic.partitions
                ),
            )
            .remedy("the inputs' partition count has changed since: reset the application, or put a repartition() of the old count before the store"));
        }
    }
    Ok(())
}
