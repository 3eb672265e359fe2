//! Bytes as they are.

use super::{Codec, CodecError, Data, Key, shown};

/// No format at all: the codec of `Vec<u8>`, which takes any bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes;

impl Codec<Vec<u8>> for Bytes {
    fn encode(&self, value: &Vec<u8>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }

    fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
        shown::of_base64(text)
    }
}

impl Data for Vec<u8> {
    type Codec = Bytes;
}

impl Key for Vec<u8> {}
