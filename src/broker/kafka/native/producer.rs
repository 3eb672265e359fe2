//! A producer's calls.

use std::ffi::{CString, c_void};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;

use super::consumer::{GroupMetadata, millis};
use super::list::PartitionList;
use super::{Callbacks, Client, Code, Failure, checked, locked, outcome, text_of};
use crate::broker::batch::OutgoingRecord;
use crate::record::{InputNumber, Offset, TopicPartition};

// A record's task and input ride in the pointer that librdkafka carries for us.
const _: () = assert!(size_of::<usize>() == 8, "millstream needs a 64-bit machine");

/// Where a record came from: what a refusal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) task: u32,
    pub(crate) input: InputNumber,
}

impl Origin {
    fn to_opaque(self) -> *mut c_void {
        let packed = (u64::from(self.task) << 32) | u64::from(self.input.0);
        std::ptr::without_provenance_mut(usize::try_from(packed).unwrap_or(0))
    }

    fn from_opaque(opaque: *const c_void) -> Self {
        let packed = opaque.addr() as u64;
        let low = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap_or(0);
        Self { task: low(packed >> 32), input: InputNumber(low(packed)) }
    }
}

/// A record that was not written.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) origin: Origin,
    pub(crate) failure: Failure,
    pub(crate) at: TopicPartition,
}

/// What the delivery reports said.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// By the address of the topic's handle and the partition: the offset after the last record.
    ends: Vec<(usize, i32, Offset)>,
    /// Where in `ends` the last report was: reports of one partition come in a row.
    recent: usize,
    refused: Vec<Refused>,
}

impl Reports {
    fn written(&mut self, topic: usize, partition: i32, end: Offset) {
        let same = |(known, at, _): &(usize, i32, Offset)| *known == topic && *at == partition;
        if !self.ends.get(self.recent).is_some_and(same) {
            self.recent = self.ends.iter().position(same).unwrap_or_else(|| {
                self.ends.push((topic, partition, end));
                self.ends.len() - 1
            });
        }
        let known = &mut self.ends[self.recent].2;
        *known = end.max(*known);
    }
}

pub(super) unsafe extern "C" fn on_delivery(
    _client: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: the message is librdkafka's for the length of the call; the opaque pointer is the client's Callbacks.
    let (callbacks, message) = unsafe { (&*opaque.cast::<Callbacks>(), &*message) };
    let mut reports = locked(&callbacks.reports);
    match Code::from(message.err) {
        Code::NoError if message.offset >= 0 => {
            reports.written(message.rkt.addr(), message.partition, message.offset + 1);
        }
        // What an abort throws away was not refused.
        Code::NoError | Code::PurgeQueue | Code::PurgeInflight => {}
        code => {
            // The broker's own words where it had any. Not `rd_kafka_message_errstr`: of a produced message that gives the
            // payload, which is the record's and does not end with NUL.
            // SAFETY: topic and error text live as long as the message.
            let (topic, words) = unsafe {
                (text_of(sys::rd_kafka_topic_name(message.rkt)), text_of(sys::rd_kafka_message_produce_errstr(message)))
            };
            let failure = Failure::of(code);
            let text = if words.is_empty() { failure.text } else { words };
            reports.refused.push(Refused {
                origin: Origin::from_opaque(message._private),
                failure: Failure { text, ..failure },
                at: TopicPartition::new(topic, u32::try_from(message.partition).unwrap_or(0)),
            });
        }
    }
}

/// A topic as a producer knows it.
#[derive(Debug)]
pub(crate) struct Topic {
    raw: *mut sys::rd_kafka_topic_t,
    client: Arc<Client>,
}

// SAFETY: librdkafka's topics may be used from any thread.
unsafe impl Send for Topic {}

impl Topic {
    pub(crate) fn new(client: &Arc<Client>, name: &str) -> Option<Self> {
        let c_name = CString::new(name).ok()?;
        // SAFETY: the handle is alive, the name ends with NUL and is copied; null means the client's own topic settings.
        let raw = unsafe { sys::rd_kafka_topic_new(client.raw, c_name.as_ptr(), std::ptr::null_mut()) };
        (!raw.is_null()).then(|| Self { raw, client: Arc::clone(client) })
    }

