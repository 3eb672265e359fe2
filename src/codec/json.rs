//! JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Codec, CodecError, Shown};

/// JSON, by way of serde.
///
/// Decimals keep every digit where the type asks for it (`rust_decimal` with `serde-with-arbitrary-precision`). As the
/// codec of a key, the type's fields must always be written in the same order: a struct's are, a `HashMap`'s are not.
///
/// ```
/// use millstream::{Codec, Json};
/// let mut bytes = Vec::new();
/// Json.encode(&vec![1, 2], &mut bytes).unwrap();
/// assert_eq!(bytes, b"[1,2]");
/// let back: Vec<i32> = Json.decode(&bytes).unwrap();
/// assert_eq!(back, [1, 2]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(out, value)
            .map_err(|error| CodecError::new(format!("cannot be written as JSON: {error}")))
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(|error| CodecError::new(format!("not the JSON expected: {error}")))
    }

    fn show(&self, bytes: &[u8]) -> Result<Shown, CodecError> {
        Shown::json(bytes)
    }

    fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
        // A string may stand without its quotes; what is written anew has the bytes that the store has.
        let value: T = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => serde_json::from_value(text.into())
                .map_err(|_| CodecError::new(format!("not the JSON expected: {error}")))?,
        };
        let mut out = Vec::new();
        self.encode(&value, &mut out).map(|()| out)
    }
}
