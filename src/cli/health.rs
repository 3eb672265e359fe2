//! `health`: asks a process on this machine whether it is well, and what is the matter with it if not.

use std::fmt::Write as _;

use super::args::HealthArguments;
use super::failure::{Failure, print};
use super::token;
use crate::error::{Error, ErrorKind};
use crate::http::{Question, health as ask};
use crate::watch::{Finding, Observation, Severity};

pub(super) fn health(arguments: &HealthArguments) -> Result<(), Failure> {
    let token = token::find(arguments.http_token_file.as_deref())?;
    let question = match (arguments.why, arguments.ready) {
        (true, _) => Question::Why,
        (_, true) => Question::Ready,
        _ => Question::Live,
    };
    let said = ask(arguments.http, token.as_ref(), question)?;
    if arguments.why {
        let observation = serde_json::from_str(&said).map_err(|error| not_understood(arguments, error))?;
        return print(&findings(&observation));
    }
    print(&format!("{said}\n"))
}

fn not_understood(arguments: &HealthArguments, error: serde_json::Error) -> Error {
    let message = format!("what the process at {} says of itself is not understood", arguments.http);
    let error = Error::new(ErrorKind::Config, message).caused_by(error);
    error.remedy("ask it with the version of millstream that it has")
}

/// What is stuck in each topology, and why.
fn findings(observation: &Observation) -> String {
    let mut text = String::new();
    for topology in &observation.topologies {
        let state = format!("{:?}", topology.state).to_lowercase();
        let said = if topology.findings.is_empty() { ": nothing is stuck" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} is {state}{said}", topology.name);
        for Finding { severity, since, what, why, remedy, .. } in &topology.findings {
            let how_bad = match severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "info",
            };
            let _ = writeln!(text, "  {how_bad}, since {since}: {what}\n    why: {why}\n    what to do: {remedy}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::AppState;
    use crate::time::Timestamp;
    use crate::watch::{CommitsView, FindingKind, TopologyView};

    #[test]
    fn what_is_stuck_is_said_with_its_reason_and_its_remedy() {
        let topology = |name: &str, findings: Vec<Finding>| TopologyView {
            name: name.into(),
            state: AppState::Running,
            error: None,
            processes: Vec::new(),
            tasks: Vec::new(),
            topics: Vec::new(),
            operators: Vec::new(),
            dropped: Vec::new(),
            dead_letters: Vec::new(),
            commits: CommitsView::default(),
            findings,
        };
        let finding = Finding {
            kind: FindingKind::NoProgress,
            severity: Severity::Error,
            since: Timestamp::from_millis(1_700_000_000_000),
            subject: None,
            what: "It stands.".into(),
            why: "A function hangs.".into(),
            remedy: "Look at it.".into(),
        };
        let topologies = vec![topology("a", vec![finding]), topology("b", Vec::new())];
        let observation = Observation { time: Timestamp::from_millis(0), topologies };
        assert_eq!(
            findings(&observation),
            "a is running\n  error, since 2023-11-14T22:13:20Z: It stands.\n    why: A function hangs.\n    what to do: Look at it.\n\
             b is running: nothing is stuck\n"
        );
    }
}
