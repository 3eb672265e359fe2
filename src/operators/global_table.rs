//! The rows of a global table: all rows of a topic, in every process that joins with it.
//!
//! One reader changes them, and every task of the process looks into them. What has been read becomes visible with
//! [`GlobalPort::publish`], as a version that never changes again: an operator takes the newest one for a batch
//! ([`GlobalView::rows`]) and looks rows up in it without a lock and without a copy. A version shares all that has not
//! changed with the one before it, so publishing costs what was changed and not what is there.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::DefaultHashBuilder;
use rpds::HashTrieMapSync;

use super::DropReason;
use super::source::Verdict;
use super::topic_source::field;
use crate::broker::{Batch, RawRecord};
use crate::codec::{Codec, Data, Key};
use crate::record::Offset;

/// A version of a global table's rows: it stays as it is, whatever is read meanwhile.
pub struct GlobalRows<K: Eq + Hash, V>(HashTrieMapSync<K, V, DefaultHashBuilder>);

impl<K: Eq + Hash, V> GlobalRows<K, V> {
    /// The row of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.size()
    }

    /// True where there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Eq + Hash, V> Clone for GlobalRows<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash, V> Default for GlobalRows<K, V> {
    fn default() -> Self {
        Self(HashTrieMapSync::new_with_hasher_and_ptr_kind(DefaultHashBuilder::default()))
    }
}

/// Where the readers of a global table find its newest published version.
pub struct GlobalView<K: Eq + Hash, V>(Arc<Mutex<GlobalRows<K, V>>>);

impl<K: Eq + Hash, V> GlobalView<K, V> {
    /// The newest published version.
    #[must_use]
    pub fn rows(&self) -> GlobalRows<K, V> {
        lock(&self.0).clone()
    }
}

impl<K: Eq + Hash, V> Clone for GlobalView<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash, V> Default for GlobalView<K, V> {
    /// The view of a table that nobody fills.
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Where a declared global table and the joins with it find each other, once the table has been opened for the process
/// that runs the topology.
pub struct GlobalCell<K: Eq + Hash, V>(Arc<Mutex<GlobalView<K, V>>>);

impl<K: Eq + Hash, V> GlobalCell<K, V> {
    /// Begins anew: what is wired from now on sees the table that fills this view.
    #[must_use]
    pub fn open(&self) -> GlobalView<K, V> {
        let view = GlobalView::default();
        *lock(&self.0) = view.clone();
        view
    }

    /// The view of the table that was opened last.
    #[must_use]
    pub fn view(&self) -> GlobalView<K, V> {
        lock(&self.0).clone()
    }
}

impl<K: Eq + Hash, V> Clone for GlobalCell<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash, V> Default for GlobalCell<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A global table as the runtime sees it: it hands in what it read, and says when that may be seen.
pub trait GlobalPort: Send {
    /// Takes in records of one partition, in order: a null deletes the row. What cannot be read is handed to `refuse`
    /// with its offset and the reason, and left out.
    fn apply(&mut self, batch: &Batch, refuse: &mut dyn FnMut(Offset, Verdict));

    /// Lets the tasks see all that was taken in.
    fn publish(&mut self);

    /// How many rows there are.
    fn len(&self) -> usize;

