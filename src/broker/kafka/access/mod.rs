//! How the brokers are reached, and who this process is to them.

#[cfg(feature = "msk-iam")]
mod msk_iam;
mod region;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub(in crate::broker::kafka) use self::token::Keeper;
pub use self::token::{Token, TokenSource};
use crate::error::{Error, ErrorKind, Result};

/// How the brokers are reached, and who this process is to them. `Debug` shows no password.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Security {
    /// As librdkafka's properties say; where they say nothing, open and unknown.
    #[default]
    Properties,
    /// Open to whoever listens, and unknown.
    Plaintext,
    /// Over TLS. The brokers' certificate must be signed by an authority that this machine knows, or that the property
    /// `ssl.ca.location` names. A certificate of one's own is given by the properties `ssl.certificate.location` and
    /// `ssl.key.location`.
    Tls,
    /// Over TLS, with a user's name and password: `SCRAM-SHA-512`, unless the property `sasl.mechanism` says otherwise.
    SaslScram {
        /// The user.
        username: String,
        /// The user's password.
        password: String,
    },
    /// Over TLS, with tokens (`OAUTHBEARER`) from this source.
    Tokens(Arc<dyn TokenSource>),
    /// Over TLS to Amazon MSK, with tokens that are signed with the process's own AWS credentials. Needs the feature
    /// `msk-iam`.
    MskIam {
        /// The cluster's region; where it is not given, the one in the brokers' names, or else that of the environment
        /// (`AWS_REGION`, `AWS_DEFAULT_REGION`).
        region: Option<String>,
    },
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Security {
    /// Its name on the command line.
    fn name(&self) -> &'static str {
        match self {
            Self::Properties => "properties",
            Self::Plaintext => "plaintext",
            Self::Tls => "tls",
            Self::SaslScram { .. } => "sasl-scram",
            Self::Tokens(_) => "tokens",
            Self::MskIam { .. } => "msk-iam",
        }
    }

    /// The user's properties with those that follow from this.
    pub(super) fn with(&self, properties: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
        let mut all = properties.clone();
        for (name, value) in self.properties()? {
            if properties.contains_key(name) {
                let text =
                    format!("the Kafka property {name} is given, and follows from the security {self:?} already");
                return Err(Error::new(ErrorKind::Config, text).remedy("take one of the two out"));
            }
            all.insert(name.to_owned(), value);
        }
        let defaults: &[_] = match self {
            Self::Properties | Self::Plaintext => &[],
            // The machine's own authorities: OpenSSL is built in and does not know where they lie.
            _ if properties.contains_key("ssl.ca.pem") => &[],
            _ => &[("ssl.ca.location", "probe")],
        };
        let mechanism: &[_] = match self {
            Self::SaslScram { .. } => &[("sasl.mechanism", "SCRAM-SHA-512")],
            _ => &[],
        };
        for (name, value) in defaults.iter().chain(mechanism) {
            all.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
        }
        Ok(all)
    }

    fn properties(&self) -> Result<Vec<(&'static str, String)>> {
        let protocol = |name: &str| ("security.protocol", name.to_owned());
        Ok(match self {
            Self::Properties => Vec::new(),
            Self::Plaintext => vec![protocol("plaintext")],
            Self::Tls => vec![protocol("ssl")],
            Self::SaslScram { username, password } => {
                if username.is_empty() || password.is_empty() {
                    let text = "SCRAM needs a user and a password, and one of them is empty";
                    return Err(Error::new(ErrorKind::Config, text).remedy("give both"));
                }
                let (username, password) = (username.clone(), password.clone());
                vec![protocol("sasl_ssl"), ("sasl.username", username), ("sasl.password", password)]
            }
            Self::Tokens(_) | Self::MskIam { .. } => {
                vec![protocol("sasl_ssl"), ("sasl.mechanism", "OAUTHBEARER".to_owned())]
            }
        })
    }

    /// Where tokens come from, if this goes by tokens.
    pub(super) fn tokens(&self, bootstrap: &str) -> Result<Option<Arc<Keeper>>> {
        let source: Arc<dyn TokenSource> = match self {
            Self::Properties | Self::Plaintext | Self::Tls | Self::SaslScram { .. } => return Ok(None),
            Self::Tokens(source) => Arc::clone(source),
            Self::MskIam { region } => {
                msk_iam(region::find(region.as_deref(), bootstrap, |name| std::env::var(name).ok())?)?
            }
        };
        Ok(Some(Arc::new(Keeper::new(source))))
    }
}

#[cfg(feature = "msk-iam")]
fn msk_iam(region: String) -> Result<Arc<dyn TokenSource>> {
    Ok(Arc::new(msk_iam::MskIam::new(region)?))
}

#[cfg(not(feature = "msk-iam"))]
fn msk_iam(_region: String) -> Result<Arc<dyn TokenSource>> {
    let text = "this program was built without IAM for Amazon MSK";
    Err(Error::new(ErrorKind::Config, text).remedy("build it with the feature msk-iam"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scram() -> Security {
        Security::SaslScram { username: "alice".into(), password: "hunter2".into() }
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn scram_is_over_tls_and_checks_the_brokers_certificate() {
        let all = scram().with(&given(&[("socket.timeout.ms", "9000")])).unwrap();
        let expected = [
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.password", "hunter2"),
            ("sasl.username", "alice"),
            ("security.protocol", "sasl_ssl"),
            ("socket.timeout.ms", "9000"),
            ("ssl.ca.location", "probe"),
        ];
        assert_eq!(all, given(&expected));
    }

    #[test]
    fn properties_may_say_more_and_never_the_same() {
        let all = scram().with(&given(&[("sasl.mechanism", "SCRAM-SHA-256"), ("ssl.ca.location", "ca.pem")])).unwrap();
        assert_eq!((&*all["sasl.mechanism"], &*all["ssl.ca.location"]), ("SCRAM-SHA-256", "ca.pem"));
        assert!(!Security::Tls.with(&given(&[("ssl.ca.pem", "…")])).unwrap().contains_key("ssl.ca.location"));
        for (name, value) in [("security.protocol", "plaintext"), ("sasl.password", "other")] {
            let error = scram().with(&given(&[(name, value)])).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("sasl-scram") && !error.contains("hunter2"), "{error}");
        }
        assert_eq!(Security::Properties.with(&given(&[("a", "b")])).unwrap(), given(&[("a", "b")]));
    }

    #[test]
    fn no_password_is_shown() {
        assert_eq!(format!("{:?}", scram()), "sasl-scram");
    }

    #[test]
    fn half_a_user_is_a_mistake() {
        let half = Security::SaslScram { username: "alice".into(), password: String::new() };
        assert!(half.with(&BTreeMap::new()).unwrap_err().to_string().contains("a user and a password"));
    }

    #[test]
    #[cfg(not(feature = "msk-iam"))]
    fn a_program_without_iam_says_so() {
        let security = Security::MskIam { region: Some("eu-west-1".into()) };
        let error = security.tokens("b:9098").unwrap_err().to_string();
        assert!(error.contains("feature msk-iam"), "{error}");
    }
}
