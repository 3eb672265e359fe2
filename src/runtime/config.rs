//! How a topology is to be run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::Guarantee;
use crate::error::{Error, ErrorKind, Result};
use crate::operators::aggregate::Emission;
use crate::state::StateOptions;

/// How a topology is to be run. Start from [`Config::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The application's id. With the topology's name it makes the group, the transactional ids and the names of the
    /// internal topics: another id is another application that starts from the beginning.
    pub application: String,
    /// Names this process within the group, so that it gets its tasks back after a restart. Two running processes must
    /// not share one. Where `None`, it is kept in the state directory, or made up for state in memory.
    pub instance: Option<String>,
    /// How many stream threads.
    pub threads: usize,
    /// Exactly once or at least once.
    pub guarantee: Guarantee,
    /// The longest time between two commits while there is work.
    pub commit_interval: Duration,
    /// The shortest time between two commits: bounds the rate of transactions of a quiet stream.
    pub commit_gap: Duration,
    /// The longest time until partitions downstream of a shuffle that get no records hear how far time has come. With up to
    /// eight partitions they hear it with every commit.
    pub marker_interval: Duration,
    /// A bounded run takes time to its end, so that all windows close. For runs whose topics are thrown away afterwards:
    /// the end of time is committed like any other, and whatever came later would be late.
    pub close_at_end: bool,
    /// Where the local state lives.
    pub state: StateOptions,
    /// Process what the source topics hold at the start, commit, and stop.
    pub until_end: bool,
    /// Actual names for the topics of the topology.
    pub topics: BTreeMap<String, String>,
    /// When aggregations hand their updates on.
    pub emission: Emission,
    /// Bytes of decoded rows that the stores of one thread may keep.
    pub cache_bytes: usize,
    /// Bytes of changed rows that one transaction may hold; more, and it is committed early.
    pub dirty_bytes: usize,
    /// How long the group waits for a silent process before its tasks move.
    pub session_timeout: Duration,
    /// How long the transaction of a dead process may hold its readers up.
    pub transaction_timeout: Duration,
    /// How often records that were processed are deleted from the repartition topics.
    pub purge_interval: Duration,
    /// Leave the group at once when stopped, so that others take the tasks over; else they wait for this process to be
    /// back, as a rolling restart wants it. A process with a made-up name, which cannot be back, leaves in any case.
    pub leave_on_stop: bool,
    /// The address at which this process answers queries, `host:port`, as the other members of the group reach it. They
    /// are told it, and ask here for the state of the tasks that are here. `None`: nobody can ask.
    pub advertise: Option<String>,
    /// How often a transaction that fails is tried with fewer records before the application gives up.
    pub attempts: u32,
    /// The seeded bug that the simulator has to find.
    #[cfg(test)]
    pub(crate) bug: Option<super::bugs::Bug>,
    /// How many records are fetched and processed at once, where a test wants to cut them differently.
    #[cfg(test)]
    pub(crate) batch: Option<usize>,
}

impl Config {
    /// True where a test has switched this bug on.
    #[cfg(test)]
    pub(crate) fn has(&self, bug: super::bugs::Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The defaults, for an application called `application`.
    pub fn new(application: impl Into<String>) -> Self {
        Self {
            application: application.into(),
            instance: None,
            threads: 1,
            guarantee: Guarantee::ExactlyOnce,
            commit_interval: Duration::from_millis(100),
            commit_gap: Duration::from_millis(5),
            marker_interval: Duration::from_millis(500),
            close_at_end: false,
            state: StateOptions::Memory,
            until_end: false,
            topics: BTreeMap::new(),
            emission: Emission::EachCommit,
            cache_bytes: 64 << 20,
            dirty_bytes: 32 << 20,
            session_timeout: Duration::from_secs(10),
            transaction_timeout: Duration::from_secs(15),
            purge_interval: Duration::from_secs(30),
            leave_on_stop: false,
            advertise: None,
            attempts: 100,
            #[cfg(test)]
            bug: None,
            #[cfg(test)]
            batch: None,
        }
    }

    /// Whether a process has the same name in the group after a restart. One that has not must leave when it stops, or
    /// its partitions would wait for it in vain.
    pub(crate) fn comes_back(&self) -> bool {
        self.instance.is_some() || matches!(self.state, StateOptions::Directory(_))
    }

    /// Checks what cannot be.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], with the setting's name and the remedy.
    pub fn validate(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Config, message));
        if self.application.is_empty() {
            return wrong("the application id is empty".into());
        }
        if let Some(address) = self.advertise.as_deref().filter(|address| !is_address(address)) {
            return wrong(format!(
                "the address to advertise, {address:?}, is not a host and a port such as shop-0.example:8080"
            ));
        }
        if self.threads == 0 {
            return wrong("threads is 0: a topology needs at least one stream thread".into());
        }
        if self.commit_interval * 2 > self.transaction_timeout {
            return wrong(format!(
                "the commit interval ({:?}) is more than half of the transaction timeout ({:?}): the broker would abort \
                 transactions that are still at work",
                self.commit_interval, self.transaction_timeout
            ));
        }
        Ok(())
    }
}

/// A host and a port. Others connect there, so it must name one place and nothing else.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let named = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = v6.map_or(!host.is_empty() && named(host), |v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    host && port && text.len() <= 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_advertise_is_a_host_and_a_port() {
        for good in ["127.0.0.1:80", "[::1]:8080", "shop-0.shop.svc:65535"] {
            assert!(is_address(good), "{good}");
        }
        for bad in
            ["", "shop", ":80", "shop:0", "shop:65536", "shop|x:80", "http://shop:80", "::1:80", "a b:80", "u@h:80"]
        {
            let config = Config { advertise: Some(bad.to_owned()), ..Config::new("shop") };
            assert!(config.validate().is_err(), "{bad}");
        }
    }
}
