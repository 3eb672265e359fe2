//! Joins of two streams by key and event time: each pair of records that lie close enough together, once; and where asked
//! for, each record that met nobody, by itself.
//!
//! - **Which records meet** is a function of the records alone: their keys, their times, and how far each lay behind its
//!   own source partition. A record joins another if the other's window is not over by the watermark of its own partition,
//!   and the other way round. So it is the same for both sides, and whatever the batches, commits and interleaving were.
//! - **A record is late** when all windows are over that it could be in: dropped, and counted as `late`. (As `expired`, where
//!   it is in time by its own partition and the operator's time had gone on without it.)
//! - **A record that met nobody** goes out when its window is over by the watermark of both inputs, grace included: nobody
//!   can come after that, so there is never both a pair and a padded result. One whose window is over when it comes goes out
//!   at once, as does one without a key.
//!   On a side that is not padded it is counted as `join_miss` instead.
//! - A null value is dropped and counted as `null_value`; a null key on a side that is not padded as `null_key`.
//! - A pair has the later time of the two and the headers of the record that completed it; a padded result has the
//!   record's own time, and no headers where it waited.
//! - **Time is held back** by as much as results may lie behind it, and results go before the time that released them.
//!
//! Kafka Streams joins a late record with whatever its stores still hold, and pads as soon as a window is over without its
//! grace, so that a pair may follow. Where no record is late the results are equal.

mod meeting;
mod port;
mod rows;
mod side;
#[cfg(test)]
mod stream_join_tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use meeting::Meeting;
pub use port::{LeftPort, Ports, RightPort};
pub use rows::{Entry, Kept, RowCodec, Slot};
pub use side::{Rows, Side};

use super::clocks::Clocks;
use super::window::Arrival;
use super::{Cx, DropReason, Out, Signal};
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::record::{Headers, InputNumber, Record};
use crate::time::Timestamp;

/// An input of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The stream that the join was called on.
    Left,
    /// The other one.
    Right,
}

/// How many rows are deleted at once.
const PORTION: usize = 4096;

/// The join: both sides, and what they owe to those downstream.
///
/// `F` makes a result of a key and the two values; `None` is none.
pub struct StreamJoin<K: Key, V: Data, V2: Data, O, F> {
    name: Arc<str>,
    f: Arc<F>,
    left: Side<K, V>,
    right: Side<K, V2>,
    clocks: Clocks,
    hold: Duration,
    portion: usize,
    /// The watermark that results carry: nothing that is to go before it is still here.
    stamp: Timestamp,
    /// What downstream has been told.
    told: Timestamp,
    results: Vec<Record<K, O>>,
    out: Out<K, O>,
}

