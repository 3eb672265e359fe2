//! Log lines go to standard error; standard output is for results.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::args::{LogArguments, LogFormat};
use super::failure::Failure;

/// Starts logging, from `level` on where nothing else is asked for. Where the demo draws on the screen (`screen`), lines that would go to the same screen are left out.
pub(super) fn start(arguments: &LogArguments, level: &str, screen: bool) -> Result<(), Failure> {
    if screen && io::stderr().is_terminal() {
        return Ok(());
    }
    let filter = filter(arguments.log_level.as_deref(), std::env::var("RUST_LOG").ok().as_deref(), level)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match arguments.log {
        LogFormat::Human => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::Usage(format!("logging cannot be started: {error}")))
}

fn filter(flag: Option<&str>, variable: Option<&str>, level: &str) -> Result<EnvFilter, Failure> {
    let (directives, from) = match (flag, variable) {
        (Some(flag), _) => (flag, "--log-level"),
        (None, Some(variable)) if !variable.is_empty() => (variable, "RUST_LOG"),
        _ => (level, "the default"),
    };
    let wrong =
        |error| Failure::Usage(format!("{from} is no log filter ({error}); try info, debug or millstream=debug"));
    EnvFilter::try_new(directives).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_variable() {
        assert_eq!(filter(Some("debug"), Some("trace"), "info").unwrap().to_string(), "debug");
        assert_eq!(filter(None, Some("trace"), "info").unwrap().to_string(), "trace");
        assert_eq!(filter(None, None, "warn").unwrap().to_string(), "warn");
    }

    #[test]
    fn a_wrong_filter_says_where_it_came_from() {
        assert!(filter(Some("millstream=loud"), None, "info").unwrap_err().to_string().contains("--log-level"));
    }
}
