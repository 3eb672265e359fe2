//! Real Kafka behind the port, by way of librdkafka.
//!
//! Nothing outside of this module names librdkafka, and `native` alone calls it.

mod access;
mod admin;
mod assignment;
mod committed;
mod errors;
mod joining;
mod member;
mod native;
mod producer;
mod reader;
mod reading;
mod settings;
mod signal;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use self::access::{Security, Token, TokenSource};
use self::admin::Admin;
use self::member::KafkaMember;
use self::native::Client;
use self::native::admin::Place;
use self::reader::KafkaReader;
use self::settings::Properties;
use self::writer::KafkaWriter;
use super::{
    Broker, CommittedOffset, GroupMember, Isolation, Member, MemberOptions, NewTopic, Reader, TopicDescription, Writer,
};
use crate::error::Result;
use crate::record::{Offset, TopicPartition};
use crate::time::{SystemClock, Timestamp};

/// Keeps the memory of librdkafka's threads small, for a program that is its own process; before the first client.
#[cfg(feature = "cli")]
pub(crate) fn share_memory_arenas() {
    native::arenas::share();
}

/// A Kafka cluster.
#[derive(Debug)]
pub struct KafkaBroker {
    properties: Properties,
    admin: Arc<Admin>,
    /// Clients that ask for groups' offsets, by group: one is asked again and again while a bounded run is watched.
    outsiders: Mutex<BTreeMap<String, Arc<Client>>>,
}

impl KafkaBroker {
    /// The cluster behind `bootstrap` (`host:port`, several with commas). `properties` are librdkafka's and go to every
    /// client. Nothing is connected yet: the first call that needs the brokers waits for them.
    ///
    /// # Errors
    /// When a property does not exist, its value is not valid, or it is one that millstream has to set itself.
    pub fn new(bootstrap: &str, properties: &BTreeMap<String, String>) -> Result<Self> {
        Self::with_security(bootstrap, &Security::Properties, properties)
    }

    /// As [`KafkaBroker::new`], with what says how the brokers are reached and who this is to them. A call that is the first
    /// to need the brokers fails within some seconds where they do not let this process in.
    ///
    /// # Errors
    /// As [`KafkaBroker::new`]; when a property says something else than `security`; when `security` cannot be had: a
    /// password is empty, the region of Amazon MSK is not known, or this was built without the feature `msk-iam`.
    pub fn with_security(bootstrap: &str, security: &Security, properties: &BTreeMap<String, String>) -> Result<Self> {
        let properties = Properties::new(bootstrap, security, properties)?;
        let admin = Arc::new(Admin::new(&properties)?);
        Ok(Self { properties, admin, outsiders: Mutex::default() })
    }

    /// The client that stands outside of this group and names it as its own.
    fn outsider(&self, group: &str) -> Result<Arc<Client>> {
        let mut outsiders = self.outsiders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = outsiders.get(group) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(committed::outsider(&self.properties, group)?);
        outsiders.insert(group.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

impl Broker for KafkaBroker {
    fn describe_topics(&self, names: &[&str]) -> Result<BTreeMap<String, TopicDescription>> {
        self.admin.describe_topics(names)
    }

    fn create_topics(&self, topics: &[NewTopic]) -> Result<()> {
        self.admin.create_topics(topics)
    }

    fn list_topics(&self) -> Result<BTreeMap<String, u32>> {
        self.admin.list_topics()
    }

    fn delete_topics(&self, names: &[&str]) -> Result<()> {
        self.admin.delete_topics(names)
    }

    fn end_offsets(&self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Vec<Offset>> {
        self.admin.offsets(partitions, Place::End(isolation))
    }

    fn start_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<Offset>> {
        self.admin.offsets(partitions, Place::Start)
    }

    fn offsets_at(&self, partitions: &[TopicPartition], time: Timestamp) -> Result<Vec<Option<Offset>>> {
        let found = self.admin.offsets(partitions, Place::Time(time))?;
        Ok(found.into_iter().map(|offset| Some(offset).filter(|offset| *offset >= 0)).collect())
    }

    fn delete_records(&self, before: &[(TopicPartition, Offset)]) -> Result<()> {
        self.admin.delete_records(before)
    }

    fn group_members(&self, group: &str) -> Result<Vec<GroupMember>> {
        self.admin.group_members(group)
    }

    fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        let client = self.outsider(group)?;
        let refused = || committed::refused(&client);
        committed::committed(&client, group, partitions, &SystemClock::new(), refused)
    }

    fn commit_for(&self, group: &str, offsets: &[CommittedOffset]) -> Result<()> {
        committed::commit_for(&*self.outsider(group)?, group, offsets, &SystemClock::new())
    }

    fn connect(&self, options: &MemberOptions) -> Result<Box<dyn Member>> {
        Ok(Box::new(KafkaMember::new(&self.properties, &self.admin, options)?))
    }

    fn reader(&self, from: &[(TopicPartition, Offset)]) -> Result<Box<dyn Reader>> {
        Ok(Box::new(KafkaReader::new(&self.properties, from)?))
    }

    fn writer(&self) -> Result<Box<dyn Writer>> {
        Ok(Box::new(KafkaWriter::new(&self.properties, &self.admin)?))
    }
}
