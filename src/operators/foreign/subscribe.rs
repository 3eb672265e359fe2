//! The left table's side: each change goes to the tasks of the foreign keys that it concerns.
//!
//! - A row whose foreign key has changed goes to the new one's task, and the old one's is told that it has moved.
//! - A row without a foreign key has no result in an inner join, and is counted as `join_miss`; in a left join it goes to
//!   the task of its own key's bytes, as one that joins nothing.
//! - Foreign keys are equal where their bytes are.

use std::marker::PhantomData;
use std::sync::Arc;

use super::ask::{Ask, What};
use super::encoded;
use crate::codec::{CodecError, Data, Key};
use crate::error::Result;
use crate::operators::changelog::Changelog;
use crate::operators::repartition::unwritable;
use crate::operators::stores::SharedStore;
use crate::operators::{Change, Cx, DropReason, Out, Push, Signal};
use crate::record::{InputNumber, Record};
use crate::state::{Origin, Row};

/// Where a left row is to be joined.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    /// The foreign key's bytes, or the row's own key's.
    bytes: Vec<u8>,
    keyed: bool,
}

/// The number of the newest change of a task, in its store.
pub type Versions = (SharedStore<u32, u64>, Changelog);

/// Sends changes of a table to the tasks of their foreign keys.
pub struct Subscribe<K: Key, V: Data, FK, F> {
    name: Arc<str>,
    foreign: Arc<F>,
    /// True where rows without a foreign key have a result.
    alone: bool,
    versions: Versions,
    made: Vec<Record<Vec<u8>, Ask<K, V>>>,
    out: Out<Vec<u8>, Ask<K, V>>,
    of: PhantomData<fn(FK)>,
}

impl<K: Key, V: Data, FK: Key, F: Fn(&K, &V) -> Option<FK>> Subscribe<K, V, FK, F> {
    /// Sends each row to where `foreign` says. `alone`: also those without a foreign key.
    pub const fn new(
        name: Arc<str>,
        foreign: Arc<F>,
        alone: bool,
        versions: Versions,
        out: Out<Vec<u8>, Ask<K, V>>,
    ) -> Self {
        Self { name, foreign, alone, versions, made: Vec::new(), out, of: PhantomData }
    }

    fn place(&self, key: &K, value: Option<&V>) -> Result<Option<Place>, CodecError> {
        let Some(value) = value else { return Ok(None) };
        match (self.foreign)(key, value).filter(|foreign| !foreign.is_null()) {
            Some(foreign) => Ok(Some(Place { bytes: encoded(&foreign)?, keyed: true })),
            None if self.alone => Ok(Some(Place { bytes: encoded(key)?, keyed: false })),
            None => Ok(None),
        }
    }

    fn change(&mut self, record: Record<K, Change<V>>, cx: &mut Cx) {
        let Change { old, new } = &record.value;
        let places = self.place(&record.key, old.as_ref()).and_then(|before| {
            let now = self.place(&record.key, new.as_ref())?;
            Ok((before, now))
        });
        let (before, now) = match places {
            Ok(places) => places,
            Err(error) => return cx.refuse(record.input, unwritable("foreign key", &error), &self.name),
        };
        if new.is_some() && now.is_none() {
            cx.drop_record(DropReason::JoinMiss, None, (record.input, record.timestamp));
        }
        if before.is_none() && now.is_none() {
            return;
        }
        let version = match self.next_version(record.input) {
            Ok(version) => version,
            Err(error) => return cx.stop(error),
        };
        let moved = before.is_some() && now.is_some() && before != now;
        if let Some(before) = before.filter(|_| moved || now.is_none()) {
            let what = if moved { What::Moved } else { What::Gone };
            self.made.push(record.clone().map(|key, _| ask(before, key, version, what)));
        }
        if let Some(now) = now {
            let row = record.try_map(|key, change| match change.new {
                Some(value) => Ok(ask(now, key, version, What::Row { value, moved })),
                None => Err(()),
            });
            self.made.extend(row);
        }
    }

    fn next_version(&self, input: InputNumber) -> Result<u64> {
        let mut store = self.versions.0.lock();
        let row = store.touch(&0)?;
        let next = store.row(row).map_or(1, |row| row.value + 1);
        let origin = Origin { input, ..Origin::default() };
        *store.row_mut(row) = Some(Row { value: next, timestamp: origin.timestamp });
        *store.origin_mut(row) = origin;
        Ok(next)
    }
}

fn ask<K, V>(to: Place, key: K, version: u64, what: What<V>) -> (Vec<u8>, Ask<K, V>) {
    let Place { bytes, keyed } = to;
    (bytes, Ask { key, version, keyed, what })
}

impl<K: Key, V: Data, FK: Key, F> Push<K, Change<V>> for Subscribe<K, V, FK, F>
where
    F: Fn(&K, &V) -> Option<FK> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, Change<V>>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            self.change(record, cx);
            if cx.failed() {
                return;
            }
        }
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        if signal == Signal::Flush {
            let (store, changelog) = &self.versions;
            changelog.flush(&mut store.lock(), cx, |_| ());
        }
        self.out.signal(signal, cx);
    }
}
