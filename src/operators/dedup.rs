//! `dedup`: each record once, where sources may send it again within a time.
//!
//! - A record is a duplicate if one with the same identity has passed whose event time is at most `within` away, earlier or
//!   later. It is counted as `duplicate`.
//! - A record that lies more than `within` behind its own source partition cannot be judged any more: it is dropped, and
//!   counted as `late`.
//! - What is remembered of an identity is forgotten once no record that would be judged can need it.

use std::sync::Arc;
use std::time::Duration;

use super::timed::Timed;
use super::{Cx, DropReason, Out, Push, Signal};
use crate::codec::{Codec, CodecError, Data, Key, varint};
use crate::error::Result;
use crate::record::{InputNumber, Record};
use crate::state::Origin;
use crate::time::Timestamp;
use crate::window::Closing;

/// How many identities are forgotten at once.
const PORTION: usize = 4096;

/// The event times at which records of an identity have passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(Vec<Timestamp>);

/// The codec of [`Times`]: signed varints.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimesCodec;

impl Codec<Times> for TimesCodec {
    fn encode(&self, value: &Times, out: &mut Vec<u8>) -> Result<(), CodecError> {
        value.0.iter().for_each(|time| varint::write_i64(time.millis(), out));
        Ok(())
    }

    fn decode(&self, mut bytes: &[u8]) -> Result<Times, CodecError> {
        let mut times = Vec::new();
        while !bytes.is_empty() {
            let time = varint::read_i64(&mut bytes).ok().ok_or_else(|| CodecError::new("a damaged list of times"))?;
            times.push(Timestamp::from_millis(time));
        }
        Ok(Times(times))
    }
}

impl Data for Times {
    type Codec = TimesCodec;
}

/// Drops duplicates.
pub struct Dedup<K, V, I: Key, F> {
    name: Arc<str>,
    identity: Arc<F>,
    within: Duration,
    rows: Timed<I, Times>,
    seen: Timestamp,
    passed: Vec<Record<K, V>>,
    out: Out<K, V>,
}

impl<K, V, I: Key, F: Fn(&K, &V) -> I> Dedup<K, V, I, F> {
    /// Records are equal if `identity` gives the same for them.
    #[must_use]
    pub const fn new(
        name: Arc<str>,
        identity: Arc<F>,
        within: Duration,
        rows: Timed<I, Times>,
        out: Out<K, V>,
    ) -> Self {
        Self { name, identity, within, rows, seen: Timestamp::MIN, passed: Vec::new(), out }
    }

    fn forgotten(within: Duration, time: Timestamp) -> Timestamp {
        Closing::after_last(within.saturating_mul(2)).at(time)
    }

    /// Why a record does not pass.
    fn judge(&mut self, record: &Record<K, V>) -> Result<Option<DropReason>> {
        let within = u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX);
        if record.behind > within {
            return Ok(Some(DropReason::Late));
        }
        let Record { key, value, timestamp, behind, watermark, input, headers } = record;
        let headers = headers.clone();
        let origin = Origin { timestamp: *timestamp, behind: *behind, watermark: *watermark, input: *input, headers };
        self.rows.change((self.identity)(key, value), false, origin, |_, times| {
            let times = times.get_or_insert_default();
            let near = |time: &Timestamp| time.millis().abs_diff(timestamp.millis()) <= within;
            let twin = times.0.iter().any(near);
            if !twin {
                times.0.push(*timestamp);
            }
            let due = times.0.iter().map(|time| Self::forgotten(self.within, *time)).min();
            (twin.then_some(DropReason::Duplicate), due)
        })
    }

    fn forget(&mut self, cx: &mut Cx) {
        let (mut budget, within) = (PORTION, self.within);
        let fired = self.rows.fire(self.seen, &mut budget, |rows, at, identity| {
            let origin = Origin { timestamp: at, input: InputNumber::UNKNOWN, ..Origin::default() };
            rows.change(identity, true, origin, |_, times| {
                let Some(times) = times else { return ((), None) };
                times.0.retain(|time| Self::forgotten(within, *time) > at);
                ((), times.0.iter().map(|time| Self::forgotten(within, *time)).min())
            })
        });
        match fired {
            Ok(true) => {}
            Ok(false) => cx.more_to_do(),
            Err(error) => cx.stop(error),
        }
    }
}

impl<K, V, I, F> Push<K, V> for Dedup<K, V, I, F>
where
    K: Clone + Send,
    V: Clone + Send,
    I: Key,
    F: Fn(&K, &V) -> I + Send + Sync,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            self.seen = self.seen.max(record.watermark);
            match self.judge(&record) {
                Ok(None) => self.passed.push(record),
                Ok(Some(DropReason::Late)) => {
                    cx.count_late(&self.name, DropReason::Late, (record.input, record.timestamp));
                }
                Ok(Some(reason)) => cx.drop_record(reason, Some(&self.name), (record.input, record.timestamp)),
                Err(error) => return cx.stop(error),
            }
        }
        self.out.push(&mut self.passed, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        match signal {
            Signal::Watermark(watermark) => self.seen = self.seen.max(watermark),
            Signal::Idle => {}
            Signal::Flush => {
                self.forget(cx);
                self.rows.flush(cx, |_, _, _, _| ());
            }
        }
        if !cx.failed() {
            self.out.signal(signal, cx);
        }
    }
}
