//! A record as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::broker::RawRecord;
use crate::codec::Shown;
use crate::record::Headers;
use crate::topology::topics::TopicDescription;

/// How many bytes a key, a value or the headers may have to be shown; half of an event, once they are JSON.
const BYTES: usize = 16 * 1024;

#[derive(Serialize)]
struct Line<'r> {
    p: u32,
    o: i64,
    t: Option<i64>,
    k: Option<Part>,
    v: Option<Part>,
    h: Texts<'r>,
}

/// A key or a value.
#[derive(Serialize)]
#[serde(untagged)]
enum Part {
    Shown(Shown),
    /// It is so long that it is left out.
    TooLong {
        too_long: usize,
    },
}

/// The record: `{"p", "o", "t", "k", "v", "h"}`.
pub(super) fn record(of: &TopicDescription, partition: u32, record: &RawRecord<'_>) -> String {
    let line = Line {
        p: partition,
        o: record.offset,
        t: record.timestamp.map(crate::Timestamp::millis),
        k: record.key.and_then(|bytes| part(bytes, |bytes| of.show_key(bytes))),
        v: record.value.and_then(|bytes| part(bytes, |bytes| of.show_value(bytes))),
        h: Texts(record.headers),
    };
    // All parts are JSON already, or texts and numbers.
    let line = serde_json::to_string(&line).unwrap_or_else(|_| "null".to_owned());
    // JSON that was written on several lines stays as it was written, and an event has one: there are no such characters
    // within its texts.
    if line.contains(['\n', '\r']) { line.replace(['\n', '\r'], " ") } else { line }
}

fn part(bytes: &[u8], show: impl FnOnce(&[u8]) -> Option<Shown>) -> Option<Part> {
    let too_long = || Some(Part::TooLong { too_long: bytes.len() });
    if bytes.len() > BYTES {
        return too_long();
    }
    match show(bytes)? {
        shown if shown.text().len() > BYTES => too_long(),
        shown => Some(Part::Shown(shown)),
    }
}

/// Headers as texts; of a name that repeats, the last.
struct Texts<'r>(&'r Headers);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut bytes = 0;
        let mut names: Vec<&str> = Vec::new();
        for header in self.0.iter().rev().filter(|header| header.value.is_some()) {
            let value = header.value.as_deref().unwrap_or_default();
            bytes += header.name.len() + value.len();
            if names.contains(&header.name.as_str()) {
                continue;
            }
            if bytes > BYTES {
                break;
            }
            names.push(&header.name);
            match std::str::from_utf8(value) {
                Ok(text) => map.serialize_entry(&header.name, text)?,
                Err(_) => map.serialize_entry(&header.name, &format!("base64:{}", STANDARD.encode(value)))?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::source::BadInput;
    use crate::{Builder, Timestamp, Topic};

    fn dead() -> TopicDescription {
        let b = Builder::new("t");
        let source = b.source(Topic::<String, u64>::new("in")).on_bad_input(BadInput::dead_letter("dead"));
        source.stream().for_each(|_, _| ());
        b.build().unwrap().described_topics().pop().unwrap()
    }

    fn shown(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> String {
        let timestamp = Some(Timestamp::from_millis(7));
        record(&dead(), 2, &RawRecord { offset: 17, timestamp, key, value, headers })
    }

    #[test]
    fn a_dead_letter_is_shown_with_its_reasons() {
        let mut headers = Headers::NONE;
        headers.push("millstream.error.reason", Some(b"undecodable".to_vec()));
        headers.push("millstream.error.reason", Some(b"late".to_vec()));
        headers.push("trace", Some(vec![0xff]));
        headers.push("null", None);
        assert_eq!(
            shown(Some(b"a b"), Some(b"{broken"), &headers),
            r#"{"p":2,"o":17,"t":7,"k":"a b","v":"{broken","h":{"trace":"base64:/w==","millstream.error.reason":"late"}}"#
        );
    }

    #[test]
    fn json_on_several_lines_is_put_on_one() {
        let line = shown(None, Some(b"{\n\t\"a\":\r\n1}"), &Headers::NONE);
        assert!(!line.contains(['\n', '\r']));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["v"]["a"], 1);
    }

    #[test]
    fn nulls_are_nulls_and_what_is_too_long_is_left_out() {
        assert_eq!(shown(None, None, &Headers::NONE), r#"{"p":2,"o":17,"t":7,"k":null,"v":null,"h":{}}"#);
        let long = vec![b'x'; BYTES + 1];
        let line = shown(None, Some(&long), &Headers::NONE);
        assert!(line.contains(&format!(r#""v":{{"too_long":{}}}"#, BYTES + 1)), "{line}");
        // Bytes below the limit whose JSON is above it.
        let line = shown(Some(&vec![1; BYTES]), None, &Headers::NONE);
        assert!(line.contains(r#""k":{"too_long":"#) && line.len() < 200, "{line}");
        let mut headers = Headers::NONE;
        headers.push("long", Some(long));
        assert!(shown(None, None, &headers).len() < 200);
    }
}
