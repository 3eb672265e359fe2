//! The lines of an input file become records of a topic.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::broker::{Outgoing, OutgoingRecord, Partitioning, Writer};
use crate::cli::json::compact;
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

/// Which topic a line is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    /// All lines are for this one, whatever they say.
    To(&'a str),
    /// Each names its own; those of other topics than these are left out.
    ByLine(&'a [&'a str]),
}

/// How many lines of each topic were left out.
type LeftOut = BTreeMap<String, u64>;

/// So many records go to the writer at once.
const BATCH: usize = 1_000;

/// Writes the records of a file to their topics; `-` is standard input.
pub(super) fn feed(writer: &mut dyn Writer, route: Route<'_>, file: &Path, format: Format) -> Result<LeftOut> {
    let cannot = |error: io::Error| {
        let (whose, flag) = match route {
            Route::To(topic) => (format!(" for the topic {topic}"), "--input"),
            Route::ByLine(_) => (String::new(), "--input-records"),
        };
        Error::new(ErrorKind::Config, format!("cannot read {}{whose}", file.display()))
            .caused_by(error)
            .remedy(format!("check the FILE of {flag}"))
    };
    let mut reader: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(file).map_err(cannot)?)),
    };
    let (mut out, mut left_out) = (Outgoing::default(), LeftOut::new());
    let (mut line, mut number) = (Vec::new(), 0_usize);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(cannot)? == 0 {
            break;
        }
        number += 1;
        let pushed = push_line(&mut out, route, without_ending(&line), format);
        let strange = pushed.map_err(|message| {
            Error::new(ErrorKind::Config, format!("{}:{number}: {message}", file.display())).remedy("mend the line")
        })?;
        if let Some(topic) = strange {
            *left_out.entry(topic).or_default() += 1;
        }
        if out.len() >= BATCH {
            writer.send(&out)?;
            out.clear();
        }
    }
    writer.send(&out)?;
    writer.flush()?;
    Ok(left_out)
}

fn without_ending(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Appends the record of a line. Gives the topic of one that was left out.
fn push_line(out: &mut Outgoing, route: Route<'_>, line: &[u8], format: Format) -> Result<Option<String>, String> {
    match route {
        Route::To(topic) if !format.records => push_value(out, topic, line, format.now),
        // Among records an empty line is nothing.
        _ if line.trim_ascii().is_empty() => {}
        Route::To(topic) => push_record(out, topic, &Line::read(line)?, format)?,
        Route::ByLine(known) => {
            let line = Line::read(line)?;
            let topic = line.topic()?;
            if !known.contains(&topic.as_str()) {
                return Ok(Some(topic));
            }
            push_record(out, &topic, &line, format)?;
        }
    }
    Ok(None)
}

/// The line is the value; an empty line is an empty one.
fn push_value(out: &mut Outgoing, topic: &str, line: &[u8], timestamp: Timestamp) {
    let topic = out.topic(topic);
    out.push(&OutgoingRecord {
        topic,
        partitioning: Partitioning::ByKey,
        key: None,
        value: Some(line),
        timestamp,
        headers: &Headers::NONE,
        input: InputNumber(0),
    });
}

fn push_record(out: &mut Outgoing, topic: &str, line: &Line, format: Format) -> Result<(), String> {
    if let Some(partition) = line.partition.filter(|partition| *partition >= format.partitions) {
        return Err(format!(
            "there is no partition {partition}: there are {}; give more with --partitions",
            format.partitions
        ));
    }
    let topic = out.topic(topic);
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
    /// As JSON: where the file says which topic it is for, nothing is asked of it.
    topic: Option<String>,
    partition: Option<u32>,
    key: Option<String>,
    value: Option<String>,
    timestamp: Option<i64>,
    headers: Headers,
}

/// The same as JSON.
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
    headers: BTreeMap<String, Option<String>>,
    #[serde(default, borrow)]
    topic: Option<&'a RawValue>,
}

