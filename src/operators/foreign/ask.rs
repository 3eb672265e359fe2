//! What travels from the left table to the tasks of the right one.

use super::{damaged, encoded, put, take};
use crate::codec::varint::{read_u64, write_u64};
use crate::codec::{Codec, CodecError, Data, Key};

/// A change of a left row, for the task of a foreign key. It travels under the foreign key's bytes; a row without a foreign
/// key, which only a left join sends, under those of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask<K, V> {
    /// The left row's key.
    pub key: K,
    /// The change's version: larger than that of any change of the row before. Never 0.
    pub version: u64,
    /// False where the row has no foreign key.
    pub keyed: bool,
    /// What has happened.
    pub what: What<V>,
}

/// What has happened to a left row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<V> {
    /// It has this value.
    Row {
        /// The value.
        value: V,
        /// True where it had another foreign key before, whose task is told that it has [`Moved`](Self::Moved).
        moved: bool,
    },
    /// It has another foreign key now.
    Moved,
    /// It is gone, or has no foreign key that could join it.
    Gone,
}

/// The codec of [`Ask`]: a byte that says what it is, the version, the key behind its length, the value.
#[derive(Clone, Copy, Debug, Default)]
pub struct AskCodec;

const ROW: u8 = 0;
const MOVED_ROW: u8 = 1;
const MOVED: u8 = 2;
const GONE: u8 = 3;
const KEYLESS: u8 = 4;

impl<K: Key, V: Data> Codec<Ask<K, V>> for AskCodec {
    fn encode(&self, ask: &Ask<K, V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let kind = match ask.what {
            What::Row { moved: false, .. } => ROW,
            What::Row { moved: true, .. } => MOVED_ROW,
            What::Moved => MOVED,
            What::Gone => GONE,
        };
        out.push(kind | if ask.keyed { 0 } else { KEYLESS });
        write_u64(ask.version, out);
        put(&encoded(&ask.key)?, out);
        match &ask.what {
            What::Row { value, .. } => V::Codec::default().encode(value, out),
            What::Moved | What::Gone => Ok(()),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Ask<K, V>, CodecError> {
        let (kind, mut rest) = bytes.split_first().ok_or_else(damaged)?;
        let version = read_u64(&mut rest)?;
        let key = K::Codec::default().decode(take(&mut rest)?)?;
        let what = match kind & !KEYLESS {
            moved @ (ROW | MOVED_ROW) => {
                What::Row { value: V::Codec::default().decode(rest)?, moved: moved == MOVED_ROW }
            }
            MOVED => What::Moved,
            GONE => What::Gone,
            _ => return Err(damaged()),
        };
        Ok(Ask { key, version, keyed: kind & KEYLESS == 0, what })
    }
}

impl<K: Key, V: Data> Data for Ask<K, V> {
    type Codec = AskCodec;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_have_these_bytes_and_come_back() {
        let row = |moved| What::Row { value: "v".to_owned(), moved };
        for (what, keyed, bytes) in [
            (row(false), true, &b"\x00\x07\x01kv"[..]),
            (row(true), false, b"\x05\x07\x01kv"),
            (What::Moved, true, b"\x02\x07\x01k"),
            (What::Gone, false, b"\x07\x07\x01k"),
        ] {
            let ask: Ask<String, String> = Ask { key: "k".into(), version: 7, keyed, what };
            assert_eq!(encoded(&ask).unwrap(), bytes);
            assert_eq!(AskCodec.decode(bytes), Ok(ask));
        }
        for bytes in [&b""[..], b"\x00\x07", b"\x00\x07\x05k", b"\x08\x07\x01k"] {
            assert!(Codec::<Ask<String, String>>::decode(&AskCodec, bytes).is_err(), "{bytes:?}");
        }
    }
}
