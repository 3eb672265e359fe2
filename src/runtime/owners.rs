//! Who in the group has a task: where to ask for state that is not here.
//!
//! The coordinator says which member reads which partitions; each member's `client.id` carries the plan's fingerprint and
//! the address at which its process answers, if it does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::broker::{Broker, GroupMember};
use crate::error::Result;
use crate::record::TopicPartition;
use crate::time::Clock;

/// How long an answer of the coordinator's counts.
const FRESH: Duration = Duration::from_secs(2);
/// How old it must be at least before it is asked again because somebody was not where it said.
const LEAST: Duration = Duration::from_millis(200);

/// The `client.id` of the members of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientId {
    plan: String,
    address: Option<String>,
}

impl ClientId {
    pub(crate) fn new(application: &str, fingerprint: u64, address: Option<&str>) -> Self {
        Self { plan: format!("{application}|{fingerprint:016x}"), address: address.map(str::to_owned) }
    }

    /// As the coordinator is told it.
    pub(crate) fn text(&self) -> String {
        match &self.address {
            Some(address) => format!("{}|{address}", self.plan),
            None => self.plan.clone(),
        }
    }

    /// The address in the `client.id` of another member: an error where it runs another plan, or none of ours.
    fn read<'a>(&self, other: &'a str) -> Result<Option<&'a str>, ()> {
        match other.strip_prefix(&self.plan) {
            Some("") => Ok(None),
            Some(rest) => rest.strip_prefix('|').map(Some).ok_or(()),
            None => Err(()),
        }
    }

    /// True where the other is a member of ours with another plan.
    pub(crate) fn differs(&self, other: &str) -> bool {
        other.contains('|') && self.read(other).is_err()
    }
}

/// Where a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// In this process, as far as the group knows.
    Here,
    /// In the process that answers at this address.
    At(String),
    /// In a process that cannot be asked, or nowhere: why, and whether that may pass soon.
    Unknown {
        /// Why.
        why: String,
        /// True where it may be known soon.
        passing: bool,
    },
}

/// What the coordinator has said last.
pub(crate) struct Owners {
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    group: String,
    own: ClientId,
    instances: Vec<String>,
    asked: Mutex<Option<(Duration, Arc<Vec<GroupMember>>)>>,
}

impl Owners {
    /// Of `group`, in which this process has these instance ids.
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        clock: Arc<dyn Clock>,
        group: String,
        own: ClientId,
        instances: Vec<String>,
    ) -> Self {
        Self { broker, clock, group, own, instances, asked: Mutex::default() }
    }

    /// Who reads this partition. `anew` asks the coordinator where it was not asked a moment ago. Blocks while it is.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub(crate) fn of(&self, partition: &TopicPartition, anew: bool) -> Result<Owner> {
        let members = self.members(anew)?;
        let Some(owner) = members.iter().find(|member| member.partitions.contains(partition)) else {
            let why = format!("no member of group {} has {partition} now", self.group);
            return Ok(Owner::Unknown { why, passing: true });
        };
        if self.is_own(owner) {
            return Ok(Owner::Here);
        }
        Ok(match self.address(&members, owner) {
            Ok(address) => Owner::At(address),
            Err(why) => Owner::Unknown { why, passing: false },
        })
    }

    /// The other processes of the group, each once: the address where it answers; where it cannot be asked, the host that it
    /// is at, and why. Blocks while the coordinator is asked, which it is at most every two seconds.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub(crate) fn processes(&self) -> Result<BTreeMap<String, Option<String>>> {
        let members = self.members(false)?;
        let others = members.iter().filter(|member| !self.is_own(member));
        let place = |member: &GroupMember| match self.address(&members, member) {
            Ok(address) => (address, None),
            Err(why) => (member.host.clone(), Some(why)),
        };
        Ok(others.map(place).collect())
    }

    /// Where the process of another member answers, or why it cannot be asked.
    fn address(&self, members: &[GroupMember], owner: &GroupMember) -> std::result::Result<String, String> {
        let nearby = || members.iter().any(|member| self.is_own(member) && member.host == owner.host);
        match self.own.read(&owner.client_id) {
            Err(()) => Err(format!("{} at {} runs another plan", owner.member_id, owner.host)),
            Ok(None) => Err(format!(
                "it is in a process at {} that has told no address for queries; start it with --http, and --advertise",
                owner.host
            )),
            Ok(Some(address)) if is_loopback(address) && !nearby() => Err(format!(
                "it is in a process at {} that answers at {address}, which only its own machine reaches; give it --advertise",
                owner.host
            )),
            Ok(Some(address)) => Ok(address.to_owned()),
        }
    }

    fn is_own(&self, member: &GroupMember) -> bool {
        self.instances.iter().any(|instance| member.is_instance(instance))
    }

    fn members(&self, anew: bool) -> Result<Arc<Vec<GroupMember>>> {
        // Held while the coordinator is asked: whoever comes meanwhile waits for the same answer.
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.elapsed();
        let longest = if anew { LEAST } else { FRESH };
        if let Some((_, members)) = asked.as_ref().filter(|(at, _)| now.saturating_sub(*at) < longest) {
            return Ok(Arc::clone(members));
        }
        let members = Arc::new(self.broker.group_members(&self.group)?);
        *asked = Some((self.clock.elapsed(), Arc::clone(&members)));
        Ok(members)
    }
}

