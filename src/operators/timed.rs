//! Rows that fall due: a value a key and, in the same store, the keys in order of the time at which something is to be
//! done about them. Finding what is due is a short scan from the front, however many keys there are.
//!
//! A key has at most one timer, at the earliest time it may be needed. A time that moves on leaves the timer where it is:
//! it then fires early, and is set anew. So a session that every record prolongs costs one timer a gap, not one a record.

use super::Cx;
use super::changelog::Changelog;
use super::stores::SharedStore;
use crate::codec::{Codec, CodecError, Data, Key, varint};
use crate::error::Result;
use crate::record::InputNumber;
use crate::state::{Origin, Row, Store};
use crate::time::Timestamp;

/// What a row of the store is under: a timer, or a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Slot<K> {
    /// Something is to be done about a key.
    Timer(Timestamp, K),
    /// A key's value.
    Of(K),
}

/// A row of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<V> {
    /// The row of a timer.
    Timer,
    /// A value, and the time of its key's timer.
    Of(Timestamp, V),
}

/// The codec of [`Slot`] and [`Kept`]: a byte that says which; times of timers so that they sort.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotCodec;

const TIMER: u8 = 1;
const VALUE: u8 = 2;
const NULL: u8 = 3;

/// The bytes that all timers at a time begin with.
fn timer_bytes(at: Timestamp) -> [u8; 9] {
    let mut bytes = [TIMER; 9];
    bytes[1..].copy_from_slice(&(at.millis() ^ i64::MIN).to_be_bytes());
    bytes
}

fn damaged() -> CodecError {
    CodecError::new("damaged: neither a timer nor a value")
}

