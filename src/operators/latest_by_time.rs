//! `table_by_time`, `to_table_by_time`: the newest value of each key by event time, kept in a store.
//!
//! - A record that is older than its key's row does not overwrite it, and is counted as `out_of_date`. Of records of one
//!   time the last to come wins.
//! - A deletion is remembered, in a store beside the rows, until the watermark is `remember` past it: an older record that
//!   comes after it does not bring the row back.
//! - A record without a row that lies more than that behind its own source partition is dropped and counted as `late`, or
//!   as `expired` where time has moved on by other means: a deletion after it may have been forgotten. So what becomes
//!   of a key depends on its records alone, and not on when deletions are forgotten.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::table_out::TableOut;
use super::timed::Timed;
use super::{Cx, DropReason, Push, Signal};
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::record::{InputNumber, Record};
use crate::state::{Origin, Store};
use crate::time::Timestamp;
use crate::window::millis;

/// How many deletions are forgotten at once.
const PORTION: usize = 4096;

/// The deletions that a table remembers: their times.
pub struct Deletions<K: Key> {
    at: Timed<K, i64>,
    remember: Duration,
}

impl<K: Key> Deletions<K> {
    /// Deletions in `at`, each until time is `remember` past it.
    #[must_use]
    pub const fn new(at: Timed<K, i64>, remember: Duration) -> Self {
        Self { at, remember }
    }

    /// Why a record must not make a row where there is none, if it must not.
    fn refuses<I>(&self, record: &Record<K, I>) -> Result<Option<DropReason>> {
        let remember = millis(self.remember);
        if i64::try_from(record.behind).unwrap_or(i64::MAX) > remember {
            return Ok(Some(DropReason::Late));
        }
        if record.timestamp.plus(self.remember) < record.watermark {
            return Ok(Some(DropReason::Expired));
        }
        let deleted = self.at.get(record.key.clone())?;
        Ok(deleted.filter(|deleted| record.timestamp.millis() < *deleted).map(|_| DropReason::OutOfDate))
    }

    /// Remembers that a key was deleted at `time`, or that it is there again.
    fn set(&mut self, key: &K, deleted: bool, timestamp: Timestamp, input: InputNumber) -> Result<()> {
        if !deleted && self.at.get(key.clone())?.is_none() {
            return Ok(());
        }
        let forget = timestamp.plus(self.remember);
        let origin = Origin { timestamp, input, ..Origin::default() };
        self.at.change(key.clone(), false, origin, |_, at| {
            *at = deleted.then_some(timestamp.millis());
            ((), deleted.then_some(forget))
        })
    }

    /// Forgets the deletions that are old enough.
    fn forget(&mut self, watermark: Timestamp) -> Result<()> {
        let (mut budget, remember) = (PORTION, self.remember);
        let forgotten = self.at.fire(watermark, &mut budget, |rows, at, key| {
            let origin = Origin { timestamp: at, input: InputNumber::UNKNOWN, ..Origin::default() };
            rows.change(key, true, origin, |_, deleted| {
                let end = deleted.map(|at| Timestamp::from_millis(at).plus(remember)).filter(|end| *end > watermark);
                *deleted = deleted.filter(|_| end.is_some());
                ((), end)
            })
        });
        // What is left is forgotten with a later record: nobody waits for it.
        forgotten.map(|_| ())
    }
}

/// Keeps what `of` finds in the newest record of each key by its time; `None` deletes.
pub struct LatestByTime<K: Key, I, V: Data, F> {
    table: TableOut<K, V>,
    deletions: Deletions<K>,
    of: Arc<F>,
    from: PhantomData<fn(I)>,
}

impl<K: Key, I, V: Data, F: Fn(I) -> Option<V>> LatestByTime<K, I, V, F> {
    /// Keeps the newest in `table`.
    #[must_use]
    pub const fn new(table: TableOut<K, V>, deletions: Deletions<K>, of: Arc<F>) -> Self {
        Self { table, deletions, of, from: PhantomData }
    }

    /// Deletions that nobody can ask for any more are forgotten.
    fn forget(&mut self, cx: &mut Cx) {
        if let Err(error) = self.deletions.forget(self.table.seen()) {
            cx.stop(error);
        }
    }
}

fn refuses<K: Key, I, V: Data>(
    deletions: &Deletions<K>,
    record: &Record<K, I>,
    store: &mut Store<K, V>,
) -> Result<Option<DropReason>> {
    match store.get(&record.key)?.map(|row| row.timestamp) {
        Some(newest) => Ok((record.timestamp < newest).then_some(DropReason::OutOfDate)),
        None => deletions.refuses(record),
    }
}

fn update<K: Key, I, V: Data>(
    table: &mut TableOut<K, V>,
    (deletions, of): (&mut Deletions<K>, &impl Fn(I) -> Option<V>),
    record: Record<K, I>,
    store: &mut Store<K, V>,
    cx: &mut Cx,
) -> Result<()> {
    match refuses(deletions, &record, store)? {
        Some(DropReason::OutOfDate) => {
            cx.drop_record(DropReason::OutOfDate, Some(table.shared_name()), (record.input, record.timestamp));
            return Ok(());
        }
        Some(reason) => {
            cx.count_late(table.shared_name(), reason, (record.input, record.timestamp));
            return Ok(());
        }
        None => {}
    }
    let Some(row) = table.touch(&record, store, cx) else { return Ok(()) };
    let Record { key, value, timestamp, behind, watermark, input, headers } = record;
    let new = of(value).filter(|value| !value.is_null());
    deletions.set(&key, new.is_none(), timestamp, input)?;
    table.put(row, key, new, Origin { timestamp, behind, watermark, input, headers }, store, cx);
    Ok(())
}

impl<K, I, V, F> Push<K, I> for LatestByTime<K, I, V, F>
where
    K: Key,
    I: Send,
    V: Data,
    F: Fn(I) -> Option<V> + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, I>>, cx: &mut Cx) {
        let (deletions, of) = (&mut self.deletions, &*self.of);
        self.table.each_record(batch, cx, |table, record, store, cx| {
            if let Err(error) = update(table, (&mut *deletions, of), record, store, cx) {
                cx.stop(error);
            }
        });
        if !cx.failed() {
            self.forget(cx);
        }
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        if signal == Signal::Flush {
            self.deletions.at.flush(cx, |_, _, _, _| ());
        }
        self.table.signal(signal, cx);
        if matches!(signal, Signal::Watermark(_)) && !cx.failed() {
            self.forget(cx);
        }
    }
}
