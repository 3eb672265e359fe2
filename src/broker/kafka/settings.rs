//! What goes to librdkafka: the user's properties, checked, and ours, which win.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::access::{Keeper, Security};
use super::native::{Client, Refused, Role, Settings};
use crate::error::{Error, ErrorKind, Result};

/// The bootstrap address and the user's properties. `Debug` shows the properties' names only.
#[derive(Clone)]
pub(super) struct Properties {
    bootstrap: String,
    user: BTreeMap<String, String>,
    tokens: Option<Arc<Keeper>>,
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.user.keys().collect();
        f.debug_struct("Properties").field("bootstrap", &self.bootstrap).field("names", &names).finish_non_exhaustive()
    }
}

/// Properties that millstream sets itself, with the reason.
const RESERVED: &[(&[&str], &str)] = &[
    (&["bootstrap.servers", "metadata.broker.list"], "it has a setting of its own: bootstrap"),
    (&["isolation.level"], "exactly-once needs read_committed"),
    (
        &["enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store", "auto.commit.interval.ms"],
        "offsets are committed together with the results",
    ),
    (&["offset.store.method"], "offsets are kept by the broker"),
    (&["auto.offset.reset"], "where to start is decided by the topology; an offset that is gone is an error"),
    (&["partitioner"], "keys are partitioned as Java does it, or joins would miss"),
    (
        &[
            "enable.idempotence",
            "acks",
            "request.required.acks",
            "max.in.flight",
            "max.in.flight.requests.per.connection",
        ],
        "exactly-once needs the idempotent producer",
    ),
    (
        &["message.send.max.retries", "retries", "enable.gapless.guarantee"],
        "the producer tries again until the transaction's timeout",
    ),
    (
        &["transactional.id", "group.id", "group.instance.id", "client.id"],
        "it is made from the application's name and the instance",
    ),
    (
        &["transaction.timeout.ms", "message.timeout.ms", "delivery.timeout.ms"],
        "it follows --transaction-timeout, or Config's",
    ),
    (&["session.timeout.ms"], "it has a setting of its own: --session-timeout, or Config's"),
    (&["partition.assignment.strategy", "group.protocol"], "only range keeps the partitions of joined topics together"),
    (&["enable.partition.eof", "check.crcs"], "reading relies on it"),
    (&["allow.auto.create.topics"], "a missing topic is an error, not a new topic"),
    (&["plugin.library.paths"], "foreign code is not loaded"),
];

impl Properties {
    pub(super) fn new(bootstrap: &str, security: &Security, user: &BTreeMap<String, String>) -> Result<Self> {
        for name in user.keys() {
            if let Some((_, why)) = RESERVED.iter().find(|(names, _)| names.contains(&name.as_str())) {
                return Err(Error::new(ErrorKind::Config, format!("the Kafka property {name} cannot be set: {why}"))
                    .remedy("take it out of the properties"));
            }
        }
        if bootstrap.trim().is_empty() {
            return Err(Error::new(ErrorKind::Config, "no bootstrap address is given")
                .remedy("name at least one broker as host:port"));
        }
        let (user, tokens) = (security.with(user)?, security.tokens(bootstrap)?);
        let properties = Self { bootstrap: bootstrap.to_owned(), user, tokens };
        properties.settings(&[]).map_err(|refused| properties.explain(refused))?;
        Ok(properties)
    }

    /// A client with `ours` on top of the user's properties.
    pub(super) fn client(&self, role: Role, ours: &[(&str, String)]) -> Result<Client> {
        let made = self.settings(ours).and_then(|settings| Client::new(role, settings, self.tokens.clone()));
        made.map_err(|refused| self.explain(refused))
    }

    /// The addresses to begin with.
    pub(super) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Whether the user set this property.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.user.contains_key(name)
    }

    fn settings(&self, ours: &[(&str, String)]) -> Result<Settings, Refused> {
        let user = self.user.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let ours = ours.iter().map(|(name, value)| (*name, value.as_str()));
        let fixed = [("bootstrap.servers", self.bootstrap.as_str()), ("allow.auto.create.topics", "false")];
        Settings::new(user.chain(fixed).chain(ours))
    }

    fn explain(&self, refused: Refused) -> Error {
        let (message, remedy) = match refused {
            Refused::Unknown(name) => (
                format!("there is no Kafka property {name}"),
                "properties are librdkafka's, which differ from Java's here and there: see its CONFIGURATION.md",
            ),
            Refused::Invalid(name, _) if is_secret(&name) => {
                (format!("the value of the Kafka property {name} is not valid (it is not shown)"), "correct it")
            }
            Refused::Invalid(name, text) => {
                (format!("the value of the Kafka property {name} is not valid: {}", self.hide(text)), "correct it")
            }
            Refused::Together(text) => {
                (format!("the Kafka properties do not fit together: {}", self.hide(text)), "correct them")
            }
        };
        Error::new(ErrorKind::Config, message).remedy(remedy)
    }

    /// `text` without the values of secret properties, should librdkafka quote one.
    fn hide(&self, mut text: String) -> String {
        for (name, value) in &self.user {
            if is_secret(name) && !value.is_empty() {
                text = text.replace(value.as_str(), "***");
            }
        }
        text
    }
}

/// Whether a property's value must not be shown. Rather too often than once too few.
fn is_secret(name: &str) -> bool {
    ["password", "secret", "token", "username", "jaas", "oauthbearer", "key", "pem", "certificate", "proxy"]
        .iter()
        .any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> String {
        let user = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Properties::new("localhost:9092", &Security::Properties, &user).expect_err(name).to_string()
    }

    #[test]
    fn a_property_that_would_break_exactly_once_is_refused_with_the_reason() {
        for (name, value) in
            [("isolation.level", "read_uncommitted"), ("enable.auto.commit", "true"), ("group.id", "g")]
        {
            let text = refusal(name, value);
            assert!(text.contains(name) && text.contains("cannot be set"), "{text}");
        }
    }

    #[test]
    fn a_property_that_does_not_exist_or_has_no_such_value_is_named() {
        assert!(refusal("sesion.timeout", "1").contains("there is no Kafka property sesion.timeout"));
        let text = refusal("socket.timeout.ms", "soon");
        assert!(text.contains("the value of the Kafka property socket.timeout.ms is not valid"), "{text}");
    }

    #[test]
    fn no_secret_is_shown() {
        let user = BTreeMap::from([("sasl.password".to_owned(), "hunter2".to_owned())]);
        let properties = Properties::new("localhost:9092", &Security::Properties, &user).expect("valid");
        assert!(!format!("{properties:?}").contains("hunter2"));
        let explained = properties.explain(Refused::Together("cannot use hunter2".into())).to_string();
        assert!(!explained.contains("hunter2") && explained.contains("***"), "{explained}");
        assert!(!refusal("ssl.key.pem", "hunter2\0").contains("hunter2"));
    }
}
