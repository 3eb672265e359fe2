//! `--redis`: the outputs to Redis of the topologies that run.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::catalog::Catalog;
use super::failure::Failure;
use super::fleet::Fleet;
use crate::broker::Broker;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::operators::source::BadInput;
use crate::redis::{RedisServer, RedisSink};
use crate::runtime::Config;

/// A Redis URL. There may be a password in it, so it is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct RedisUrl(String);

impl From<String> for RedisUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl(…)")
    }
}

/// Where the Redis URL is: what was given, or the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Url(&'a RedisUrl),
    File(&'a PathBuf),
}

impl Place<'_> {
    fn server(&self) -> Result<RedisServer> {
        match self {
            Self::Url(RedisUrl(url)) => RedisServer::new(url),
            Self::File(path) => RedisServer::read(path),
        }
    }
}

/// Outputs to Redis that are to be started.
pub(super) struct Outputs {
    server: RedisServer,
    sinks: Vec<RedisSink>,
}

/// The outputs to Redis of the topologies with these names; `None` where no Redis is given.
pub(super) fn outputs(
    catalog: &Catalog,
    names: &[String],
    place: Option<&Place<'_>>,
    bad_input: &BadInput,
) -> Result<Option<Outputs>, Failure> {
    let Some(place) = place else { return Ok(None) };
    let server = place.server()?;
    let mut sinks = Vec::new();
    for name in names {
        for output in catalog.topology(name)?.redis {
            sinks.push(output()?.on_bad_input(bad_input.clone()));
        }
    }
    if sinks.is_empty() {
        let with = catalog.topologies.iter().filter(|entry| !entry.redis.is_empty()).map(|entry| entry.name);
        return Err(none(&with.collect::<Vec<_>>()));
    }
    Ok(Some(Outputs { server, sinks }))
}

/// A Redis is given, and nothing goes there.
pub(super) fn none(with: &[&str]) -> Failure {
    let with = if with.is_empty() { String::new() } else { format!("; {} has one", with.join(", ")) };
    Failure::Usage(format!("a Redis is given, and no topology that runs has an output to Redis{with}"))
}

impl Outputs {
    /// Starts them beside the topologies, which have made their topics.
    pub(super) fn start(
        &self,
        fleet: &mut Fleet,
        broker: &Arc<dyn Broker>,
        config: &Config,
        metrics: &Metrics,
    ) -> Result<()> {
        for sink in &self.sinks {
            fleet.deliver(sink.start(&self.server, Arc::clone(broker), config, metrics)?);
            let (topic, to) = (sink.topic(), sink.outputs().join(", "));
            tracing::info!(redis = self.server.address(), topic, to, "delivering to Redis");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_never_shown() {
        assert_eq!(format!("{:?}", RedisUrl::from("redis://:hunter2@x".to_owned())), "RedisUrl(…)");
    }

    #[test]
    fn a_redis_without_an_output_says_who_has_one() {
        let text = none(&["clicks"]).to_string();
        assert_eq!(text, "a Redis is given, and no topology that runs has an output to Redis; clicks has one");
    }
}
