//! The local store of a task in sled, and the only file that knows sled.
//!
//! sled 1.0-alpha is used as a cache of the changelogs that may be lost, and kept away from everything it does badly:
//! - Its own flusher aborts the process when the disk is full; so it never gets to run, and flushing is ours.
//! - After a failed flush the next one, or a drop, may never return; so the handles are then leaked, not dropped.
//! - Deletions in a batch leave empty leaves behind for good; so rows are deleted singly, before the batch. That is as
//!   atomic: only a flush makes anything last, and it makes everything before it last together.
//! - It may panic on bytes it does not understand; so every call is guarded.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::sled::{Batch, Config};
use serde::{Deserialize, Serialize};

use super::{Disk, Stand};
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, SystemClock, Timestamp};

/// Rows a leaf. A smaller leaf is rewritten faster after a random update. Fixed once a database has been made.
const LEAF_FANOUT: usize = 64;
/// What sled may keep of what it has read. What was written stays in memory besides.
const CACHE_BYTES: usize = 32 << 20;
/// Ten years: never. `None` would make each drop of each iterator flush.
const NEVER_MS: usize = 315_360_000_000;
/// Before all rows, whose keys have four bytes at least.
const HEADER_KEY: [u8; 1] = [0];
/// Of the rows' keys, the rows and the header.
const FORMAT: u32 = 1;
/// How often a lock is asked for again: a process that another thread starts holds a copy of ours for a moment.
const PATIENCE: u32 = 20;

type Db = ::sled::Db<LEAF_FANOUT>;

/// Rows in a sled database of their own.
pub struct SledDisk {
    path: PathBuf,
    application: String,
    task: String,
    /// Two handles, so that readers need not wait for the writer.
    reader: Mutex<Option<Db>>,
    writer: Mutex<Option<Db>>,
    stand: Mutex<Option<Stand>>,
    written: Mutex<Option<Timestamp>>,
    clock: SystemClock,
    size: AtomicU64,
    broken: AtomicBool,
}

/// The record under [`HEADER_KEY`]: whose rows these are, and what they stand for.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    application: String,
    task: String,
    stand: Stand,
    /// When it was written, by the clock of the machine.
    written: Timestamp,
}

/// Why a database could not be opened.
#[derive(Debug)]
pub enum OpenFailure {
    /// Somebody has to do something: it is in use, or may not be opened, or there is no room.
    Refused(Error),
    /// It is damaged or another task's: a sentence that says how. As a cache it can be thrown away.
    Lost(String),
}

