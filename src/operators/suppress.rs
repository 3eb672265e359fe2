//! `suppress`: fewer updates of a table. An update waits until its time has come; meanwhile newer ones of its key take its
//! place.
//!
//! - Until a time limit: counted in event time from the first update that waits. Deletions are passed on as well.
//! - Until a window closes: the last result of each window, once. A window that was deleted is not told.
//! - What is due goes out in order of the time it was due, then of the key's bytes, at its own event time and without
//!   headers. Updates that wait are in a store with a changelog, so there is no limit to them but the disk.
//! - Results go before the time that released them, which is passed on late by the limit.

use std::time::Duration;

use super::timed::Timed;
use super::{Change, Cx, Out, Push, Signal};
use crate::codec::{Codec, CodecError, Data, Key, varint};
use crate::record::{Headers, InputNumber, Record};
use crate::state::Origin;
use crate::time::Timestamp;

/// How many updates are released at once.
const PORTION: usize = 4096;

/// An update that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffered<V> {
    /// The value that was handed on before it, where it is known.
    old: Option<V>,
    /// The newest value.
    new: Option<V>,
    timestamp: Timestamp,
    behind: u64,
    due: Timestamp,
}

/// The codec of [`Buffered`]: a byte that says which values there are, three numbers, the old value behind its length, the
/// new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct BufferedCodec;

impl<V: Data> Codec<Buffered<V>> for BufferedCodec {
    fn encode(&self, value: &Buffered<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let codec = V::Codec::default();
        let (old, new) = (present(value.old.as_ref()), present(value.new.as_ref()));
        out.push(u8::from(old.is_some()) | u8::from(new.is_some()) << 1);
        varint::write_i64(value.timestamp.millis(), out);
        varint::write_u64(value.behind, out);
        varint::write_i64(value.due.millis(), out);
        if let Some(old) = old {
            let mut bytes = Vec::new();
            codec.encode(old, &mut bytes)?;
            varint::write_u64(bytes.len() as u64, out);
            out.extend_from_slice(&bytes);
        }
        new.map_or(Ok(()), |new| codec.encode(new, out))
    }

    fn decode(&self, bytes: &[u8]) -> Result<Buffered<V>, CodecError> {
        let codec = V::Codec::default();
        let (which, numbers, old, new) = split(bytes).ok_or_else(|| CodecError::new("a damaged update"))?;
        let (timestamp, behind, due) = numbers;
        let old = (which & 1 != 0).then(|| codec.decode(old)).transpose()?;
        let new = (which & 2 != 0).then(|| codec.decode(new)).transpose()?;
        Ok(Buffered { old, new, timestamp, behind, due })
    }
}

type Split<'a> = (u8, (Timestamp, u64, Timestamp), &'a [u8], &'a [u8]);

fn split(bytes: &[u8]) -> Option<Split<'_>> {
    let (which, mut bytes) = bytes.split_first()?;
    let timestamp = Timestamp::from_millis(varint::read_i64(&mut bytes).ok()?);
    let behind = varint::read_u64(&mut bytes).ok()?;
    let due = Timestamp::from_millis(varint::read_i64(&mut bytes).ok()?);
    let length = if which & 1 == 0 { 0 } else { usize::try_from(varint::read_u64(&mut bytes).ok()?).ok()? };
    let (old, new) = bytes.split_at_checked(length)?;
    Some((*which, (timestamp, behind, due), old, new))
}

fn present<V: Data>(value: Option<&V>) -> Option<&V> {
    value.filter(|value| !value.is_null())
}

impl<V: Data> Data for Buffered<V> {
    type Codec = BufferedCodec;
}

/// Lets updates wait.
pub struct Suppress<K: Key, V: Data, D> {
    rows: Timed<K, Buffered<V>>,
    /// When an update is due, by its key and time.
    due: D,
    /// Whether deletions are passed on.
    deletions: bool,
    hold: Duration,
    seen: Timestamp,
    told: Timestamp,
    released: Vec<Record<K, Change<V>>>,
    out: Out<K, Change<V>>,
}

