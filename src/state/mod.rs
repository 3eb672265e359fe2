//! State: what the operators of a task remember.
//!
//! Four layers, from new to old; a read takes the newest that has the key:
//! 1. the **cache** of decoded rows in each [`Store`], with the rows that the running transaction has changed;
//! 2. **pending**: the encoded changes that were flushed but whose transaction has not committed;
//! 3. **committed**: changes of committed transactions that are not on disk yet;
//! 4. **disk** ([`Disk`]): always some committed state, together with the changelog offsets it stands for.
//!
//! Invariant: no uncommitted byte reaches layer 3 or 4. An abort throws away 1 and 2; a crash throws away 1, 2 and 3,
//! and the changelog has what is missing. So an unclean exit never spoils the disk, and it is never wiped for one.
//!
//! [`States`] owns the state of all tasks in a process and leases it, as [`TaskState`], to whoever runs the task. Layer 3
//! goes to disk in the background, in large batches; where the disk fails, it stays in memory and the task goes on.

mod applier;
mod cache;
mod handover;
mod home;
mod id;
mod layers;
mod memory;
mod registry;
pub mod row;
mod scan;
mod sled;
mod store;
mod task;

#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod task_tests;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use home::Home;
pub use id::StoreId;
pub use memory::{MemoryDisk, MemoryDisks};
pub use registry::States;
pub use row::Row;
pub use scan::Scan;
pub use sled::{OpenFailure, SledDisk};
pub use store::{Flushed, Origin, RowId, Store, StoreOptions, StoreStats};
pub use task::{CommittedReader, Page, Sizes, TaskState};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::record::Offset;
use crate::time::Timestamp;

/// What the rows of a task's state stand for; written to disk in the same atomic batch as the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// The commit sequence of the newest transaction that is in.
    pub sequence: u64,
    /// For each store, by name: the offset in its changelog partition from which a restore has to go on. It may be
    /// lower than the true one, never higher: rows are whole values, so replaying some again does no harm.
    pub changelogs: BTreeMap<String, Offset>,
}

/// The local store of one task, as a dumb ordered map of bytes. One writer.
///
/// - `apply` is atomic: after a crash either all of a batch is there, or nothing of it.
/// - It may lose the newest batches in a crash, never an older one without the newer ones.
pub trait Disk: Send + Sync {
    /// What the rows stand for; `None` for a store that has never been written.
    ///
    /// # Errors
    /// When it cannot be read.
    fn stand(&self) -> Result<Option<Stand>>;

    /// The time of day at which the rows were last written, where that is known. A changelog
    /// keeps its tombstones for a limited time: rows that are older than that must be thrown away, see
    /// [`States::discard`], or rows deleted meanwhile would come back.
    fn written(&self) -> Option<Timestamp> {
        None
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Appends up to `limit` rows with `from <= key < to`, in order of their keys.
    ///
    /// # Errors
    /// When it cannot be read.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize, into: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Result<()>;

    /// Writes changed rows (`None` deletes), sorted by key, together with what they stand for.
    ///
    /// # Errors
    /// When it cannot be written; the store is then not to be used any more, other than for reading.
    fn apply(&self, rows: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>, stand: &Stand) -> Result<()>;

    /// Makes everything that was applied outlast a crash of the process. Slow; called seldom.
    ///
    /// # Errors
    /// When it cannot be written; the store is then not to be used any more, other than for reading.
    fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// Bytes on disk, as far as known.
    fn size(&self) -> u64;
}

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateOptions {
    /// In memory: nothing is left after the process ends, and everything is restored from the changelogs.
    Memory,
    /// In sled, one database a task, below this directory.
    Directory(PathBuf),
    /// On simulated disks, which outlive a simulated process.
    Disks(MemoryDisks),
}
