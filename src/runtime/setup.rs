//! Before the first thread starts: the topics are looked at, those that are missing are created, and the group is asked
//! whether its members run the same plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Broker, GroupEvent, GroupMember, MemberOptions, NewTopic, TopicDescription};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::TopologyMetrics;
use crate::state::States;
use crate::time::Clock;
use crate::topology::{Layout, Renames, TaskOptions, Topology};

use super::config::Config;
use super::globals::Globals;
use super::owners::{self, ClientId, Owners};
use super::queries::Queries;
use super::status::Shared;
use super::thread::{Parts, StreamThread};
use super::topics::Topics;

/// How often to look whether the group has let a member in.
const LOOK: Duration = Duration::from_millis(50);

/// A process of an application, set up: its stream threads can be made.
pub(crate) struct Prepared {
    pub(crate) parts: Parts,
    pub(crate) application: String,
    client_id: ClientId,
    /// The instance ids of the threads.
    instances: Vec<String>,
    /// Those that the group knows under an address which is not this process's any more.
    known_otherwise: Vec<String>,
}

/// Looks at the topics, creates those that are missing, opens the state, and asks the group about its plan.
pub(crate) fn prepare(
    topology: Topology,
    broker: Arc<dyn Broker>,
    config: Config,
    clock: Arc<dyn Clock>,
    metrics: TopologyMetrics,
) -> Result<Prepared> {
    config.validate()?;
    let layout = fit(&topology, &*broker, &config)?;
    let application = group_of(&config, &topology);
    let client_id = ClientId::new(&application, layout.fingerprint, config.advertise.as_deref());
    let members = check_group(&*broker, &application, &client_id)?;
    let shared = Arc::new(Shared::default());
    let globals = Globals::open(&topology, &layout, &broker, &clock, &metrics, &config, &shared)?;
    let states = States::open(config.state.clone(), &application)?;
    let instance = config.instance.clone().unwrap_or_else(|| states.instance().to_owned());
    let instances: Vec<String> =
        (0..config.threads).map(|number| format!("{application}-{instance}-{number}")).collect();
    let known_otherwise = owners::known_otherwise(&client_id, &instances, &members);
    let options = TaskOptions {
        emission: config.emission,
        cache_bytes: config.cache_bytes / config.threads,
        ..TaskOptions::default()
    };
    #[cfg(test)]
    let options = TaskOptions { portion: config.batch.unwrap_or(options.portion), ..options };
    let parts = Parts {
        topology: Arc::new(topology),
        layout: Arc::new(layout),
        config: Arc::new(config),
        options: Arc::new(options),
        broker,
        states,
        globals: Arc::new(globals),
        clock,
        metrics,
        shared,
    };
    Ok(Prepared { parts, application, client_id, instances, known_otherwise })
}

impl Prepared {
    /// Has the group forget the addresses that it knows of this process from before. It would keep them for as long as the
    /// process is a member, and others would ask for its state in vain. It costs a rebalance more.
    pub(crate) fn forget_old_addresses(&self) {
        for instance in &self.known_otherwise {
            tracing::info!(
                instance,
                "the group knows an old address of this process: leaving it once, to tell the new one"
            );
            if let Err(error) = self.leave_once(instance) {
                tracing::warn!(instance, "other processes may ask for its state in vain: {error}");
            }
        }
    }

    fn leave_once(&self, instance: &str) -> Result<()> {
        let Parts { broker, layout, clock, config, .. } = &self.parts;
        let mut member = broker.connect(&self.options(instance))?;
        member.subscribe(&layout.subscriptions())?;
        let begun = clock.elapsed();
        while clock.elapsed().saturating_sub(begun) < config.session_timeout {
            // Only a member that has taken what is its can give it up, and leave with that.
            if let Some(GroupEvent::Assigned(partitions)) = member.poll()? {
                let from: Vec<_> = partitions.into_iter().map(|partition| (partition, 0)).collect();
                member.assign(&from)?;
                break;
            }
            member.wait(LOOK);
        }
        member.close(true);
        Ok(())
    }

    fn options(&self, instance: &str) -> MemberOptions {
        let config = &self.parts.config;
        MemberOptions {
            group: self.application.clone(),
            transactional_id: instance.to_owned(),
            instance: instance.to_owned(),
            client_id: self.client_id.text(),
            guarantee: config.guarantee,
            session_timeout: config.session_timeout,
            transaction_timeout: config.transaction_timeout,
        }
    }

    /// A stream thread with its connection.
    pub(crate) fn thread(&self, number: usize) -> Result<StreamThread> {
        let member = self.parts.broker.connect(&self.options(&self.instances[number]))?;
        StreamThread::new(number, self.parts.clone(), member)
    }

    /// What others can ask of it.
    pub(crate) fn queries(&self) -> Queries {
        let Parts { topology, layout, shared, clock, broker, config, .. } = &self.parts;
        let (group, own, instances) = (self.application.clone(), self.client_id.clone(), self.instances.clone());
        let owners = Owners::new(Arc::clone(broker), Arc::clone(clock), group, own, instances);
        let of = (topology.name().to_owned(), topology.stores());
        Queries::new(of, Arc::clone(layout), Arc::clone(shared), Arc::clone(clock), config.threads, owners)
    }

