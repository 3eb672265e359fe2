//! Tables that keep what their rows were: the versions of each key, by event time, and joins that look them up as of a
//! record's own time.
//!
//! - There is one version a key and time: of two with one time the later to come counts. A deletion is a version too.
//! - Versions are kept for the table's history: as long as somebody may ask for them who is not further than that behind the
//!   slowest of the table and the joins that look it up. What was valid that long ago is kept, however old it is.
//! - A change that is further behind its own source partition is not stored, and counted as `late`; one that is in time by
//!   that, but comes after the versions around it were forgotten, as `expired`.
//! - Only a change that is now the newest of its key is handed on.
//! - What is forgotten is deleted in portions before commits, in the store and in the changelog.

mod held;
mod history;
mod join;
mod row;
mod table;
#[cfg(test)]
mod tests;
mod wait;

pub use held::{Held, Place};
pub use history::{History, Latest, Put, SharedHistory};
pub use join::JoinAsOf;
pub use row::{Kept, Slot};
pub use table::Versions;
pub use wait::{Changes, Records, Wait};