impl SledDisk {
    /// Opens the database of `task` in the directory `path`, or makes it.
    ///
    /// # Errors
    /// See [`OpenFailure`].
    pub fn open(path: &Path, application: &str, task: &str) -> Result<Self, OpenFailure> {
        let config = Config::new().path(path).cache_capacity_bytes(CACHE_BYTES).flush_every_ms(Some(NEVER_MS));
        let open = || -> io::Result<(Db, Option<Vec<u8>>, bool)> {
            let db: Db = config.open()?;
            let header = db.get(HEADER_KEY)?.map(|bytes| bytes.to_vec());
            let empty = db.is_empty()?;
            Ok((db, header, empty))
        };
        let mut patience = PATIENCE;
        let (db, header, empty) = loop {
            match catch_unwind(AssertUnwindSafe(open)) {
                Ok(Ok(opened)) => break opened,
                Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock && patience > 0 => patience -= 1,
                Ok(Err(error)) => return Err(classify(path, task, &error)),
                Err(_) => return Err(OpenFailure::Lost("sled panicked while opening it".into())),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let (stand, written) = match header {
            Some(bytes) => check(&bytes, application, task).map_err(OpenFailure::Lost)?,
            None if empty => (None, None),
            None => return Err(OpenFailure::Lost("it has rows but does not say what they stand for".into())),
        };
        let size = db.size_on_disk().unwrap_or(0);
        Ok(Self {
            path: path.to_owned(),
            application: application.to_owned(),
            task: task.to_owned(),
            reader: Mutex::new(Some(db.clone())),
            writer: Mutex::new(Some(db)),
            stand: Mutex::new(stand),
            written: Mutex::new(written),
            clock: SystemClock::new(),
            size: AtomicU64::new(size),
            broken: AtomicBool::new(false),
        })
    }

    fn with<T>(&self, handle: &Mutex<Option<Db>>, doing: &str, f: impl FnOnce(&Db) -> io::Result<T>) -> Result<T> {
        let handle = handle.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(db) = handle.as_ref() else {
            return Err(self.error(&format!("cannot be used for {doing}: it is closed")));
        };
        let problem = match catch_unwind(AssertUnwindSafe(|| f(db))) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => format!("failed while {doing}: {error}"),
            Err(_) => format!("panicked while {doing}"),
        };
        self.broken.store(true, Ordering::SeqCst);
        Err(self.error(&problem))
    }

    fn error(&self, problem: &str) -> Error {
        let message = format!("the local state of task {} in {} {problem}", self.task, self.path.display());
        Error::new(ErrorKind::State, message)
    }

    fn close(&self) {
        let broken = self.broken.load(Ordering::SeqCst) || self.flush().is_err();
        for handle in [&self.reader, &self.writer] {
            let db = handle.lock().unwrap_or_else(PoisonError::into_inner).take();
            if broken {
                std::mem::forget(db);
            }
        }
    }
}

/// sled wraps errors of the system and keeps their text; what is no error of the system says that the bytes are wrong,
/// and so does a file that is missing or is none.
fn classify(path: &Path, task: &str, error: &io::Error) -> OpenFailure {
    let text = error.to_string();
    let damaged =
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory);
    if error.kind() != io::ErrorKind::WouldBlock && (damaged || !text.contains("(os error ")) {
        return OpenFailure::Lost(text);
    }
    let remedy = match error.kind() {
        io::ErrorKind::WouldBlock => "another process has it open: stop that, or give each its own directory",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "let this user write there",
        _ if text.contains("(os error 24)") => "raise the limit of open files (ulimit -n)",
        _ => "mend the disk, or name another state directory",
    };
    let message = format!("the local state of task {task} in {} cannot be opened: {text}", path.display());
    OpenFailure::Refused(Error::new(ErrorKind::State, message).remedy(remedy))
}

fn check(bytes: &[u8], application: &str, task: &str) -> Result<(Option<Stand>, Option<Timestamp>), String> {
    let header: Header =
        serde_json::from_slice(bytes).map_err(|error| format!("its header cannot be read: {error}"))?;
    if header.format != FORMAT {
        return Err(format!("it has format {}, and this program knows format {FORMAT} only", header.format));
    }
    if header.application != application || header.task != task {
        return Err(format!("it belongs to task {} of {}", header.task, header.application));
    }
    Ok((Some(header.stand), Some(header.written)))
}

impl Disk for SledDisk {
    fn stand(&self) -> Result<Option<Stand>> {
        Ok(self.stand.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn written(&self) -> Option<Timestamp> {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.with(&self.reader, "reading", |db| Ok(db.get(key)?.map(|row| row.to_vec())))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, into: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        self.with(&self.reader, "reading", |db| {
            let header = |row: &io::Result<_>| matches!(row, Ok((key, _)) if *key == HEADER_KEY);
            for row in db.range(from..to).filter(|row| !header(row)).take(limit) {
                let (key, row) = row?;
                into.push((key.to_vec(), row.to_vec()));
            }
            Ok(())
        })
    }

    fn apply(&self, rows: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>, stand: &Stand) -> Result<()> {
        let (application, task, written) = (self.application.clone(), self.task.clone(), self.clock.wall());
        let header = Header { format: FORMAT, application, task, stand: stand.clone(), written };
        let header = serde_json::to_vec(&header).map_err(|error| self.error(&error.to_string()))?;
        self.with(&self.writer, "writing", |db| {
            let mut batch = Batch::default();
            for (key, row) in rows {
                match row {
                    Some(row) => batch.insert(key, row),
                    None => drop(db.remove(key)?),
                }
            }
            batch.insert(&HEADER_KEY[..], header);
            db.apply_batch(batch)
        })?;
        *self.stand.lock().unwrap_or_else(PoisonError::into_inner) = Some(stand.clone());
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.with(&self.writer, "flushing", |db| {
            db.flush()?;
            self.size.store(db.size_on_disk().unwrap_or(0), Ordering::Relaxed);
            Ok(())
        })
    }

    fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }
}

impl Drop for SledDisk {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for SledDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledDisk").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(key: &'a [u8], row: Option<&'a [u8]>) -> (&'a [u8], Option<&'a [u8]>) {
        (key, row)
    }