    /// The topics that can be watched.
    pub(crate) fn topics(&self) -> Topics {
        let Parts { topology, layout, clock, broker, .. } = &self.parts;
        Topics::new(topology, &layout.renames, broker, clock)
    }
}

/// The group of a topology: one topology is one application towards the broker.
fn group_of(config: &Config, topology: &Topology) -> String {
    format!("{}-{}", config.application, topology.name())
}

/// Fits the plan to the broker, creates missing internal and output topics, and checks those that are there.
fn fit(topology: &Topology, broker: &dyn Broker, config: &Config) -> Result<Layout> {
    let application = group_of(config, topology);
    let renames: Renames = config.topics.iter().map(|(declared, actual)| (declared.clone(), actual.clone())).collect();
    let sources: Vec<&str> = topology.sources().into_iter().map(|topic| renames.actual(topic)).collect();
    let described = broker.describe_topics(&sources)?;
    if let Some(missing) = sources.iter().find(|source| !described.contains_key(**source)) {
        return Err(Error::new(ErrorKind::Topic, format!("source topic {missing} does not exist"))
            .remedy("create it, or name the topic to read instead: --topic NAME=ACTUAL"));
    }
    let mut counts = partition_counts(&described);
    // A first layout names the internal topics; those that exist already keep the count they have.
    let first = topology.layout(&application, &renames, &counts)?;
    let internal: Vec<&str> = first.internal.iter().map(|topic| &*topic.name).collect();
    let existing = broker.describe_topics(&internal)?;
    counts.extend(partition_counts(&existing));
    let layout = topology.layout(&application, &renames, &counts)?;
    create_missing(broker, &layout, &existing)?;
    check_internal(broker, &layout)?;
    Ok(layout)
}

fn partition_counts(described: &BTreeMap<String, TopicDescription>) -> BTreeMap<String, u32> {
    described.iter().map(|(topic, description)| (topic.clone(), description.partitions)).collect()
}

fn create_missing(broker: &dyn Broker, layout: &Layout, existing: &BTreeMap<String, TopicDescription>) -> Result<()> {
    let missing = layout.internal.iter().filter(|topic| !existing.contains_key(&*topic.name));
    let mut topics: Vec<NewTopic> = missing
        .map(|topic| NewTopic {
            name: topic.name.to_string(),
            partitions: topic.partitions,
            settings: topic.settings(),
        })
        .collect();
    let outputs: Vec<&str> = layout.outputs.iter().map(|topic| &**topic).collect();
    let there = broker.describe_topics(&outputs)?;
    let partitions = layout.subs.iter().map(|sub| sub.partitions).max().unwrap_or(1);
    // A result carries its event time, and a broker deletes by that: with a retention by time the results of old records
    // would be gone as soon as they are written.
    let settings: BTreeMap<_, _> = [("retention.ms".to_owned(), "-1".to_owned())].into();
    for output in outputs.into_iter().filter(|output| !there.contains_key(*output)) {
        topics.push(NewTopic { name: output.to_owned(), partitions, settings: settings.clone() });
    }
    if topics.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    tracing::info!(topics = names.join(" "), "creating topics");
    broker.create_topics(&topics)
}

/// Internal topics must be as they are created here: with a retention by time the broker would delete state.
fn check_internal(broker: &dyn Broker, layout: &Layout) -> Result<()> {
    let names: Vec<&str> = layout.internal.iter().map(|topic| &*topic.name).collect();
    let described = broker.describe_topics(&names)?;
    for topic in &layout.internal {
        let wrong = |message: String| Error::new(ErrorKind::Topic, message);
        let Some(description) = described.get(&*topic.name) else {
            return Err(wrong(format!("internal topic {} was created but is not there", topic.name)));
        };
        if description.partitions != topic.partitions {
            return Err(wrong(format!(
                "internal topic {} has {} partitions where the topology needs {}",
                topic.name, description.partitions, topic.partitions
            ))
            .remedy("give the application another id, or delete the topic together with the group's offsets"));
        }
        for (name, value) in topic.settings() {
            if let Some(found) = description.settings.get(&name).filter(|found| **found != value) {
                return Err(wrong(format!("internal topic {} has {name}={found} where {value} is needed", topic.name))
                    .remedy(format!(
                        "set it: kafka-configs --alter --topic {} --add-config {name}={value}",
                        topic.name
                    )));
            }
        }
    }
    Ok(())
}

/// Refuses to join members that run another plan: they subscribe to other topics, and the partitions of one task would
/// end up with different members. Gives the members, where they are known.
fn check_group(broker: &dyn Broker, application: &str, own: &ClientId) -> Result<Vec<GroupMember>> {
    let members = match broker.group_members(application) {
        Ok(members) => members,
        Err(error) if error.kind() == ErrorKind::Broker => {
            // A broker that is away must not keep the application away too: this only guards against a mistake.
            tracing::warn!("whether other members run the same plan is not known: {error}");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let other = members.iter().find(|member| own.differs(&member.client_id));
    other.map_or(Ok(()), |other| {
        Err(Error::new(
            ErrorKind::Config,
            format!(
                "group {application} has a member at {} that runs another plan ({} here, {} there)",
                other.host,
                own.text(),
                other.client_id
            ),
        )
        .remedy("stop all processes of the old plan before the first one of the new plan starts"))
    })?;
    Ok(members)
}
