//! The settings of `run`, in layers: a flag beats the file, the file beats the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Deserializer, de};

use super::parse;
use super::redis::{Place, RedisUrl};
use super::security::SecurityName;
use crate::broker::Guarantee;
use crate::error::{Error, ErrorKind, Result};
use crate::operators::source::BadInput;

/// Some of the settings. Each may be absent; the layer below then has its say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Layer {
    pub(super) bootstrap_servers: Option<String>,
    pub(super) application_id: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) threads: Option<usize>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) guarantee: Option<GuaranteeName>,
    #[serde(deserialize_with = "duration")]
    pub(super) commit_interval: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub(super) session_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub(super) transaction_timeout: Option<Duration>,
    pub(super) until_end: Option<bool>,
    #[serde(deserialize_with = "bad_input")]
    pub(super) bad_input: Option<BadInput>,
    pub(super) leave_on_stop: Option<bool>,
    pub(super) http: Option<SocketAddr>,
    pub(super) http_token_file: Option<PathBuf>,
    pub(super) advertise: Option<String>,
    pub(super) lock: Option<PathBuf>,
    pub(super) security: Option<SecurityName>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) region: Option<String>,
    pub(super) redis: Option<RedisUrl>,
    pub(super) redis_file: Option<PathBuf>,
    pub(super) topic: BTreeMap<String, String>,
    pub(super) property: Properties,
    pub(super) set: Own,
}

/// The guarantee as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum GuaranteeName {
    /// Outputs, state and offsets move together
    ExactlyOnce,
    /// After a crash, records since the last commit are processed again
    AtLeastOnce,
}

impl From<GuaranteeName> for Guarantee {
    fn from(name: GuaranteeName) -> Self {
        match name {
            GuaranteeName::ExactlyOnce => Self::ExactlyOnce,
            GuaranteeName::AtLeastOnce => Self::AtLeastOnce,
        }
    }
}

/// Properties of librdkafka. Among them are passwords, so only their names are ever shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Properties(BTreeMap<String, String>);

impl Properties {
    #[cfg(test)]
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl FromIterator<(String, String)> for Properties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Properties {
    /// A value may be a text, a number or true and false: librdkafka takes them all as text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values: BTreeMap<String, toml::Value> = Deserialize::deserialize(deserializer)?;
        values.into_iter().map(|(name, value)| text("property", name, value)).collect()
    }
}

/// Settings of the topologies' own, by `NAME` or `TOPOLOGY.NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Own(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Own {
    /// A topology may have a table of its own: `[set.TOPOLOGY]`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values: BTreeMap<String, toml::Value> = Deserialize::deserialize(deserializer)?;
        let mut own = BTreeMap::new();
        for (name, value) in values {
            if let toml::Value::Table(table) = value {
                for (setting, value) in table {
                    own.extend([text("setting", format!("{name}.{setting}"), value)?]);
                }
            } else {
                own.extend([text("setting", name, value)?]);
            }
        }
        Ok(Self(own))
    }
}

/// A value that may be written as a text, a number or true and false.
fn text<E: de::Error>(what: &str, name: String, value: toml::Value) -> Result<(String, String), E> {
    match value {
        toml::Value::String(text) => Ok((name, text)),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Ok((name, value.to_string())),
        _ => Err(E::custom(format!("the {what} {name} must be a text, a number, true or false"))),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse::duration(&text).map(Some).map_err(de::Error::custom)
}

fn bad_input<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BadInput>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse::bad_input(&text).map(Some).map_err(de::Error::custom)
}

impl Layer {
    /// This layer over `lower`: what is absent here is taken from there. Topics, properties and the topologies' own
    /// settings are merged by name.
    pub(super) fn over(self, mut lower: Self) -> Self {
        lower.topic.extend(self.topic);
        lower.property.0.extend(self.property.0);
        lower.set.0.extend(self.set.0);
        // One of the two says it all: a URL above is not to meet a file below.
        let (redis, redis_file) = match (self.redis, self.redis_file) {
            (None, None) => (lower.redis, lower.redis_file),
            given => given,
        };
        Self {
            bootstrap_servers: self.bootstrap_servers.or(lower.bootstrap_servers),
            application_id: self.application_id.or(lower.application_id),
            instance: self.instance.or(lower.instance),
            threads: self.threads.or(lower.threads),
            state_dir: self.state_dir.or(lower.state_dir),
            guarantee: self.guarantee.or(lower.guarantee),
            commit_interval: self.commit_interval.or(lower.commit_interval),
            session_timeout: self.session_timeout.or(lower.session_timeout),
            transaction_timeout: self.transaction_timeout.or(lower.transaction_timeout),
            until_end: self.until_end.or(lower.until_end),
            bad_input: self.bad_input.or(lower.bad_input),
            leave_on_stop: self.leave_on_stop.or(lower.leave_on_stop),
            http: self.http.or(lower.http),
            http_token_file: self.http_token_file.or(lower.http_token_file),
            advertise: self.advertise.or(lower.advertise),
            lock: self.lock.or(lower.lock),
            security: self.security.or(lower.security),
            username: self.username.or(lower.username),
            password_file: self.password_file.or(lower.password_file),
            region: self.region.or(lower.region),
            redis,
            redis_file,
            topic: lower.topic,
            property: lower.property,
            set: lower.set,
        }
    }

