//! The key of a windowed result, as bytes and as text the way Kafka Streams writes them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Window;
use crate::codec::{Codec, CodecError, Data, Key, Shown};
use crate::time::Timestamp;

/// A key and a window of it: the key of every windowed table.
///
/// As text it is `[key@start/end]`, as Kafka Streams prints it. Its own codec is [`SessionWindowed`], which keeps all of
/// it; a topic that holds tumbling or hopping windows as Kafka Streams writes them names [`TimeWindowed`]:
///
/// ```
/// use millstream::window::{TimeWindowed, Windowed};
/// use millstream::Topic;
/// const SALES: Topic<Windowed<String>, u64, TimeWindowed<600_000>> = Topic::new("sales-in-windows-of-10-minutes");
/// ```
///
/// Where such keys are written by key, the inner key alone decides the partition, as in Kafka Streams.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Windowed<K> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
}

impl<K> Windowed<K> {
    /// The key in a window.
    pub const fn new(key: K, window: Window) -> Self {
        Self { key, window }
    }
}

impl<K: fmt::Display> fmt::Display for Windowed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}@{}]", self.key, self.window)
    }
}

impl<K: Data> Data for Windowed<K> {
    type Codec = SessionWindowed;
}

impl<K: Key> Key for Windowed<K> {}

/// The bytes of Kafka Streams' `SessionWindowedSerializer`: the key, the end, the start, each time as 8 bytes, big-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionWindowed;

/// The bytes of Kafka Streams' `TimeWindowedSerializer`: the key and the start as 8 bytes, big-endian. The end is not
/// written: whoever reads it says how many milliseconds the windows have. Without `SIZE` the end is the end of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeWindowed<const SIZE: i64 = { i64::MAX }>;

/// The text `key@start/end`, for people and for tools that know no windows. It can be written, not read: a key may have
/// the same signs in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowedText;

const TIME: usize = size_of::<i64>();

impl<K: Data> Codec<Windowed<K>> for SessionWindowed {
    fn encode(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        encode_key(value, out)?;
        out.extend_from_slice(&value.window.end.millis().to_be_bytes());
        out.extend_from_slice(&value.window.start.millis().to_be_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Windowed<K>, CodecError> {
        let (bytes, start) = split(bytes)?;
        let (bytes, end) = split(bytes)?;
        Ok(Windowed::new(decode_key(bytes)?, Window::of_millis(start, end)))
    }

    fn unplaced(&self) -> usize {
        2 * TIME
    }

    fn show(&self, bytes: &[u8]) -> Result<Shown, CodecError> {
        let (bytes, start) = split(bytes)?;
        let (bytes, end) = split(bytes)?;
        show_key::<K>(bytes, Window::of_millis(start, end))
    }

    fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
        let (mut bytes, window) = parse_key::<K>(text)?;
        bytes.extend_from_slice(&window.end.millis().to_be_bytes());
        bytes.extend_from_slice(&window.start.millis().to_be_bytes());
        Ok(bytes)
    }
}

impl<K: Data, const SIZE: i64> Codec<Windowed<K>> for TimeWindowed<SIZE> {
    fn encode(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        encode_key(value, out)?;
        out.extend_from_slice(&value.window.start.millis().to_be_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Windowed<K>, CodecError> {
        let (bytes, start) = split(bytes)?;
        Ok(Windowed::new(decode_key(bytes)?, Window::of_millis(start, start.saturating_add(SIZE))))
    }

    fn unplaced(&self) -> usize {
        TIME
    }

    fn show(&self, bytes: &[u8]) -> Result<Shown, CodecError> {
        let (bytes, start) = split(bytes)?;
        show_key::<K>(bytes, Window::of_millis(start, start.saturating_add(SIZE)))
    }

    fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
        let (mut bytes, window) = parse_key::<K>(text)?;
        bytes.extend_from_slice(&window.start.millis().to_be_bytes());
        Ok(bytes)
    }
}

impl<K: fmt::Display> Codec<Windowed<K>> for WindowedText {
    fn encode(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(format!("{}@{}", value.key, value.window).as_bytes());
        Ok(())
    }

