//! The records as lines of standard output.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::broker::partitioner::partition_of;
use crate::broker::{Outgoing, OutgoingRecord, Partitioning, Writer};
use crate::cli::line::Line;
use crate::cli::signals::Stop;
use crate::error::{Error, ErrorKind, Result};

/// Writes records as lines. A reader that goes away (`| head`) stops the program and is no error: it had what it wanted.
pub(super) struct Lines<W> {
    out: W,
    only: Vec<String>,
    /// How many partitions the topics have; `None` leaves it open where a record goes.
    partitions: Option<u32>,
    /// By topic, how many records without a key it got: they go to its partitions in turn.
    in_turn: BTreeMap<String, u32>,
    stop: Stop,
}

impl<W: Write + Send> Lines<W> {
    /// Writes to `out` the records of the topics `only`; all where it is empty.
    pub(super) fn new(out: W, only: Vec<String>, partitions: Option<u32>, stop: Stop) -> Self {
        Self { out, only, partitions, in_turn: BTreeMap::new(), stop }
    }

    /// The partition of a record, as Kafka's producers choose it.
    fn partition(&mut self, topic: &str, record: &OutgoingRecord<'_>) -> Option<u32> {
        if let Partitioning::Fixed(partition) = record.partitioning {
            return Some(partition);
        }
        let partitions = self.partitions?;
        if let Some(key) = record.partitioning.placed(record.key) {
            return Some(partition_of(key, partitions));
        }
        let next = self.in_turn.entry(topic.to_owned()).or_default();
        let partition = *next;
        *next = (partition + 1) % partitions;
        Some(partition)
    }
}

impl<W: Write + Send> Writer for Lines<W> {
    fn send(&mut self, records: &Outgoing) -> Result<()> {
        let mut text = String::new();
        for record in records.iter() {
            let topic = records.topic_name(record.topic);
            if !self.only.is_empty() && !self.only.iter().any(|only| **only == **topic) {
                continue;
            }
            let partition = self.partition(topic, &record);
            let OutgoingRecord { key, value, timestamp, headers, .. } = record;
            text += &Line { topic, partition, key, value, timestamp: Some(timestamp.millis()), headers }.text()?;
        }
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.stop.ask();
                Ok(())
            }
            written => written
                .map_err(|error| Error::new(ErrorKind::Config, "cannot write to standard output").caused_by(error)),
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Headers, InputNumber};
    use crate::time::Timestamp;

    fn outgoing(records: &[(&str, Option<&str>, &str)]) -> Outgoing {
        let mut out = Outgoing::default();
        for (topic, key, value) in records {
            let topic = out.topic(topic);
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::ByKey,
                key: key.map(str::as_bytes),
                value: Some(value.as_bytes()),
                timestamp: Timestamp::from_millis(7),
                headers: &Headers::NONE,
                input: InputNumber(0),
            });
        }
        out
    }

    fn written(only: &[&str], partitions: Option<u32>, records: &[(&str, Option<&str>, &str)]) -> String {
        let only = only.iter().map(|topic| (*topic).to_owned()).collect();
        let mut lines = Lines::new(Vec::new(), only, partitions, Stop::default());
        lines.send(&outgoing(records)).unwrap();
        String::from_utf8(lines.out).unwrap()
    }

    #[test]
    fn a_record_is_a_line_and_what_is_no_json_a_string() {
        assert_eq!(
            written(&[], None, &[("a", None, "{\"n\":1.50}"), ("b", Some("k"), "{\"n\":1.")]),
            "{\"topic\":\"a\",\"key\":null,\"value\":{\"n\":1.50},\"timestamp\":7}\n\
             {\"topic\":\"b\",\"key\":\"k\",\"value\":\"{\\\"n\\\":1.\",\"timestamp\":7}\n"
        );
    }

    #[test]
    fn only_the_topics_that_are_asked_for_are_written() {
        let text = written(&["b"], None, &[("a", None, "1"), ("b", None, "2"), ("c", None, "3")]);
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("\"topic\":\"b\""), "{text}");
    }

    #[test]
    fn records_without_a_key_go_to_each_topics_partitions_in_turn_and_others_by_their_key() {
        let records =
            [("a", None, "1"), ("b", None, "1"), ("a", None, "1"), ("a", Some("foobar"), "1"), ("a", None, "1")];
        let text = written(&[], Some(2), &records);
        let partitions: Vec<&str> =
            text.lines().map(|line| line.split_once("\"partition\":").unwrap().1).map(|rest| &rest[..1]).collect();
        let keyed = partition_of(b"foobar", 2).to_string();
        assert_eq!(partitions, ["0", "0", "1", &keyed, "0"]);
    }

    /// A pipe whose reader has gone, or a disk that is full.
    struct Fails(io::ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_stops_the_generator_and_a_full_disk_is_an_error() {
        let stop = Stop::default();
        let mut lines = Lines::new(Fails(io::ErrorKind::BrokenPipe), Vec::new(), None, stop.clone());
        lines.send(&outgoing(&[("a", None, "1")])).unwrap();
        assert!(stop.asked());
        let mut lines = Lines::new(Fails(io::ErrorKind::StorageFull), Vec::new(), None, Stop::default());
        assert!(lines.send(&outgoing(&[("a", None, "1")])).unwrap_err().to_string().contains("standard output"));
    }
}
