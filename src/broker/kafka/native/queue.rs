//! One partition's own queue of fetched records, and the callback that says that a queue is no longer empty.

use std::ffi::{CStr, CString, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::bindings as sys;

use super::{Client, Code, Failure, text_of};
use crate::broker::batch::{Batch, RawRecord};
use crate::broker::kafka::signal::Signal;
use crate::record::{Header, Headers, Offset, TopicPartition};
use crate::time::Timestamp;

/// A queue of a client, with a bell on it.
#[derive(Debug)]
pub(crate) struct Queue {
    raw: *mut sys::rd_kafka_queue_t,
    bell: Box<Bell>,
    client: Arc<Client>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}

#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    signal: Arc<Signal>,
}

/// What [`Queue::drain`] found besides records.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    /// How many records were appended.
    pub(crate) records: usize,
    /// The offset of the last record.
    pub(crate) last: Option<Offset>,
    /// The end of the partition was reached here, after the last record.
    pub(crate) end: Option<Offset>,
    /// The partition failed, at this offset.
    pub(crate) failed: Option<(Failure, Offset)>,
    /// Other partitions whose records came out here and were not taken: while a queue is still joined to the group's,
    /// draining it drains the group's. They are to be fetched again.
    pub(crate) strays: Vec<TopicPartition>,
}

struct Drain<'a> {
    client: *mut sys::rd_kafka_t,
    of: &'a TopicPartition,
    into: &'a mut Batch,
    left: usize,
    found: Drained,
}

impl Queue {
    /// The queue of a group member for all that is not a record.
    pub(crate) fn of_group(client: &Arc<Client>, signal: &Arc<Signal>) -> Option<Self> {
        // SAFETY: the handle is alive; the queue gets a reference of its own.
        Self::with_bell(unsafe { sys::rd_kafka_queue_get_consumer(client.raw) }, client, signal)
    }

    /// The queue of one assigned partition, cut loose from the group's.
    pub(crate) fn of_partition(client: &Arc<Client>, at: &TopicPartition, signal: &Arc<Signal>) -> Option<Self> {
        let topic = CString::new(&*at.topic).ok()?;
        let partition = i32::try_from(at.partition).ok()?;
        // SAFETY: the handle is alive and the name ends with NUL; the queue gets a reference of its own.
        let raw = unsafe { sys::rd_kafka_queue_get_partition(client.raw, topic.as_ptr(), partition) };
        let queue = Self::with_bell(raw, client, signal)?;
        queue.cut_loose();
        Some(queue)
    }

    fn with_bell(raw: *mut sys::rd_kafka_queue_t, client: &Arc<Client>, signal: &Arc<Signal>) -> Option<Self> {
        if raw.is_null() {
            return None;
        }
        // Rung from the start: what came before the bell hung is found by looking.
        let bell = Box::new(Bell { rung: AtomicBool::new(true), signal: Arc::clone(signal) });
        let opaque = std::ptr::from_ref(&*bell).cast_mut().cast::<c_void>();
        // SAFETY: the bell stays where it is, in its box, until drop has taken the callback off.
        unsafe { sys::rd_kafka_queue_cb_event_enable(raw, Some(on_nonempty), opaque) };
        Some(Self { raw, bell, client: Arc::clone(client) })
    }

    /// Keeps the partition's records out of the group's queue.
    pub(crate) fn cut_loose(&self) {
        // SAFETY: the queue is alive; null ends the forwarding.
        unsafe { sys::rd_kafka_queue_forward(self.raw, std::ptr::null_mut()) };
    }

    /// Whether something may have come since the last call.
    pub(crate) fn take_ring(&self) -> bool {
        self.bell.rung.swap(false, Ordering::AcqRel)
    }

    /// Makes the next [`Queue::take_ring`] say yes.
    pub(crate) fn ring(&self) {
        self.bell.rung.store(true, Ordering::Release);
    }

    /// Appends at most `max` records of the partition `of`, whose queue it is, to `into`, without waiting for any.
    pub(crate) fn drain(&self, of: &TopicPartition, max: usize, into: &mut Batch) -> Drained {
        if max == 0 {
            return Drained::default();
        }
        let mut drain = Drain { client: self.client.raw, of, into, left: max, found: Drained::default() };
        let opaque = std::ptr::from_mut(&mut drain).cast::<c_void>();
        // SAFETY: the callback runs on this thread, within this call, while `drain` is alive and not used otherwise.
        unsafe { sys::rd_kafka_consume_callback_queue(self.raw, 0, Some(on_message), opaque) };
        drain.found
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the callback is taken off under the queue's lock, under which it is also called, so the bell is not
        // rung after this; then our reference to the queue is given back.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.raw, None, std::ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.raw);
        }
    }
}