    /// True where there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The table of one process, with its topic's codecs.
pub struct TypedGlobal<K: Eq + Hash, V, KC, VC> {
    key: KC,
    value: VC,
    rows: GlobalRows<K, V>,
    view: GlobalView<K, V>,
}

impl<K: Eq + Hash, V, KC, VC> TypedGlobal<K, V, KC, VC> {
    /// An empty table that publishes to `view`.
    #[must_use]
    pub fn new(key: KC, value: VC, view: GlobalView<K, V>) -> Self {
        Self { key, value, rows: GlobalRows::default(), view }
    }
}

impl<K: Key, V: Data, KC: Codec<K>, VC: Codec<V>> TypedGlobal<K, V, KC, VC> {
    fn read(&self, record: &RawRecord<'_>) -> Result<(K, Option<V>), Verdict> {
        let key = field(record.key, &self.key, "key", DropReason::NullKey)?;
        let value = record.value.map(|bytes| field(Some(bytes), &self.value, "value", DropReason::NullValue));
        Ok((key, value.transpose()?))
    }
}

impl<K: Key, V: Data, KC: Codec<K>, VC: Codec<V>> GlobalPort for TypedGlobal<K, V, KC, VC> {
    fn apply(&mut self, batch: &Batch, refuse: &mut dyn FnMut(Offset, Verdict)) {
        for record in batch.iter() {
            match self.read(&record) {
                Ok((key, Some(value))) => self.rows.0.insert_mut(key, value),
                Ok((key, None)) => _ = self.rows.0.remove_mut(&key),
                Err(verdict) => refuse(record.offset, verdict),
            }
        }
    }

    fn publish(&mut self) {
        let before = std::mem::replace(&mut *lock(&self.view.0), self.rows.clone());
        // Freed outside of the lock: it may hold the last of many rows.
        drop(before);
    }

    fn len(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{OrderedInt, Text};
    use crate::record::Headers;

    type Table = TypedGlobal<String, u64, Text, OrderedInt>;

    fn table() -> (Table, GlobalView<String, u64>) {
        let cell = GlobalCell::default();
        let table = TypedGlobal::new(Text, OrderedInt, cell.open());
        (table, cell.view())
    }

    /// Takes in these records; gives what was refused.
    fn apply(table: &mut Table, records: &[(Option<&str>, Option<&[u8]>)]) -> Vec<(Offset, DropReason)> {
        let mut batch = Batch::default();
        for (offset, (key, value)) in (0..).zip(records) {
            let (key, headers) = (key.map(str::as_bytes), &Headers::NONE);
            batch.push(&RawRecord { offset, key, value: *value, timestamp: None, headers });
        }
        let mut refused = Vec::new();
        table.apply(&batch, &mut |offset, (reason, _)| refused.push((offset, reason)));
        refused
    }

    fn number(number: u64) -> [u8; 8] {
        number.to_be_bytes()
    }

    #[test]
    fn rows_are_seen_once_they_are_published_and_a_version_never_changes() {
        let (mut table, view) = table();
        apply(&mut table, &[(Some("a"), Some(&number(1))), (Some("b"), Some(&number(2)))]);
        assert!(view.rows().is_empty());
        table.publish();
        let before = view.rows();
        apply(&mut table, &[(Some("a"), Some(&number(3))), (Some("b"), None)]);
        assert_eq!(view.rows().get(&"a".to_owned()), Some(&1));
        table.publish();
        assert_eq!((before.get(&"a".to_owned()), before.get(&"b".to_owned()), before.len()), (Some(&1), Some(&2), 2));
        let after = view.rows();
        assert_eq!((after.get(&"a".to_owned()), after.get(&"b".to_owned()), table.len()), (Some(&3), None, 1));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_taken_in() {
        let (mut table, view) = table();
        let records = [(Some("a"), Some(&b"no number"[..])), (None, Some(&number(1)[..])), (Some("b"), None)];
        let refused = apply(&mut table, &records);
        assert_eq!(refused, [(0, DropReason::Unreadable), (1, DropReason::NullKey)]);
        let refused = apply(&mut table, &[(Some("c"), Some(&number(7)))]);
        table.publish();
        assert_eq!((refused, view.rows().get(&"c".to_owned()), table.len()), (vec![], Some(&7), 1));
    }

    #[test]
    fn a_table_that_is_opened_anew_begins_without_rows() {
        let cell = GlobalCell::default();
        let mut first = TypedGlobal::new(Text, OrderedInt, cell.open());
        apply(&mut first, &[(Some("a"), Some(&number(1)))]);
        first.publish();
        let old = cell.view();
        let _second: Table = TypedGlobal::new(Text, OrderedInt, cell.open());
        assert_eq!((old.rows().len(), cell.view().rows().len()), (1, 0));
    }
}