    fn decode(&self, _: &[u8]) -> Result<Windowed<K>, CodecError> {
        Err(CodecError::new("windowed keys as text are for people: they cannot be read back"))
    }
}

fn encode_key<K: Data>(value: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    // A null has no bytes to write.
    if value.key.is_null() { Ok(()) } else { K::Codec::default().encode(&value.key, out) }
}

fn decode_key<K: Data>(bytes: &[u8]) -> Result<K, CodecError> {
    K::Codec::default().decode(bytes)
}

/// A windowed key as JSON: the key, or null where it has no bytes because it is one, and the window in milliseconds.
fn show_key<K: Data>(bytes: &[u8], window: Window) -> Result<Shown, CodecError> {
    #[derive(Serialize)]
    struct Whole {
        key: Option<Shown>,
        window_start: Timestamp,
        window_end: Timestamp,
    }
    let null = bytes.is_empty() && K::null().is_some();
    let key = if null { None } else { Some(K::Codec::default().show(bytes)?) };
    Shown::of(&Whole { key, window_start: window.start, window_end: window.end })
}

/// The bytes of a key, and its window, from what [`show_key`] gives.
fn parse_key<K: Data>(text: &str) -> Result<(Vec<u8>, Window), CodecError> {
    #[derive(Deserialize)]
    struct Whole {
        key: Box<RawValue>,
        window_start: i64,
        window_end: i64,
    }
    let expected = r#"expected {"key": …, "window_start": …, "window_end": …} with times in milliseconds"#;
    let whole: Whole = serde_json::from_str(text).map_err(|error| CodecError::new(format!("{expected}: {error}")))?;
    let key = match serde_json::from_str::<String>(whole.key.get()) {
        Ok(text) => K::Codec::default().parse(&text)?,
        Err(_) if whole.key.get() == "null" && K::null().is_some() => Vec::new(),
        Err(_) => K::Codec::default().parse(whole.key.get())?,
    };
    Ok((key, Window::of_millis(whole.window_start, whole.window_end)))
}

fn split(bytes: &[u8]) -> Result<(&[u8], i64), CodecError> {
    let cut =
        || CodecError::new(format!("a windowed key ends with a time of {TIME} bytes, and here are {}", bytes.len()));
    let (bytes, time) = bytes.split_last_chunk().ok_or_else(cut)?;
    Ok((bytes, i64::from_be_bytes(*time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Windowed<String> {
        Windowed::new("a".into(), Window::of_millis(1, 258))
    }

    fn bytes(codec: &impl Codec<Windowed<String>>) -> Vec<u8> {
        let mut out = Vec::new();
        codec.encode(&key(), &mut out).unwrap();
        out
    }

    #[test]
    fn keys_have_the_bytes_that_kafka_streams_writes() {
        assert_eq!(bytes(&TimeWindowed::<257>), [b'a', 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes(&SessionWindowed), [b'a', 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes(&WindowedText), b"a@1/258");
        assert_eq!(key().to_string(), "[a@1/258]");
    }

    #[test]
    fn keys_come_back_from_their_bytes() {
        assert_eq!(SessionWindowed.decode(&bytes(&SessionWindowed)), Ok(key()));
        assert_eq!(TimeWindowed::<257>.decode(&bytes(&TimeWindowed::<257>)), Ok(key()));
        let unknown: Windowed<String> = TimeWindowed::<{ i64::MAX }>.decode(&bytes(&TimeWindowed::<257>)).unwrap();
        assert_eq!(unknown.window.end, crate::time::Timestamp::MAX);
        assert!(Codec::<Windowed<String>>::decode(&SessionWindowed, &[0; 15]).is_err());
    }

    #[test]
    fn the_inner_key_alone_decides_the_partition() {
        let inner = |codec: &dyn Codec<Windowed<String>>| {
            let mut out = Vec::new();
            codec.encode(&key(), &mut out).unwrap();
            out.truncate(out.len() - codec.unplaced());
            out
        };
        assert_eq!(inner(&TimeWindowed::<257>), b"a");
        assert_eq!(inner(&SessionWindowed), b"a");
    }
}