unsafe extern "C" fn on_nonempty(_client: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: the opaque pointer is the queue's Bell.
    let bell = unsafe { &*opaque.cast::<Bell>() };
    bell.rung.store(true, Ordering::Release);
    bell.signal.notify();
}

unsafe extern "C" fn on_message(message: *mut sys::rd_kafka_message_t, opaque: *mut c_void) {
    // SAFETY: the message is librdkafka's for the length of the call; the opaque pointer is the caller's Drain.
    let (message, drain) = unsafe { (&*message, &mut *opaque.cast::<Drain<'_>>()) };
    if !message.rkt.is_null() {
        // SAFETY: the topic is alive as long as the message, and so is its name.
        let topic = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(message.rkt)) };
        let partition = u32::try_from(message.partition).unwrap_or(u32::MAX);
        if partition != drain.of.partition || topic.to_bytes() != drain.of.topic.as_bytes() {
            let at = TopicPartition::new(topic.to_string_lossy(), partition);
            if !drain.found.strays.contains(&at) {
                drain.found.strays.push(at);
            }
            return;
        }
    }
    match Code::from(message.err) {
        Code::NoError => {
            // SAFETY: a message without an error is a record.
            unsafe { append(message, drain.into) };
            drain.found.records += 1;
            drain.found.last = Some(message.offset);
            drain.found.end = None;
            drain.left -= 1;
            if drain.left == 0 {
                // SAFETY: the handle is alive; this is the callback in which it may be called.
                unsafe { sys::rd_kafka_yield(drain.client) };
            }
        }
        Code::PartitionEOF => drain.found.end = Some(message.offset),
        code => {
            // SAFETY: the text of an error message lives as long as the message.
            let text = unsafe { text_of(sys::rd_kafka_message_errstr(message)) };
            let failure = Failure { text, ..Failure::of(code) };
            drain.found.failed.get_or_insert((failure, message.offset));
        }
    }
}

/// Copies a record into `into`.
///
/// # Safety
/// `message` is a record of librdkafka's, alive during the call.
unsafe fn append(message: &sys::rd_kafka_message_t, into: &mut Batch) {
    let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: by the contract above; key and value lie in the message, which outlives the slices.
    unsafe {
        let time = sys::rd_kafka_message_timestamp(message, &raw mut kind);
        let known = kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && time >= 0;
        let headers = headers_of(message);
        into.push(&RawRecord {
            offset: message.offset,
            timestamp: known.then(|| Timestamp::from_millis(time)),
            key: bytes(message.key, message.key_len),
            value: bytes(message.payload, message.len),
            headers: &headers,
        });
    }
}

/// # Safety
/// `start` is null or points to `len` bytes that outlive the result.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by the contract above.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

/// # Safety
/// `message` is a record of librdkafka's, alive during the call.
unsafe fn headers_of(message: &sys::rd_kafka_message_t) -> Headers {
    let mut list = std::ptr::null_mut();
    // SAFETY: by the contract above; the headers belong to the message.
    if Code::from(unsafe { sys::rd_kafka_message_headers(message, &raw mut list) }) != Code::NoError {
        return Headers::NONE;
    }
    (0..)
        .map_while(|place| {
            let (mut name, mut value, mut len) = (std::ptr::null(), std::ptr::null(), 0);
            // SAFETY: the headers are alive; name and value lie in them.
            unsafe {
                let code = sys::rd_kafka_header_get_all(list, place, &raw mut name, &raw mut value, &raw mut len);
                (Code::from(code) == Code::NoError)
                    .then(|| Header { name: text_of(name), value: bytes(value, len).map(<[u8]>::to_vec) })
            }
        })
        .collect()
}

/// Knows what the broker last said of one partition, without asking it again.
#[derive(Debug)]
pub(crate) struct Probe {
    topic: CString,
    partition: i32,
}

impl Probe {
    pub(crate) fn new(at: &TopicPartition) -> Self {
        Self {
            topic: CString::new(&*at.topic).unwrap_or_default(),
            partition: i32::try_from(at.partition).unwrap_or(i32::MAX),
        }
    }

    /// The high watermark of the last answer of the broker, where there was one.
    pub(crate) fn high_watermark(&self, client: &Client) -> Option<Offset> {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the handle is alive, the name ends with NUL.
        let code = unsafe {
            let topic = self.topic.as_ptr();
            sys::rd_kafka_get_watermark_offsets(client.raw, topic, self.partition, &raw mut low, &raw mut high)
        };
        (Code::from(code) == Code::NoError && high >= 0).then_some(high)
    }
}
