//! Topics, offsets and groups, as an administrator sees them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::errors::{error, error_at, is_missing};
use super::native::admin::Place;
use super::native::list::Element;
use super::native::{Client, Code, Failure, Role, is_refusal};
use super::settings::Properties;
use crate::broker::{GroupMember, NewTopic, TopicDescription};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};
use crate::time::{Clock, SystemClock};

/// How long one question may take, and how long it is asked again.
const TIMEOUT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);
/// The same before any broker has answered: an address that is wrong is no passing fault.
const FIRST_PATIENCE: Duration = Duration::from_secs(15);
/// How long the leaders are asked for between two attempts.
const REFRESH: Duration = Duration::from_secs(2);

/// A client that belongs to no group and asks for no record.
#[derive(Debug)]
pub(super) struct Admin {
    client: Client,
    bootstrap: String,
    /// A broker has answered.
    reached: AtomicBool,
    clock: SystemClock,
}

impl Admin {
    pub(super) fn new(properties: &Properties) -> Result<Self> {
        // A consumer, since a producer's questions for a topic may create it.
        let client = properties.client(Role::Consumer, &[("client.id", "millstream-admin".to_owned())])?;
        let bootstrap = properties.bootstrap().to_owned();
        Ok(Self { client, bootstrap, reached: AtomicBool::new(false), clock: SystemClock::new() })
    }

    fn asked<T>(&self, doing: &str, mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        let reached = self.reached.load(Ordering::Relaxed);
        let deadline = self.clock.elapsed() + if reached { PATIENCE } else { FIRST_PATIENCE };
        loop {
            let asked = ask().map_err(|failure| match self.client.obstacle() {
                Some(refusal) if !reached && is_refusal(refusal.code) => refusal,
                _ => failure,
            });
            match asked {
                Err(failure) if failure.retriable && self.clock.elapsed() < deadline => {
                    tracing::debug!("{doing}: tried again: {}", failure.text);
                    std::thread::sleep(Duration::from_millis(50));
                    // An administrator's questions go by what is known of the leaders, however old it is, and do not
                    // ask anew where a leader says that it is too old.
                    if let Err(failure) = self.client.refresh_metadata(REFRESH) {
                        tracing::debug!("asking for the leaders: {}", failure.text);
                    }
                }
                Ok(found) => {
                    self.reached.store(true, Ordering::Relaxed);
                    return Ok(found);
                }
                Err(failure) if is_refusal(failure.code) && !reached => {
                    let doing = format!("the brokers at {} do not let this process in: {doing}", self.bootstrap);
                    return Err(error(&doing, &failure));
                }
                Err(failure) if failure.retriable && !reached => {
                    let doing = format!("no broker has answered at {}: {doing}", self.bootstrap);
                    return Err(error(&doing, &self.client.obstacle().unwrap_or(failure)));
                }
                Err(failure) => return Err(error(doing, &failure)),
            }
        }
    }

