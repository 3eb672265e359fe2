//! What a side of a join keeps, and its bytes.

use crate::codec::{Codec, CodecError, Data, Key, varint};
use crate::error::Result;
use crate::time::Timestamp;

/// What a row of the store is under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Slot<K> {
    /// A record of a key may be over at a time.
    Timer(Timestamp, K),
    /// A record: its key, its event time, its number among those with the same key and time.
    Entry(K, Timestamp, u32),
}

/// A record that waits for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    /// How far it lay behind its source partition.
    pub behind: u64,
    /// Whether it has met another.
    pub matched: bool,
    /// Of the first with its key and time: how many more there are.
    pub more: u32,
    /// Its value.
    pub value: V,
}

/// A row of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<V> {
    /// The row of a timer.
    Timer,
    /// That of a record.
    Entry(Entry<V>),
}

/// The codec of [`Slot`] and [`Kept`]: a byte that says which, times so that they sort; the key of an entry behind its
/// length, so that no key's entries lie between another's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowCodec;

pub(super) const TIMER: u8 = 1;
const ENTRY: u8 = 2;
const MATCHED: u8 = 3;

fn damaged() -> CodecError {
    CodecError::new("damaged: neither a timer nor a record of a join")
}

fn sorted(time: Timestamp) -> [u8; 8] {
    (time.millis() ^ i64::MIN).to_be_bytes()
}

fn unsorted(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_millis(i64::from_be_bytes(bytes) ^ i64::MIN)
}

/// The bytes that all timers at `time` begin with.
pub(super) fn timer_bytes(time: Timestamp) -> Vec<u8> {
    let mut bytes = vec![TIMER];
    bytes.extend_from_slice(&sorted(time));
    bytes
}

/// The bytes that all entries of a key at `time` begin with.
pub(super) fn entry_bytes<K: Key>(key: &K, time: Timestamp) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![ENTRY; 5];
    K::Codec::default().encode(key, &mut bytes)?;
    let length = u32::try_from(bytes.len() - 5).map_err(|_| CodecError::new("longer than 4 GB"))?;
    bytes[1..5].copy_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&sorted(time));
    Ok(bytes)
}

impl<K: Key> Codec<Slot<K>> for RowCodec {
    fn encode(&self, value: &Slot<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match value {
            Slot::Timer(at, key) => {
                out.extend_from_slice(&timer_bytes(*at));
                K::Codec::default().encode(key, out)
            }
            Slot::Entry(key, time, number) => {
                out.extend_from_slice(&entry_bytes(key, *time)?);
                out.extend_from_slice(&number.to_be_bytes());
                Ok(())
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Slot<K>, CodecError> {
        let codec = K::Codec::default();
        match bytes.split_first() {
            Some((&TIMER, rest)) => {
                let (at, key) = rest.split_first_chunk().ok_or_else(damaged)?;
                Ok(Slot::Timer(unsorted(*at), codec.decode(key)?))
            }
            Some((&ENTRY, rest)) => {
                let (length, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
                let length = usize::try_from(u32::from_be_bytes(*length)).ok().ok_or_else(damaged)?;
                let (key, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
                let (time, number) = rest.split_first_chunk().ok_or_else(damaged)?;
                let number = number.try_into().ok().ok_or_else(damaged)?;
                Ok(Slot::Entry(codec.decode(key)?, unsorted(*time), u32::from_be_bytes(number)))
            }
            _ => Err(damaged()),
        }
    }
}

impl<V: Data> Codec<Kept<V>> for RowCodec {
    fn encode(&self, value: &Kept<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let Kept::Entry(Entry { behind, matched, more, value }) = value else {
            out.push(TIMER);
            return Ok(());
        };
        out.push(if *matched { MATCHED } else { ENTRY });
        varint::write_u64(*behind, out);
        varint::write_u64(u64::from(*more), out);
        V::Codec::default().encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Kept<V>, CodecError> {
        let (kind, mut rest) = bytes.split_first().ok_or_else(damaged)?;
        let matched = match *kind {
            TIMER => return Ok(Kept::Timer),
            ENTRY => false,
            MATCHED => true,
            _ => return Err(damaged()),
        };
        let behind = varint::read_u64(&mut rest)?;
        let more = u32::try_from(varint::read_u64(&mut rest)?).map_err(|_| damaged())?;
        let value = V::Codec::default().decode(rest)?;
        Ok(Kept::Entry(Entry { behind, matched, more, value }))
    }
}

impl<K: Key> Data for Slot<K> {
    type Codec = RowCodec;
}

impl<K: Key> Key for Slot<K> {}

impl<V: Data> Data for Kept<V> {
    type Codec = RowCodec;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(slot: &Slot<String>) -> Vec<u8> {
        let mut bytes = Vec::new();
        RowCodec.encode(slot, &mut bytes).unwrap();
        bytes
    }

    fn entry(key: &str, time: i64, number: u32) -> Slot<String> {
        Slot::Entry(key.into(), Timestamp::from_millis(time), number)
    }

    #[test]
    fn rows_come_back_from_their_bytes_and_cut_ones_do_not() {
        for slot in [entry("a", -3, 0), entry("", i64::MAX, u32::MAX), Slot::Timer(Timestamp::MIN, "k".into())] {
            let bytes = bytes(&slot);
            assert_eq!(RowCodec.decode(&bytes), Ok(slot));
            let cut: Result<Slot<String>, _> = RowCodec.decode(&bytes[..8]);
            assert!(cut.is_err());
        }
        for matched in [false, true] {
            let kept = Kept::Entry(Entry { behind: 300, matched, more: 2, value: "v".to_owned() });
            let mut bytes = Vec::new();
            RowCodec.encode(&kept, &mut bytes).unwrap();
            assert_eq!(RowCodec.decode(&bytes), Ok(kept));
        }
    }

    #[test]
    fn the_bytes_of_rows_are_what_they_have_always_been() {
        let expected = [2, 0, 0, 0, 1, b'a', 0x80, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 7];
        assert_eq!(bytes(&entry("a", 5, 7)), expected);
        assert_eq!(bytes(&Slot::Timer(Timestamp::from_millis(5), "a".into())), [1, 0x80, 0, 0, 0, 0, 0, 0, 5, b'a']);
        let mut row = Vec::new();
        RowCodec
            .encode(&Kept::Entry(Entry { behind: 1, matched: true, more: 2, value: "v".to_owned() }), &mut row)
            .unwrap();
        assert_eq!(row, [3, 1, 2, b'v']);
    }

    #[test]
    fn entries_sort_by_key_then_time_then_number_and_apart_from_those_of_longer_keys() {
        let sorted = [entry("a", -1, 0), entry("a", 2, 0), entry("a", 2, 1), entry("a", 10, 0), entry("ab", 0, 0)];
        assert!(sorted.iter().map(bytes).is_sorted());
        assert!(entry_bytes(&"a".to_owned(), Timestamp::MAX).unwrap() < bytes(&sorted[4]));
        assert!(timer_bytes(Timestamp::MAX) < bytes(&sorted[0]));
    }
}
