//! Reads a repartition topic: frames of many records, each with the event time and the delay it had upstream.

use super::DropReason;
use super::queue::{Decode, Now, Queue, bad_message};
use super::source::{Bad, Verdict};
use super::topic_source::field;
use crate::broker::RawRecord;
use crate::codec::frame::{Frame, FrameRecord};
use crate::codec::{CodecError, Data};
use crate::record::{InputNumber, Offset, Record};

/// Decodes the messages of a repartition topic. Keys and values have their types' own codecs.
pub struct FrameDecoder<K: Data, V: Data> {
    key: K::Codec,
    value: V::Codec,
}

impl<K: Data, V: Data> Default for FrameDecoder<K, V> {
    fn default() -> Self {
        Self { key: K::Codec::default(), value: V::Codec::default() }
    }
}

impl<K: Data, V: Data> FrameDecoder<K, V> {
    fn read(&self, record: &FrameRecord<'_>) -> Result<(K, V), Verdict> {
        let key = field(record.key, &self.key, "key", DropReason::NullKey)?;
        let value = field(record.value, &self.value, "value", DropReason::NullValue)?;
        Ok((key, value))
    }
}

impl<K: Data, V: Data> Decode<K, V> for FrameDecoder<K, V> {
    fn decode(&self, message: &RawRecord<'_>, done: u32, now: &Now<'_>, queue: &mut Queue<K, V>) {
        let offset = message.offset;
        // Whole or not at all: of a frame that breaks off, nothing has been queued when the task stops.
        let frame =
            message.value.ok_or_else(|| CodecError::new("a null where a frame should be")).and_then(Frame::read);
        let read = frame.and_then(|frame| Ok((frame.records().collect::<Result<Vec<_>, _>>()?, frame.markers()?)));
        let (records, markers) = match read {
            Ok(read) => read,
            Err(error) => {
                let verdict = (DropReason::Unreadable, format!("the message is {error}"));
                return queue.bad(Bad { fatal: true, ..bad_message(message, verdict) }, true);
            }
        };
        let count = records.len();
        if done as usize >= count && markers.is_empty() {
            return queue.empty(offset);
        }
        for (index, record) in (0..).zip(records).skip(done as usize) {
            // The markers come after the records: with them the message is done.
            let last = index as usize + 1 == count && markers.is_empty();
            let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            let read = (now.poisoned)(offset, index).map_or_else(|| self.read(&record), Err);
            match read {
                Ok((key, value)) => {
                    let FrameRecord { timestamp, behind, headers, .. } = record;
                    let (watermark, input) = (queue.watermark(), InputNumber::default());
                    let record = Record { key, value, timestamp, behind, watermark, input, headers };
                    queue.record(record, offset, index, last, bytes);
                }
                Err(verdict) => queue.bad(bad_record(record, offset, index, verdict), last),
            }
        }
        if !markers.is_empty() {
            queue.markers(offset, markers);
        }
    }
}

fn bad_record(record: FrameRecord<'_>, offset: Offset, index: u32, (reason, message): Verdict) -> Bad {
    Bad {
        reason,
        message,
        offset,
        index,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers,
        timestamp: Some(record.timestamp),
        fatal: false,
    }
}
