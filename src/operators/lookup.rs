//! How the rows of a table's store are asked for from outside: where the rows of a key lie, and what they say as JSON.
//!
//! It works on bytes and asks nothing of the types but their codecs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::timed;
use super::window::{end_bytes, raw};
use crate::codec::{Codec, CodecError, Data, Key, Shown};
use crate::state::row;
use crate::time::Timestamp;
use crate::window::{Window, millis};

/// How a store can be asked.
#[derive(Clone, Copy)]
pub struct Lookup {
    shape: Shape,
    key: Format,
    value: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A row a key.
    Rows,
    /// A row a key and window, in order of the windows' ends, all of one size.
    ByEnd(i64),
    /// The same, with the window in the key as well.
    Given,
    /// All windows of a key in one row, beside timers.
    Spans,
}

/// A codec without its type.
#[derive(Clone, Copy)]
struct Format {
    show: fn(&[u8]) -> Result<Shown, CodecError>,
    parse: fn(&str) -> Result<Vec<u8>, CodecError>,
    unplaced: fn() -> usize,
}

impl Format {
    fn of<T: Data>() -> Self {
        Self {
            show: |bytes| T::Codec::default().show(bytes),
            parse: |text| T::Codec::default().parse(text),
            unplaced: || T::Codec::default().unplaced(),
        }
    }
}

/// The starts of the windows that are asked for, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starts {
    /// The first.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
}

impl Starts {
    /// All windows.
    pub const ALL: Self = Self { from: Timestamp::MIN, to: Timestamp::MAX };

    fn has(self, start: Timestamp) -> bool {
        self.from <= start && start <= self.to
    }
}

/// What a row says, or one window of it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The key.
    pub key: Shown,
    /// The first moment of the window, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_start: Option<Timestamp>,
    /// The first moment after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_end: Option<Timestamp>,
    /// The value; `None` is null.
    pub value: Option<Shown>,
    /// The event time of the newest record in it.
    pub timestamp: Timestamp,
}

/// What a search for a key's rows makes of a row that it has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is one of them.
    Take,
    /// It is not; the next one does not lie before these key bytes.
    Skip(Vec<u8>),
    /// There is none after it.
    End,
}

/// From which key bytes on the rows lie, and before which.
pub type Stretch = (Vec<u8>, Option<Vec<u8>>);

const TIME: usize = size_of::<i64>();

impl Lookup {
    /// A row a key.
    #[must_use]
    pub fn rows<K: Key, V: Data>() -> Self {
        Self { shape: Shape::Rows, key: Format::of::<K>(), value: Format::of::<V>() }
    }

    /// Windows of one size, a row each.
    #[must_use]
    pub fn windows<K: Key, V: Data>(size: Duration) -> Self {
        Self { shape: Shape::ByEnd(millis(size)), key: Format::of::<K>(), value: Format::of::<V>() }
    }

    /// Windows that are in the key, a row each.
    #[must_use]
    pub fn given<K: Key, V: Data>() -> Self {
        let key = Format { unplaced: || 0, ..Format::of::<K>() };
        Self { shape: Shape::Given, key, value: Format::of::<V>() }
    }

    /// Sessions and sliding windows: all of a key in one row.
    #[must_use]
    pub fn spans<K: Key, V: Data>() -> Self {
        Self { shape: Shape::Spans, key: Format::of::<K>(), value: Format::of::<V>() }
    }

    /// True where a key has windows.
    #[must_use]
    pub fn is_windowed(&self) -> bool {
        self.shape != Shape::Rows
    }

    /// The bytes of the key that a text stands for.
    ///
    /// # Errors
    /// When the text is no key of this store.
    pub fn parse(&self, text: &str) -> Result<Vec<u8>, CodecError> {
        (self.key.parse)(text)
    }

