//! Tumbling and hopping windows, and windows that the key names: a row a key and window, in order of the windows' ends,
//! so that what closes lies together at the front.

use std::marker::PhantomData;

use super::{Add, Arrival, Emit, Made, Trouble, Windows, closed};
use crate::codec::{Codec, CodecError, Data, Key};
use crate::error::Result;
use crate::operators::changelog::Changelog;
use crate::operators::stores::SharedStore;
use crate::operators::{Change, Cx, DropReason};
use crate::record::{InputNumber, Record};
use crate::state::{Origin, Row};
use crate::time::Timestamp;
use crate::window::{Closing, HoppingWindows, Window, Windowed, millis};

/// Which windows a record belongs to.
pub trait Assign<K>: Send + Sync + 'static {
    /// The key of a result.
    type Out: Key;

    /// Appends the windows of a record, the earliest first.
    fn windows(&self, key: &K, time: Timestamp, into: &mut Vec<Window>);

    /// The key of the result of the window that ends at `end`.
    fn key(&self, key: &K, end: Timestamp) -> Self::Out;

    /// When the windows close.
    fn closing(&self) -> Closing;
}

/// Windows by the record's time.
#[derive(Clone, Copy, Debug)]
pub struct Hopping(pub HoppingWindows);

impl<K: Key> Assign<K> for Hopping {
    type Out = Windowed<K>;

    fn windows(&self, _: &K, time: Timestamp, into: &mut Vec<Window>) {
        into.extend(self.0.windows(time));
    }

    fn key(&self, key: &K, end: Timestamp) -> Windowed<K> {
        let start = Timestamp::from_millis(end.millis().saturating_sub(millis(self.0.size())));
        Windowed::new(key.clone(), Window { start, end })
    }

    fn closing(&self) -> Closing {
        self.0.closing()
    }
}

/// The window that is in the record's key.
#[derive(Clone, Copy, Debug)]
pub struct Given(pub Closing);

impl<K: Key> Assign<Windowed<K>> for Given {
    type Out = Windowed<K>;

    fn windows(&self, key: &Windowed<K>, _: Timestamp, into: &mut Vec<Window>) {
        into.push(key.window);
    }

    fn key(&self, key: &Windowed<K>, _: Timestamp) -> Windowed<K> {
        key.clone()
    }

    fn closing(&self) -> Closing {
        self.0
    }
}

/// The key of a row: the end of the window, then the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowKey<K> {
    /// The window's end.
    pub end: Timestamp,
    /// The key.
    pub key: K,
}

/// The codec of [`RowKey`]: the end so that it sorts, then the key's bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowKeyCodec;

/// The bytes of a window's end in a [`RowKey`].
pub fn end_bytes(end: Timestamp) -> [u8; 8] {
    (end.millis() ^ i64::MIN).to_be_bytes()
}

