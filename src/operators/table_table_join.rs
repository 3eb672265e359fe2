//! `join`, `left_join` and `outer_join` of two tables by their key.
//!
//! - A change of either side changes the result. The other side is looked up as it was handed on, not as it is: a newer row
//!   whose update is still held back comes through its own port later. So the result goes on step by step, and what it
//!   says a row was before is what it handed on before.
//! - A row's time is the larger of both sides'.
//! - Where there is nothing to say, nothing is said: no change while the other side an inner join needs is absent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::merged_time::MergedTime;
use super::view::{Derived, View};
use super::{Change, Cx, Out, Push, Signal};
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::record::Record;
use crate::state::Row;

/// Which side must have a row for the result to have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Both.
    Both,
    /// The left one.
    Left,
    /// Either.
    Either,
}

impl Needs {
    fn has<L, R>(self, left: Option<&L>, right: Option<&R>) -> bool {
        match self {
            Self::Both => left.is_some() && right.is_some(),
            Self::Left => left.is_some(),
            Self::Either => left.is_some() || right.is_some(),
        }
    }
}

/// How two rows become one.
pub struct Joining<F> {
    needs: Needs,
    f: Arc<F>,
}

impl<F> Joining<F> {
    /// A join by `f`, which is called only where there is what the join needs.
    pub const fn new(needs: Needs, f: Arc<F>) -> Self {
        Self { needs, f }
    }

    fn value<K, L, R, O: Data>(&self, key: &K, left: Option<&L>, right: Option<&R>) -> Option<O>
    where
        F: Fn(&K, Option<&L>, Option<&R>) -> O,
    {
        self.needs.has(left, right).then(|| (self.f)(key, left, right)).filter(|value| !value.is_null())
    }

    fn row<K, L, R, O: Data>(&self, key: &K, left: Option<&Row<L>>, right: Option<&Row<R>>) -> Option<Row<O>>
    where
        F: Fn(&K, Option<&L>, Option<&R>) -> O,
    {
        let value = self.value(key, left.map(|row| &row.value), right.map(|row| &row.value))?;
        let timestamp = left.map(|row| row.timestamp).max(right.map(|row| row.timestamp))?;
        Some(Row { value, timestamp })
    }
}

impl<F> Clone for Joining<F> {
    fn clone(&self) -> Self {
        Self { needs: self.needs, f: Arc::clone(&self.f) }
    }
}

/// What both ports of a join share. Never contended: a task runs on one thread.
struct Shared<K, O> {
    time: MergedTime,
    out: Out<K, Change<O>>,
}

/// A join's side: what takes the changes of one table, and looks rows up in the other.
struct Side<K: Key, T: Data, O, F> {
    number: usize,
    other: View<K, T>,
    joining: Joining<F>,
    made: Vec<Record<K, Change<O>>>,
    shared: Arc<Mutex<Shared<K, O>>>,
}

/// The port for changes of the left table.
pub struct LeftPort<K: Key, R: Data, O, F>(Side<K, R, O, F>);

/// The port for changes of the right table.
pub struct RightPort<K: Key, L: Data, O, F>(Side<K, L, O, F>);

/// The ports of a join: for the left table and for the right one.
pub type Ports<K, L, R, O, F> = (LeftPort<K, R, O, F>, RightPort<K, L, O, F>);

/// Both ports of a join of the tables `left` and `right`.
#[must_use]
pub fn ports<K: Key, L: Data, R: Data, O, F>(
    left: View<K, L>,
    right: View<K, R>,
    joining: &Joining<F>,
    out: Out<K, Change<O>>,
) -> Ports<K, L, R, O, F> {
    let shared = Arc::new(Mutex::new(Shared { time: MergedTime::of(2), out }));
    let (number, joining, made) = (0, joining.clone(), Vec::new());
    let first = Side { number, other: right, joining: joining.clone(), made, shared: Arc::clone(&shared) };
    (LeftPort(first), RightPort(Side { number: 1, other: left, joining, made: Vec::new(), shared }))
}

