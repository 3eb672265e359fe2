//! The rows of a versioned table: the newest version of each key by itself, the older ones of a key together and in
//! reverse order of time, and the times of all versions in order, to forget them by.

use crate::codec::{Codec, CodecError, Data, Key, varint};
use crate::time::Timestamp;

/// What a row is under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Slot<K> {
    /// The newest version of a key; its time is the row's.
    Latest(K),
    /// An older version.
    Past(K, Timestamp),
    /// What came before this version is not needed once the history begins here.
    Due(Timestamp, K),
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<V> {
    /// The row of [`Slot::Due`].
    Due,
    /// A version; `None` where the row was deleted.
    Version(Option<V>),
}

impl<V> Kept<V> {
    /// The value of a version.
    #[must_use]
    pub fn value(&self) -> Option<&V> {
        match self {
            Self::Version(value) => value.as_ref(),
            Self::Due => None,
        }
    }
}

/// The codec of [`Slot`] and [`Kept`]: a byte that says which. Of older versions the key follows behind its length, so that
/// no other key's lie between them, then the time such that a later one sorts first.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotCodec;

const LATEST: u8 = 1;
const PAST: u8 = 2;
const DUE: u8 = 3;
const DELETED: u8 = 4;

fn damaged() -> CodecError {
    CodecError::new("damaged: neither a version nor a time")
}

/// The bytes that times sort by.
fn ordered(time: Timestamp) -> [u8; 8] {
    (time.millis() ^ i64::MIN).to_be_bytes()
}

fn time_of(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_millis(i64::from_be_bytes(bytes) ^ i64::MIN)
}

/// The bytes that all times from `from` on begin after, and those that they end before.
pub(super) fn due_range(from: Timestamp) -> (Vec<u8>, Vec<u8>) {
    (std::iter::once(DUE).chain(ordered(from)).collect(), vec![DUE + 1])
}

/// The bytes from which the older versions of `key` lie that are not later than `from`, and those that they end before.
pub(super) fn past_range<K: Key>(key: &K, from: Timestamp) -> Result<(Vec<u8>, Vec<u8>), CodecError> {
    let mut first = Vec::new();
    SlotCodec.encode(&Slot::Past(key.clone(), from), &mut first)?;
    // The earliest time sorts last, and a byte more comes after it.
    let mut end = first.clone();
    let time = end.len() - 8;
    end[time..].fill(u8::MAX);
    end.push(0);
    Ok((first, end))
}

impl<K: Key> Codec<Slot<K>> for SlotCodec {
    fn encode(&self, value: &Slot<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let codec = K::Codec::default();
        match value {
            Slot::Latest(key) => {
                out.push(LATEST);
                codec.encode(key, out)
            }
            Slot::Past(key, time) => {
                let mut bytes = Vec::new();
                codec.encode(key, &mut bytes)?;
                out.push(PAST);
                varint::write_u64(bytes.len() as u64, out);
                out.extend_from_slice(&bytes);
                out.extend(ordered(*time).map(|byte| !byte));
                Ok(())
            }
            Slot::Due(time, key) => {
                out.push(DUE);
                out.extend_from_slice(&ordered(*time));
                codec.encode(key, out)
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Slot<K>, CodecError> {
        let codec = K::Codec::default();
        let (which, mut rest) = bytes.split_first().ok_or_else(damaged)?;
        match *which {
            LATEST => codec.decode(rest).map(Slot::Latest),
            PAST => {
                let length = varint::read_u64(&mut rest).ok().and_then(|length| usize::try_from(length).ok());
                let (key, time) = length.and_then(|length| rest.split_at_checked(length)).ok_or_else(damaged)?;
                let time: [u8; 8] = time.try_into().map_err(|_| damaged())?;
                Ok(Slot::Past(codec.decode(key)?, time_of(time.map(|byte| !byte))))
            }
            DUE => {
                let (time, key) = rest.split_first_chunk().ok_or_else(damaged)?;
                Ok(Slot::Due(time_of(*time), codec.decode(key)?))
            }
            _ => Err(damaged()),
        }
    }
}

impl<V: Data> Codec<Kept<V>> for SlotCodec {
    fn encode(&self, value: &Kept<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match value {
            Kept::Due => out.push(DUE),
            Kept::Version(None) => out.push(DELETED),
            Kept::Version(Some(value)) => {
                out.push(LATEST);
                V::Codec::default().encode(value, out)?;
            }
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Kept<V>, CodecError> {
        match bytes.split_first() {
            Some((&DUE, [])) => Ok(Kept::Due),
            Some((&DELETED, [])) => Ok(Kept::Version(None)),
            Some((&LATEST, value)) => V::Codec::default().decode(value).map(|value| Kept::Version(Some(value))),
            _ => Err(damaged()),
        }
    }
}

impl<K: Key> Data for Slot<K> {
    type Codec = SlotCodec;
}

impl<K: Key> Key for Slot<K> {}

impl<V: Data> Data for Kept<V> {
    type Codec = SlotCodec;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(slot: &Slot<String>) -> Vec<u8> {
        let mut bytes = Vec::new();
        SlotCodec.encode(slot, &mut bytes).unwrap();
        assert_eq!(&Codec::<Slot<String>>::decode(&SlotCodec, &bytes).unwrap(), slot);
        bytes
    }

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn rows_have_these_bytes() {
        assert_eq!(bytes(&Slot::Latest("ab".into())), [1, b'a', b'b']);
        assert_eq!(bytes(&Slot::Past("ab".into(), at(2))), [2, 2, b'a', b'b', 127, 255, 255, 255, 255, 255, 255, 253]);
        assert_eq!(bytes(&Slot::Due(at(2), "ab".into())), [3, 128, 0, 0, 0, 0, 0, 0, 2, b'a', b'b']);
        for (row, expected) in
            [(Kept::Due, vec![3]), (Kept::Version(None), vec![4]), (Kept::Version(Some("v".to_owned())), vec![1, b'v'])]
        {
            let mut bytes = Vec::new();
            SlotCodec.encode(&row, &mut bytes).unwrap();
            assert_eq!(bytes, expected);
            assert_eq!(Codec::<Kept<String>>::decode(&SlotCodec, &bytes).unwrap(), row);
        }
    }

    #[test]
    fn older_versions_of_a_key_lie_together_the_later_first() {
        let times = [i64::MIN, -1, 0, 1, i64::MAX];
        for key in ["", "a", "a\u{7f}", "ab"] {
            let (from, to) = past_range(&key.to_owned(), Timestamp::MAX).unwrap();
            let rows = times.map(|time| bytes(&Slot::Past(key.into(), at(time))));
            assert!(rows.iter().rev().is_sorted());
            assert!(rows.iter().all(|row| (&from..&to).contains(&row)));
            for other in ["", "a", "a\u{7f}", "ab", "b"].into_iter().filter(|other| *other != key) {
                let others = times.map(|time| bytes(&Slot::Past(other.into(), at(time))));
                assert!(!others.iter().any(|row| (&from..&to).contains(&row)), "{key:?} {other:?}");
            }
        }
    }

    #[test]
    fn damaged_rows_are_refused() {
        for bytes in [&[][..], &[9], &[2, 5, b'a'], &[2, 1, b'a', 0], &[3, 0]] {
            assert!(Codec::<Slot<String>>::decode(&SlotCodec, bytes).is_err(), "{bytes:?}");
        }
        for bytes in [&[][..], &[9], &[3, 1]] {
            assert!(Codec::<Kept<String>>::decode(&SlotCodec, bytes).is_err(), "{bytes:?}");
        }
    }
}
