//! A record as a line of JSON: what `local` prints and reads, and what `generate --stdout` writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::json::compact;
use crate::error::{Error, ErrorKind};
use crate::record::Headers;

/// A record to be written as a line.
pub(super) struct Line<'a> {
    pub(super) topic: &'a str,
    /// Left out where it is not known.
    pub(super) partition: Option<u32>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) timestamp: Option<i64>,
    /// Left out where there are none.
    pub(super) headers: &'a Headers,
}

impl Line<'_> {
    /// The line, with its end.
    pub(super) fn text(&self) -> crate::error::Result<String> {
        let mut text = serde_json::to_string(self).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("a record of {} cannot be printed", self.topic)).caused_by(error)
        })?;
        text.push('\n');
        Ok(text)
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("topic", self.topic)?;
        if let Some(partition) = self.partition {
            line.serialize_entry("partition", &partition)?;
        }
        line.serialize_entry("key", &Text(self.key))?;
        line.serialize_entry("value", &Embedded(self.value))?;
        line.serialize_entry("timestamp", &self.timestamp)?;
        if !self.headers.is_empty() {
            line.serialize_entry("headers", &ByName(self.headers))?;
        }
        line.end()
    }
}

/// Bytes as a JSON string; `{"base64": "…"}` where they are not UTF-8.
struct Text<'a>(Option<&'a [u8]>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => serializer.serialize_none(),
            Some((_, Ok(text))) => serializer.serialize_str(text),
            Some((bytes, Err(_))) => serializer.collect_map([("base64", STANDARD.encode(bytes))]),
        }
    }
}

/// Bytes as the JSON that they are, else as [`Text`].
struct Embedded<'a>(Option<&'a [u8]>);

impl Serialize for Embedded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.and_then(|bytes| serde_json::from_slice::<&RawValue>(bytes).ok()) {
            // On one line, whatever it was before.
            Some(json) if json.get().contains(['\n', '\r']) => {
                RawValue::from_string(compact(json.get())).map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
            Some(json) => json.serialize(serializer),
            None => Text(self.0).serialize(serializer),
        }
    }
}

/// Headers as an object.
struct ByName<'a>(&'a Headers);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|header| (&header.name, Text(header.value.as_deref()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Header;

    fn line(key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        Line { topic: "t", partition: Some(1), key, value, timestamp: Some(5), headers: &Headers::NONE }.text().unwrap()
    }

    #[test]
    fn a_value_that_is_json_is_embedded_with_all_its_digits() {
        assert_eq!(
            line(Some(b"CS01"), Some(br#"{"sales":204.710,"a":1}"#)),
            "{\"topic\":\"t\",\"partition\":1,\"key\":\"CS01\",\"value\":{\"sales\":204.710,\"a\":1},\"timestamp\":5}\n"
        );
        assert!(line(None, Some(b"{\n \"a\": 1\n}")).contains("\"value\":{\"a\":1}"));
    }

    #[test]
    fn other_text_is_a_string_and_null_is_null() {
        assert!(line(None, Some(b"hello")).contains("\"key\":null,\"value\":\"hello\""));
        assert!(line(Some(b"1"), None).contains("\"key\":\"1\",\"value\":null"));
        assert!(line(None, Some(b"")).contains("\"value\":\"\""));
    }

    #[test]
    fn bytes_that_are_no_text_are_base64_and_say_so() {
        assert!(line(Some(&[0xff, 0]), None).contains("\"key\":{\"base64\":\"/wA=\"}"));
        assert!(line(None, Some(&[0xff])).contains("\"value\":{\"base64\":\"/w==\"}"));
    }

    #[test]
    fn headers_are_written_where_there_are_any_and_the_partition_where_it_is_known() {
        let header = |name: &str, value: Option<&[u8]>| Header { name: name.into(), value: value.map(<[u8]>::to_vec) };
        let headers = [header("a", Some(b"1")), header("b", None)].into_iter().collect();
        let text =
            Line { topic: "t", partition: None, key: None, value: None, timestamp: None, headers: &headers }.text();
        assert_eq!(
            text.unwrap(),
            "{\"topic\":\"t\",\"key\":null,\"value\":null,\"timestamp\":null,\"headers\":{\"a\":\"1\",\"b\":null}}\n"
        );
    }
}