    /// The topics of `names` that exist, with the numbers of their partitions.
    pub(super) fn partitions(&self, names: &[&str]) -> Result<BTreeMap<String, u32>> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.asked("describing topics", || self.client.describe_topics(names, TIMEOUT))
    }

    pub(super) fn describe_topics(&self, names: &[&str]) -> Result<BTreeMap<String, TopicDescription>> {
        let found = self.partitions(names)?;
        if found.is_empty() {
            return Ok(BTreeMap::new());
        }
        let existing: Vec<&str> = found.keys().map(String::as_str).collect();
        let asked = self.asked("describing the topics' settings", || self.client.describe_settings(&existing, TIMEOUT));
        let mut settings = match asked {
            Ok(settings) => settings,
            // The right to see settings is one that few applications have: they are of use, not of need.
            Err(error) if error.kind() == ErrorKind::Authorization => {
                tracing::warn!("the topics' settings are not known: {error}");
                BTreeMap::new()
            }
            Err(error) => return Err(error),
        };
        let described = found.into_iter().map(|(name, partitions)| {
            let settings = settings.remove(&name).unwrap_or_default();
            (name, TopicDescription { partitions, settings })
        });
        Ok(described.collect())
    }

    pub(super) fn create_topics(&self, topics: &[NewTopic]) -> Result<()> {
        if topics.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let doing = format!("creating {}", names.join(", "));
        self.asked(&doing, || {
            let failed = self.client.create_topics(topics, TIMEOUT)?;
            match failed.into_iter().find(|(_, failure)| failure.code != Code::TopicAlreadyExists) {
                Some((name, failure)) => Err(Failure { text: format!("topic {name}: {}", failure.text), ..failure }),
                None => Ok(()),
            }
        })?;
        // The controller has them; the brokers hear of it a moment later.
        let deadline = self.clock.elapsed() + PATIENCE;
        while self.partitions(&names)?.len() < names.len() {
            if self.clock.elapsed() > deadline {
                let text = format!("{doing}: they were created, but the brokers do not show them");
                return Err(Error::new(ErrorKind::Broker, text).remedy("try again"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub(super) fn list_topics(&self) -> Result<BTreeMap<String, u32>> {
        self.asked("listing the topics", || self.client.list_topics(TIMEOUT))
    }

    pub(super) fn delete_topics(&self, names: &[&str]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let doing = format!("deleting {}", names.join(", "));
        self.asked(&doing, || {
            let failed = self.client.delete_topics(names, TIMEOUT)?;
            match failed.into_iter().find(|(_, failure)| !is_missing(failure.code)) {
                Some((name, failure)) => Err(Failure { text: format!("topic {name}: {}", failure.text), ..failure }),
                None => Ok(()),
            }
        })?;
        // The controller has let them go; the brokers hear of it a moment later.
        let deadline = self.clock.elapsed() + PATIENCE;
        while !self.partitions(names)?.is_empty() {
            if self.clock.elapsed() > deadline {
                let text = format!("{doing}: they were deleted, but the brokers still show them");
                return Err(Error::new(ErrorKind::Broker, text).remedy("try again"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Offsets of partitions; −1 where a time has none.
    pub(super) fn offsets(&self, of: &[TopicPartition], place: Place) -> Result<Vec<Offset>> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let doing = "asking for the offsets of partitions";
        let listed = self.asked(doing, || {
            let listed = self.client.list_offsets(of, place, TIMEOUT)?;
            let late = listed.iter().map(|element| Failure::of(element.code)).find(|failure| failure.retriable);
            late.map_or(Ok(listed), Err)
        });
        let listed = listed.or_else(|error| Err(self.missing(doing, of)?.unwrap_or(error)))?;
        of.iter().map(|partition| offset_of(doing, partition, &listed)).collect()
    }

    /// An error that names the first partition that does not exist: librdkafka's own names none.
    fn missing(&self, doing: &str, of: &[TopicPartition]) -> Result<Option<Error>> {
        let names: Vec<&str> = of.iter().map(|partition| &*partition.topic).collect();
        let found = self.partitions(&names)?;
        let gone = of.iter().find(|at| found.get(&*at.topic).is_none_or(|partitions| at.partition >= *partitions));
        Ok(gone.map(|at| error_at(doing, &Failure::of(Code::UnknownTopicOrPartition), at, None)))
    }

    pub(super) fn delete_records(&self, before: &[(TopicPartition, Offset)]) -> Result<()> {
        if before.is_empty() {
            return Ok(());
        }
        let doing = "deleting records";
        let deleted = self.asked(doing, || self.client.delete_records(before, TIMEOUT)).or_else(|error| {
            let partitions: Vec<_> = before.iter().map(|(partition, _)| partition.clone()).collect();
            Err(self.missing(doing, &partitions)?.unwrap_or(error))
        })?;
        before.iter().try_for_each(|(partition, _)| offset_of(doing, partition, &deleted).map(|_| ()))
    }

    pub(super) fn group_members(&self, group: &str) -> Result<Vec<GroupMember>> {
        self.asked(&format!("describing group {group}"), || self.client.group_members(group, TIMEOUT))
    }
}

fn offset_of(doing: &str, partition: &TopicPartition, listed: &[Element]) -> Result<Offset> {
    match listed.iter().find(|element| element.partition == *partition) {
        Some(element) if element.code == Code::NoError => Ok(element.offset),
        Some(element) => Err(error_at(doing, &Failure::of(element.code), partition, None)),
        None => Err(error_at(doing, &Failure::of(Code::UnknownPartition), partition, None)),
    }
}