impl<K: Key> Codec<RowKey<K>> for RowKeyCodec {
    fn encode(&self, value: &RowKey<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&end_bytes(value.end));
        K::Codec::default().encode(&value.key, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<RowKey<K>, CodecError> {
        let (end, key) = bytes.split_first_chunk().ok_or_else(|| CodecError::new("a row's key ends too early"))?;
        let end = Timestamp::from_millis(i64::from_be_bytes(*end) ^ i64::MIN);
        Ok(RowKey { end, key: K::Codec::default().decode(key)? })
    }
}

impl<K: Key> Data for RowKey<K> {
    type Codec = RowKeyCodec;
}

impl<K: Key> Key for RowKey<K> {}

/// Windows that do not depend on the records in them.
pub struct Aligned<K: Key, W, A: Data> {
    assign: W,
    store: SharedStore<RowKey<K>, A>,
    changelog: Changelog,
    emit: Emit,
    keeps_before: bool,
    /// No row ends before this; a hint, as a new task begins with a look at the store.
    from: Timestamp,
    /// The last end up to which there is nothing left.
    swept: Timestamp,
    of: PhantomData<fn(K)>,
    windows: Vec<Window>,
}

impl<K: Key, W: Assign<K>, A: Data> Aligned<K, W, A> {
    /// The windows that `assign` says, with their rows in `store`.
    #[must_use]
    pub const fn new(
        assign: W,
        store: SharedStore<RowKey<K>, A>,
        changelog: Changelog,
        emit: Emit,
        keeps_before: bool,
    ) -> Self {
        let (from, swept) = (Timestamp::MIN, Timestamp::MIN);
        Self { assign, store, changelog, emit, keeps_before, from, swept, of: PhantomData, windows: Vec::new() }
    }
}

impl<K: Key, W: Assign<K>, A: Data> Windows<K, W::Out, A> for Aligned<K, W, A> {
    fn add(
        &mut self,
        key: K,
        arrival: &Arrival,
        add: &mut Add<'_, K, A>,
        made: &mut Made<W::Out, A>,
    ) -> Result<(), Trouble> {
        let closing = self.assign.closing();
        self.windows.clear();
        self.assign.windows(&key, arrival.timestamp, &mut self.windows);
        if self.windows.is_empty() {
            let window = Window { start: arrival.timestamp, end: arrival.timestamp };
            made.missed.push((window, DropReason::Overflow));
        }
        self.windows.retain(|window| match arrival.refused(closing, window.end) {
            Some(reason) => {
                made.missed.push((*window, reason));
                false
            }
            None => true,
        });
        let mut store = self.store.lock();
        let mut place = RowKey { end: Timestamp::MIN, key };
        for (number, window) in self.windows.iter().enumerate() {
            place.end = window.end;
            let row = store.touch(&place)?;
            let (mut value, before) = match store.row_mut(row).take() {
                Some(Row { value, timestamp }) => (Some(value), timestamp),
                None => (None, Timestamp::MIN),
            };
            let each = self.emit == Emit::EachUpdate;
            let old = if each && self.keeps_before { value.clone() } else { None };
            add(&place.key, &mut value, number + 1 == self.windows.len())?;
            let newest = before.max(arrival.timestamp);
            let behind = arrival.behind_at(newest, 0);
            if each {
                let change = Change { old, new: value.clone() };
                made.updates.push(arrival.update(self.assign.key(&place.key, place.end), change, newest, behind));
            }
            *store.row_mut(row) = value.map(|value| Row { value, timestamp: newest });
            *store.origin_mut(row) = arrival.origin(newest, behind);
        }
        Ok(())
    }

    fn close(
        &mut self,
        watermark: Timestamp,
        stamp: Timestamp,
        budget: &mut usize,
        made: &mut Made<W::Out, A>,
    ) -> Result<bool> {
        let Some(last) = self.assign.closing().last_closed(watermark).filter(|last| *last > self.swept) else {
            return Ok(true);
        };
        let mut store = self.store.lock();
        let to = last.millis().checked_add(1).map(|to| end_bytes(Timestamp::from_millis(to)));
        let mut scan = store.scan(&end_bytes(self.from), to.as_ref().map(<[u8; 8]>::as_slice));
        while let Some((key, _)) = store.next_row(&mut scan)? {
            let key = key.clone();
            if *budget == 0 {
                self.from = key.end;
                return Ok(false);
            }
            *budget -= 1;
            let row = store.touch(&key)?;
            let gone = store.row_mut(row).take();
            *store.origin_mut(row) = Origin { timestamp: key.end, input: InputNumber::UNKNOWN, ..Origin::default() };
            if let (Emit::OnClose, Some(Row { value, timestamp })) = (self.emit, gone) {
                made.updates.push(closed(self.assign.key(&key.key, key.end), value, timestamp, stamp));
            }
        }
        (self.from, self.swept) = (last, last);
        Ok(true)
    }

    fn flush(&mut self, stamp: Option<Timestamp>, made: &mut Made<W::Out, A>, cx: &mut Cx) {
        self.changelog.flush(&mut self.store.lock(), cx, |changed| {
            let Some(watermark) = stamp.filter(|_| changed.existed || changed.row.is_some()) else { return };
            let old = changed.before.map(|row| row.value.clone());
            let value = Change { old, new: changed.row.map(|row| row.value.clone()) };
            let key = self.assign.key(&changed.key.key, changed.key.end);
            let Origin { timestamp, behind, input, headers, .. } = changed.origin.clone();
            made.updates.push(Record { key, value, timestamp, behind, watermark, input, headers });
        });
    }
}