impl Line {
    fn read(line: &[u8]) -> Result<Self, String> {
        // An array would be read as the fields in their order.
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err("the line is no record: expected an object".into());
        }
        let fields: Fields<'_> =
            serde_json::from_slice(line).map_err(|error| format!("the line is no record: {error}"))?;
        let header = |(name, value): (String, Option<String>)| Header { name, value: value.map(String::into_bytes) };
        Ok(Self {
            topic: fields.topic.map(|topic| topic.get().to_owned()),
            partition: fields.partition,
            key: fields.key.map(bytes).transpose()?,
            value: fields.value.map(bytes).transpose()?,
            timestamp: fields.timestamp,
            headers: fields.headers.into_iter().map(header).collect(),
        })
    }

    /// The topic that the line names.
    fn topic(&self) -> Result<String, String> {
        let topic = self.topic.as_deref().ok_or("the line names no topic: say \"topic\", or use --input TOPIC=FILE")?;
        serde_json::from_str(topic).map_err(|_| format!("{topic} is no topic: expected a string"))
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
        Line::read(text.as_bytes())
    }

    fn format(records: bool) -> Format {
        Format { records, partitions: 4, now: Timestamp::from_millis(9) }
    }

    /// Key, value and timestamp.
    type Pushed = (Option<Vec<u8>>, Option<Vec<u8>>, Timestamp);

    fn pushed(text: &str, records: bool) -> Vec<Pushed> {
        let mut out = Outgoing::default();
        assert_eq!(push_line(&mut out, Route::To("t"), text.as_bytes(), format(records)), Ok(None));
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
        assert_eq!(line(r#"{"headers": {"a": null}}"#).unwrap().headers.iter().next().unwrap().value, None);
    }

    #[test]
    fn an_empty_line_among_records_is_nothing() {
        assert_eq!(pushed("  ", true), []);
    }

    #[test]
    fn a_misspelt_field_and_a_missing_partition_are_errors() {
        assert!(line(r#"{"timestmap": 1}"#).unwrap_err().contains("timestmap"));
        let beyond = push_line(&mut Outgoing::default(), Route::To("t"), br#"{"partition": 4}"#, format(true));
        assert!(beyond.unwrap_err().contains("--partitions"));
        assert!(line("[1]").is_err());
    }

    #[test]
    fn a_line_goes_to_the_topic_it_names_and_one_for_a_strange_topic_is_left_out() {
        let mut out = Outgoing::default();
        let mut push = |text: &str| push_line(&mut out, Route::ByLine(&["a", "b"]), text.as_bytes(), format(true));
        assert_eq!(push(r#"{"topic": "b", "value": 1}"#), Ok(None));
        assert_eq!(push(r#"{"topic": "c", "value": 2, "partition": 9}"#), Ok(Some("c".into())));
        assert_eq!(push(r#"{"topic": "a", "value": 3}"#), Ok(None));
        assert_eq!(push(""), Ok(None));
        assert!(push(r#"{"value": 4}"#).unwrap_err().contains("names no topic"));
        assert!(push(r#"{"topic": 5}"#).unwrap_err().contains("5 is no topic"));
        let topics: Vec<&str> = out.iter().map(|record| &**out.topic_name(record.topic)).collect();
        assert_eq!(topics, ["b", "a"]);
    }

    #[test]
    fn what_a_file_names_does_not_matter_where_the_command_line_names_the_topic() {
        assert_eq!(pushed(r#"{"topic": "other", "value": 1}"#, true).len(), 1);
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
        let format = format(true);
        let error = feed(&mut Nowhere, Route::To("t"), &path, format).unwrap_err().to_string();
        assert!(error.contains("in.jsonl:2: "), "{error}");
        let error = feed(&mut Nowhere, Route::To("t"), &directory.path().join("none"), format).unwrap_err().to_string();
        assert!(error.contains("none for the topic t"), "{error}");
        let error = feed(&mut Nowhere, Route::ByLine(&["t"]), &directory.path().join("none"), format).unwrap_err();
        assert!(error.to_string().contains("--input-records"), "{error}");
    }
}
