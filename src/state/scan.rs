//! Reading a store in the order of its keys' bytes, while it changes.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::{Row, Store, StoreId};
use crate::codec::{Data, Key};
use crate::error::Result;

/// How many encoded rows are read ahead: few at first, since many scans end with one of the first rows, then more and more.
const FIRST_CHUNK: usize = 8;
const CHUNK: usize = 256;

/// How far a scan of a store has got; [`Store::next_row`] moves it on.
///
/// It holds no borrow of the store: rows may be touched, and the store may be flushed, between two steps. What is written
/// to keys that the scan has not reached yet is seen, what is written behind it is not.
#[derive(Debug)]
pub struct Scan<K, V> {
    /// The first whole key that has not been looked at, and the end.
    at: Vec<u8>,
    to: Vec<u8>,
    /// Encoded rows from below the cache, read ahead, and from where to read the next; `None` where there are no more.
    chunk: VecDeque<(Vec<u8>, Vec<u8>)>,
    more: Option<Vec<u8>>,
    ahead: usize,
    /// The flush since which the chunk is good.
    flushes: u64,
    /// The row that the last step gave out, where it was not in the cache.
    row: Option<(K, Row<V>)>,
}

enum Next {
    Cached(u32),
    Below(Vec<u8>, Vec<u8>),
}

impl<K: Key, V: Data> Store<K, V> {
    /// A scan of the rows whose key bytes are at least `from` and, where there is a `to`, less than that.
    pub fn scan(&self, from: &[u8], to: Option<&[u8]>) -> Scan<K, V> {
        let at = self.id.key(from);
        let to = to.map_or_else(|| self.id.end(), |to| self.id.key(to));
        let (more, flushes) = (Some(at.clone()), self.flushes);
        Scan { more, at, to, chunk: VecDeque::new(), ahead: FIRST_CHUNK, flushes, row: None }
    }

    /// A scan of the rows whose key bytes begin with `prefix`.
    pub fn scan_prefix(&self, prefix: &[u8]) -> Scan<K, V> {
        // The first bytes after all that begin so: the prefix with its last byte that can grow grown by one.
        let grows = prefix.iter().rposition(|&byte| byte < u8::MAX);
        let to = grows.map(|last| {
            let mut to = prefix[..=last].to_vec();
            to[last] += 1;
            to
        });
        self.scan(prefix, to.as_deref())
    }

    /// The next row of a scan; `None` at the end.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn next_row<'a>(&'a mut self, scan: &'a mut Scan<K, V>) -> Result<Option<(&'a K, &'a Row<V>)>> {
        match self.step(scan)? {
            None => Ok(None),
            Some(Next::Cached(place)) => {
                let entry = self.cache.entry(place);
                Ok(entry.row.as_ref().map(|row| (&entry.key, row)))
            }
            Some(Next::Below(key, row)) => {
                let decoded = (self.decode_key(&key[StoreId::LEN..])?, self.decode_row(&row)?);
                let (key, row) = scan.row.insert(decoded);
                Ok(Some((key, row)))
            }
        }
    }

    /// Calls `each` with all rows of a scan, in order, until it breaks.
    ///
    /// # Errors
    /// When a row cannot be read, or `each` says so.
    pub fn for_each(
        &mut self,
        mut scan: Scan<K, V>,
        mut each: impl FnMut(&K, &Row<V>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        while let Some((key, row)) = self.next_row(&mut scan)? {
            if each(key, row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Goes to the next row that exists: the first of what has changed, by the index, and what lies below.
    fn step(&mut self, scan: &mut Scan<K, V>) -> Result<Option<Next>> {
        self.index_dirty()?;
        if scan.flushes != self.flushes {
            // What was dirty is below now, but not in the chunk.
            scan.flushes = self.flushes;
            scan.chunk.clear();
            scan.more = Some(scan.at.clone());
        }
        while scan.at < scan.to {
            self.refill(scan)?;
            let changed = self.index.range(scan.at.clone()..scan.to.clone()).next();
            let below = scan.chunk.front();
            let next = match (changed, below) {
                (None, None) => break,
                (Some((key, &dirty)), below) if below.is_none_or(|(other, _)| key <= other) => {
                    scan.at.clone_from(key);
                    if below.is_some_and(|(other, _)| key == other) {
                        scan.chunk.pop_front();
                    }
                    let place = self.cache.dirty()[dirty as usize].place;
                    self.cache.entry(place).row.as_ref().map(|_| Next::Cached(place))
                }
                _ => scan.chunk.pop_front().map(|(key, row)| {
                    scan.at.clone_from(&key);
                    Next::Below(key, row)
                }),
            };
            // The least key after the one that was looked at.
            scan.at.push(0);
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(None)
    }

    fn refill(&self, scan: &mut Scan<K, V>) -> Result<()> {
        while scan.chunk.is_empty()
            && let Some(from) = scan.more.take()
        {
            let chunk = self.state.scan(&from, &scan.to, scan.ahead)?;
            scan.ahead = (scan.ahead * 4).min(CHUNK);
            scan.chunk.extend(chunk.rows);
            scan.more = chunk.next;
        }
        Ok(())
    }

    /// Encodes the keys of the rows touched since the last scan: each once a flush, and none in a store never scanned.
    fn index_dirty(&mut self) -> Result<()> {
        for dirty in self.indexed..self.cache.dirty().len() {
            let mut bytes = Vec::new();
            let entry = self.cache.entry(self.cache.dirty()[dirty].place);
            self.encode_key(&entry.key, &mut bytes)?;
            self.index.insert(bytes, entry.dirty);
            self.indexed = dirty + 1;
        }
        Ok(())
    }
}
