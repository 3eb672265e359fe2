//! Bytes become types at a source and types become bytes at a sink, a changelog and a repartition topic: nowhere else.
//!
//! A type names its codec once, beside its definition ([`Data`]); a topic then needs no serializers.

pub mod bytes;
pub mod frame;
pub mod int;
pub mod json;
pub mod marker;
pub mod null;
pub mod position;
pub mod shown;
pub mod text;
pub mod varint;

use std::fmt;

pub use bytes::Bytes;
pub use int::{Int, OrderedInt};
pub use json::Json;
pub use null::{NoKey, Nullable};
pub use shown::Shown;
pub use text::Text;

/// Turns values of `T` into bytes and back.
///
/// - `decode(encode(v))` must give `v` again.
/// - For keys, equal values must give equal bytes: the partition and the store row are found by the bytes.
/// - Neither may panic, whatever the bytes.
pub trait Codec<T>: Send + Sync + 'static {
    /// Appends the bytes of `value` to `out`.
    ///
    /// # Errors
    /// When the value cannot be written in this format; what was appended is then thrown away.
    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a value from `bytes`, all of them.
    ///
    /// # Errors
    /// When the bytes are not a value of this format.
    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError>;

    /// Of a key: how many bytes at its end do not take part in choosing the partition. All of them do, unless the codec
    /// says otherwise: a windowed key goes where its inner key goes.
    fn unplaced(&self) -> usize {
        0
    }

    /// What `bytes` say, for whoever asks for state from outside. Unless the codec says otherwise they are shown as they
    /// are, in base64.
    ///
    /// # Errors
    /// When the bytes are not a value of this format.
    fn show(&self, bytes: &[u8]) -> Result<Shown, CodecError> {
        Shown::bytes(bytes)
    }

    /// Of a key: the bytes of the key that somebody outside asks for by this text, which is what [`show`](Self::show)
    /// gives, a string without its quotes. Unless the codec says otherwise there is no such text.
    ///
    /// # Errors
    /// When the text is no key.
    fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
        let _ = text;
        Err(CodecError::new("keys in this format cannot be given as text"))
    }
}

/// Why bytes could not be read, or a value not be written: a sentence without the place, which the caller knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(String);

impl CodecError {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

/// A type that can be a record's key or value: it names its codec and says what Kafka's null means for it.
///
/// ```
/// use millstream::{Data, Json};
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Click { page: String }
/// impl Data for Click { type Codec = Json; }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no codec",
    label = "cannot be read from or written to a topic",
    note = "name its codec once, beside the type: `impl Data for {Self} {{ type Codec = Json; }}`"
)]
pub trait Data: Clone + Send + Sync + 'static {
    /// How values of this type are written.
    type Codec: Codec<Self> + Default;

    /// The value that Kafka's null stands for; `None` where a null is bad input.
    #[must_use]
    fn null() -> Option<Self> {
        None
    }

    /// True where this value is written as Kafka's null.
    fn is_null(&self) -> bool {
        false
    }
}

/// A type that records can be grouped, joined and stored by.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a table",
    label = "not a key",
    note = "a key is `Data + Eq + Hash`: `impl Key for {Self} {{}}`; a stream without keys gets one from `rekey`"
)]
pub trait Key: Data + Eq + std::hash::Hash + fmt::Debug {}
