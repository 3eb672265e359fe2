//! A [`Disk`] that is none: for tests, the demo, and programs that restore everything from the changelogs.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, Stand};
use crate::error::Result;

/// Rows in memory.
#[derive(Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    rows: BTreeMap<Box<[u8]>, Box<[u8]>>,
    stand: Option<Stand>,
    bytes: u64,
}

impl MemoryDisk {
    /// A disk without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Disks in memory, by task, that outlive the [`States`](super::States) which writes them: what a simulated process finds
/// again after a crash. Clones are the same disks.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisks(Arc<Mutex<BTreeMap<String, Arc<Mutex<Contents>>>>>);

impl MemoryDisks {
    pub(super) fn of(&self, task: &str) -> MemoryDisk {
        let mut disks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MemoryDisk(Arc::clone(disks.entry(task.to_owned()).or_default()))
    }

    pub(super) fn clear(&self, task: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
    }
}

impl PartialEq for MemoryDisks {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for MemoryDisks {}

impl Disk for MemoryDisk {
    fn stand(&self) -> Result<Option<Stand>> {
        Ok(self.lock().stand.clone())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.lock().rows.get(key).map(|row| row.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, into: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        if from < to {
            let contents = self.lock();
            let rows = contents.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
            into.extend(rows.take(limit).map(|(key, row)| (key.to_vec(), row.to_vec())));
        }
        Ok(())
    }

    fn apply(&self, rows: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>, stand: &Stand) -> Result<()> {
        let mut contents = self.lock();
        for (key, row) in rows {
            let old = match row {
                Some(row) => {
                    contents.bytes += (key.len() + row.len()) as u64;
                    contents.rows.insert(key.into(), row.into())
                }
                None => contents.rows.remove(key),
            };
            contents.bytes -= old.map_or(0, |old| (key.len() + old.len()) as u64);
        }
        contents.stand = Some(stand.clone());
        Ok(())
    }

    fn size(&self) -> u64 {
        self.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_deleted_and_scanned_in_order() {
        let disk = MemoryDisk::new();
        let stand = Stand { sequence: 3, ..Stand::default() };
        let rows: [(&[u8], Option<&[u8]>); 3] = [(b"a", Some(b"1")), (b"b", Some(b"22")), (b"c", Some(b"3"))];
        disk.apply(&mut rows.into_iter(), &stand).unwrap();
        let rows: [(&[u8], Option<&[u8]>); 2] = [(b"a", None), (b"b", Some(b"2"))];
        disk.apply(&mut rows.into_iter(), &stand).unwrap();
        let mut found = Vec::new();
        disk.scan(b"a", b"c", 9, &mut found).unwrap();
        assert_eq!(found, [(b"b".to_vec(), b"2".to_vec())]);
        assert_eq!(disk.size(), 4);
        assert_eq!(disk.stand().unwrap(), Some(stand));
    }
}
