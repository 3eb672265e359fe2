//! What travels from the right table's tasks to that of the result.

use super::damaged;
use crate::codec::varint::{read_u64, write_u64};
use crate::codec::{Codec, CodecError, Data};

/// The result of a left row, or a word about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<O> {
    /// The result as of a version of the left row.
    Row {
        /// The version.
        version: u64,
        /// True where with this version the row came from another foreign key: an [`Answer::Left`] of it is under way.
        moved: bool,
        /// The result; `None` where there is none.
        value: Option<O>,
    },
    /// The task of the foreign key that the row had before this version says nothing more of it.
    Left {
        /// The version.
        version: u64,
    },
}

/// The codec of [`Answer`]: a byte that says what it is, the version, the value.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerCodec;

const VALUE: u8 = 1;
const MOVED: u8 = 2;
const LEFT: u8 = 4;

impl<O: Data> Codec<Answer<O>> for AnswerCodec {
    fn encode(&self, answer: &Answer<O>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match answer {
            Answer::Row { version, moved, value } => {
                out.push(if value.is_some() { VALUE } else { 0 } | if *moved { MOVED } else { 0 });
                write_u64(*version, out);
                value.as_ref().map_or(Ok(()), |value| O::Codec::default().encode(value, out))
            }
            Answer::Left { version } => {
                out.push(LEFT);
                write_u64(*version, out);
                Ok(())
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Answer<O>, CodecError> {
        let (kind, mut rest) = bytes.split_first().ok_or_else(damaged)?;
        let version = read_u64(&mut rest)?;
        match *kind {
            LEFT => Ok(Answer::Left { version }),
            kind if kind <= VALUE | MOVED => {
                let value = (kind & VALUE != 0).then(|| O::Codec::default().decode(rest)).transpose()?;
                Ok(Answer::Row { version, moved: kind & MOVED != 0, value })
            }
            _ => Err(damaged()),
        }
    }
}

impl<O: Data> Data for Answer<O> {
    type Codec = AnswerCodec;
}

#[cfg(test)]
mod tests {
    use super::super::encoded;
    use super::*;

    #[test]
    fn answers_have_these_bytes_and_come_back() {
        let row = |moved, value: Option<&str>| Answer::Row { version: 7, moved, value: value.map(str::to_owned) };
        for (answer, bytes) in [
            (row(false, None), &b"\x00\x07"[..]),
            (row(false, Some("o")), b"\x01\x07o"),
            (row(true, None), b"\x02\x07"),
            (row(true, Some("o")), b"\x03\x07o"),
            (Answer::Left { version: 7 }, b"\x04\x07"),
        ] {
            assert_eq!(encoded(&answer).unwrap(), bytes);
            assert_eq!(AnswerCodec.decode(bytes), Ok(answer));
        }
        assert!(Codec::<Answer<String>>::decode(&AnswerCodec, b"\x05\x07").is_err());
    }
}
