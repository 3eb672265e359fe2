//! Topics as typed constants.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::codec::{Codec, Data};

/// A topic's name and the types of what is in it, each with its own codec unless another is named.
///
/// ```
/// use millstream::{NoKey, Topic};
/// const LINES: Topic<NoKey, String> = Topic::new("lines");
/// const SIZES: Topic<String, u64, millstream::codec::Text, millstream::codec::OrderedInt> = Topic::new("sizes");
/// ```
pub struct Topic<K: Data, V: Data, KC = <K as Data>::Codec, VC = <V as Data>::Codec> {
    name: Cow<'static, str>,
    of: PhantomData<Types<K, V, KC, VC>>,
}

type Types<K, V, KC, VC> = fn() -> (K, V, KC, VC);

impl<K: Data, V: Data, KC, VC> Topic<K, V, KC, VC> {
    /// The topic called `name`. The name is checked by [`Builder::build`](super::Builder::build).
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), of: PhantomData }
    }

    /// The topic of a name that is made at run time.
    #[must_use]
    pub const fn owned(name: String) -> Self {
        Self { name: Cow::Owned(name), of: PhantomData }
    }

    /// Its name as declared.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<K: Data, V: Data, KC, VC> Clone for Topic<K, V, KC, VC> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), of: PhantomData }
    }
}

impl<K: Data, V: Data, KC, VC> fmt::Debug for Topic<K, V, KC, VC> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Topic").field(&self.name).finish()
    }
}

/// What records with keys `K` and values `V` can be written to.
///
/// ```compile_fail
/// use millstream::{Builder, NoKey, Topic};
/// const LINES: Topic<NoKey, String> = Topic::new("lines");
/// const SIZES: Topic<NoKey, u64> = Topic::new("sizes");
/// let b = Builder::new("sizes");
/// b.source(LINES).stream().to(SIZES); // not a topic of `NoKey` -> `String`
/// ```
#[diagnostic::on_unimplemented(
    message = "this is not a topic of `{K}` -> `{V}`",
    label = "a topic of other types",
    note = "map the stream to the topic's types first, or declare the topic as `Topic<{K}, {V}>`"
)]
pub trait IntoTopic<K: Data, V: Data> {
    /// How keys are written.
    type KeyCodec: Codec<K> + Default;
    /// How values are written.
    type ValueCodec: Codec<V> + Default;

    /// The topic.
    fn into_topic(self) -> Topic<K, V, Self::KeyCodec, Self::ValueCodec>;
}

impl<K, V, KC, VC> IntoTopic<K, V> for Topic<K, V, KC, VC>
where
    K: Data,
    V: Data,
    KC: Codec<K> + Default,
    VC: Codec<V> + Default,
{
    type KeyCodec = KC;
    type ValueCodec = VC;

    fn into_topic(self) -> Self {
        self
    }
}