/// The instances of this process that the group knows under another address, from before the process was started again: a
/// coordinator keeps the `client.id` of a member that comes back under its instance id.
pub(crate) fn known_otherwise(own: &ClientId, instances: &[String], members: &[GroupMember]) -> Vec<String> {
    let known = |instance: &&String| {
        members
            .iter()
            .any(|member| member.is_instance(instance) && own.read(&member.client_id) != Ok(own.address.as_deref()))
    };
    instances.iter().filter(known).cloned().collect()
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_of_the_same_plan_gives_its_address() {
        let own = ClientId::new("shop", 1, Some("10.0.0.1:8080"));
        assert_eq!(own.text(), "shop|0000000000000001|10.0.0.1:8080");
        assert_eq!(own.read("shop|0000000000000001"), Ok(None));
        assert_eq!(own.read("shop|0000000000000001|[::1]:80"), Ok(Some("[::1]:80")));
        for same in ["shop|0000000000000001", "shop|0000000000000001|b:1", "rdkafka"] {
            assert!(!own.differs(same), "{same}");
        }
        for other in ["shop|0000000000000002", "shop|00000000000000012", "shop2|0000000000000001|b:1"] {
            assert!(own.differs(other), "{other}");
        }
    }

    #[test]
    fn a_process_that_comes_back_at_another_address_is_noticed() {
        let member = |instance: &str, client_id: &str| GroupMember {
            member_id: format!("{instance}-550e8400-e29b-41d4-a716-446655440000"),
            client_id: client_id.to_owned(),
            host: "10.0.0.1".to_owned(),
            partitions: Vec::new(),
        };
        let own = ClientId::new("shop", 1, Some("a:1"));
        let instances = ["one", "two", "three", "four"].map(str::to_owned);
        let members = [
            member("one", "shop|0000000000000001|a:1"),
            member("two", "shop|0000000000000001|b:1"),
            member("three", "shop|0000000000000001"),
            member("another", "shop|0000000000000001|c:1"),
        ];
        assert_eq!(known_otherwise(&own, &instances, &members), ["two", "three"]);
        let silent = ClientId::new("shop", 1, None);
        assert_eq!(known_otherwise(&silent, &instances, &members), ["one", "two"]);
    }

    #[test]
    fn addresses_of_the_machine_itself_are_known() {
        for loopback in ["127.0.0.1:80", "[::1]:80", "localhost:80"] {
            assert!(is_loopback(loopback), "{loopback}");
        }
        for other in ["10.0.0.1:80", "[fe80::1]:80", "shop-0.shop:80"] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
