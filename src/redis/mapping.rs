//! From a record's bytes to commands.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::commands::Commands;
use crate::broker::RawRecord;
use crate::codec::{Codec, CodecError, Data};
use crate::operators::{DropReason, Reject};
use crate::runtime::thread::panicked;

/// Adds the commands of a record. Gives why a part of it was left out, if one was.
pub(super) trait Map: Send + Sync {
    fn map(&self, record: &RawRecord<'_>, commands: &mut Commands) -> Result<Option<DropReason>, Reject>;
}

/// Adds commands for a key and a value, which is `None` where it is null.
pub(super) type Typed<K, V> = dyn Fn(&K, Option<&V>, &mut Commands) + Send + Sync;

/// Where records go.
pub(super) enum Output<K, V> {
    /// The value's bytes to a channel.
    Publish(String),
    /// What a function makes of it.
    Typed(Box<Typed<K, V>>),
}

/// The outputs of one topic, with the codecs of its keys and values.
pub(super) struct Mapping<K, V, KC, VC> {
    pub(super) outputs: Vec<Output<K, V>>,
    pub(super) key: KC,
    pub(super) value: VC,
}

impl<K: Data, V: Data, KC: Codec<K>, VC: Codec<V>> Map for Mapping<K, V, KC, VC> {
    fn map(&self, record: &RawRecord<'_>, commands: &mut Commands) -> Result<Option<DropReason>, Reject> {
        let (mut read, mut left_out) = (None, None);
        for output in &self.outputs {
            match (output, record.value) {
                (Output::Publish(channel), Some(value)) => {
                    commands.publish(channel, value);
                }
                (Output::Publish(_), None) => left_out = Some(DropReason::NullValue),
                (Output::Typed(add), _) => {
                    // Bytes that are only handed on are never read.
                    let (key, value) = match &mut read {
                        Some(read) => read,
                        read => read.insert(self.read(record)?),
                    };
                    let added = catch_unwind(AssertUnwindSafe(|| add(key, value.as_ref(), commands)));
                    added
                        .map_err(|panic| Reject { reason: DropReason::Panicked, message: panicked(&*panic).message })?;
                }
            }
        }
        Ok(left_out)
    }
}

impl<K: Data, V: Data, KC: Codec<K>, VC: Codec<V>> Mapping<K, V, KC, VC> {
    fn read(&self, record: &RawRecord<'_>) -> Result<(K, Option<V>), Reject> {
        let no_key = || Reject { reason: DropReason::NullKey, message: "the key is null".to_owned() };
        let key = match record.key {
            Some(bytes) => self.key.decode(bytes).map_err(|error| unreadable("key", &error))?,
            None => K::null().ok_or_else(no_key)?,
        };
        let value = record.value.map(|bytes| self.value.decode(bytes)).transpose();
        Ok((key, value.map_err(|error| unreadable("value", &error))?))
    }
}

fn unreadable(what: &str, error: &CodecError) -> Reject {
    Reject { reason: DropReason::Unreadable, message: format!("the {what} cannot be read: {error}") }
}
