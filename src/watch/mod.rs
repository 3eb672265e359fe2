//! What running topologies do, and what of it is stuck and why.
//!
//! An [`Observer`] looks at the applications of a process once a second, from a thread of its own: at what they say of
//! themselves ([`Watch::status`](crate::runtime::Watch::status)) and at their metrics. The record path does not know of it.
//!
//! - `observer`: the thread; `subject`: an application that it looks at.
//! - `sample`: what was seen, now and before; `facts`: what does not change.
//! - `report`: what the topology does now; `history`: how it went on.
//! - `findings`: what is stuck and why; `keeper`: since when, and when it is over.
//! - `view`: what is said of it all, and its JSON.
//! - `merge`: what several processes of a group say, as one.

mod facts;
mod findings;
mod history;
mod keeper;
mod merge;
mod observer;
mod report;
mod sample;
mod subject;
mod view;

use std::cmp::Ordering;
use std::time::Duration;

pub use merge::{keep_since, merge, merge_histories};
pub use observer::Observer;
pub use view::{
    CommitsView, DeadLettersView, DroppedView, Finding, FindingKind, History, Observation, OperatorView, PartitionView,
    ProcessView, Severity, TaskView, TopicRole, TopicView, TopologyView,
};

/// From one value of a [`History`] to the next.
pub const HISTORY_STEP: Duration = Duration::from_secs(5);

/// The worst first; of equally bad ones in the order of the kinds.
fn order(one: &Finding, other: &Finding) -> Ordering {
    let key = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.kind);
    key(one).cmp(&key(other)).then_with(|| one.subject.cmp(&other.subject))
}
