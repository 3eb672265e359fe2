//! An output to Redis: what is in a topic goes to pub/sub channels and into hashes, at least once.
//!
//! It stands beside the topology and not in it. Its own thread reads the topic as a member of a consumer group of its own,
//! committed records only, sends the commands of many records at once, and commits their offsets once Redis has answered
//! all of them. So a Redis that is down or slow holds nothing up: the topology goes on writing to Kafka, and what waits is
//! delivered when Redis is back. Metrics say how much that is (`millstream_redis_lag_records`) and why.
//!
//! - **At least once**: after a failure commands are sent again whose answers did not come, also those that Redis had carried
//!   out. So set absolute values ([`counter`](RedisSinkBuilder::counter)) instead of adding differences.
//! - **In order**: of one partition, and so of one key. What is sent again goes through the same steps once more.
//! - **A message is for those who are subscribed when it is published**. Redis keeps none; where it says that nobody has heard
//!   one, that is counted as `millstream_redis_unheard_total`, and is no failure.
//! - **Redis fails**: it is tried again after a tenth of a second, then after twice as long each time, up to five seconds, for as
//!   long as it takes. That holds for an error that it answers as well: whoever may mend it can do so meanwhile. Nothing is
//!   left out.
//! - **A record that cannot be read** goes by the policy for bad input, as in a source.
//!
//! ```no_run
//! use std::sync::Arc;
//! use millstream::redis::{RedisServer, RedisSink};
//! use millstream::codec::{Json, Text};
//! use millstream::{Broker, Config, KafkaBroker, Topic};
//!
//! const COUNTS: Topic<String, u64, Text, Json> = Topic::new("click-counts");
//!
//! # fn main() -> millstream::Result<()> {
//! let sink = RedisSink::of("clicks", "counts", COUNTS)
//!     .publish("click-counts")
//!     .counter("clicks-by-page", |page| page.clone(), |count| *count)
//!     .build()?;
//! let broker: Arc<dyn Broker> = Arc::new(KafkaBroker::new("127.0.0.1:9092", &[].into())?);
//! let redis = RedisServer::new("redis://127.0.0.1:6379")?;
//! let running = sink.start(&redis, broker, &Config::new("shop"), &millstream::metrics::Metrics::new())?;
//! // … beside the application, until it is over:
//! running.stop();
//! running.join()
//! # }
//! ```

mod commands;
mod delivery;
mod failure;
mod mapping;
mod outbox;
mod running;
mod server;
#[cfg(test)]
mod tests;
mod worker;

use std::fmt::{self, Display};
use std::sync::Arc;

pub use commands::Commands;
pub use running::RunningSink;
pub use server::RedisServer;

use crate::broker::Broker;
use crate::codec::{Codec, Data};
use crate::dsl::Topic;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::operators::source::BadInput;
use crate::runtime::Config;
use crate::time::SystemClock;
use mapping::{Map, Mapping, Output};

/// An output to Redis, ready to be started: a topic, and what its records lead to.
#[derive(Clone)]
pub struct RedisSink {
    topology: String,
    name: String,
    topic: String,
    shown: Vec<String>,
    bad_input: BadInput,
    map: Arc<dyn Map>,
}

/// Declares what the records of a topic lead to in Redis; several outputs go one after the other, for each record.
pub struct RedisSinkBuilder<K: Data, V: Data, KC = <K as Data>::Codec, VC = <V as Data>::Codec> {
    topology: String,
    name: String,
    topic: Topic<K, V, KC, VC>,
    outputs: Vec<Output<K, V>>,
    shown: Vec<String>,
    bad_input: BadInput,
}

