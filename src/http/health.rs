//! Whether the process is ready, and what it waits for if it is not.

use serde::Serialize;

use crate::runtime::{AppState, Status};

/// Whether every application is ready, as `/health/ready` says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True where every application processes records, or would if it were not paused.
    pub ready: bool,
    /// Each application.
    pub topologies: Vec<TopologyReadiness>,
}

/// Whether one application is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopologyReadiness {
    /// Its topology.
    pub topology: String,
    /// Its state.
    pub state: String,
    /// What it waits for, a line each; empty where it is ready.
    pub waits_for: Vec<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Readiness {
    /// Judges how the applications stand. No application at all is not ready.
    #[must_use]
    pub fn of(applications: &[(String, Status)]) -> Self {
        let topologies: Vec<_> = applications.iter().map(|(name, status)| one(name, status)).collect();
        let ready = applications.iter().all(|(_, status)| is_ready(status.state)) && !topologies.is_empty();
        Self { ready, topologies }
    }
}

/// Who pauses is as ready as who runs: it has its partitions and their state, and does what it was told.
fn is_ready(state: AppState) -> bool {
    matches!(state, AppState::Running | AppState::Paused)
}

fn one(name: &str, status: &Status) -> TopologyReadiness {
    let waits_for = match status.state {
        AppState::Running | AppState::Paused => Vec::new(),
        AppState::Starting => vec!["joining the group and getting partitions".to_owned()],
        AppState::Restoring => restoring(status),
        AppState::Stopping => vec!["nothing: it is stopping".to_owned()],
        AppState::Stopped => vec!["nothing: it has stopped".to_owned()],
        AppState::Failed => vec!["nothing: it has failed".to_owned()],
    };
    let state = format!("{:?}", status.state).to_lowercase();
    TopologyReadiness { topology: name.to_owned(), state, waits_for, error: status.error.clone() }
}

fn restoring(status: &Status) -> Vec<String> {
    let tasks = status.tasks.iter().filter(|task| task.restore_remaining > 0);
    let lines: Vec<_> =
        tasks.map(|task| format!("restoring task {}, {} records to go", task.name, task.restore_remaining)).collect();
    if lines.is_empty() { vec!["restoring state".to_owned()] } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::TaskStatus;

    fn status(state: AppState) -> Status {
        let paused = state == AppState::Paused;
        Status { state, threads: 1, tasks: Vec::new(), error: None, rebalances: 0, paused, reports: Vec::new() }
    }

    #[test]
    fn one_application_that_is_not_running_makes_the_process_not_ready() {
        let both = [("a".to_owned(), status(AppState::Running)), ("b".to_owned(), status(AppState::Starting))];
        assert!(!Readiness::of(&both).ready);
        assert!(Readiness::of(&both[..1]).ready);
        assert!(Readiness::of(&[("a".to_owned(), status(AppState::Paused))]).ready);
        assert!(!Readiness::of(&[]).ready);
    }

    #[test]
    fn a_restore_says_which_task_and_how_much_is_left() {
        let task = TaskStatus {
            name: "0_1".into(),
            thread: 0,
            state: "restoring".into(),
            lag: None,
            processed: 0,
            time: crate::runtime::TaskTime::default(),
            restore_remaining: 42,
            ended: false,
        };
        let restoring = Status { tasks: vec![task], ..status(AppState::Restoring) };
        let readiness = Readiness::of(&[("totals".into(), restoring)]);
        assert_eq!(readiness.topologies[0].waits_for, ["restoring task 0_1, 42 records to go"]);
    }

    #[test]
    fn a_failure_says_its_error() {
        let failed = Status { error: Some("the topic is gone".into()), ..status(AppState::Failed) };
        let readiness = Readiness::of(&[("totals".into(), failed)]);
        assert_eq!(readiness.topologies[0].error.as_deref(), Some("the topic is gone"));
        assert_eq!(readiness.topologies[0].state, "failed");
    }
}