impl<K: Key, V: Data, D: Fn(&K, Timestamp) -> Timestamp + Send> Suppress<K, V, D> {
    /// Updates wait until the watermark comes to the time that `due` gives, at most `hold` after their own time.
    #[must_use]
    pub const fn new(
        rows: Timed<K, Buffered<V>>,
        due: D,
        deletions: bool,
        hold: Duration,
        out: Out<K, Change<V>>,
    ) -> Self {
        let (seen, told) = (Timestamp::MIN, Timestamp::MIN);
        Self { rows, due, deletions, hold, seen, told, released: Vec::new(), out }
    }

    fn buffer(&mut self, record: Record<K, Change<V>>, cx: &mut Cx) {
        let Record { key, value: Change { old, new }, timestamp, behind, watermark, input, .. } = record;
        let origin = Origin { timestamp, behind, watermark, input, headers: Headers::NONE };
        let due = (self.due)(&key, timestamp);
        let behind = behind.saturating_sub(u64::try_from(self.hold.as_millis()).unwrap_or(u64::MAX));
        let changed = self.rows.change(key, false, origin, |_, waiting| {
            let first = Buffered { old, new: None, timestamp, behind, due };
            let waiting = waiting.get_or_insert(first);
            (waiting.new, waiting.timestamp, waiting.behind) = (new, timestamp, behind);
            ((), Some(waiting.due))
        });
        if let Err(error) = changed {
            cx.stop(error);
        }
    }

    /// Releases what is due, in portions; gives whether that was all.
    fn release(&mut self, cx: &mut Cx) -> bool {
        let (mut budget, watermark, deletions) = (PORTION, self.told, self.deletions);
        let released = &mut self.released;
        let fired = self.rows.fire(self.seen, &mut budget, |rows, at, key| {
            let origin = Origin { timestamp: at, input: InputNumber::UNKNOWN, ..Origin::default() };
            let waited = rows.change(key.clone(), true, origin, |_, waiting| (waiting.take(), None))?;
            let Some(Buffered { old, new, timestamp, behind, .. }) = waited else { return Ok(()) };
            if new.is_some() || deletions {
                let (value, headers, input) = (Change { old, new }, Headers::NONE, InputNumber::UNKNOWN);
                released.push(Record { key, value, timestamp, behind, watermark, input, headers });
            }
            Ok(())
        });
        fired.unwrap_or_else(|error| {
            cx.stop(error);
            false
        })
    }

    /// First what was released, then the time that did it.
    fn pass_on(&mut self, done: bool, cx: &mut Cx) {
        if cx.failed() {
            return;
        }
        self.out.push(&mut self.released, cx);
        let now = self.seen.minus(self.hold);
        if !done {
            cx.more_to_do();
        } else if now > self.told && !cx.failed() {
            self.told = now;
            self.out.signal(Signal::Watermark(now), cx);
        }
    }
}

impl<K: Key, V: Data, D: Fn(&K, Timestamp) -> Timestamp + Send> Push<K, Change<V>> for Suppress<K, V, D> {
    fn push(&mut self, batch: &mut Vec<Record<K, Change<V>>>, cx: &mut Cx) {
        let mut done = true;
        for record in batch.drain(..) {
            self.seen = self.seen.max(record.watermark);
            self.buffer(record, cx);
            // After each record, not after the batch: the next one of the key would take the place of what is due.
            done = self.release(cx);
            if cx.failed() {
                return;
            }
        }
        self.pass_on(done, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        if let Signal::Watermark(watermark) = signal {
            self.seen = self.seen.max(watermark);
        }
        let done = self.release(cx);
        self.pass_on(done, cx);
        // Said again once all that was due has gone out.
        if signal == Signal::Idle && done && !cx.failed() {
            self.out.signal(Signal::Idle, cx);
        }
        if signal == Signal::Flush && !cx.failed() {
            self.rows.flush(cx, |_, _, _, _| ());
            self.out.signal(Signal::Flush, cx);
        }
    }
}
