//! The last records of a topic, so many and no more: of a table the newest of each key, of a stream all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use super::shown;
use crate::broker::RawRecord;
use crate::topology::topics::TopicDescription;

/// How many records are kept, and how many one event has at most.
const RECORDS: usize = 500;
/// How many bytes of records are kept, about.
const BYTES: usize = 1 << 20;
/// How many bytes one event has, about.
const EVENT_BYTES: usize = 64 * 1024;

/// The last records.
pub(super) struct Board {
    of: TopicDescription,
    /// By their place in the order in which they were read.
    entries: BTreeMap<u64, Entry>,
    /// Of a table: the place of each key's newest record.
    newest: HashMap<Box<[u8]>, u64>,
    bytes: usize,
    read: u64,
}

struct Entry {
    key: Option<Box<[u8]>>,
    /// The record as JSON.
    json: Box<str>,
}

/// Records of a board, newest first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// A list in JSON.
    pub(super) json: String,
    /// Their places, newest first.
    places: Vec<u64>,
}

impl Selection {
    /// How many records of those from `seen` on up to `now` are not among them.
    pub(super) fn skipped(&self, seen: u64, now: u64) -> u64 {
        let shown = self.places.iter().take_while(|place| **place >= seen).count() as u64;
        now.saturating_sub(seen).saturating_sub(shown)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

impl Board {
    pub(super) fn new(of: TopicDescription) -> Self {
        Self { of, entries: BTreeMap::new(), newest: HashMap::new(), bytes: 0, read: 0 }
    }

    /// How many records have been read, those that were jumped over among them.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// A record is next.
    pub(super) fn take(&mut self, partition: u32, record: &RawRecord<'_>) {
        let place = self.read;
        self.read += 1;
        let key = record.key.filter(|_| self.of.keyed()).map(Box::from);
        if let Some(key) = key.as_ref().filter(|_| self.of.updates)
            && let Some(before) = self.newest.insert(Clone::clone(key), place)
        {
            self.remove(before);
        }
        let entry = Entry { key, json: shown::record(&self.of, partition, record).into_boxed_str() };
        self.bytes += entry.bytes();
        self.entries.insert(place, entry);
        while self.entries.len() > RECORDS || self.bytes > BYTES {
            let Some(oldest) = self.entries.first_key_value().map(|(place, _)| *place) else { break };
            self.remove(oldest);
        }
    }

    /// Forgets all records: they will be read again.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.newest.clear();
        self.bytes = 0;
    }

    /// So many records are not read.
    pub(super) fn jump(&mut self, records: u64) {
        self.read += records;
    }

    fn remove(&mut self, place: u64) {
        let Some(entry) = self.entries.remove(&place) else { return };
        self.bytes -= entry.bytes();
        if let Some(key) = &entry.key
            && self.newest.get(key) == Some(&place)
        {
            self.newest.remove(key);
        }
    }

    /// The records from the place `seen` on that fit into one event, newest first. Where not all of them fit, the newest of
    /// each key.
    pub(super) fn since(&self, seen: u64) -> Selection {
        let wanted = || self.entries.range(seen..).rev();
        let whole: usize = wanted().map(|(_, entry)| entry.json.len() + 1).sum();
        if whole <= EVENT_BYTES {
            return select(wanted());
        }
        let mut keys = HashSet::new();
        let newest = wanted().filter(|(_, entry)| entry.key.as_ref().is_none_or(|key| keys.insert(key)));
        select(newest)
    }
}

fn select<'e>(entries: impl Iterator<Item = (&'e u64, &'e Entry)>) -> Selection {
    let mut selection = Selection { json: "[".to_owned(), places: Vec::new() };
    for (place, Entry { json, .. }) in entries {
        let comma = if selection.is_empty() { "" } else { "," };
        // One may be too large for any event, and hides none of those before it. Whoever is left out is counted as skipped.
        if selection.json.len() + comma.len() + json.len() > EVENT_BYTES {
            continue;
        }
        // Writing to a string does not fail.
        let _ = write!(selection.json, "{comma}{json}");
        selection.places.push(*place);
    }
    selection.json.push(']');
    selection
}

