//! What is said of running topologies: the types behind `/live/status`, and their JSON.

use serde::{Deserialize, Serialize};

use crate::runtime::AppState;
use crate::time::Timestamp;

/// What the topologies of one process, or of all that could be asked, were doing at one moment. Rates are over the last
/// five seconds; what is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When it was made, by the wall clock.
    pub time: Timestamp,
    /// Each topology, in the order in which they were started.
    pub topologies: Vec<TopologyView>,
}

/// What one topology was doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopologyView {
    /// Its name.
    pub name: String,
    /// Its state; of several processes the one that most wants to be known: failed before restoring before running.
    pub state: AppState,
    /// Why it has failed.
    pub error: Option<String>,
    /// The processes that run it, this one first.
    pub processes: Vec<ProcessView>,
    /// Its tasks, by name.
    pub tasks: Vec<TaskView>,
    /// The topics that it reads and writes, by name.
    pub topics: Vec<TopicView>,
    /// Its operators that have a name, by it.
    pub operators: Vec<OperatorView>,
    /// Records that did not go the usual way since the processes started. What there was none of is left out.
    pub dropped: Vec<DroppedView>,
    /// Records that went to a dead letter topic since the processes started, by the topic they came from.
    pub dead_letters: Vec<DeadLettersView>,
    /// Its transactions.
    pub commits: CommitsView,
    /// What is stuck or goes wrong, and why; the worst first.
    pub findings: Vec<Finding>,
}

/// A process that runs a topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessView {
    /// Where it answers; `None` where nobody can ask it.
    pub address: Option<String>,
    /// Whether it is the one that says this.
    pub here: bool,
    /// What the topology does there; `None` where the process could not be asked.
    pub state: Option<AppState>,
    /// Its stream threads.
    pub threads: usize,
    /// The part of their time that the stream threads worked, 0 to 1; the rest they waited. `None` where it is not measured.
    pub busy: Option<f64>,
    /// How many assignments its threads have been given.
    pub rebalances: u64,
    /// For how long it has been observed, which it is from its start: milliseconds.
    pub uptime_ms: u64,
    /// Why it could not be asked, or the topology has failed there.
    pub error: Option<String>,
}

/// A task, and where it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// Its name.
    pub name: String,
    /// The address of its process.
    pub process: Option<String>,
    /// The stream thread that has it.
    pub thread: usize,
    /// `running`, `restoring`, or what it waits for.
    pub state: String,
    /// How many records it is behind.
    pub lag: Option<u64>,
    /// How many records it has processed since it began here.
    pub processed: u64,
    /// How far event time has come in it.
    pub watermark: Option<Timestamp>,
    /// How far that is behind the wall clock: milliseconds. `None` also while all that it reads is idle.
    pub watermark_age_ms: Option<u64>,
    /// Who has come least far: a partition that it reads, or a task upstream. `None` while all are idle.
    pub held_by: Option<String>,
    /// How much farther the one has come that has come farthest: milliseconds. One that has not been heard of stands at 1970.
    pub held_back_ms: u64,
    /// How many changelog records are still to be read before it runs.
    pub restore_remaining: u64,
}

/// What a topic is to a topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicRole {
    /// It is read.
    Source,
    /// It is read whole by every process.
    Global,
    /// It carries records from task to task.
    Repartition,
    /// It is written.
    Output,
    /// Records that cannot be used go there.
    DeadLetter,
}

/// A topic that a topology reads or writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopicView {
    /// Its name on the broker.
    pub topic: String,
    /// What it is for.
    pub role: TopicRole,
    /// Records read from it and processed.
    pub records_in: u64,
    /// Messages written to it.
    pub records_out: u64,
    /// Records read from it a second.
    pub in_rate: f64,
    /// Messages written to it a second.
    pub out_rate: f64,
    /// How many of its records wait; `None` where it is not read, or nothing is known yet.
    pub lag: Option<u64>,
    /// How far event time in the partition that has come least far is behind the wall clock: milliseconds.
    pub watermark_age_ms: Option<u64>,
    /// The partitions that are read, by number.
    pub partitions: Vec<PartitionView>,
}

/// A partition that a topology reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionView {
    /// Its number.
    pub partition: u32,
    /// How many of its records wait.
    pub lag: Option<u64>,
    /// How far event time has come in it.
    pub watermark: Option<Timestamp>,
}

