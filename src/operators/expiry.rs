//! `expire_after`: the rows of a table that come to their end where nothing has updated them for long enough.
//!
//! - A row ends when the watermark, or a record of its key, has come to its time and the time to live: what happens to a
//!   key so depends on its own records where they are in order, and not on when the timer goes off.
//! - Timers are in a store of their own beside the rows. A key has one, at the earliest time it may be needed: a row that
//!   is updated again and again costs one timer a time to live, not one a record.
//! - A record that lies a time to live behind its own source partition is left out and counted as `late`; one that does
//!   so only by other means, as a clock, as `expired`. Its row would end at once.

use std::time::Duration;

use super::DropReason;
use super::timed::Timed;
use crate::codec::{Codec, CodecError, Data, Key};
use crate::error::Result;
use crate::record::{InputNumber, Record};
use crate::state::{Origin, Store};
use crate::time::Timestamp;
use crate::window::millis;

/// What the timers' store has under a key besides the timer: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive;

/// The codec of [`Alive`]: no bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct AliveCodec;

impl Codec<Alive> for AliveCodec {
    fn encode(&self, _: &Alive, _: &mut Vec<u8>) -> std::result::Result<(), CodecError> {
        Ok(())
    }

    fn decode(&self, _: &[u8]) -> std::result::Result<Alive, CodecError> {
        Ok(Alive)
    }
}

impl Data for Alive {
    type Codec = AliveCodec;
}

/// The ends of a table's rows.
pub struct Expiry<K: Key> {
    after: Duration,
    timers: Timed<K, Alive>,
}

impl<K: Key> Expiry<K> {
    /// Rows end `after` their last update.
    #[must_use]
    pub const fn new(after: Duration, timers: Timed<K, Alive>) -> Self {
        Self { after, timers }
    }

    /// When a row ends that was updated last at `updated`.
    #[must_use]
    pub fn end(&self, updated: Timestamp) -> Timestamp {
        updated.plus(self.after)
    }

    /// Why a record must not change its row, if it must not.
    #[must_use]
    pub fn refuses<I>(&self, record: &Record<K, I>) -> Option<DropReason> {
        if i64::try_from(record.behind).unwrap_or(i64::MAX) >= millis(self.after) {
            return Some(DropReason::Late);
        }
        (self.end(record.timestamp) <= record.watermark).then_some(DropReason::Expired)
    }

    /// Sees to it that a row that was updated at `updated` has a timer in time.
    ///
    /// # Errors
    /// When the timer cannot be read.
    pub fn arm(&mut self, key: &K, updated: Timestamp, input: InputNumber) -> Result<()> {
        let end = self.end(updated);
        if self.timers.timer(key.clone())?.is_some_and(|at| at <= end) {
            return Ok(());
        }
        let origin = Origin { timestamp: updated, input, ..Origin::default() };
        self.timers.change(key.clone(), false, origin, |_, alive| {
            *alive = Some(Alive);
            ((), Some(end))
        })
    }

    /// Shows the keys of `store` whose rows come to their end by `watermark` to `each`, in order of that time and then of the
    /// keys' bytes. At most `budget` timers: gives whether that was all.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn fire<A: Data>(
        &mut self,
        store: &mut Store<K, A>,
        watermark: Timestamp,
        budget: &mut usize,
        mut each: impl FnMut(&mut Store<K, A>, &K, Timestamp) -> Result<()>,
    ) -> Result<bool> {
        let after = self.after;
        self.timers.fire(watermark, budget, |timers, at, key| {
            let next = match store.get(&key)?.map(|row| row.timestamp.plus(after)) {
                // Updated since: it ends later, in its turn.
                Some(end) if end > at => Some(end),
                Some(_) => {
                    each(store, &key, at)?;
                    None
                }
                None => None,
            };
            let origin = Origin { timestamp: at, input: InputNumber::UNKNOWN, ..Origin::default() };
            timers.change(key, true, origin, |_, alive| {
                *alive = next.map(|_| Alive);
                ((), next)
            })
        })
    }

    /// Writes the timers that have changed.
    pub fn flush(&self, cx: &mut super::Cx) {
        self.timers.flush(cx, |_, _, _, _| ());
    }
}