impl Entry {
    /// With what it takes besides: places, and the key a second time.
    fn bytes(&self) -> usize {
        const BESIDE: usize = 128;
        self.json.len() + 2 * self.key.as_ref().map_or(0, |key| key.len()) + BESIDE
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::record::Headers;
    use crate::{Builder, NoKey, Timestamp, Topic};

    const SUMS: Topic<String, u64> = Topic::new("sums");
    const CLICKS: Topic<String, String> = Topic::new("clicks");
    const LINES: Topic<NoKey, String> = Topic::new("lines");

    fn board(topic: &str) -> Board {
        let b = Builder::new("t");
        b.table(SUMS).to(Topic::<String, u64>::new("out"));
        b.source(CLICKS).stream().for_each(|_, _| ());
        b.source(LINES).stream().for_each(|_, _| ());
        let topics = b.build().unwrap().described_topics();
        Board::new(topics.into_iter().find(|of| of.topic == topic).unwrap())
    }

    fn put(board: &mut Board, key: &str, value: &str) {
        let offset = i64::try_from(board.read()).unwrap();
        let timestamp = Some(Timestamp::from_millis(offset));
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        board.take(0, &RawRecord { offset, timestamp, key, value, headers: &Headers::NONE });
    }

    fn told(selection: &Selection) -> Vec<(String, String)> {
        let records: Vec<Value> = serde_json::from_str(&selection.json).unwrap();
        records.iter().map(|record| (record["k"].to_string(), record["v"].to_string())).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (format!("\"{key}\""), (*value).to_owned())).collect()
    }

    #[test]
    fn of_a_table_the_newest_record_of_each_key_is_kept_newest_first() {
        let mut board = board("sums");
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
            put(&mut board, key, value);
        }
        let all = board.since(0);
        assert_eq!(told(&all), pairs(&[("a", "3"), ("b", "2")]));
        assert_eq!(all.skipped(0, board.read()), 1);
        assert_eq!(all.skipped(2, board.read()), 0, "whoever saw the first two has missed nothing");
        assert_eq!(told(&board.since(2)), pairs(&[("a", "3")]));
        assert!(board.since(3).is_empty());
    }

    #[test]
    fn of_a_stream_all_records_are_kept_while_they_fit() {
        let mut board = board("clicks");
        for value in ["x", "y"] {
            put(&mut board, "a", value);
        }
        assert_eq!(told(&board.since(0)), pairs(&[("a", "\"y\""), ("a", "\"x\"")]));
    }

    #[test]
    fn a_topic_without_keys_is_not_conflated() {
        let mut board = board("lines");
        put(&mut board, "", "x");
        put(&mut board, "", "y");
        assert_eq!(board.since(0).places, [1, 0]);
    }

    #[test]
    fn a_stream_that_does_not_fit_is_conflated_by_key_and_says_how_much_it_leaves_out() {
        let mut board = board("clicks");
        let long = "x".repeat(1_000);
        for n in 0..200 {
            put(&mut board, &format!("k{}", n % 10), &long);
        }
        let selection = board.since(0);
        assert_eq!(selection.places.len(), 10);
        assert_eq!(selection.skipped(0, 200), 190);
        assert!(selection.json.len() <= EVENT_BYTES + 1);
    }

    #[test]
    fn a_record_that_is_too_large_for_an_event_hides_none_of_the_others() {
        let mut board = board("clicks");
        put(&mut board, "a", "x");
        let mut headers = Headers::NONE;
        headers.push("h", Some(vec![1; EVENT_BYTES / 5]));
        board.take(0, &RawRecord { offset: 1, timestamp: None, key: Some(b"b"), value: None, headers: &headers });
        assert!(board.entries[&1].json.len() > EVENT_BYTES, "JSON has six letters for each of such bytes");
        put(&mut board, "c", "z");
        let selection = board.since(0);
        assert_eq!(told(&selection), pairs(&[("c", "\"z\""), ("a", "\"x\"")]));
        assert_eq!(selection.skipped(0, board.read()), 1);
    }

    #[test]
    fn a_board_never_holds_more_than_its_bounds() {
        for (topic, keys) in [("sums", 2_000), ("clicks", 7), ("lines", 3)] {
            let mut board = board(topic);
            for n in 0..5_000 {
                let value = if topic == "sums" { n.to_string() } else { "y".repeat(n % 10_000) };
                put(&mut board, &format!("k{}", n % keys), &value);
                assert!(board.entries.len() <= RECORDS && board.bytes <= BYTES);
                assert!(board.newest.len() <= board.entries.len());
            }
            let sum: usize = board.entries.values().map(Entry::bytes).sum();
            assert_eq!(sum, board.bytes);
            assert!(board.since(0).json.len() <= EVENT_BYTES + 1);
        }
    }

    #[test]
    fn what_is_jumped_over_counts_as_left_out() {
        let mut board = board("sums");
        put(&mut board, "a", "1");
        board.jump(100);
        put(&mut board, "b", "2");
        assert_eq!(board.since(1).skipped(1, board.read()), 100);
    }
}
