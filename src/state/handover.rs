//! How committed state gets from memory to disk, and what happens where it does not.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::applier::Message;
use super::layers::{Chunk, Layer, Layers, Part, merge};
use super::{Disk, Stand};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// How much committed state may wait in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From here on it goes to disk: a large batch costs less a row.
    pub(super) apply: usize,
    /// From here on a commit waits for the disk.
    pub(super) block: usize,
    /// After so many bytes the disk is told to make them last.
    pub(super) flush: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { apply: 4 << 20, block: 64 << 20, flush: 64 << 20 }
    }
}

/// What the handles share.
pub(super) struct Shared {
    task: String,
    disk: Box<dyn Disk>,
    limits: Limits,
    /// Where a state that should go to disk is announced; `None` where it goes there at once.
    applier: Option<SyncSender<Message>>,
    layers: Mutex<Layers>,
    /// Notified when the committed layer has shrunk, or will never shrink.
    room: Condvar,
    /// Held by whoever writes the disk, with what the disk stands for.
    turn: Mutex<Stand>,
    announced: AtomicBool,
    degraded: AtomicBool,
    spoiled: AtomicBool,
    unflushed: AtomicUsize,
}

impl Shared {
    pub(super) fn new(
        task: &str,
        disk: Box<dyn Disk>,
        stand: Stand,
        limits: Limits,
        applier: Option<SyncSender<Message>>,
    ) -> Self {
        Self {
            task: task.to_owned(),
            disk,
            limits,
            applier,
            layers: Mutex::new(Layers { stand: stand.clone(), ..Layers::default() }),
            room: Condvar::new(),
            turn: Mutex::new(stand),
            announced: AtomicBool::new(false),
            degraded: AtomicBool::new(false),
            spoiled: AtomicBool::new(false),
            unflushed: AtomicUsize::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Layers> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn abort(&self) {
        self.lock().pending = Layer::default();
    }

    pub(super) fn degraded(&self) -> bool {
        self.degraded.load(Ordering::SeqCst)
    }

    /// True once the disk could not be read: it must not be used by the next lease.
    pub(super) fn spoiled(&self) -> bool {
        self.spoiled.load(Ordering::SeqCst)
    }

    pub(super) fn task(&self) -> &str {
        &self.task
    }

    pub(super) fn written(&self) -> Option<Timestamp> {
        self.disk.written()
    }

    pub(super) fn disk_size(&self) -> u64 {
        self.disk.size()
    }

    /// The row on disk.
    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.noting(self.disk.get(key))
    }

    fn noting<T>(&self, read: Result<T>) -> Result<T> {
        if read.is_err() {
            self.spoiled.store(true, Ordering::SeqCst);
        }
        read.map_err(|error| error.remedy("start the task again: it is then moved aside and restored"))
    }

    /// Lays `parts` over what the disk has.
    pub(super) fn with_disk(&self, mut parts: Vec<Part>, from: &[u8], to: &[u8], limit: usize) -> Result<Chunk> {
        let mut rows = Vec::new();
        self.noting(self.disk.scan(from, to, limit, &mut rows))?;
        parts.push(rows.into_iter().map(|(key, row)| (key, Some(row))).collect());
        Ok(merge(parts, limit))
    }

    /// After the committed layer has grown: sees to it that it goes to disk, and waits where it is too large.
    pub(super) fn settle<'a>(this: &'a Arc<Self>, mut layers: MutexGuard<'a, Layers>) {
        let Some(applier) = &this.applier else {
            drop(layers);
            this.apply();
            return;
        };
        if layers.newest.bytes() < this.limits.apply || this.degraded() {
            return;
        }
        if !this.announced.swap(true, Ordering::SeqCst) {
            drop(layers);
            if applier.send(Message::Apply(Arc::clone(this))).is_err() {
                // The registry is closed. Whoever still commits does the work himself.
                this.apply();
            }
            layers = this.lock();
        }
        while layers.newest.bytes() >= this.limits.block && !this.degraded() {
            layers = this.room.wait(layers).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Moves everything committed to disk.
    pub(super) fn apply(&self) {
        let mut on_disk = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.announced.store(false, Ordering::SeqCst);
        let mut layers = self.lock();
        if self.degraded() || (layers.newest.is_empty() && layers.stand == *on_disk) {
            return;
        }
        let rows = Arc::new(std::mem::take(&mut layers.newest));
        layers.applying = Some(Arc::clone(&rows));
        let stand = layers.stand.clone();
        drop(layers);
        self.room.notify_all();
        let written = no_panic("writing", || self.disk.apply(&mut rows.iter(), &stand));
        match written {
            Ok(()) => {
                self.lock().applying = None;
                *on_disk = stand;
                self.unflushed.fetch_add(rows.bytes().max(1), Ordering::SeqCst);
            }
            Err(error) => self.degrade(&error),
        }
    }

    /// Moves everything committed to disk where it outlasts a crash.
    ///
    /// # Errors
    /// When the disk does not work any more.
    pub(super) fn flush(&self) -> Result<()> {
        self.apply();
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.degraded()
            && self.unflushed.swap(0, Ordering::SeqCst) > 0
            && let Err(error) = no_panic("flushing", || self.disk.flush())
        {
            self.degrade(&error);
        }
        drop(turn);
        if self.degraded() {
            let message = format!("the local state of task {} could not be written to disk", self.task);
            return Err(Error::new(ErrorKind::State, message).remedy(
                "nothing is lost, the next start restores it from the changelogs; see the log for the disk's own error",
            ));
        }
        Ok(())
    }

    /// As the applier does it: flushes only where enough has come together.
    pub(super) fn apply_and_perhaps_flush(&self) {
        self.apply();
        if self.unflushed.load(Ordering::SeqCst) >= self.limits.flush {
            // What went wrong has been said by `degrade`.
            let _ = self.flush();
        }
    }

    /// The disk has failed: the committed layer stays where it is, and nothing is written any more.
    fn degrade(&self, error: &Error) {
        {
            let _layers = self.lock();
            self.degraded.store(true, Ordering::SeqCst);
        }
        self.room.notify_all();
        tracing::error!(
            task = self.task,
            %error,
            "the local state cannot be written to disk: the task goes on in memory, which grows; nothing is lost. \
             Make room or mend the disk, then restart the process"
        );
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskState")
            .field("task", &self.task)
            .field("degraded", &self.degraded())
            .finish_non_exhaustive()
    }
}

fn no_panic(doing: &str, f: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::State, format!("the database of the local state panicked while {doing}")))
    })
}
