//! The lines of an input file become records of a topic.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::json::compact;
use crate::broker::{Outgoing, OutgoingRecord, Partitioning, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Header, Headers, InputNumber};
use crate::time::Timestamp;

/// How the lines are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// A line is a record, not only a value.
    pub(super) records: bool,
    /// How many partitions the topic has.
    pub(super) partitions: u32,
    /// The timestamp of a record that names none.
    pub(super) now: Timestamp,
}

/// So many records go to the writer at once.
const BATCH: usize = 1_000;

/// Writes the records of a file to a topic; `-` is standard input.
pub(super) fn feed(writer: &mut dyn Writer, topic: &str, file: &Path, format: Format) -> Result<()> {
    let cannot = |error: io::Error| {
        Error::new(ErrorKind::Config, format!("cannot read {} for the topic {topic}", file.display()))
            .caused_by(error)
            .remedy("check the FILE of --input")
    };
    let mut reader: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(file).map_err(cannot)?)),
    };
    let mut out = Outgoing::default();
    let (mut line, mut number) = (Vec::new(), 0_usize);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(cannot)? == 0 {
            break;
        }
        number += 1;
        push_line(&mut out, topic, without_ending(&line), format).map_err(|message| {
            Error::new(ErrorKind::Config, format!("{}:{number}: {message}", file.display())).remedy("mend the line")
        })?;
        if out.len() >= BATCH {
            writer.send(&out)?;
            out.clear();
        }
    }
    writer.send(&out)?;
    writer.flush()
}

fn without_ending(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Appends the record of a line. An empty line is an empty value; among records it is nothing.
fn push_line(out: &mut Outgoing, topic: &str, line: &[u8], format: Format) -> Result<(), String> {
    let topic = out.topic(topic);
    if !format.records {
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::ByKey,
            key: None,
            value: Some(line),
            timestamp: format.now,
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
        return Ok(());
    }
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let line = Line::read(line, format.partitions)?;
    out.push(&OutgoingRecord {
        topic,
        partitioning: line.partition.map_or(Partitioning::ByKey, Partitioning::Fixed),
        key: line.key.as_deref().map(str::as_bytes),
        value: line.value.as_deref().map(str::as_bytes),
        timestamp: line.timestamp.map_or(format.now, Timestamp::from_millis),
        headers: &line.headers,
        input: InputNumber(0),
    });
    Ok(())
}

/// A record as a line says it.
#[derive(Debug, PartialEq)]
struct Line {
    partition: Option<u32>,
    key: Option<String>,
    value: Option<String>,
    timestamp: Option<i64>,
    headers: Headers,
}

/// The same as JSON. A line that `local` has printed can be read again, so its `topic` is let through.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(default)]
    partition: Option<u32>,
    #[serde(default, borrow)]
    key: Option<&'a RawValue>,
    #[serde(default, borrow)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default, rename = "topic")]
    _topic: Option<IgnoredAny>,
}

impl Line {
    fn read(line: &[u8], partitions: u32) -> Result<Self, String> {
        // An array would be read as the fields in their order.
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err("the line is no record: expected an object".into());
        }
        let fields: Fields<'_> =
            serde_json::from_slice(line).map_err(|error| format!("the line is no record: {error}"))?;
        if let Some(partition) = fields.partition.filter(|partition| *partition >= partitions) {
            return Err(format!(
                "there is no partition {partition}: there are {partitions}; give more with --partitions"
            ));
        }
        let header = |(name, value): (String, String)| Header { name, value: Some(value.into_bytes()) };
        Ok(Self {
            partition: fields.partition,
            key: fields.key.map(bytes).transpose()?,
            value: fields.value.map(bytes).transpose()?,
            timestamp: fields.timestamp,
            headers: fields.headers.into_iter().map(header).collect(),
        })
    }
}

