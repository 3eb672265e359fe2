//! The directory of an application's state: its lock, its instance id, and where each task lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// An application's directory, locked for this process as long as this lives.
pub(crate) struct Home {
    path: PathBuf,
    lock: File,
}

impl Home {
    /// Makes the directory where it is missing, and locks it.
    pub(crate) fn take(directory: &Path, application: &str) -> Result<Self> {
        let path = Self::path_for(directory, application);
        let unusable = |error: io::Error| {
            let message = format!("the state directory {} cannot be used", path.display());
            Error::new(ErrorKind::State, message).caused_by(error).remedy("let this user write there, or name another")
        };
        fs::create_dir_all(&path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let mut lock = options.open(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        sign(&mut lock).map_err(unusable)?;
        Ok(Self { path, lock })
    }

    /// Where the state of an application lies below a state directory.
    pub(crate) fn path_for(directory: &Path, application: &str) -> PathBuf {
        directory.join(file_name(application))
    }

    /// Deletes the state of all tasks. The lock stays, and the id of the process, which is no state.
    pub(crate) fn clear(&self) -> Result<()> {
        ["tasks", "lost"].iter().try_for_each(|part| {
            let path = self.path.join(part);
            remove(&path).map_err(|error| {
                Error::new(ErrorKind::State, format!("the local state {} cannot be deleted", path.display()))
                    .caused_by(error)
                    .remedy("delete it")
            })
        })
    }

    /// The id of the process that runs here, the same after a restart.
    pub(super) fn instance(&self) -> Result<String> {
        let path = self.path.join("instance");
        let unusable = |error: io::Error| {
            Error::new(ErrorKind::State, format!("the instance id in {} cannot be kept", path.display()))
                .caused_by(error)
        };
        match fs::read_to_string(&path) {
            Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
        }
        let id = random_id();
        let new = self.path.join("instance.new");
        fs::write(&new, format!("{id}\n")).and_then(|()| fs::rename(&new, &path)).map_err(unusable)?;
        Ok(id)
    }

    /// Where a task's state lives. In a directory below, so that no task's name can be one of the files here.
    pub(super) fn path_of(&self, task: &str) -> PathBuf {
        self.path.join("tasks").join(file_name(task))
    }

    /// Moves a task's state out of the way and says where to. One such copy is kept: it is evidence, not data, and must
    /// not fill the disk.
    pub(super) fn move_aside(&self, task: &str) -> Result<PathBuf> {
        let from = self.path_of(task);
        let to = self.path.join("lost").join(file_name(task));
        let moved =
            remove(&to).and_then(|()| fs::create_dir_all(self.path.join("lost"))).and_then(|()| fs::rename(&from, &to));
        match moved {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let message = format!("the unusable local state {} cannot be moved", from.display());
                Err(Error::new(ErrorKind::State, message).caused_by(error).remedy("delete it"))
            }
            _ => Ok(to),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Closing the file does not do it while another thread has just forked: the child has the file as well, until it
        // becomes another program.
        let _ = self.lock.unlock();
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn sign(lock: &mut File) -> io::Result<()> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    let host = host.unwrap_or_default();
    let host = if host.trim().is_empty() { "an unnamed host" } else { host.trim() };
    lock.set_len(0)?;
    lock.rewind()?;
    write!(lock, "process {} on {host}", std::process::id())
}

fn in_use(path: &Path, lock: &mut File) -> Error {
    let mut owner = String::new();
    // Only for the text: whoever holds the lock may be writing it just now.
    let _ = lock.read_to_string(&mut owner);
    let owner = if owner.is_empty() { "another process" } else { owner.as_str() };
    let message = format!("another process uses this state directory, {}: {owner}", path.display());
    Error::new(ErrorKind::State, message).remedy("stop it, or give each process a state directory of its own")
}

/// 128 random bits.
pub(super) fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn digit(half: u8) -> char {
    char::from_digit(half.into(), 16).unwrap_or('0')
}

/// `name` as a file's name: Kafka's own characters as they are, others as `%` and two digits a byte.
fn file_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && !safe.is_empty()) {
            safe.push(char::from(byte));
        } else {
            safe.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_directory() {
        for (name, file) in [("totals-3", "totals-3"), ("..", "%2e."), ("a/../b", "a%2f..%2fb"), ("é", "%c3%a9")] {
            assert_eq!(file_name(name), file);
        }
    }

    #[test]
    fn a_second_owner_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let _home = Home::take(directory.path(), "app").unwrap();
        let error = Home::take(directory.path(), "app").err().unwrap().to_string();
        assert!(error.contains("another process uses this state directory"), "{error}");
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(Home::take(directory.path(), "other").is_ok());
    }
}
