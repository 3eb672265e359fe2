//! What a table's update does to the groups that its row belongs to, as it travels to them.
//!
//! The bytes: a version, a byte that says which it is, then the values: of one its own bytes, of two the bytes that are
//! taken back behind their length, then those that are added.

use crate::codec::{Codec, CodecError, Data, varint};

/// The version of the format below.
const VERSION: u8 = 1;
const OUT: u8 = 1;
const IN: u8 = 2;
const BOTH: u8 = 3;

/// What an update does to one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta<V> {
    /// The row has left the group: its value is taken back.
    Out(V),
    /// The row has come into the group.
    In(V),
    /// The row has stayed in the group, and its value is another: at once, such that nobody sees the group without it.
    Both {
        /// What is taken back.
        out: V,
        /// What is added.
        new: V,
    },
}

impl<V> Delta<V> {
    /// What is taken back, and what is added after that.
    #[must_use]
    pub fn parts(self) -> (Option<V>, Option<V>) {
        match self {
            Self::Out(out) => (Some(out), None),
            Self::In(new) => (None, Some(new)),
            Self::Both { out, new } => (Some(out), Some(new)),
        }
    }
}

/// The codec of [`Delta`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DeltaCodec;

impl<V: Data> Codec<Delta<V>> for DeltaCodec {
    fn encode(&self, value: &Delta<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let codec = V::Codec::default();
        out.push(VERSION);
        match value {
            Delta::Out(value) => {
                out.push(OUT);
                codec.encode(value, out)
            }
            Delta::In(value) => {
                out.push(IN);
                codec.encode(value, out)
            }
            Delta::Both { out: before, new } => {
                out.push(BOTH);
                let mut bytes = Vec::new();
                codec.encode(before, &mut bytes)?;
                varint::write_u64(bytes.len() as u64, out);
                out.extend_from_slice(&bytes);
                codec.encode(new, out)
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Delta<V>, CodecError> {
        let codec = V::Codec::default();
        let [version, which, rest @ ..] = bytes else {
            return Err(CodecError::new("too short for an update of a group"));
        };
        if *version != VERSION {
            let message =
                format!("an update of a group of version {version}, and this program knows version {VERSION} only");
            return Err(CodecError::new(message));
        }
        match *which {
            OUT => codec.decode(rest).map(Delta::Out),
            IN => codec.decode(rest).map(Delta::In),
            BOTH => {
                let mut rest = rest;
                let length = usize::try_from(varint::read_u64(&mut rest)?).unwrap_or(usize::MAX);
                let split = rest.split_at_checked(length);
                let (before, new) = split.ok_or_else(|| CodecError::new("an update of a group that breaks off"))?;
                Ok(Delta::Both { out: codec.decode(before)?, new: codec.decode(new)? })
            }
            other => Err(CodecError::new(format!("an update of a group of the unknown kind {other}"))),
        }
    }
}

impl<V: Data> Data for Delta<V> {
    type Codec = DeltaCodec;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(delta: &Delta<String>) -> Vec<u8> {
        let mut bytes = Vec::new();
        DeltaCodec.encode(delta, &mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Delta<String>, CodecError> {
        DeltaCodec.decode(bytes)
    }

    #[test]
    fn the_bytes_of_an_update_are_fixed() {
        let both = Delta::Both { out: "ab".to_owned(), new: "cde".to_owned() };
        let fixed: [(Delta<String>, &[u8]); 3] = [
            (Delta::Out("ab".into()), b"\x01\x01ab"),
            (Delta::In("ab".into()), b"\x01\x02ab"),
            (both, b"\x01\x03\x02abcde"),
        ];
        for (delta, expected) in fixed {
            assert_eq!(bytes(&delta), expected);
            assert_eq!(read(expected), Ok(delta));
        }
        let empty = Delta::Both { out: String::new(), new: String::new() };
        assert_eq!(read(&bytes(&empty)), Ok(empty));
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for damaged in [&b""[..], b"\x01", b"\x02\x01a", b"\x01\x09a", b"\x01\x03\x05ab", b"\x01\x03", b"\x01\x03\x80"]
        {
            assert!(read(damaged).is_err(), "{damaged:?}");
        }
        assert!(read(b"\x07\x01a").unwrap_err().to_string().contains("version 7"));
    }
}
