//! How the brokers are reached: the settings, and the password, which no command line and no log holds.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::settings::Layer;
use crate::broker::kafka::Security;
use crate::error::{Error, ErrorKind, Result};

/// The variable that may hold the password.
const PASSWORD: &str = "MILLSTREAM_PASSWORD";

/// How the brokers are reached, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SecurityName {
    /// Open to whoever listens
    Plaintext,
    /// Encrypted; a certificate of one's own by properties
    Tls,
    /// Encrypted, with a user's name and password (SCRAM-SHA-512)
    SaslScram,
    /// Encrypted, to Amazon MSK, with the AWS role of this process
    MskIam,
}

/// How the brokers are reached, as flags.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SecurityArguments {
    /// How the brokers are reached, and who this process is to them [default: what properties say]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(super) security: Option<SecurityName>,
    /// With --security sasl-scram: the user
    #[arg(long, value_name = "NAME")]
    pub(super) username: Option<String>,
    /// With --security sasl-scram: the file with the password; else `MILLSTREAM_PASSWORD` holds it
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// With --security msk-iam: the cluster's AWS region [default: the one in the brokers' names, or `AWS_REGION`]
    #[arg(long, value_name = "REGION")]
    pub(super) region: Option<String>,
}

impl SecurityArguments {
    /// A layer with these flags and nothing else.
    pub(super) fn layer(&self) -> Layer {
        Layer {
            security: self.security,
            username: self.username.clone(),
            password_file: self.password_file.clone(),
            region: self.region.clone(),
            ..Layer::default()
        }
    }
}

/// How it is written, for the log.
pub(super) fn shown(settings: &Layer) -> String {
    let value = settings.security.as_ref().and_then(ValueEnum::to_possible_value);
    value.map_or_else(|| "by properties".to_owned(), |value| value.get_name().to_owned())
}

/// What the settings say.
///
/// # Errors
/// When one is missing or has no use, or the password cannot be read.
pub(super) fn find(settings: &Layer) -> Result<Security> {
    of(settings, || std::env::var(PASSWORD).ok())
}

fn of(settings: &Layer, password: impl Fn() -> Option<String>) -> Result<Security> {
    let Layer { security, username, password_file, region, .. } = settings;
    let wrong = |text: String, remedy: &str| Err(Error::new(ErrorKind::Config, text).remedy(remedy));
    let scram = *security == Some(SecurityName::SaslScram);
    let idle = [
        ("username", username.is_some() && !scram, "sasl-scram"),
        ("password-file", password_file.is_some() && !scram, "sasl-scram"),
        ("region", region.is_some() && *security != Some(SecurityName::MskIam), "msk-iam"),
    ];
    if let Some((name, _, kind)) = idle.into_iter().find(|(_, idle, _)| *idle) {
        return wrong(format!("{name} is given, which has a use with security {kind} alone"), "give both or neither");
    }
    Ok(match security {
        None => Security::Properties,
        Some(SecurityName::Plaintext) => Security::Plaintext,
        Some(SecurityName::Tls) => Security::Tls,
        Some(SecurityName::MskIam) => Security::MskIam { region: region.clone() },
        Some(SecurityName::SaslScram) => {
            let Some(username) = username.clone() else {
                return wrong("security sasl-scram needs a user".to_owned(), "give --username");
            };
            let password = match (password_file, password()) {
                (Some(file), _) => read(file)?,
                (None, Some(password)) => password,
                (None, None) => {
                    return wrong(
                        format!("security sasl-scram needs the password of {username}"),
                        "name the file that holds it with --password-file, or put it into MILLSTREAM_PASSWORD",
                    );
                }
            };
            Security::SaslScram { username, password }
        }
    })
}

/// The password in a file, without the end of its line.
fn read(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::new(ErrorKind::Config, format!("the password in {} cannot be read", file.display()))
            .caused_by(error)
            .remedy("check --password-file")
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scram() -> Layer {
        Layer { security: Some(SecurityName::SaslScram), username: Some("alice".into()), ..Layer::default() }
    }

    fn password(security: Result<Security>) -> String {
        match security {
            Ok(Security::SaslScram { password, .. }) => password,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_password_comes_from_the_file_or_else_from_the_environment() {
        let environment = || Some("hunter2".to_owned());
        assert_eq!(password(of(&scram(), environment)), "hunter2");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " hunter 3\r\n").unwrap();
        let settings = Layer { password_file: Some(file.path().to_owned()), ..scram() };
        assert_eq!(password(of(&settings, environment)), " hunter 3");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = of(&scram(), || None).unwrap_err().to_string();
        assert!(error.contains("password of alice") && error.contains("--password-file"), "{error}");
        let error = of(&Layer { username: None, ..scram() }, || None).unwrap_err().to_string();
        assert!(error.contains("--username"), "{error}");
        let settings = Layer { password_file: Some("/nowhere/password".into()), ..scram() };
        let error = of(&settings, || None).unwrap_err().to_string();
        assert!(error.contains("/nowhere/password"), "{error}");
    }

    #[test]
    fn a_setting_without_a_use_is_a_mistake() {
        for (settings, name) in [
            (Layer { username: Some("alice".into()), ..Layer::default() }, "username"),
            (
                Layer { security: Some(SecurityName::Tls), region: Some("eu-west-1".into()), ..Layer::default() },
                "region",
            ),
            (Layer { region: Some("eu-west-1".into()), ..scram() }, "region"),
        ] {
            let error = of(&settings, || Some("hunter2".into())).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} is given")), "{error}");
        }
    }
}