/// A JSON string is the text in it; any other JSON value is its own compact text.
fn bytes(json: &RawValue) -> Result<String, String> {
    match json.get() {
        text if text.starts_with('"') => serde_json::from_str(text).map_err(|error| format!("no text: {error}")),
        other => Ok(compact(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Line, String> {
        Line::read(text.as_bytes(), 4)
    }

    /// Key, value and timestamp.
    type Pushed = (Option<Vec<u8>>, Option<Vec<u8>>, Timestamp);

    fn pushed(text: &str, records: bool) -> Vec<Pushed> {
        let mut out = Outgoing::default();
        let format = Format { records, partitions: 4, now: Timestamp::from_millis(9) };
        push_line(&mut out, "t", text.as_bytes(), format).unwrap();
        out.iter()
            .map(|record| (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), record.timestamp))
            .collect()
    }

    #[test]
    fn a_plain_line_is_a_value_without_a_key() {
        assert_eq!(pushed("{ \"a\": 1 }", false), [(None, Some(b"{ \"a\": 1 }".to_vec()), Timestamp::from_millis(9))]);
        assert_eq!(pushed("", false), [(None, Some(Vec::new()), Timestamp::from_millis(9))]);
        assert_eq!(without_ending(b"a\r\n"), b"a");
        assert_eq!(without_ending(b"a"), b"a");
    }

    #[test]
    fn a_string_is_text_and_anything_else_its_compact_json() {
        let read = line(r#"{"key": "a b", "value": {"n": 1.50, "s": "x y"}, "timestamp": 5, "partition": 3}"#).unwrap();
        assert_eq!(read.key.as_deref(), Some("a b"));
        assert_eq!(read.value.as_deref(), Some(r#"{"n":1.50,"s":"x y"}"#));
        assert_eq!((read.timestamp, read.partition), (Some(5), Some(3)));
        assert_eq!(line(r#"{"key": 7, "value": "\u00e4\n"}"#).unwrap().value.as_deref(), Some("ä\n"));
        assert_eq!(line(r#"{"key": 7}"#).unwrap().key.as_deref(), Some("7"));
    }

    #[test]
    fn null_and_absent_are_null() {
        let read = line(r#"{"key": null}"#).unwrap();
        assert_eq!((read.key, read.value, read.timestamp), (None, None, None));
        assert_eq!(pushed(r#"{"value": null}"#, true), [(None, None, Timestamp::from_millis(9))]);
    }

    #[test]
    fn headers_are_an_object_of_strings() {
        let read = line(r#"{"headers": {"a": "1", "b": ""}}"#).unwrap();
        assert_eq!(read.headers.last("a"), Some(&b"1"[..]));
        assert_eq!(read.headers.last("b"), Some(&b""[..]));
        assert!(line(r#"{"headers": {"a": 1}}"#).is_err());
    }

    #[test]
    fn an_empty_line_among_records_is_nothing() {
        assert_eq!(pushed("  ", true), []);
    }

    #[test]
    fn a_misspelt_field_and_a_missing_partition_are_errors() {
        assert!(line(r#"{"timestmap": 1}"#).unwrap_err().contains("timestmap"));
        assert!(line(r#"{"partition": 4}"#).unwrap_err().contains("--partitions"));
        assert!(line("[1]").is_err());
    }

    struct Nowhere;

    impl Writer for Nowhere {
        fn send(&mut self, _: &Outgoing) -> Result<()> {
            Ok(())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_unreadable_line_says_file_and_line_and_a_missing_file_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in.jsonl");
        std::fs::write(&path, "{\"value\":1}\n{\"value\":\n").unwrap();
        let format = Format { records: true, partitions: 1, now: Timestamp::from_millis(0) };
        let error = feed(&mut Nowhere, "t", &path, format).unwrap_err().to_string();
        assert!(error.contains("in.jsonl:2: "), "{error}");
        let error = feed(&mut Nowhere, "t", &directory.path().join("none"), format).unwrap_err().to_string();
        assert!(error.contains("none for the topic t"), "{error}");
    }
}