    /// These flags over the file, and the file over the environment.
    ///
    /// # Errors
    /// When the file or a variable cannot be read.
    pub(super) fn with_file_and_environment(self, file: Option<&Path>) -> Result<Self> {
        // A variable that is not text cannot be one of ours.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let environment = Self::environment(variables)?;
        let file = file.map(Self::file).transpose()?.unwrap_or_default();
        Ok(self.over(file).over(environment))
    }

    /// Where the Redis URL is, if one is given. A file beats a URL.
    pub(super) fn redis_place(&self) -> Option<Place<'_>> {
        let url = || self.redis.as_ref().map(Place::Url);
        self.redis_file.as_ref().map(Place::File).or_else(url)
    }

    /// The application's id.
    pub(super) fn application(&self) -> &str {
        self.application_id.as_deref().unwrap_or("millstream")
    }

    /// The settings in a TOML file.
    ///
    /// # Errors
    /// When it cannot be read, with the line where that is known.
    pub(super) fn file(path: &Path) -> Result<Self> {
        let cannot = || Error::new(ErrorKind::Config, format!("cannot read the settings in {}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| cannot().caused_by(error).remedy("check --config"))?;
        // Only the message and the line: the text around it, which the error would show, may hold a password.
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Error::new(ErrorKind::Config, format!("{}:{line}: {}", path.display(), error.message()))
                .remedy("the keys are those of `millstream run --help`, without the dashes before them")
        })
    }

    /// The settings among these variables: `MILLSTREAM_` and the flag's name, `MILLSTREAM_PROPERTY_SASL_PASSWORD` for the
    /// property `sasl.password`, and `MILLSTREAM_SET_SILENT_FOR` for the topology's own `silent-for`.
    ///
    /// # Errors
    /// When a value cannot be read; it is not shown, for it may be a secret.
    pub(super) fn environment(variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut layer = Self::default();
        for (variable, value) in variables {
            let Some(name) = variable.strip_prefix("MILLSTREAM_") else { continue };
            layer.set(name, value).map_err(|message| {
                Error::new(ErrorKind::Config, format!("the environment variable {variable} cannot be read: {message}"))
            })?;
        }
        Ok(layer)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "BOOTSTRAP_SERVERS" => self.bootstrap_servers = Some(value),
            "APPLICATION_ID" => self.application_id = Some(value),
            "INSTANCE" => self.instance = Some(value),
            "THREADS" => self.threads = Some(value.parse().map_err(|_| "expected a number")?),
            "STATE_DIR" => self.state_dir = Some(value.into()),
            "GUARANTEE" => self.guarantee = Some(GuaranteeName::from_str(&value, true)?),
            "COMMIT_INTERVAL" => self.commit_interval = Some(parse::duration(&value)?),
            "SESSION_TIMEOUT" => self.session_timeout = Some(parse::duration(&value)?),
            "TRANSACTION_TIMEOUT" => self.transaction_timeout = Some(parse::duration(&value)?),
            "UNTIL_END" => self.until_end = Some(value.parse().map_err(|_| "expected true or false")?),
            "BAD_INPUT" => self.bad_input = Some(parse::bad_input(&value)?),
            "LEAVE_ON_STOP" => self.leave_on_stop = Some(value.parse().map_err(|_| "expected true or false")?),
            "HTTP" => self.http = Some(value.parse().map_err(|_| "expected an address such as 127.0.0.1:8080")?),
            "ADVERTISE" => self.advertise = Some(value),
            "HTTP_TOKEN_FILE" => self.http_token_file = Some(value.into()),
            "LOCK" => self.lock = Some(value.into()),
            "SECURITY" => self.security = Some(SecurityName::from_str(&value, true)?),
            "USERNAME" => self.username = Some(value),
            "PASSWORD_FILE" => self.password_file = Some(value.into()),
            "REGION" => self.region = Some(value),
            "REDIS" => self.redis = Some(value.into()),
            "REDIS_FILE" => self.redis_file = Some(value.into()),
            // What is not ours to read here is the token or the password, or somebody else's.
            _ => {
                if let Some(property) = name.strip_prefix("PROPERTY_") {
                    self.property.0.insert(property.to_lowercase().replace('_', "."), value);
                } else if let Some(setting) = name.strip_prefix("SET_") {
                    self.set.0.insert(setting.to_lowercase().replace('_', "-"), value);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