    fn stand(sequence: u64) -> Stand {
        Stand { sequence, changelogs: [("totals".to_owned(), sequence.cast_signed() * 10)].into() }
    }

    #[test]
    fn rows_and_their_stand_outlast_the_handle_and_the_header_is_no_row() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0_0");
        let disk = SledDisk::open(&path, "app", "0_0").unwrap();
        assert_eq!((disk.stand().unwrap(), disk.written()), (None, None));
        disk.apply(&mut [row(b"aaaa1", Some(b"1")), row(b"aaaa2", Some(b"2"))].into_iter(), &stand(1)).unwrap();
        disk.apply(&mut [row(b"aaaa1", None), row(b"aaaa3", Some(b"3"))].into_iter(), &stand(2)).unwrap();
        drop(disk);
        let disk = SledDisk::open(&path, "app", "0_0").unwrap();
        assert_eq!(disk.stand().unwrap(), Some(stand(2)));
        assert!(disk.written() > Some(Timestamp::from_millis(0)));
        let mut rows = Vec::new();
        disk.scan(b"", b"\xff", 10, &mut rows).unwrap();
        assert_eq!(rows, [(b"aaaa2".to_vec(), b"2".to_vec()), (b"aaaa3".to_vec(), b"3".to_vec())]);
        assert_eq!(disk.get(b"aaaa1").unwrap(), None);
        assert!(disk.size() > 0);
    }

    #[test]
    fn a_database_that_is_open_already_is_refused_and_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let _open = SledDisk::open(directory.path(), "app", "0_0").unwrap();
        let failure = SledDisk::open(directory.path(), "app", "0_0").unwrap_err();
        assert!(matches!(&failure, OpenFailure::Refused(error) if error.to_string().contains("another process")));
    }

    #[test]
    fn another_tasks_database_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let disk = SledDisk::open(directory.path(), "app", "0_0").unwrap();
        disk.apply(&mut [row(b"aaaa1", Some(b"1"))].into_iter(), &stand(1)).unwrap();
        drop(disk);
        let failure = SledDisk::open(directory.path(), "app", "0_1").unwrap_err();
        assert!(matches!(&failure, OpenFailure::Lost(why) if why.contains("task 0_0 of app")), "{failure:?}");
    }

    #[test]
    fn errors_of_the_system_are_the_users_and_all_others_lose_the_cache() {
        let wrapped = |code: i32| {
            let error = io::Error::from_raw_os_error(code);
            io::Error::new(error.kind(), format!("sled:src/heap.rs:1 -> {error}"))
        };
        for (code, word) in [(11, "another process"), (28, "make room"), (13, "let this user"), (24, "ulimit")] {
            let failure = classify(Path::new("d"), "0_0", &wrapped(code));
            assert!(matches!(&failure, OpenFailure::Refused(error) if error.to_string().contains(word)), "{failure:?}");
        }
        for error in [wrapped(2), io::Error::new(io::ErrorKind::InvalidData, "crc mismatch")] {
            assert!(matches!(classify(Path::new("d"), "0_0", &error), OpenFailure::Lost(_)));
        }
    }
}
