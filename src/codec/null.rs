//! What may be Kafka's null.

use super::{Codec, CodecError, Data, Shown};

/// The codec of `Option<T>`: that of `T` for `Some`; `None` is Kafka's null and has no bytes at all, so callers ask
/// [`Data::is_null`] before they encode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nullable<C>(C);

impl<C> Nullable<C> {
    /// Values written as `codec` writes them, or null.
    pub const fn new(codec: C) -> Self {
        Self(codec)
    }
}

impl<T, C: Codec<T>> Codec<Option<T>> for Nullable<C> {
    fn encode(&self, value: &Option<T>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        value.as_ref().map_or(Ok(()), |value| self.0.encode(value, out))
    }

    fn decode(&self, bytes: &[u8]) -> Result<Option<T>, CodecError> {
        self.0.decode(bytes).map(Some)
    }

    fn unplaced(&self) -> usize {
        self.0.unplaced()
    }

    fn show(&self, bytes: &[u8]) -> Result<Shown, CodecError> {
        self.0.show(bytes)
    }

    fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
        self.0.parse(text)
    }
}

/// A value that may be missing: `None` is read from and written as Kafka's null.
impl<T: Data> Data for Option<T> {
    type Codec = Nullable<T::Codec>;

    fn null() -> Option<Self> {
        Some(None)
    }

    fn is_null(&self) -> bool {
        self.as_ref().is_none_or(Data::is_null)
    }
}

/// The key of a topic whose keys mean nothing: whatever is there is not looked at, and null is written. It is no
/// [`Key`](super::Key): a stream of it must be re-keyed before it is grouped.
///
/// ```compile_fail
/// use millstream::{Builder, NoKey, Topic};
/// const LINES: Topic<NoKey, String> = Topic::new("lines");
/// let b = Builder::new("count");
/// let counts = b.source(LINES).stream().group_by_key().count(); // no key to group by
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NoKey;

/// The codec of [`NoKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored;

impl Codec<NoKey> for Ignored {
    fn encode(&self, _: &NoKey, _: &mut Vec<u8>) -> Result<(), CodecError> {
        Ok(())
    }

    fn decode(&self, _: &[u8]) -> Result<NoKey, CodecError> {
        Ok(NoKey)
    }
}

impl Data for NoKey {
    type Codec = Ignored;

    fn null() -> Option<Self> {
        Some(Self)
    }

    fn is_null(&self) -> bool {
        true
    }
}