impl<K: Key> Codec<Slot<K>> for SlotCodec {
    fn encode(&self, value: &Slot<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let key = match value {
            Slot::Timer(at, key) => {
                out.extend_from_slice(&timer_bytes(*at));
                key
            }
            Slot::Of(key) => {
                out.push(VALUE);
                key
            }
        };
        K::Codec::default().encode(key, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Slot<K>, CodecError> {
        let codec = K::Codec::default();
        match bytes.split_first() {
            Some((&TIMER, rest)) => {
                let (at, key) = rest.split_first_chunk().ok_or_else(damaged)?;
                Ok(Slot::Timer(Timestamp::from_millis(i64::from_be_bytes(*at) ^ i64::MIN), codec.decode(key)?))
            }
            Some((&VALUE, key)) => codec.decode(key).map(Slot::Of),
            _ => Err(damaged()),
        }
    }
}

impl<V: Data> Codec<Kept<V>> for SlotCodec {
    fn encode(&self, value: &Kept<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let Kept::Of(due, value) = value else {
            out.push(TIMER);
            return Ok(());
        };
        out.push(if value.is_null() { NULL } else { VALUE });
        varint::write_i64(due.millis(), out);
        if value.is_null() { Ok(()) } else { V::Codec::default().encode(value, out) }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Kept<V>, CodecError> {
        let (kind, mut rest) = bytes.split_first().ok_or_else(damaged)?;
        if *kind == TIMER {
            return Ok(Kept::Timer);
        }
        let due = Timestamp::from_millis(varint::read_i64(&mut rest).ok().ok_or_else(damaged)?);
        let value = match *kind {
            VALUE => V::Codec::default().decode(rest)?,
            NULL => V::null().ok_or_else(damaged)?,
            _ => return Err(damaged()),
        };
        Ok(Kept::Of(due, value))
    }
}

/// The key in a store of [`Slot`]s under which the value of a key lies.
#[must_use]
pub fn value_key(key: &[u8]) -> Vec<u8> {
    [&[VALUE], key].concat()
}

/// Where the values of a store of [`Slot`]s begin and where they end.
#[must_use]
pub const fn values() -> (u8, u8) {
    (VALUE, VALUE + 1)
}

/// The bytes of the value of a [`Kept`] row; `None` where it is a timer or null.
///
/// # Errors
/// When the bytes are damaged.
pub fn value_of(bytes: &[u8]) -> Result<Option<&[u8]>, CodecError> {
    let (kind, mut rest) = bytes.split_first().ok_or_else(damaged)?;
    match *kind {
        VALUE => varint::read_i64(&mut rest).map(|_| Some(rest)).map_err(|_| damaged()),
        TIMER | NULL => Ok(None),
        _ => Err(damaged()),
    }
}

impl<K: Key> Data for Slot<K> {
    type Codec = SlotCodec;
}

impl<K: Key> Key for Slot<K> {}

impl<V: Data> Data for Kept<V> {
    type Codec = SlotCodec;
}

/// The rows of an operator, with their timers.
pub struct Timed<K: Key, V: Data> {
    store: SharedStore<Slot<K>, Kept<V>>,
    changelog: Changelog,
    /// No timer is earlier than this. It is only a hint: a new task begins with a look at the store.
    next: Timestamp,
}

impl<K: Key, V: Data> Timed<K, V> {
    /// Rows in `store`.
    #[must_use]
    pub const fn new(store: SharedStore<Slot<K>, Kept<V>>, changelog: Changelog) -> Self {
        Self { store, changelog, next: Timestamp::MIN }
    }

    /// True where a timer may be due at `watermark`.
    #[must_use]
    pub fn is_due(&self, watermark: Timestamp) -> bool {
        watermark > Timestamp::MIN && watermark >= self.next
    }

    /// Changes the value of a key in place, and says when something is to be done about it next: `None` deletes the row.
    /// `fired` says that its timer has just gone off.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn change<R>(
        &mut self,
        key: K,
        fired: bool,
        origin: Origin,
        change: impl FnOnce(&K, &mut Option<V>) -> (R, Option<Timestamp>),
    ) -> Result<R> {
        let mut store = self.store.lock();
        let slot = Slot::Of(key);
        let row = store.touch(&slot)?;
        let Slot::Of(key) = slot else { unreachable!("it was made two lines above") };
        let (before, mut value) = match store.row_mut(row).take() {
            Some(Row { value: Kept::Of(due, value), .. }) => ((!fired).then_some(due), Some(value)),
            _ => (None, None),
        };
        let (result, due) = change(&key, &mut value);
        let due = due.filter(|_| value.is_some());
        // A timer that would fire too early stays.
        let timer = due.map(|due| before.map_or(due, |before| before.min(due)));
        let timestamp = origin.timestamp;
        *store.row_mut(row) = timer.zip(value).map(|(at, value)| Row { value: Kept::Of(at, value), timestamp });
        let input = origin.input;
        *store.origin_mut(row) = origin;
        if before != timer {
            if let Some(at) = before {
                set(&mut store, &Slot::Timer(at, key.clone()), false, input)?;
            }
            if let Some(at) = timer {
                self.next = self.next.min(at);
                set(&mut store, &Slot::Timer(at, key), true, input)?;
            }
        }
        Ok(result)
    }

    /// Takes the timers that are due at `watermark`, in order of time and of the keys' bytes, and hands each to `each`,
    /// which must call [`change`](Self::change) with `fired`. At most `budget`: gives whether that was all.
    ///
    /// # Errors
    /// When a row cannot be read, or `each` says so.
    pub fn fire(
        &mut self,
        watermark: Timestamp,
        budget: &mut usize,
        mut each: impl FnMut(&mut Self, Timestamp, K) -> Result<()>,
    ) -> Result<bool> {
        if !self.is_due(watermark) {
            return Ok(true);
        }
        let from = if self.next == Timestamp::MIN { vec![TIMER] } else { timer_bytes(self.next).to_vec() };
        let mut scan = self.store.lock().scan(&from, Some(&[TIMER + 1]));
        loop {
            let mut store = self.store.lock();
            let Some((Slot::Timer(at, key), _)) = store.next_row(&mut scan)? else {
                self.next = Timestamp::MAX;
                return Ok(true);
            };
            let (at, key) = (*at, key.clone());
            if at > watermark || *budget == 0 {
                self.next = at;
                return Ok(at > watermark);
            }
            *budget -= 1;
            set(&mut store, &Slot::Timer(at, key.clone()), false, InputNumber::UNKNOWN)?;
            drop(store);
            each(self, at, key)?;
        }
    }

    /// Writes what has changed, and shows every value to `each`: the key, its value before if it is kept, its value now
    /// and where the newest change came from.
    pub fn flush(&self, cx: &mut Cx, mut each: impl FnMut(&K, Option<&V>, Option<&V>, &Origin)) {
        self.changelog.flush(&mut self.store.lock(), cx, |changed| {
            if let Slot::Of(key) = changed.key {
                each(key, changed.before.and_then(of), changed.row.and_then(of), changed.origin);
            }
        });
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn get(&self, key: K) -> Result<Option<V>> {
        Ok(self.store.lock().get(&Slot::Of(key))?.and_then(of).cloned())
    }

    /// When something is to be done about a key, at the earliest.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn timer(&self, key: K) -> Result<Option<Timestamp>> {
        Ok(self.store.lock().get(&Slot::Of(key))?.and_then(|row| match row.value {
            Kept::Of(due, _) => Some(due),
            Kept::Timer => None,
        }))
    }
}

fn of<V>(row: &Row<Kept<V>>) -> Option<&V> {
    match &row.value {
        Kept::Of(_, value) => Some(value),
        Kept::Timer => None,
    }
}

/// Sets a timer that is not set, or deletes one.
fn set<K: Key, V: Data>(
    store: &mut Store<Slot<K>, Kept<V>>,
    timer: &Slot<K>,
    on: bool,
    input: InputNumber,
) -> Result<()> {
    let row = if on { store.touch_absent(timer)? } else { store.touch(timer)? };
    let Slot::Timer(timestamp, _) = *timer else { return Ok(()) };
    *store.row_mut(row) = on.then_some(Row { value: Kept::Timer, timestamp });
    *store.origin_mut(row) = Origin { timestamp, input, ..Origin::default() };
    Ok(())
}
