//! The state of one task, as the thread that works with it and the queries beside it see it.

use std::sync::Arc;

use super::handover::{Limits, Shared};
use super::layers::{Chunk, Encoded, Layer, Layers, Sight};
use super::registry::Lease;
use super::{MemoryDisk, Stand, StoreId};
use crate::error::Result;
use crate::record::Offset;
use crate::time::Timestamp;

/// The state of one task: everything below the caches of its stores. Clones are handles of the same state.
///
/// One thread works with it, the one that leased it; when the last handle is dropped, what is pending is thrown away and
/// the state goes back to [`States`](super::States). [`reader`](Self::reader) is for everybody else.
#[derive(Clone, Debug)]
pub struct TaskState {
    shared: Arc<Shared>,
    _lease: Option<Arc<Lease>>,
}

/// Bytes in each layer, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// In memory, of the running transaction.
    pub pending: u64,
    /// In memory, committed, not on disk yet.
    pub committed: u64,
    /// On disk, as far as known.
    pub disk: u64,
}

/// A row to be put: its whole key ([`StoreId::key`]) and its bytes, `None` to delete it.
pub(super) type EncodedRow = (Box<[u8]>, Encoded);

impl TaskState {
    pub(super) fn leased(shared: Arc<Shared>, lease: Lease) -> Self {
        Self { shared, _lease: Some(Arc::new(lease)) }
    }

    /// A state in memory that belongs to no registry: for tests of operators.
    #[must_use]
    pub fn in_memory(task: &str) -> Self {
        let shared = Shared::new(task, Box::new(MemoryDisk::new()), Stand::default(), Limits::default(), None);
        Self { shared: Arc::new(shared), _lease: None }
    }

    /// A state over a given disk, which is written at once, or by an applier.
    #[cfg(test)]
    pub(super) fn over(shared: Arc<Shared>) -> Self {
        Self { shared, _lease: None }
    }

    /// The task's name.
    #[must_use]
    pub fn task(&self) -> &str {
        self.shared.task()
    }

    /// The row under a whole key, as the running transaction sees it.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(row) = self.shared.lock().get(key, Sight::Pending) {
            return Ok(row.as_deref().map(<[u8]>::to_vec));
        }
        // Without the lock: rows only ever move down, and this thread is the only one that puts new ones in.
        self.shared.read(key)
    }

    /// About `limit` rows with `from <= whole key < to`, as the running transaction sees them.
    pub(super) fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Chunk> {
        let parts = self.shared.lock().parts(from, to, limit, Sight::Pending);
        self.shared.with_disk(parts, from, to, limit)
    }

    /// Puts flushed rows into the running transaction.
    pub(super) fn put_pending(&self, rows: impl Iterator<Item = EncodedRow>) {
        let mut layers = self.shared.lock();
        rows.for_each(|(key, row)| layers.pending.put(key, row));
    }

    /// The transaction has been committed: what is pending becomes committed state, which stands for `stand`. Offsets
    /// that `stand` does not name stay as they are.
    ///
    /// Waits where the disk lags too far behind. Never fails: a disk that cannot be written is done without, see
    /// [`degraded`](Self::degraded).
    pub fn commit(&self, stand: Stand) {
        let mut layers = self.shared.lock();
        layers.commit(stand);
        Shared::settle(&self.shared, layers);
    }

    /// The transaction has been aborted: what is pending is forgotten. The stores on top must be dropped as well.
    pub fn abort(&self) {
        self.shared.abort();
    }

    /// Takes rows that were read from the changelog of `store`, keys without the store's prefix, in the changelog's order.
    /// `next` is the offset after the last of them; the state stands for exactly that.
    pub fn restore<'a>(&self, store: &str, rows: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>, next: Offset) {
        let id = StoreId::of(store);
        let mut run = Layer::default();
        for (key, row) in rows {
            run.put(id.key(key).into(), row.map(Into::into));
        }
        let mut layers = self.shared.lock();
        layers.restore(run, store, next);
        Shared::settle(&self.shared, layers);
    }

    /// All changelogs have been restored to their ends: the state is that of commit `sequence`.
    pub fn restored(&self, sequence: u64) {
        let mut layers = self.shared.lock();
        layers.stand.sequence = sequence;
        Shared::settle(&self.shared, layers);
    }

    /// What the newest committed state stands for.
    #[must_use]
    pub fn stand(&self) -> Stand {
        self.shared.lock().stand.clone()
    }

    /// The time of day at which the disk was last written; see [`Disk::written`](super::Disk).
    #[must_use]
    pub fn written(&self) -> Option<Timestamp> {
        self.shared.written()
    }

    /// True where the task has no rows at all.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        let (mut from, to) = (Vec::new(), StoreId::END.bytes());
        loop {
            let chunk = self.scan(&from, &to, 64)?;
            match chunk.next {
                _ if !chunk.rows.is_empty() => return Ok(false),
                Some(next) => from = next,
                None => return Ok(true),
            }
        }
    }

    /// True once the disk could not be written: the state goes on in memory, and grows there, until the process ends.
    /// Nothing is lost; the next process restores what is missing from the changelogs.
    #[must_use]
    pub fn degraded(&self) -> bool {
        self.shared.degraded()
    }

    /// Bytes in each layer.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let layers = self.shared.lock();
        let (pending, committed) = (layers.pending.bytes() as u64, layers.committed_bytes() as u64);
        drop(layers);
        Sizes { pending, committed, disk: self.shared.disk_size() }
    }

    /// A handle that sees committed state only and does not hold the lease: for queries, from any thread.
    #[must_use]
    pub fn reader(&self) -> CommittedReader {
        CommittedReader { shared: Arc::clone(&self.shared) }
    }
}