impl<K: Key, T: Data, O: Data, F> Side<K, T, O, F> {
    fn shared(shared: &Mutex<Shared<K, O>>) -> MutexGuard<'_, Shared<K, O>> {
        shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes changes of this side. `value` makes a result of a value of this side and the other's; `alone` says whether a
    /// change is told where the other side has no row.
    fn push<V: Data>(
        &mut self,
        batch: &mut Vec<Record<K, Change<V>>>,
        alone: bool,
        value: impl Fn(&Joining<F>, &K, Option<&V>, Option<&T>) -> Option<O>,
        cx: &mut Cx,
    ) {
        let mut shared = Self::shared(&self.shared);
        let mut other = self.other.look();
        for record in batch.drain(..) {
            let watermark = shared.time.advance(self.number, record.watermark);
            let row = match other.handed_on(&record.key) {
                Ok(row) => row,
                Err(error) => return cx.stop(error),
            };
            let Change { old, new } = &record.value;
            if row.is_none() && !(alone && (old.is_some() || new.is_some())) {
                continue;
            }
            let time = row.map_or(record.timestamp, |row| row.timestamp.max(record.timestamp));
            // The result is later than the change, and so less far behind.
            let behind = record.behind.saturating_sub(time.millis_since(record.timestamp));
            let row = row.map(|row| &row.value);
            let joined = |own: Option<&V>| value(&self.joining, &record.key, own, row);
            let change = Change { old: joined(old.as_ref()), new: joined(new.as_ref()) };
            let made = record.map(|key, _| (key, change));
            self.made.push(Record { timestamp: time, behind, watermark, ..made });
        }
        drop(other);
        shared.out.push(&mut self.made, cx);
    }

    fn signal(&self, signal: Signal, cx: &mut Cx) {
        let mut shared = Self::shared(&self.shared);
        if let Some(signal) = shared.time.signal(self.number, signal) {
            shared.out.signal(signal, cx);
        }
    }
}

impl<K: Key, L: Data, R: Data, O: Data, F> Push<K, Change<L>> for LeftPort<K, R, O, F>
where
    F: Fn(&K, Option<&L>, Option<&R>) -> O + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, Change<L>>>, cx: &mut Cx) {
        let alone = self.0.joining.needs != Needs::Both;
        self.0.push(batch, alone, Joining::value, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.0.signal(signal, cx);
    }
}

impl<K: Key, L: Data, R: Data, O: Data, F> Push<K, Change<R>> for RightPort<K, L, O, F>
where
    F: Fn(&K, Option<&L>, Option<&R>) -> O + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, Change<R>>>, cx: &mut Cx) {
        let alone = self.0.joining.needs == Needs::Either;
        self.0.push(batch, alone, |joining, key, own, other| joining.value(key, other, own), cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.0.signal(signal, cx);
    }
}

/// The rows of the result, made of both sides' when they are looked up.
pub struct Joined<K: Key, L: Data, R: Data, F> {
    left: View<K, L>,
    right: View<K, R>,
    joining: Joining<F>,
}

impl<K: Key, L: Data, R: Data, F> Joined<K, L, R, F> {
    /// The rows of a join.
    pub const fn new(left: View<K, L>, right: View<K, R>, joining: Joining<F>) -> Self {
        Self { left, right, joining }
    }
}

impl<K: Key, L: Data, R: Data, O: Data, F> Derived<K, O> for Joined<K, L, R, F>
where
    F: Fn(&K, Option<&L>, Option<&R>) -> O + Send + Sync,
{
    fn get(&mut self, key: &K) -> Result<Option<Row<O>>> {
        // Both may rest on one store, which can be looked at once at a time.
        let left = self.left.look().get(key)?.cloned();
        Ok(self.joining.row(key, left.as_ref(), self.right.look().get(key)?))
    }

    fn handed_on(&mut self, key: &K) -> Result<Option<Row<O>>> {
        let left = self.left.look().handed_on(key)?.cloned();
        Ok(self.joining.row(key, left.as_ref(), self.right.look().handed_on(key)?))
    }
}