impl<K: Key, V: Data, V2: Data, O: Clone, F> StreamJoin<K, V, V2, O, F>
where
    F: Fn(&K, Option<&V>, Option<&V2>) -> Option<O>,
{
    /// A join of two sides, whose results may lie `hold` behind its inputs' time.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        f: Arc<F>,
        (left, right): (Side<K, V>, Side<K, V2>),
        hold: Duration,
        out: Out<K, O>,
    ) -> Self {
        let (clocks, stamp, told) = (Clocks::of(2), Timestamp::MIN, Timestamp::MIN);
        Self { name, f, left, right, clocks, hold, portion: PORTION, stamp, told, results: Vec::new(), out }
    }

    /// Deletes so many rows at once.
    #[must_use]
    pub const fn portion(mut self, portion: usize) -> Self {
        self.portion = portion;
        self
    }

    /// A port for each input.
    #[must_use]
    pub fn ports(self) -> Ports<K, V, V2, O, F> {
        let join = Arc::new(Mutex::new(self));
        (LeftPort(Arc::clone(&join)), RightPort(join))
    }

    fn pads(&self) -> bool {
        self.left.pads || self.right.pads
    }

    fn left(&mut self, record: Record<K, V>) -> Result<Option<DropReason>> {
        let (key, value, arrival) = self.arrival(record);
        let (f, own, other) = (&*self.f, &mut self.left, &mut self.right);
        let join = |key: &K, value: &V, other: Option<&V2>| f(key, Some(value), other);
        let (hold, results) = (self.hold, &mut self.results);
        Meeting { own, other, join, hold, results }.run(key, value, &arrival)
    }

    fn right(&mut self, record: Record<K, V2>) -> Result<Option<DropReason>> {
        let (key, value, arrival) = self.arrival(record);
        let (f, own, other) = (&*self.f, &mut self.right, &mut self.left);
        let join = |key: &K, value: &V2, other: Option<&V>| f(key, other, Some(value));
        let (hold, results) = (self.hold, &mut self.results);
        Meeting { own, other, join, hold, results }.run(key, value, &arrival)
    }

    fn arrival<T>(&self, record: Record<K, T>) -> (K, T, Arrival) {
        let Record { key, value, timestamp, behind, input, headers, .. } = record;
        let (watermark, stamp) = (self.clocks.seen(), self.stamp);
        (key, value, Arrival { timestamp, behind, watermark, stamp, input, headers })
    }

    /// A record of an input.
    fn take<T: Data>(
        &mut self,
        input: Input,
        record: Record<K, T>,
        budget: &mut usize,
        cx: &mut Cx,
        join: impl FnOnce(&mut Self, Record<K, T>) -> Result<Option<DropReason>>,
    ) {
        let of = (record.input, record.timestamp);
        self.clocks.advance(input as usize, record.watermark);
        // What this record's time releases goes before its own results. Without padding only rows go: not one by one.
        if self.pads() {
            self.expire(budget, cx);
        } else {
            self.stamp = self.clocks.seen().minus(self.hold);
        }
        if cx.failed() {
            return;
        }
        if record.value.is_null() {
            return cx.drop_record(DropReason::NullValue, Some(&self.name), of);
        }
        match join(self, record) {
            Ok(None) => {}
            Ok(Some(reason @ (DropReason::Late | DropReason::Expired))) => cx.count_late(&self.name, reason, of),
            Ok(Some(reason)) => cx.drop_record(reason, Some(&self.name), of),
            Err(error) => cx.stop(error),
        }
    }

    fn signal(&mut self, input: Input, signal: Signal, cx: &mut Cx) {
        match signal {
            Signal::Watermark(watermark) => {
                self.clocks.advance(input as usize, watermark);
                self.go_on(cx);
            }
            Signal::Idle if self.clocks.rest(input as usize) => self.out.signal(Signal::Idle, cx),
            Signal::Idle => self.go_on(cx),
            Signal::Flush if self.clocks.flush(input as usize) => {
                self.go_on(cx);
                self.left.flush(cx);
                self.right.flush(cx);
                if !cx.failed() {
                    self.out.signal(Signal::Flush, cx);
                }
            }
            Signal::Flush => {}
        }
    }

    /// First what time has released, then the time.
    fn go_on(&mut self, cx: &mut Cx) {
        let mut budget = self.portion;
        self.expire(&mut budget, cx);
        self.out.push(&mut self.results, cx);
        if self.stamp > self.told && !cx.failed() {
            self.told = self.stamp;
            self.out.signal(Signal::Watermark(self.told), cx);
        }
    }

    /// Deletes what is over. A record that met nobody has a result, or is counted.
    fn expire(&mut self, budget: &mut usize, cx: &mut Cx) {
        let (seen, first) = (self.clocks.seen(), self.results.len());
        let mut misses = 0;
        let done = self.expire_sides(seen, budget, &mut misses);
        cx.drops.add(DropReason::JoinMiss, misses);
        // In order of time, the left ones first.
        self.results[first..].sort_by_key(|record| record.timestamp);
        match done {
            Ok(true) => self.stamp = seen.minus(self.hold),
            Ok(false) => {
                cx.more_to_do();
                if !self.pads() {
                    self.stamp = seen.minus(self.hold);
                }
            }
            Err(error) => cx.stop(error),
        }
    }

    fn expire_sides(&mut self, seen: Timestamp, budget: &mut usize, misses: &mut u64) -> Result<bool> {
        let Self { f, left, right, results, stamp, .. } = self;
        let (pads_left, pads_right, stamp) = (left.pads, right.pads, *stamp);
        let all = left.expire(seen, budget, |key, time, entry| {
            if !pads_left {
                *misses += 1;
                return;
            }
            results.extend(f(key, Some(&entry.value), None).map(|value| alone(key.clone(), value, time, stamp)));
        })?;
        let rest = right.expire(seen, budget, |key, time, entry| {
            if !pads_right {
                *misses += 1;
                return;
            }
            results.extend(f(key, None, Some(&entry.value)).map(|value| alone(key.clone(), value, time, stamp)));
        })?;
        Ok(all && rest)
    }
}

/// The result of a record that has waited and met nobody. It is never late: time is held back for it.
fn alone<K, O>(key: K, value: O, timestamp: Timestamp, watermark: Timestamp) -> Record<K, O> {
    let (input, headers) = (InputNumber::UNKNOWN, Headers::NONE);
    Record { key, value, timestamp, behind: 0, watermark, input, headers }
}
