//! The writing half of a repartition: packs records into frames, one a partition, so that records with equal keys meet in
//! one task. A frame goes out before it is larger than [`FRAME_BYTES`], and before each commit.
//!
//! Event time, delay and headers travel in the frame. Kafka's own timestamp of the message is only for the broker: at least
//! 1, as 0 would become now, and not ahead of the clock.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Cx, DropReason, Push, Reject, Signal};
use crate::broker::partitioner::partition_of;
use crate::broker::{OutgoingRecord, Partitioning};
use crate::codec::frame::{FRAME_BYTES, FrameEncoder, FrameRecord};
use crate::codec::marker::{Activity, Marker};
use crate::codec::{Codec, Data, Key};
use crate::record::{Headers, InputNumber, Record};
use crate::time::Timestamp;

/// What a message of our own has as Kafka's timestamp.
pub(super) fn broker_timestamp(event: Timestamp, wall: Timestamp) -> Timestamp {
    wall.min(event.max(Timestamp::from_millis(1)))
}

/// Writes a repartition topic.
pub struct Repartition<K: Key, V: Data> {
    name: Arc<str>,
    topic: Arc<str>,
    key_codec: K::Codec,
    value_codec: V::Codec,
    frames: Vec<Open>,
    /// What the markers of this task say, but for time and activity.
    marker: Marker,
    seen: Timestamp,
    key: Vec<u8>,
    value: Vec<u8>,
    message: Vec<u8>,
    of: PhantomData<fn(K, V)>,
}

/// The frame that a partition's records go into.
#[derive(Clone, Default)]
pub(super) struct Open {
    pub(super) frame: FrameEncoder,
    /// Of the first record in it: an error is looked for from there on.
    input: InputNumber,
    /// The largest event time in it.
    newest: Timestamp,
    /// What its last marker said.
    told: Option<(Timestamp, Activity)>,
}

impl<K: Key, V: Data> Repartition<K, V> {
    /// Writes `topic`, which has `partitions` of them. `marker` names the task in what it says of its time.
    #[must_use]
    pub fn new(name: Arc<str>, topic: Arc<str>, partitions: u32, marker: Marker) -> Self {
        Self {
            name,
            topic,
            key_codec: K::Codec::default(),
            value_codec: V::Codec::default(),
            frames: vec![Open::default(); partitions as usize],
            marker,
            seen: Timestamp::MIN,
            key: Vec::new(),
            value: Vec::new(),
            message: Vec::new(),
            of: PhantomData,
        }
    }

    fn pack(&mut self, record: Record<K, V>, cx: &mut Cx) -> Result<(), Reject> {
        self.key.clear();
        self.value.clear();
        let (has_key, has_value) = (!record.key.is_null(), !record.value.is_null());
        if has_key {
            self.key_codec.encode(&record.key, &mut self.key).map_err(|error| unwritable("key", &error))?;
        }
        if has_value {
            self.value_codec.encode(&record.value, &mut self.value).map_err(|error| unwritable("value", &error))?;
        }
        let Record { timestamp, behind, input, headers, .. } = record;
        let key = has_key.then_some(self.key.as_slice());
        let value = has_value.then_some(self.value.as_slice());
        let packed = FrameRecord { timestamp, behind, key, value, headers };
        #[expect(clippy::cast_possible_truncation, reason = "it was made of a u32")]
        let partition = partition_of(&self.key, self.frames.len() as u32);
        let open = &mut self.frames[partition as usize];
        if open.frame.len() + packed.len_bound() > FRAME_BYTES {
            send(&self.topic, partition, open, &[], &mut self.message, cx);
        }
        if open.frame.is_empty() {
            (open.input, open.newest) = (input, timestamp);
        }
        open.newest = open.newest.max(timestamp);
        open.frame.push(&packed);
        Ok(())
    }
}

pub(super) fn unwritable(what: &str, error: &dyn std::error::Error) -> Reject {
    Reject { reason: DropReason::Unwritable, message: format!("the {what} {error}") }
}

fn send(topic: &str, partition: u32, open: &mut Open, markers: &[Marker], message: &mut Vec<u8>, cx: &mut Cx) {
    message.clear();
    open.frame.finish(markers, message);
    let topic = cx.out.topic(topic);
    cx.out.push(&OutgoingRecord {
        topic,
        partitioning: Partitioning::Fixed(partition),
        key: None,
        value: Some(message),
        timestamp: broker_timestamp(open.newest, cx.wall),
        headers: &Headers::NONE,
        input: open.input,
    });
}

impl<K: Key, V: Data> Repartition<K, V> {
    /// Sends what is open, each frame with a marker if it says anything new. A partition without records gets a marker
    /// of its own at once where the task's activity has changed; where only time has, it may have to wait: with many
    /// partitions on both sides, markers would otherwise outnumber the records.
    fn flush(&mut self, cx: &mut Cx) {
        let now = (self.seen, cx.activity);
        let marker = Marker { watermark: self.seen, activity: cx.activity, ..self.marker };
        for (partition, open) in (0..).zip(&mut self.frames) {
            let news = open.told != Some(now);
            let due = open.told.is_none_or(|(_, activity)| activity != cx.activity) || cx.all_markers;
            if !open.frame.is_empty() || (news && due) {
                let markers = if news { std::slice::from_ref(&marker) } else { &[] };
                #[cfg(test)]
                if let Some(mut first) = cx.markers_first(open) {
                    send(&self.topic, partition, &mut first, markers, &mut self.message, cx);
                }
                send(&self.topic, partition, open, markers, &mut self.message, cx);
                open.told = Some(now);
            } else if news {
                cx.markers_owed = true;
            }
        }
    }
}

impl<K: Key, V: Data> Push<K, V> for Repartition<K, V> {
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        for record in batch.drain(..) {
            self.seen = self.seen.max(record.watermark);
            let input = record.input;
            if let Err(reject) = self.pack(record, cx) {
                return cx.refuse(input, reject, &self.name);
            }
        }
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        match signal {
            Signal::Watermark(watermark) => self.seen = self.seen.max(watermark),
            // The task's own activity says it, with the next marker.
            Signal::Idle => {}
            Signal::Flush => self.flush(cx),
        }
    }
}