    /// The bytes of a key by which it was given its partition.
    #[must_use]
    pub fn placed<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        &key[..key.len().saturating_sub((self.key.unplaced)())]
    }

    /// Where all rows lie that a range of keys may hold, both ends included; only without windows.
    #[must_use]
    pub fn between(&self, from: Option<&[u8]>, to: Option<&[u8]>) -> Stretch {
        (from.unwrap_or_default().to_vec(), to.map(after))
    }

    /// Where all rows lie that have windows which start then.
    #[must_use]
    pub fn starting(&self, starts: Starts) -> Stretch {
        let end = |start: Timestamp, size| end_bytes(Timestamp::from_millis(start.millis().saturating_add(size)));
        match self.shape {
            Shape::Rows => (Vec::new(), None),
            Shape::Spans => (vec![timed::values().0], Some(vec![timed::values().1])),
            // The bytes of a last end with more behind them come after it, those of the next end do not.
            Shape::ByEnd(size) => {
                let to = Timestamp::from_millis(starts.to.millis().saturating_add(size));
                let to = (to < Timestamp::MAX).then(|| end(to, 1).to_vec());
                (end(starts.from, size).to_vec(), to)
            }
            // No window ends before it starts.
            Shape::Given => (end(starts.from, 0).to_vec(), None),
        }
    }

    /// Where the search for the rows of a key begins.
    #[must_use]
    pub fn seek(&self, key: &[u8], starts: Starts) -> Stretch {
        let exactly = |bytes: Vec<u8>| {
            let to = after(&bytes);
            (bytes, Some(to))
        };
        match self.shape {
            Shape::Rows => exactly(key.to_vec()),
            Shape::Spans => exactly(timed::value_key(key)),
            Shape::ByEnd(_) | Shape::Given => self.starting(starts),
        }
    }

    /// What the search for a key makes of the row under `at`. Where a row of its own stands for each window, the ends
    /// that have rows are gone through one by one, and all other keys of each are jumped over.
    #[must_use]
    pub fn step(&self, key: &[u8], at: &[u8]) -> Step {
        let Some((end, rest)) = at.split_first_chunk::<TIME>() else {
            return if self.by_end() { Step::End } else { Step::Take };
        };
        if !self.by_end() {
            return Step::Take;
        }
        let begin = self.row_key(*end, key);
        if self.inner(rest) == Some(key) && at.starts_with(&begin) {
            Step::Take
        } else if at < &begin[..] {
            Step::Skip(begin)
        } else if at.starts_with(&begin) {
            // A longer key.
            Step::Skip(after(at))
        } else {
            // Another key of the same end that lies behind: on to the next end.
            u64::from_be_bytes(*end).checked_add(1).map_or(Step::End, |next| Step::Skip(next.to_be_bytes().to_vec()))
        }
    }

    fn by_end(&self) -> bool {
        matches!(self.shape, Shape::ByEnd(_) | Shape::Given)
    }

    /// What the row of a key and an end is under, as far as the two decide it.
    fn row_key(&self, end: [u8; TIME], key: &[u8]) -> Vec<u8> {
        let mut bytes = [&end, key].concat();
        if self.shape == Shape::Given {
            // The bytes of an end sort, those in a windowed key do not.
            bytes.extend_from_slice(&(i64::from_be_bytes(end) ^ i64::MIN).to_be_bytes());
        }
        bytes
    }

    /// The key in what follows the end.
    fn inner<'k>(&self, rest: &'k [u8]) -> Option<&'k [u8]> {
        match self.shape {
            Shape::Given => rest.len().checked_sub(2 * TIME).map(|length| &rest[..length]),
            _ => Some(rest),
        }
    }

    /// What the row under `at` says: of its windows those that start as asked for.
    ///
    /// # Errors
    /// When the bytes are not of this store.
    pub fn show(&self, at: &[u8], row: &[u8], starts: Starts, into: &mut Vec<Entry>) -> Result<(), CodecError> {
        let (timestamp, value) = row::parts(row)?;
        match self.shape {
            Shape::Rows => into.push(self.entry(at, None, Some(value), timestamp)?),
            Shape::Spans => {
                let Some(mut windows) = timed::value_of(value)? else { return Ok(()) };
                let key = at.get(1..).unwrap_or_default();
                while !windows.is_empty() {
                    let span = raw(&mut windows).ok_or_else(|| CodecError::new("a damaged row of windows"))?;
                    if starts.has(span.window.start) {
                        into.push(self.entry(key, Some(span.window), span.value, span.newest)?);
                    }
                }
            }
            Shape::ByEnd(_) | Shape::Given => {
                let (key, window) = self.window(at).ok_or_else(|| CodecError::new("a row's key ends too early"))?;
                if starts.has(window.start) {
                    into.push(self.entry(key, Some(window), Some(value), timestamp)?);
                }
            }
        }
        Ok(())
    }

    /// The key and the window of a row that stands for one window.
    fn window<'k>(&self, at: &'k [u8]) -> Option<(&'k [u8], Window)> {
        let (end, rest) = at.split_first_chunk::<TIME>()?;
        let end = i64::from_be_bytes(*end) ^ i64::MIN;
        let start = match self.shape {
            Shape::ByEnd(size) => end.saturating_sub(size),
            _ => i64::from_be_bytes(*rest.last_chunk()?),
        };
        Some((self.inner(rest)?, Window::of_millis(start, end)))
    }

    fn entry(
        &self,
        key: &[u8],
        window: Option<Window>,
        value: Option<&[u8]>,
        timestamp: Timestamp,
    ) -> Result<Entry, CodecError> {
        Ok(Entry {
            key: (self.key.show)(key)?,
            window_start: window.map(|window| window.start),
            window_end: window.map(|window| window.end),
            value: value.map(self.value.show).transpose()?,
            timestamp,
        })
    }
}

