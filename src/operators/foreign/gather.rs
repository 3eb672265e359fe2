//! The result's side: the newest answer of each left row, as a table.
//!
//! - An answer to an older version of the left row than the newest is left out.
//! - An answer that changes nothing is not told downstream.
//! - A row without a result is forgotten as soon as nothing more can come of the foreign keys that it had before.

use super::answer::Answer;
use super::encoded;
use crate::codec::varint::{read_i64, read_u64, write_i64, write_u64};
use crate::codec::{Codec, CodecError, Data, Key};
use crate::error::Result;
use crate::operators::table_out::{Standing, TableOut};
use crate::operators::view::{Derived, View};
use crate::operators::{Change, Cx, Edge, Out, Push, Signal};
use crate::record::Record;
use crate::state::{Origin, Row, Store};

/// What is kept of a left row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held<O> {
    /// The version of the newest answer.
    version: u64,
    /// Versions with which the row came from another foreign key, and of which the old one's task has not been heard; the
    /// other way round, below zero. While there are any, answers of older versions may still come.
    unmatched: Vec<i64>,
    /// The result.
    value: Option<O>,
}

impl<O> Held<O> {
    const fn nothing() -> Self {
        Self { version: 0, unmatched: Vec::new(), value: None }
    }

    fn matches(&mut self, version: u64, moved: bool) {
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        let (own, other) = if moved { (version, -version) } else { (-version, version) };
        match self.unmatched.iter().position(|unmatched| *unmatched == other) {
            Some(place) => drop(self.unmatched.swap_remove(place)),
            None => self.unmatched.push(own),
        }
    }
}

/// The codec of [`Held`]: the version, how many versions are unmatched, those, and the value behind a byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeldCodec;

impl<O: Data> Codec<Held<O>> for HeldCodec {
    fn encode(&self, held: &Held<O>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        write_u64(held.version, out);
        write_u64(held.unmatched.len() as u64, out);
        held.unmatched.iter().for_each(|version| write_i64(*version, out));
        out.push(u8::from(held.value.is_some()));
        held.value.as_ref().map_or(Ok(()), |value| O::Codec::default().encode(value, out))
    }

    fn decode(&self, mut bytes: &[u8]) -> Result<Held<O>, CodecError> {
        let version = read_u64(&mut bytes)?;
        let count = read_u64(&mut bytes)?;
        let unmatched = (0..count).map(|_| read_i64(&mut bytes)).collect::<Result<_, _>>()?;
        let (there, rest) = bytes.split_first().ok_or_else(super::damaged)?;
        let value = (*there != 0).then(|| O::Codec::default().decode(rest)).transpose()?;
        Ok(Held { version, unmatched, value })
    }
}

impl<O: Data> Data for Held<O> {
    type Codec = HeldCodec;
}

/// Gathers answers into a table.
pub struct Gather<K: Key, O: Data> {
    table: TableOut<K, Held<O>>,
}

impl<K: Key, O: Data> Gather<K, O> {
    /// A table that stands `at`; its store must keep what was before.
    #[must_use]
    pub fn new(at: Standing<K, Held<O>>, out: Out<K, Change<O>>) -> Self {
        let edge = Edge::new();
        edge.join(Box::new(Results { made: Vec::new(), out }));
        Self { table: TableOut::new(at, edge.take()) }
    }

    fn answer(&mut self, record: Record<K, Answer<O>>, store: &mut Store<K, Held<O>>) -> Result<()> {
        let Record { key, value: answer, timestamp, behind, watermark, input, headers } = record;
        let row = store.touch(&key)?;
        let old = if self.table.each() { store.row(row).map(|row| row.value.clone()) } else { None };
        let slot = store.row_mut(row);
        let Row { value: mut held, timestamp: mut time } =
            slot.take().unwrap_or(Row { value: Held::nothing(), timestamp });
        let mut newer = false;
        match answer {
            Answer::Left { version } => held.matches(version, false),
            Answer::Row { version, moved, value } => {
                if moved {
                    held.matches(version, true);
                }
                newer = version >= held.version;
                if newer {
                    (held.version, held.value, time) = (version, value, timestamp);
                }
            }
        }
        let needed = held.value.is_some() || !held.unmatched.is_empty();
        *slot = needed.then_some(Row { value: held, timestamp: time });
        let new = if self.table.each() { slot.as_ref().map(|row| row.value.clone()) } else { None };
        let origin = Origin { timestamp, behind, watermark, input, headers };
        if self.table.each() && newer {
            self.table.update(key, Change { old, new }, &origin);
        }
        // A word that changes no result must not take the place of where the result came from.
        let known = store.origin_mut(row);
        if newer || *known == Origin::default() {
            *known = origin;
        }
        Ok(())
    }
}

impl<K: Key, O: Data> Push<K, Answer<O>> for Gather<K, O> {
    fn push(&mut self, batch: &mut Vec<Record<K, Answer<O>>>, cx: &mut Cx) {
        let shared = self.table.store();
        let mut store = shared.lock();
        for record in batch.drain(..) {
            self.table.saw(record.watermark);
            if let Err(error) = self.answer(record, &mut store) {
                return cx.stop(error);
            }
        }
        drop(store);
        self.table.push(cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.table.signal(signal, cx);
    }
}

/// Changes of what is kept become changes of the results.
struct Results<K, O> {
    made: Vec<Record<K, Change<O>>>,
    out: Out<K, Change<O>>,
}

impl<K: Key, O: Data> Push<K, Change<Held<O>>> for Results<K, O> {
    fn push(&mut self, batch: &mut Vec<Record<K, Change<Held<O>>>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            let result = |held: Option<Held<O>>| held.and_then(|held| held.value);
            let made = record.map(|key, Change { old, new }| (key, Change { old: result(old), new: result(new) }));
            if changes(&made.value) {
                self.made.push(made);
            }
        }
        self.out.push(&mut self.made, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        self.out.signal(signal, cx);
    }
}

/// Whether the results are two: by their bytes, as no more is asked of their type.
fn changes<O: Data>(change: &Change<O>) -> bool {
    match (&change.old, &change.new) {
        (None, None) => false,
        (Some(old), Some(new)) => match (encoded(old), encoded(new)) {
            (Ok(old), Ok(new)) => old != new,
            _ => true,
        },
        _ => true,
    }
}

/// The results, for those who look rows up.
pub struct Gathered<K: Key, O: Data>(pub View<K, Held<O>>);

impl<K: Key, O: Data> Derived<K, O> for Gathered<K, O> {
    fn get(&mut self, key: &K) -> Result<Option<Row<O>>> {
        Ok(self.0.look().get(key)?.and_then(result))
    }

    fn handed_on(&mut self, key: &K) -> Result<Option<Row<O>>> {
        Ok(self.0.look().handed_on(key)?.and_then(result))
    }
}

fn result<O: Clone>(row: &Row<Held<O>>) -> Option<Row<O>> {
    row.value.value.clone().map(|value| Row { value, timestamp: row.timestamp })
}
