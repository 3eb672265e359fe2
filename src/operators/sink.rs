//! `to`, `to_each` and a table's `to`: writes records to users' topics, at their own time and with their headers.
//!
//! The key's bytes decide the partition, as with Java's producers; a null key goes round robin. A value that the topic's
//! codec cannot write goes by its source's policy, as `unwritable`.

use std::marker::PhantomData;
use std::sync::Arc;

use super::repartition::unwritable;
use super::{Change, Cx, Push, Reject, Signal};
use crate::broker::{OutgoingRecord, Partitioning};
use crate::codec::{Codec, Data};
use crate::record::Record;

/// How a record is written: which topic, which value.
pub trait Write<K, V>: Send {
    /// What is written as the value.
    type Value: Data;

    /// The record's topic, and the value to be written; `None` is null.
    fn route<'a>(&'a mut self, key: &K, value: &'a V) -> (&'a str, Option<&'a Self::Value>);
}

/// All records to one topic.
pub struct ToTopic(pub Arc<str>);

impl<K, V: Data> Write<K, V> for ToTopic {
    type Value = V;

    fn route<'a>(&'a mut self, _: &K, value: &'a V) -> (&'a str, Option<&'a V>) {
        (&self.0, Some(value))
    }
}

/// A table's updates to one topic: a deleted row is a null.
pub struct ChangesToTopic(pub Arc<str>);

impl<K, V: Data> Write<K, Change<V>> for ChangesToTopic {
    type Value = V;

    fn route<'a>(&'a mut self, _: &K, change: &'a Change<V>) -> (&'a str, Option<&'a V>) {
        (&self.0, change.new.as_ref())
    }
}

/// Each record to the topic that a function names.
pub struct ToEach<F> {
    choose: F,
    topic: String,
}

impl<F> ToEach<F> {
    /// To the topics that `choose` names.
    pub const fn new(choose: F) -> Self {
        Self { choose, topic: String::new() }
    }
}

impl<K, V: Data, F: Fn(&K, &V) -> String + Send> Write<K, V> for ToEach<F> {
    type Value = V;

    fn route<'a>(&'a mut self, key: &K, value: &'a V) -> (&'a str, Option<&'a V>) {
        self.topic = (self.choose)(key, value);
        (&self.topic, Some(value))
    }
}

/// Writes records.
pub struct Sink<K, V, W, KC, VC> {
    name: Arc<str>,
    write: W,
    key: KC,
    value: VC,
    of: PhantomData<fn(K, V)>,
}

impl<K, V, W, KC, VC> Sink<K, V, W, KC, VC> {
    /// Writes keys with `key` and values with `value`.
    pub const fn new(name: Arc<str>, write: W, key: KC, value: VC) -> Self {
        Self { name, write, key, value, of: PhantomData }
    }
}

impl<K, V, W, KC, VC> Push<K, V> for Sink<K, V, W, KC, VC>
where
    K: Data,
    W: Write<K, V>,
    KC: Codec<K>,
    VC: Codec<W::Value>,
{
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            let (topic, value) = self.write.route(&record.key, &record.value);
            let topic = cx.out.topic(topic);
            let partitioning = match self.key.unplaced() {
                0 => Partitioning::ByKey,
                end => Partitioning::ByKeyBut(end),
            };
            let written = cx.out.encode(
                &OutgoingRecord {
                    topic,
                    partitioning,
                    key: None,
                    value: None,
                    timestamp: record.timestamp,
                    headers: &record.headers,
                    input: record.input,
                },
                |out| encode(&self.key, Some(&record.key), "key", out),
                |out| encode(&self.value, value, "value", out),
            );
            if let Err(reject) = written {
                return cx.refuse(record.input, reject, &self.name);
            }
        }
    }

    fn signal(&mut self, _: Signal, _: &mut Cx) {}
}

fn encode<T: Data>(codec: &impl Codec<T>, value: Option<&T>, what: &str, out: &mut Vec<u8>) -> Result<bool, Reject> {
    match value {
        Some(value) if !value.is_null() => {
            codec.encode(value, out).map(|()| true).map_err(|error| unwritable(what, &error))
        }
        _ => Ok(false),
    }
}