/// An operator of a topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorView {
    /// Its name.
    pub name: String,
    /// Records that came into it.
    pub records: u64,
    /// Records that came into it a second.
    pub rate: f64,
    /// Records that came to it when their time was over.
    pub late: u64,
}

/// Records that did not go the usual way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedView {
    /// The source topic that they came from.
    pub topic: String,
    /// Why, as the metrics call it.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Records that went to a dead letter topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettersView {
    /// The source topic that they came from.
    pub topic: String,
    /// How many.
    pub count: u64,
}

/// The transactions of a topology.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitsView {
    /// How many were committed.
    pub committed: u64,
    /// How many were aborted.
    pub aborted: u64,
    /// How many are committed a second.
    pub rate: f64,
    /// How long one took, of those that were committed last: milliseconds. `None` while there are none.
    pub mean_ms: Option<f64>,
}

/// Something that is stuck or goes wrong: what, why, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What sort of thing.
    pub kind: FindingKind,
    /// How bad it is.
    pub severity: Severity,
    /// Since when it has been so, by the wall clock.
    pub since: Timestamp,
    /// The task, partition, topic, operator or process that it is about; `None` where it is the topology.
    pub subject: Option<String>,
    /// What is the matter: a sentence.
    pub what: String,
    /// Why: a sentence.
    pub why: String,
    /// What to do, or where to look: a sentence.
    pub remedy: String,
}

/// How bad a finding is. The worse is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something wants to be looked at.
    Warning,
    /// Nothing goes on until somebody does something.
    Error,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $label:literal;)*) => {
        /// What sort of thing is stuck or goes wrong. `docs/stuck.md` says when each is said, and what to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FindingKind {
            $($(#[doc = $doc])* $kind,)*
        }

        impl FindingKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// As the metrics and the JSON call it.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$kind => $label,)*
                }
            }
        }
    };
}

kinds! {
    /// The topology has failed.
    Failed = "failed";
    /// Records wait, and a task processes none.
    NoProgress = "no_progress";
    /// Commits fail.
    CommitsFail = "commits_fail";
    /// The group gives out the partitions again and again.
    RebalanceLoop = "rebalance_loop";
    /// A process of the group could not be asked.
    Unreachable = "unreachable";
    /// No partitions have come for long.
    Joining = "joining";
    /// One partition or task holds event time back, and windows wait for it.
    WatermarkHeld = "watermark_held";
    /// More comes than is processed.
    LagGrows = "lag_grows";
    /// Records did not go the usual way.
    Dropping = "dropping";
    /// Records came when their time was over.
    Late = "late";
    /// State is being restored.
    Restoring = "restoring";
    /// Many records wait, and they become fewer.
    CatchingUp = "catching_up";
    /// It was told to pause.
    Paused = "paused";
    /// A source had records and has none now.
    Silent = "silent";
    /// There are more stream threads than partitions.
    NoTasks = "no_tasks";
}

/// How one topology went on over the last ten minutes: a value for each [`step`](crate::watch::HISTORY_STEP), oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The topology.
    pub name: String,
    /// When, by the wall clock: whole steps, the same in every process.
    pub time: Vec<Timestamp>,
    /// Records read from its source topics a second.
    pub in_rate: Vec<f64>,
    /// Messages written to its output topics a second.
    pub out_rate: Vec<f64>,
    /// Records that wait, over all that it reads.
    pub lag: Vec<u64>,
    /// How far event time in the task that has come least far is behind the wall clock: milliseconds.
    pub watermark_age_ms: Vec<Option<u64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_called_the_same_in_json_and_in_the_metrics() {
        for kind in FindingKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.label());
        }
    }

    #[test]
    fn the_json_is_as_the_page_reads_it() {
        let finding = Finding {
            kind: FindingKind::NoProgress,
            severity: Severity::Error,
            since: Timestamp::from_millis(1_700_000_000_000),
            subject: Some("totals-0".into()),
            what: "a".into(),
            why: "b".into(),
            remedy: "c".into(),
        };
        let json = serde_json::json!({
            "kind": "no_progress", "severity": "error", "since": 1_700_000_000_000_i64, "subject": "totals-0",
            "what": "a", "why": "b", "remedy": "c",
        });
        assert_eq!(serde_json::to_value(&finding).unwrap(), json);
        assert_eq!(serde_json::to_value(TopicRole::DeadLetter).unwrap(), "dead_letter");
        assert_eq!(serde_json::to_value(AppState::Restoring).unwrap(), "restoring");
    }
}
