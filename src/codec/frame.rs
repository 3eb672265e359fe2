//! The message of a repartition topic: many records of one partition in one Kafka message, with markers that say how far
//! time has come upstream.
//!
//! Layout, version 1. Varints are those of [`varint`](super::varint), signed ones zigzag:
//!
//! ```text
//! version      1 byte: 1
//! record*      timestamp   signed varint, milliseconds since that of the record before (0 before the first)
//!              behind      varint, milliseconds
//!              key         varint: 0 is null, else length + 1; then the bytes
//!              headers     varint: count; each a name (varint length, bytes) and a value (as the key)
//!              value       as the key
//! marker*      edge        8 bytes, big-endian
//!              task        varint
//!              tasks       varint
//!              watermark   signed varint
//!              activity    1 byte
//! records      4 bytes, big-endian: how many records
//! markers      4 bytes, big-endian: how many bytes the markers take
//! ```
//!
//! The counts are at the end so that records are appended as they come, and a reader that wants only the counts or the
//! markers need not read the records. The first byte of any later layout is another; a reader that does not know it stops.

use super::CodecError;
use super::marker::{Activity, Marker};
use super::varint::{read_i64, read_u64, write_i64, write_u64};
use crate::record::{Header, Headers};
use crate::time::Timestamp;

/// The version that is written.
pub const VERSION: u8 = 1;

/// A frame is closed before it has more bytes than this. A record that alone has more goes in a frame of its own.
pub const FRAME_BYTES: usize = 64 << 10;

/// One record of a frame, borrowed from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRecord<'a> {
    /// Event time.
    pub timestamp: Timestamp,
    /// How far it lies behind its source.
    pub behind: u64,
    /// The key's bytes; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; `None` is null.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers,
}

/// Writes one frame.
#[derive(Clone, Debug, Default)]
pub struct FrameEncoder {
    bytes: Vec<u8>,
    records: u32,
    last: i64,
}

impl FrameEncoder {
    /// Appends a record.
    pub fn push(&mut self, record: &FrameRecord<'_>) {
        if self.bytes.is_empty() {
            self.bytes.push(VERSION);
        }
        let out = &mut self.bytes;
        // The subtraction may wrap for times an age apart; the reader's addition wraps back.
        write_i64(record.timestamp.millis().wrapping_sub(self.last), out);
        write_u64(record.behind, out);
        put_bytes(out, record.key);
        write_u64(record.headers.iter().len() as u64, out);
        for header in &record.headers {
            write_u64(header.name.len() as u64, out);
            out.extend_from_slice(header.name.as_bytes());
            put_bytes(out, header.value.as_deref());
        }
        put_bytes(out, record.value);
        self.last = record.timestamp.millis();
        self.records += 1;
    }

    /// How many bytes the frame has so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many records it has so far.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.records
    }

    /// True before the first record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Appends the finished frame to `out` and begins a new one.
    pub fn finish(&mut self, markers: &[Marker], out: &mut Vec<u8>) {
        if self.bytes.is_empty() {
            self.bytes.push(VERSION);
        }
        out.extend_from_slice(&self.bytes);
        let start = out.len();
        for marker in markers {
            out.extend_from_slice(&marker.edge.to_be_bytes());
            write_u64(u64::from(marker.task), out);
            write_u64(u64::from(marker.tasks), out);
            write_i64(marker.watermark.millis(), out);
            out.push(marker.activity.code());
        }
        let marker_bytes = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        out.extend_from_slice(&self.records.to_be_bytes());
        out.extend_from_slice(&marker_bytes.to_be_bytes());
        self.bytes.clear();
        self.records = 0;
        self.last = 0;
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    write_u64(bytes.map_or(0, |bytes| bytes.len() as u64 + 1), out);
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// A frame, borrowed from its message.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    records: &'a [u8],
    markers: &'a [u8],
    count: u32,
}

impl FrameRecord<'_> {
    /// How many bytes the record takes in a frame, at most.
    #[must_use]
    pub fn len_bound(&self) -> usize {
        const VARINT: usize = 10;
        let headers = self
            .headers
            .iter()
            .map(|header| header.name.len() + header.value.as_ref().map_or(0, Vec::len) + 2 * VARINT);
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers.sum::<usize>() + 5 * VARINT
    }
}

impl<'a> Frame<'a> {
    /// Reads a message of a repartition topic.
    ///
    /// # Errors
    /// When its version is unknown, or it is cut off.
    pub fn read(bytes: &'a [u8]) -> Result<Self, CodecError> {
        match bytes.first() {
            Some(&VERSION) => {}
            Some(other) => {
                return Err(CodecError::new(format!(
                    "a frame of layout {other}, and this version of millstream reads layout {VERSION}"
                )));
            }
            None => return Err(CodecError::new("an empty message where a frame should be")),
        }
        let (body, markers) = bytes[1..].split_last_chunk().ok_or_else(cut_off)?;
        let (body, count) = body.split_last_chunk().ok_or_else(cut_off)?;
        let (count, marker_bytes) = (u32::from_be_bytes(*count), u32::from_be_bytes(*markers) as usize);
        let middle = body.len().checked_sub(marker_bytes).ok_or_else(cut_off)?;
        let (records, markers) = body.split_at(middle);
        Ok(Self { records, markers, count })
    }