impl RedisSink {
    /// An output called `name` of what `topology` writes to `topic`. The group is `<application>-<topology>-redis-<name>`, so
    /// that whoever may use the topology's own group by its prefix may use this one. Another name is another output, which
    /// begins at the start of the topic.
    pub fn of<K: Data, V: Data, KC, VC>(
        topology: impl Into<String>,
        name: impl Into<String>,
        topic: Topic<K, V, KC, VC>,
    ) -> RedisSinkBuilder<K, V, KC, VC> {
        let (topology, name) = (topology.into(), name.into());
        RedisSinkBuilder { topology, name, topic, outputs: Vec::new(), shown: Vec::new(), bad_input: BadInput::Fail }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topic it reads, as declared.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Where it goes to, for people: `channel ticker`, `hash referrers`.
    #[must_use]
    pub fn outputs(&self) -> &[String] {
        &self.shown
    }

    /// The same output with another policy for a record that cannot be used.
    #[must_use]
    pub fn on_bad_input(mut self, policy: BadInput) -> Self {
        self.bad_input = policy;
        self
    }

    /// Starts delivering, on a thread of its own. Of `config` it takes the application's id, the instance, the session
    /// timeout and the names of topics. Redis need not be there yet. The first time it begins at the start of the topic.
    ///
    /// # Errors
    /// When the topic, or the one for dead letters, does not exist, or the broker cannot be reached or refuses.
    pub fn start(
        &self,
        redis: &RedisServer,
        broker: Arc<dyn Broker>,
        config: &Config,
        metrics: &Metrics,
    ) -> Result<RunningSink> {
        RunningSink::start(self, Arc::new(redis.clone()), broker, config, metrics, Arc::new(SystemClock::new()))
    }
}

impl fmt::Debug for RedisSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topology, name, topic, shown, .. } = self;
        f.debug_struct("RedisSink")
            .field("topology", topology)
            .field("name", name)
            .field("topic", topic)
            .field("outputs", shown)
            .finish_non_exhaustive()
    }
}

impl<K, V, KC, VC> RedisSinkBuilder<K, V, KC, VC>
where
    K: Data,
    V: Data,
    KC: Codec<K> + Default,
    VC: Codec<V> + Default,
{
    /// Publishes the value of each record on a channel, its bytes as they are in the topic. A null value, which deletes a row
    /// of a table, is no message: it is left out, and counted as `null_value`.
    #[must_use]
    pub fn publish(mut self, channel: impl Into<String>) -> Self {
        let channel = channel.into();
        self.shown.push(format!("channel {channel}"));
        self.outputs.push(Output::Publish(channel));
        self
    }

    /// Keeps a hash with the newest value of each key: a field by `field` of the key, with `value` of the value. A null value
    /// deletes the field. Values are absolute, so what is delivered twice does no harm.
    #[must_use]
    pub fn counter<F, N>(
        mut self,
        hash: impl Into<String>,
        field: impl Fn(&K) -> F + Send + Sync + 'static,
        value: impl Fn(&V) -> N + Send + Sync + 'static,
    ) -> Self
    where
        F: AsRef<[u8]>,
        N: Display,
    {
        let hash = hash.into();
        self.shown.push(format!("hash {hash}"));
        let set = move |key: &K, new: Option<&V>, commands: &mut Commands| {
            match new {
                Some(new) => commands.set(&hash, field(key), value(new).to_string()),
                None => commands.delete(&hash, field(key)),
            };
        };
        self.outputs.push(Output::Typed(Box::new(set)));
        self
    }

    /// Whatever commands `add` makes of a record; its value is `None` where it is null. A panic in it is bad input.
    #[must_use]
    pub fn commands(mut self, add: impl Fn(&K, Option<&V>, &mut Commands) + Send + Sync + 'static) -> Self {
        self.shown.push("commands".to_owned());
        self.outputs.push(Output::Typed(Box::new(add)));
        self
    }

    /// What happens to a record that cannot be used: stop (as is the default), skip, or a topic for dead letters. It is counted
    /// in any case, in `millstream_records_dropped_total` by reason.
    #[must_use]
    pub fn on_bad_input(mut self, policy: BadInput) -> Self {
        self.bad_input = policy;
        self
    }

    /// The output, ready to be started.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where it has no output, or a name that a group cannot have.
    pub fn build(self) -> Result<RedisSink> {
        let Self { topology, name, topic, outputs, shown, bad_input } = self;
        let wrong = |message: String| Err(Error::new(ErrorKind::Config, message));
        let is_named = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if let Some(name) = [&topology, &name].into_iter().find(|name| !is_named(name)) {
            return wrong(format!(
                "an output to Redis cannot be called {name:?}: letters, digits, `-`, `_` and `.` only"
            ));
        }
        if outputs.is_empty() {
            return wrong(format!("the output {name} to Redis has nothing to do: give it a channel or a hash"));
        }
        let topic = topic.name().to_owned();
        let map = Arc::new(Mapping { outputs, key: KC::default(), value: VC::default() });
        Ok(RedisSink { topology, name, topic, shown, bad_input, map })
    }
}
