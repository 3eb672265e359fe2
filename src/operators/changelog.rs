//! Where an operator's store writes its changes to: the changelog, in the same transaction as everything else.

use std::sync::Arc;

use super::Cx;
use super::repartition::broker_timestamp;
use crate::broker::{OutgoingRecord, Partitioning};
use crate::codec::{Data, Key};
use crate::record::Headers;
use crate::state::{Flushed, Store};

/// The changelog of one store.
#[derive(Clone, Debug)]
pub struct Changelog {
    topic: Arc<str>,
    partition: u32,
}

impl Changelog {
    /// The partition of a changelog, by its actual name, that belongs to the task's.
    #[must_use]
    pub const fn new(topic: Arc<str>, partition: u32) -> Self {
        Self { topic, partition }
    }

    /// Writes every row that has changed, and shows it to `each`. Where a row cannot be written the task stops.
    pub fn flush<K: Key, V: Data>(
        &self,
        store: &mut Store<K, V>,
        cx: &mut Cx,
        mut each: impl FnMut(&Flushed<'_, K, V>),
    ) {
        let topic = cx.out.topic(&self.topic);
        let (out, wall, partitioning) = (&mut cx.out, cx.wall, Partitioning::Fixed(self.partition));
        let flushed = store.flush(|changed| {
            out.push(&OutgoingRecord {
                topic,
                partitioning,
                key: Some(changed.key_bytes),
                value: changed.row_bytes,
                timestamp: broker_timestamp(changed.origin.timestamp, wall),
                headers: &Headers::NONE,
                input: changed.origin.input,
            });
            each(&changed);
            Ok(())
        });
        if let Err(error) = flushed {
            cx.stop(error);
        }
    }
}