    /// How many records it says it has.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The records, in order. After an error nothing more comes.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records { bytes: self.records, left: self.count, last: 0 }
    }

    /// The markers.
    ///
    /// # Errors
    /// When they are cut off or name an unknown activity.
    pub fn markers(&self) -> Result<Vec<Marker>, CodecError> {
        let mut bytes = self.markers;
        let mut markers = Vec::new();
        while !bytes.is_empty() {
            markers.push(marker(&mut bytes).ok_or_else(cut_off)?);
        }
        Ok(markers)
    }
}

/// The records of a [`Frame`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    left: u32,
    last: i64,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<FrameRecord<'a>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            // Bytes left over would be records that the count does not know: lost without a word.
            let over = !std::mem::take(&mut self.bytes).is_empty();
            return over.then(|| Err(CodecError::new("a frame with more records than it says")));
        }
        self.left -= 1;
        let record = record(&mut self.bytes, &mut self.last);
        if record.is_none() {
            self.left = 0;
            self.bytes = &[];
        }
        Some(record.ok_or_else(cut_off))
    }
}

fn cut_off() -> CodecError {
    CodecError::new("a damaged frame: it ends too early, or a length in it is wrong")
}

fn record<'a>(bytes: &mut &'a [u8], last: &mut i64) -> Option<FrameRecord<'a>> {
    *last = last.wrapping_add(read_i64(bytes).ok()?);
    let behind = read_u64(bytes).ok()?;
    let key = get_bytes(bytes)?;
    let count = read_u64(bytes).ok()?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(read_u64(bytes).ok()?).ok()?;
        let name = std::str::from_utf8(take(bytes, length)?).ok()?.to_owned();
        headers.push(Header { name, value: get_bytes(bytes)?.map(<[u8]>::to_vec) });
    }
    let value = get_bytes(bytes)?;
    Some(FrameRecord {
        timestamp: Timestamp::from_millis(*last),
        behind,
        key,
        value,
        headers: headers.into_iter().collect(),
    })
}

fn marker(bytes: &mut &[u8]) -> Option<Marker> {
    let edge = u64::from_be_bytes(take(bytes, 8)?.try_into().ok()?);
    let task = u32::try_from(read_u64(bytes).ok()?).ok()?;
    let tasks = u32::try_from(read_u64(bytes).ok()?).ok()?;
    let watermark = Timestamp::from_millis(read_i64(bytes).ok()?);
    let activity = Activity::from_code(*take(bytes, 1)?.first()?)?;
    Some(Marker { edge, task, tasks, watermark, activity })
}

/// Bytes that may be null; the outer `None` is a cut.
#[expect(clippy::option_option, reason = "both may be missing, each for its own reason")]
fn get_bytes<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match read_u64(bytes).ok()? {
        0 => Some(None),
        more => Some(Some(take(bytes, usize::try_from(more - 1).ok()?)?)),
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_records() -> Vec<FrameRecord<'static>> {
        let mut headers = Headers::NONE;
        headers.push("trace", Some(vec![1, 2, 3]));
        headers.push("nothing", None);
        vec![
            FrameRecord {
                timestamp: Timestamp::from_millis(1_700_000_000_000),
                behind: 0,
                key: Some(b"CS01"),
                value: Some(&[7; 200]),
                headers,
            },
            FrameRecord {
                timestamp: Timestamp::MIN,
                behind: u64::MAX,
                key: Some(b""),
                value: None,
                headers: Headers::NONE,
            },
            FrameRecord { timestamp: Timestamp::MAX, behind: 1, key: None, value: Some(b""), headers: Headers::NONE },
        ]
    }

    fn marker() -> Marker {
        Marker { edge: 42, task: 3, tasks: 300, watermark: Timestamp::MIN, activity: Activity::Idle }
    }

    fn frame() -> Vec<u8> {
        let mut encoder = FrameEncoder::default();
        for record in some_records() {
            encoder.push(&record);
        }
        let mut bytes = Vec::new();
        encoder.finish(&[marker()], &mut bytes);
        assert!(encoder.is_empty());
        bytes
    }

    #[test]
    fn records_and_markers_come_back_as_they_went() {
        let bytes = frame();
        let frame = Frame::read(&bytes).unwrap();
        assert_eq!(frame.count(), 3);
        let records: Vec<_> = frame.records().map(Result::unwrap).collect();
        assert_eq!(records, some_records());
        assert_eq!(frame.markers().unwrap(), [marker()]);
    }

    #[test]
    fn a_frame_may_carry_markers_alone() {
        let mut bytes = Vec::new();
        FrameEncoder::default().finish(&[marker()], &mut bytes);
        let frame = Frame::read(&bytes).unwrap();
        assert_eq!((frame.count(), frame.records().count()), (0, 0));
        assert_eq!(frame.markers().unwrap().len(), 1);
    }

    #[test]
    fn an_unknown_layout_is_an_error_that_names_it() {
        let mut bytes = frame();
        bytes[0] = 9;
        let error = Frame::read(&bytes).unwrap_err().to_string();
        assert!(error.contains("layout 9"), "{error}");
    }

    #[test]
    fn a_frame_cut_anywhere_is_an_error_and_no_panic() {
        let bytes = frame();
        for end in 0..bytes.len() {
            let read = Frame::read(&bytes[..end]).and_then(|frame| {
                frame.markers()?;
                frame.records().collect::<Result<Vec<_>, _>>()
            });
            assert!(read.is_err(), "cut to {end} bytes");
        }
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let bytes = frame();
        for place in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[place] ^= flip;
                if let Ok(frame) = Frame::read(&damaged) {
                    let _ = frame.markers();
                    let _ = frame.records().count();
                }
            }
        }
    }
}
