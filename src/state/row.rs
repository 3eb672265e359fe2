//! What a store keeps under a key, and its bytes: the same in the changelog and on disk.

use crate::codec::{Codec, CodecError, Data, varint};
use crate::time::Timestamp;

/// The version of the format below. A reader of a later one reads this one too: changelogs outlive programs.
const VERSION: u8 = 1;

/// A row of a store: a value and the event time of the newest record that changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<V> {
    /// The value.
    pub value: V,
    /// Event time.
    pub timestamp: Timestamp,
}

impl<V: Data> Row<V> {
    /// Appends the row: the version, the timestamp as a zigzag number of variable length, the value by its codec.
    ///
    /// # Errors
    /// When the value cannot be written in its format.
    pub fn encode(&self, codec: &V::Codec, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(VERSION);
        varint::write_i64(self.timestamp.millis(), out);
        codec.encode(&self.value, out)
    }

    /// Reads a row, all of `bytes`.
    ///
    /// # Errors
    /// When the bytes are of another version or are not a row.
    pub fn decode(codec: &V::Codec, bytes: &[u8]) -> Result<Self, CodecError> {
        let (timestamp, value) = parts(bytes)?;
        Ok(Self { value: codec.decode(value)?, timestamp })
    }
}

/// The timestamp and the bytes of the value of an encoded row.
///
/// # Errors
/// When the bytes are of another version or are not a row.
pub fn parts(bytes: &[u8]) -> Result<(Timestamp, &[u8]), CodecError> {
    let Some((&version, mut rest)) = bytes.split_first() else {
        return Err(CodecError::new("the row is empty"));
    };
    if version != VERSION {
        let message = format!("the row has the version {version}, and this program knows version {VERSION} only");
        return Err(CodecError::new(message));
    }
    let timestamp = Timestamp::from_millis(varint::read_i64(&mut rest)?);
    Ok((timestamp, rest))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Text, TextCodec};
    use super::*;

    #[test]
    fn a_row_comes_back_from_its_bytes() {
        for millis in [i64::MIN, -1, 0, 1, 1_700_000_000_000, i64::MAX] {
            let row = Row { value: Text("eleven".into()), timestamp: Timestamp::from_millis(millis) };
            let mut bytes = Vec::new();
            row.encode(&TextCodec, &mut bytes).unwrap();
            assert_eq!(Row::decode(&TextCodec, &bytes), Ok(row));
        }
    }

    #[test]
    fn a_row_of_another_version_is_refused_by_its_number() {
        let error = Row::<Text>::decode(&TextCodec, &[9, 0, b'x']).unwrap_err();
        assert!(error.to_string().contains("version 9"), "{error}");
        assert!(Row::<Text>::decode(&TextCodec, &[]).is_err());
        assert!(Row::<Text>::decode(&TextCodec, &[1, 0x80]).is_err());
    }
}
