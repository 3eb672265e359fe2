//! Text, as Kafka's `StringSerializer` writes it.

use super::{Codec, CodecError, Data, Key, Shown};

/// UTF-8 without a length or a terminator: the codec of [`String`]. Bytes that are not UTF-8 are unreadable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text;

impl Codec<String> for Text {
    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(CodecError::new(format!("not UTF-8 after byte {}", error.valid_up_to()))),
        }
    }

    fn show(&self, bytes: &[u8]) -> Result<Shown, CodecError> {
        Shown::of(&self.decode(bytes)?)
    }

    fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
        Ok(text.as_bytes().to_vec())
    }
}

impl Data for String {
    type Codec = Text;
}

impl Key for String {}
