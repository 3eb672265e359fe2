//! Running a topology: applications, stream threads, tasks, commits.
//!
//! - [`app`]: an application is started, watched and stopped.
//! - `setup`: topics are checked and created before the first thread starts.
//! - `thread`: one round of a stream thread's loop.
//! - `globals`: the global tables of the process.
//! - `adopt` and `restore`: from assigned partitions to running tasks.
//! - `outlived`: whether rows on this machine may have outlived their tombstones.
//! - `doubts`: whether what tasks upstream have said still holds when a task begins.
//! - `task`: one sub-topology for one partition; no input or output, no clock.
//! - `commit`: exactly once, and its one rule.
//! - `bad`: what becomes of a record that cannot be used.
//! - `pause`: a stream thread rests and goes on.
//! - [`refused`]: the last records that did not go the usual way.
//! - `discreet`: what an error says, without what is in the record.
//! - `suspects`: the one record that a transaction fails on.
//! - `route`: partitions and limits of what is sent.
//! - [`queries`] and [`owners`]: committed state, asked for from outside, and where it is.
//! - [`topics`]: the users' topics, to be watched from outside.
//! - `standing`: how far time has come in a task, and who holds it back.
//! - `caretaker`: purging, and the end of a bounded run.
//! - [`mod@survey`]: which topics of an application are on the broker.
//! - [`reset`]: an application is started anew.

mod adopt;
pub mod app;
pub(crate) mod bad;
#[cfg(test)]
pub(crate) mod bugs;
mod caretaker;
pub(crate) mod cluster;
mod commit;
pub mod config;
mod discreet;
mod doubts;
#[cfg(test)]
mod doubts_tests;
mod globals;
#[cfg(test)]
mod globals_tests;
mod meters;
mod outlived;
pub mod owners;
pub(crate) mod patience;
mod pause;
#[cfg(test)]
mod pause_tests;
mod placement;
pub mod queries;
pub mod refused;
#[cfg(test)]
mod refused_tests;
pub mod reset;
mod restore;
mod route;
mod serving;
mod setup;
mod standing;
pub mod status;
pub mod survey;
mod suspects;
mod task;
pub(crate) mod thread;
pub mod topics;

pub use app::{App, Running, Watch};
pub use config::Config;
pub use owners::Owner;
pub use queries::Queries;
pub use refused::Refused;
pub use status::{AppState, Status, TaskStatus, TaskTime};
pub use topics::Topics;