/// Reads the committed state of a task, beside the thread that changes it.
#[derive(Clone, Debug)]
pub struct CommittedReader {
    shared: Arc<Shared>,
}

/// A stretch of committed rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Key bytes (without the store's prefix) and row bytes, in order of the keys.
    pub rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the next page goes on; `None` at the end. A page that is not the last may be empty.
    pub next: Option<Vec<u8>>,
    /// The commit whose state this page is; two pages with different ones do not belong together.
    pub sequence: u64,
}

/// How often a read is tried anew where a commit came in between, before it makes commits wait.
const TRIES: usize = 3;

impl CommittedReader {
    /// The committed row under the key, and the sequence of the commit that it was read at.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn get(&self, store: StoreId, key: &[u8]) -> Result<(Option<Vec<u8>>, u64)> {
        let key = store.key(key);
        let above = |layers: &Layers| layers.get(&key, Sight::Committed).map(|row| row.as_deref().map(<[u8]>::to_vec));
        self.at_one_commit(above, |above| above.map_or_else(|| self.shared.read(&key), Ok))
    }

    /// About `limit` committed rows of a store from the key bytes `from` on, before `to` where there is one: one commit's
    /// state within a page.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn scan(&self, store: StoreId, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Page> {
        let (from, to) = (store.key(from), to.map_or_else(|| store.end(), |to| store.key(to)));
        let limit = limit.max(1);
        let parts = |layers: &Layers| layers.parts(&from, &to, limit, Sight::Committed);
        let (chunk, sequence) = self.at_one_commit(parts, |parts| self.shared.with_disk(parts, &from, &to, limit))?;
        let Chunk { rows, next } = chunk;
        let rows = rows.into_iter().map(|(key, row)| (key[StoreId::LEN..].to_vec(), row)).collect();
        Ok(Page { rows, next: next.map(|key| key[StoreId::LEN..].to_vec()), sequence })
    }

    /// Looks at what is in memory, then at the disk, at the state of one commit.
    ///
    /// The disk is read without the lock, which every commit takes. Rows only move down: unless a commit has passed in
    /// between, what the disk has gained meanwhile was seen above it. Where one passes every time, the lock is held.
    fn at_one_commit<A, T>(&self, above: impl Fn(&Layers) -> A, below: impl Fn(A) -> Result<T>) -> Result<(T, u64)> {
        for _ in 0..TRIES {
            let (above, sequence) = {
                let layers = self.shared.lock();
                (above(&layers), layers.stand.sequence)
            };
            let read = below(above)?;
            if self.shared.lock().stand.sequence == sequence {
                return Ok((read, sequence));
            }
        }
        let layers = self.shared.lock();
        Ok((below(above(&layers))?, layers.stand.sequence))
    }
}
