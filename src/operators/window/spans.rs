//! The windows of one key that depend on the records in them: sessions and sliding windows. They lie in one row, since a
//! record looks at all that are near.

use crate::codec::{Codec, CodecError, Data, varint};
use crate::time::Timestamp;
use crate::window::Window;

/// A window of a key, with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<A> {
    /// The window.
    pub window: Window,
    /// The largest time of a record in it.
    pub newest: Timestamp,
    /// True where it has closed and is kept only for what late records make of it.
    pub closed: bool,
    /// The value.
    pub value: A,
    /// The flush that its newest change goes out with. Not written: what is read has no change.
    pub changed: u64,
    /// How far behind its newest change is. Not written either.
    pub behind: u64,
}

/// The windows of a key, in order of their starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans<A>(pub Vec<Span<A>>);

impl<A> Default for Spans<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A> Spans<A> {
    /// Puts a window in its place.
    pub fn insert(&mut self, span: Span<A>) {
        let at = self.0.partition_point(|other| other.window < span.window);
        self.0.insert(at, span);
    }

    /// The window, if it is there.
    #[must_use]
    pub fn get(&self, window: Window) -> Option<&Span<A>> {
        self.0.iter().find(|span| span.window == window)
    }
}

/// The codec of [`Spans`]: for each window its start as a signed varint, its length and the distance of its newest record
/// from its start likewise, a byte of flags, and the value behind its length.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpansCodec;

const CLOSED: u8 = 1;
const NULL: u8 = 2;

impl<A: Data> Codec<Spans<A>> for SpansCodec {
    fn encode(&self, value: &Spans<A>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let codec = A::Codec::default();
        let mut bytes = Vec::new();
        for Span { window, newest, closed, value, .. } in &value.0 {
            let start = window.start.millis();
            varint::write_i64(start, out);
            varint::write_i64(window.end.millis().wrapping_sub(start), out);
            varint::write_i64(newest.millis().wrapping_sub(start), out);
            bytes.clear();
            let null = value.is_null();
            if !null {
                codec.encode(value, &mut bytes)?;
            }
            out.push(if *closed { CLOSED } else { 0 } | if null { NULL } else { 0 });
            varint::write_u64(bytes.len() as u64, out);
            out.extend_from_slice(&bytes);
        }
        Ok(())
    }

    fn decode(&self, mut bytes: &[u8]) -> Result<Spans<A>, CodecError> {
        let codec = A::Codec::default();
        let mut spans = Vec::new();
        while !bytes.is_empty() {
            spans.push(span(&codec, &mut bytes).ok_or_else(|| CodecError::new("a damaged row of windows"))??);
        }
        Ok(Spans(spans))
    }
}

/// A window of a row whose value is still bytes; `None` where it is null.
pub struct Raw<'a> {
    /// The window.
    pub window: Window,
    /// The largest time of a record in it.
    pub newest: Timestamp,
    /// The value's bytes.
    pub value: Option<&'a [u8]>,
    closed: bool,
}

/// Takes the first window off the bytes of a row; `None` where they are damaged.
#[must_use]
pub fn raw<'a>(bytes: &mut &'a [u8]) -> Option<Raw<'a>> {
    let start = varint::read_i64(bytes).ok()?;
    let end = start.wrapping_add(varint::read_i64(bytes).ok()?);
    let newest = Timestamp::from_millis(start.wrapping_add(varint::read_i64(bytes).ok()?));
    let (flags, rest) = bytes.split_first()?;
    *bytes = rest;
    let length = usize::try_from(varint::read_u64(bytes).ok()?).ok()?;
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let value = (flags & NULL == 0).then_some(value);
    Some(Raw { window: Window::of_millis(start, end), newest, value, closed: flags & CLOSED != 0 })
}

fn span<A: Data>(codec: &A::Codec, bytes: &mut &[u8]) -> Option<Result<Span<A>, CodecError>> {
    let Raw { window, newest, value, closed } = raw(bytes)?;
    let value = match value {
        Some(value) => codec.decode(value),
        None => Ok(A::null()?),
    };
    Some(value.map(|value| Span { window, newest, closed, value, changed: 0, behind: 0 }))
}

impl<A: Data> Data for Spans<A> {
    type Codec = SpansCodec;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: i64, closed: bool, value: &str) -> Span<String> {
        let newest = Timestamp::from_millis(start + 3);
        Span {
            window: Window::of_millis(start, start + 10),
            newest,
            closed,
            value: value.into(),
            changed: 0,
            behind: 0,
        }
    }

    #[test]
    fn windows_come_back_from_their_bytes_and_cut_ones_do_not() {
        let spans = Spans(vec![span(0, true, "a"), span(7, false, ""), span(1_700_000_000_000, false, "b")]);
        let mut bytes = Vec::new();
        SpansCodec.encode(&spans, &mut bytes).unwrap();
        assert_eq!(SpansCodec.decode(&bytes), Ok(spans));
        let cut: Result<Spans<String>, _> = SpansCodec.decode(&bytes[..bytes.len() - 1]);
        assert!(cut.is_err());
    }

    #[test]
    fn windows_are_kept_in_order() {
        let mut spans = Spans::default();
        for start in [5, 1, 3] {
            spans.insert(span(start, false, ""));
        }
        assert!(spans.0.is_sorted_by_key(|span| span.window));
        assert!(spans.get(Window::of_millis(3, 13)).is_some());
    }
}