    /// Hands a record over for sending; its bytes are copied.
    pub(crate) fn produce(&self, partition: u32, record: &OutgoingRecord<'_>, origin: Origin) -> Result<(), Failure> {
        use sys::rd_kafka_vtype_t as kind;
        use sys::{rd_kafka_vu_s__bindgen_ty_1 as Value, rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 as Memory};
        let memory = |bytes: Option<&[u8]>| Value {
            mem: bytes.map_or(Memory { ptr: std::ptr::null_mut(), size: 0 }, |bytes| Memory {
                ptr: bytes.as_ptr().cast_mut().cast(),
                size: bytes.len(),
            }),
        };
        let argument = |vtype, u| sys::rd_kafka_vu_t { vtype, u };
        // librdkafka takes 0 for "now", and Kafka refuses what lies before 1970.
        let timestamp = record.timestamp.millis().max(1);
        let mut arguments = [
            argument(kind::RD_KAFKA_VTYPE_RKT, Value { rkt: self.raw }),
            argument(kind::RD_KAFKA_VTYPE_PARTITION, Value { i32_: i32::try_from(partition).unwrap_or(i32::MAX) }),
            argument(kind::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: sys::RD_KAFKA_MSG_F_COPY }),
            argument(kind::RD_KAFKA_VTYPE_KEY, memory(record.key)),
            argument(kind::RD_KAFKA_VTYPE_VALUE, memory(record.value)),
            argument(kind::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: timestamp }),
            argument(kind::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: origin.to_opaque() }),
            argument(kind::RD_KAFKA_VTYPE_END, Value { i: 0 }),
        ];
        let headers = (!record.headers.is_empty()).then(|| headers_of(record));
        if let Some(headers) = headers {
            arguments[7] = argument(kind::RD_KAFKA_VTYPE_HEADERS, Value { headers });
        }
        let count = 7 + usize::from(headers.is_some());
        // SAFETY: topic and bytes are alive during the call, which copies the bytes; each value is of its kind. The
        // headers go over to librdkafka where it succeeds and stay ours where it does not.
        unsafe {
            let result = outcome(sys::rd_kafka_produceva(self.client.raw, arguments.as_ptr(), count));
            if let (Err(_), Some(headers)) = (&result, headers) {
                sys::rd_kafka_headers_destroy(headers);
            }
            result
        }
    }
}

fn headers_of(record: &OutgoingRecord<'_>) -> *mut sys::rd_kafka_headers_t {
    // SAFETY: allocates; name and value are copied with the lengths given.
    unsafe {
        let headers = sys::rd_kafka_headers_new(4);
        for header in record.headers {
            let (value, len) = header.value.as_ref().map_or((std::ptr::null(), 0), |v| (v.as_ptr().cast(), v.len()));
            let name_len = isize::try_from(header.name.len()).unwrap_or(0);
            let len = isize::try_from(len).unwrap_or(0);
            sys::rd_kafka_header_add(headers, header.name.as_ptr().cast(), name_len, value, len);
        }
        headers
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: ours, and dropped once.
        unsafe { sys::rd_kafka_topic_destroy(self.raw) };
    }
}

impl Client {
    pub(crate) fn init_transactions(&self, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: the handle is alive.
        unsafe { outcome(sys::rd_kafka_init_transactions(self.raw, millis(timeout))) }
    }

    pub(crate) fn begin(&self) -> Result<(), Failure> {
        // SAFETY: the handle is alive.
        unsafe { outcome(sys::rd_kafka_begin_transaction(self.raw)) }
    }

    /// Adds offsets to the running transaction. An empty list would be skipped without a word: never pass one.
    pub(crate) fn send_offsets(
        &self,
        offsets: &PartitionList,
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), Failure> {
        // SAFETY: handle, list and metadata are alive.
        unsafe {
            let (offsets, group) = (offsets.as_ptr(), group.as_ptr());
            outcome(sys::rd_kafka_send_offsets_to_transaction(self.raw, offsets, group, millis(timeout)))
        }
    }

    /// Commits the running transaction. It waits as long as it takes: any other timeout may leave librdkafka's state and
    /// the broker's apart. The bound is `message.timeout.ms`.
    pub(crate) fn commit_transaction(&self) -> Result<(), Failure> {
        // SAFETY: the handle is alive.
        unsafe { outcome(sys::rd_kafka_commit_transaction(self.raw, -1)) }
    }

    /// Aborts the running transaction; waits as [`Client::commit_transaction`].
    pub(crate) fn abort_transaction(&self) -> Result<(), Failure> {
        // SAFETY: the handle is alive.
        unsafe { outcome(sys::rd_kafka_abort_transaction(self.raw, -1)) }
    }

    /// Sends what is queued, without waiting for it to linger, and serves the delivery reports on this thread.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: the handle is alive.
        checked(unsafe { sys::rd_kafka_flush(self.raw, millis(timeout)) })
    }

    /// Throws away what is queued or under way.
    pub(crate) fn purge(&self) {
        // SAFETY: the handle is alive.
        unsafe { sys::rd_kafka_purge(self.raw, sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT) };
    }

    /// Serves delivery reports, waiting for the first at most `timeout`.
    pub(crate) fn serve_reports(&self, timeout: Duration) {
        // SAFETY: the handle is alive.
        unsafe { sys::rd_kafka_poll(self.raw, millis(timeout)) };
    }

    /// The records refused since this was last asked.
    pub(crate) fn take_refused(&self) -> Vec<Refused> {
        std::mem::take(&mut locked(&self.callbacks.reports).refused)
    }

    /// For each partition written to since this was last asked, the offset after the last record.
    pub(crate) fn take_ends<'a>(
        &self,
        topics: impl IntoIterator<Item = (&'a Arc<str>, &'a Topic)>,
    ) -> Vec<(TopicPartition, Offset)> {
        let ends = std::mem::take(&mut locked(&self.callbacks.reports).ends);
        let names: Vec<_> = topics.into_iter().map(|(name, topic)| (topic.raw.addr(), name)).collect();
        let name_of = |topic: usize| names.iter().find(|(known, _)| *known == topic).map(|(_, name)| Arc::clone(name));
        ends.into_iter()
            .filter_map(|(topic, partition, end)| {
                Some((TopicPartition::new(name_of(topic)?, u32::try_from(partition).ok()?), end))
            })
            .collect()
    }
}