/// The first key bytes after these.
fn after(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0]].concat()
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lookup").field(&self.shape).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::operators::timed::{Kept, Slot};
    use crate::operators::window::{RowKey, Span, Spans};
    use crate::state::Row;
    use crate::window::Windowed;

    const SIZE: Duration = Duration::from_millis(10);

    fn bytes<T: Data>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        T::Codec::default().encode(value, &mut out).unwrap();
        out
    }

    fn row<V: Data>(value: V, at: i64) -> Vec<u8> {
        let mut out = Vec::new();
        let row = Row { value, timestamp: Timestamp::from_millis(at) };
        row.encode(&V::Codec::default(), &mut out).unwrap();
        out
    }

    /// The search, over rows in memory; and how many rows it came to.
    fn search(lookup: &Lookup, rows: &BTreeMap<Vec<u8>, Vec<u8>>, key: &str, starts: Starts) -> (Vec<Entry>, usize) {
        let key = lookup.parse(key).unwrap();
        let (mut from, to) = lookup.seek(&key, starts);
        let (mut found, mut steps) = (Vec::new(), 0);
        while let Some((at, row)) =
            rows.range(from.clone()..).next().filter(|(at, _)| to.as_ref().is_none_or(|to| *at < to))
        {
            steps += 1;
            from = match lookup.step(&key, at) {
                Step::Take => {
                    lookup.show(at, row, starts, &mut found).unwrap();
                    after(at)
                }
                Step::Skip(next) => {
                    assert!(next > *at, "a search goes on");
                    next
                }
                Step::End => break,
            };
        }
        (found, steps)
    }

    fn starts(from: i64, to: i64) -> Starts {
        Starts { from: Timestamp::from_millis(from), to: Timestamp::from_millis(to) }
    }

    #[test]
    fn the_windows_of_a_key_are_found_among_those_of_all_others() {
        let seed = rand::random();
        println!("seed {seed}");
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let names = ["", "a", "aa", "a\0", "b", "ab", "\u{10ffff}", "z"];
        for _ in 0..200 {
            let (mut hopping, mut given, mut all) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
            for _ in 0..random.random_range(0..60) {
                let name = names[random.random_range(0..names.len())];
                let start = random.random_range(-20..20_i64) * 5;
                let window = Window::of_millis(start, start + 10);
                all.push((name, start));
                let value = row(u64::try_from(start + 1_000).unwrap(), start);
                let key = RowKey { end: window.end, key: name.to_owned() };
                hopping.insert(bytes(&key), value.clone());
                let key = RowKey { end: window.end, key: Windowed::new(name.to_owned(), window) };
                given.insert(bytes(&key), value);
            }
            all.sort_unstable();
            all.dedup();
            let asked = starts(random.random_range(-120..120), random.random_range(-120..120));
            let asked = if random.random_bool(0.3) { Starts::ALL } else { asked };
            for name in names {
                let expected: Vec<i64> = all
                    .iter()
                    .filter(|(other, start)| *other == name && asked.has(Timestamp::from_millis(*start)))
                    .map(|(_, start)| *start)
                    .collect();
                let lookups = [Lookup::windows::<String, u64>(SIZE), Lookup::given::<String, u64>()];
                for (lookup, rows) in lookups.iter().zip([&hopping, &given]) {
                    let (found, _) = search(lookup, rows, name, asked);
                    let found: Vec<i64> = found.iter().map(|entry| entry.window_start.unwrap().millis()).collect();
                    assert_eq!(found, expected, "{name:?} {asked:?} in {lookup:?}, seed {seed}");
                }
            }
        }
    }

    #[test]
    fn other_keys_are_jumped_over_and_not_gone_through() {
        let lookup = Lookup::windows::<String, u64>(SIZE);
        let key = |end, n: i32| RowKey { end: Timestamp::from_millis(end), key: format!("{n:05}") };
        let rows =
            [10, 20, 30].into_iter().flat_map(|end| (0..1_000).map(move |n| (bytes(&key(end, n)), row(1_u64, end))));
        let (found, steps) = search(&lookup, &rows.collect(), "00500", Starts::ALL);
        assert_eq!(found.len(), 3);
        assert!(steps <= 9, "it went through {steps} rows");
    }

    #[test]
    fn sessions_are_shown_one_by_one_and_timers_never() {
        let lookup = Lookup::spans::<String, String>();
        let span = |start: i64, value: &str| Span {
            window: Window::of_millis(start, start + 7),
            newest: Timestamp::from_millis(start + 6),
            closed: false,
            value: value.to_owned(),
            changed: 0,
            behind: 0,
        };
        let slot = |key: &str| Slot::Of(key.to_owned());
        let at = Timestamp::from_millis(99);
        let mut rows = BTreeMap::new();
        let kept = Kept::Of(at, Spans(vec![span(1, "one"), span(100, "two")]));
        rows.insert(bytes(&slot("a")), row(kept, 0));
        rows.insert(bytes(&Slot::Timer(at, "a".to_owned())), row(Kept::<Spans<String>>::Timer, 0));
        let (found, _) = search(&lookup, &rows, "a", Starts::ALL);
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(
            text,
            r#"[{"key":"a","window_start":1,"window_end":8,"value":"one","timestamp":7},{"key":"a","window_start":100,"window_end":107,"value":"two","timestamp":106}]"#
        );
        assert_eq!(search(&lookup, &rows, "a", starts(2, 100)).0.len(), 1);
        assert!(search(&lookup, &rows, "b", Starts::ALL).0.is_empty());
        let (from, to) = lookup.starting(Starts::ALL);
        assert_eq!(rows.range(from..to.unwrap()).count(), 1);
    }

    #[test]
    fn a_key_is_placed_without_its_window() {
        let lookup = Lookup::rows::<Windowed<String>, u64>();
        let key = lookup.parse(r#"{"key":"a","window_start":1,"window_end":2}"#).unwrap();
        assert_eq!(lookup.placed(&key), b"a");
        assert_eq!(Lookup::given::<String, u64>().placed(b"a"), b"a");
    }

    #[test]
    fn damaged_rows_are_errors() {
        for lookup in [Lookup::rows::<String, u64>(), Lookup::spans::<String, u64>(), Lookup::given::<String, u64>()] {
            for damaged in [&[][..], &[1], &[9, 0, 0], &[1, 0, 7, 1]] {
                assert!(lookup.show(b"key", damaged, Starts::ALL, &mut Vec::new()).is_err(), "{lookup:?} {damaged:?}");
            }
        }
    }
}
