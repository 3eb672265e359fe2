//! How many clicks fell into which second, and from when on they count.
//!
//! At the end of each second, time `t`, the clicks of the window before it are counted: those of the seconds from
//! `t - window` to `t - 1`. A click that was late has missed the first of its windows and is in the others. Which ones it
//! has missed is part of the tally, so that tallies can be added up in any order before anything is counted.

use std::collections::BTreeMap;

use millstream::codec::varint::{read_i64, read_u64, write_i64, write_u64};
use millstream::{Codec, CodecError, Data};

/// How long clicks count, and how long they are remembered, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// So many windows, each one second further on, count a click.
    pub window: i64,
    /// So long after its last click something that has fallen silent is still told.
    pub silent: i64,
}

impl Span {
    /// The last time at which clicks of a second are told of. The last one that is told is a zero.
    fn last_told(self, second: i64) -> i64 {
        second.saturating_add(self.silent.max(self.window.saturating_add(1)))
    }

    fn last_counted(self, second: i64) -> i64 {
        second.saturating_add(self.window)
    }
}

/// The clicks of one second that have missed equally many windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Clicks {
    second: i64,
    missed: i64,
    count: u64,
}

impl Clicks {
    /// The first time at which they are counted.
    fn first(&self) -> i64 {
        self.second.saturating_add(1).saturating_add(self.missed)
    }
}

/// Clicks by second and by how many windows they have missed, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<Clicks>);

impl Tally {
    /// One click.
    pub fn one(second: i64, missed: i64) -> Self {
        Self(vec![Clicks { second, missed, count: 1 }])
    }

    /// Adds another tally; in whichever order and grouping tallies are added, the result is the same.
    pub fn add(&mut self, more: Self) {
        for clicks in more.0 {
            match self.0.binary_search_by_key(&(clicks.second, clicks.missed), |own| (own.second, own.missed)) {
                Ok(place) => self.0[place].count = self.0[place].count.saturating_add(clicks.count),
                Err(place) => self.0.insert(place, clicks),
            }
        }
    }

    /// Takes the clicks out of all windows up to `told`, which have been told; gives how often a click missed one by it.
    pub fn miss(&mut self, told: i64, span: Span) -> u64 {
        let (mut lost, clicks) = (0_u64, std::mem::take(self));
        for mut clicks in clicks.0 {
            let missed = told.saturating_sub(clicks.second).clamp(clicks.missed, span.window.max(clicks.missed));
            let more = u64::try_from(missed - clicks.missed).unwrap_or(0);
            lost = lost.saturating_add(more.saturating_mul(clicks.count));
            clicks.missed = missed;
            if missed < span.window {
                self.add(Self(vec![clicks]));
            }
        }
        lost
    }

    /// Forgets what nothing after `told` depends on.
    pub fn forget(&mut self, told: i64, span: Span) {
        let past = self.0.partition_point(|clicks| span.last_counted(clicks.second) <= told);
        // The newest of what no longer counts still says how long the silence has lasted.
        self.0.drain(..past.saturating_sub(1));
    }

    /// How many clicks the window that ends at `time` has; `None` where nothing is to be told of it.
    pub fn count_at(&self, time: i64, span: Span) -> Option<u64> {
        let mut begun = self.0.iter().filter(|clicks| clicks.first() <= time).peekable();
        begun.peek()?;
        let (mut count, mut newest) = (0_u64, i64::MIN);
        for clicks in begun {
            newest = newest.max(clicks.second);
            if time <= span.last_counted(clicks.second) {
                count = count.saturating_add(clicks.count);
            }
        }
        (time <= span.last_told(newest)).then_some(count)
    }

    /// The first time after `time` from which on there is more to count.
    pub fn next_after(&self, time: i64) -> Option<i64> {
        self.0.iter().map(Clicks::first).filter(|first| *first > time).min()
    }
}

/// Tallies by referrer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByReferrer(pub BTreeMap<String, Tally>);

impl ByReferrer {
    /// The tally of one referrer.
    pub fn one(referrer: String, tally: Tally) -> Self {
        Self(BTreeMap::from([(referrer, tally)]))
    }

    /// Adds others, in any order.
    pub fn add(&mut self, more: Self) {
        for (referrer, tally) in more.0 {
            self.0.entry(referrer).or_default().add(tally);
        }
    }
}

/// The codec of [`Tally`] and [`ByReferrer`]: numbers of variable length, seconds as distances from the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct TallyCodec;

/// The first byte: another layout gets another number.
const LAYOUT: u8 = 1;

impl Data for Tally {
    type Codec = TallyCodec;
}

impl Data for ByReferrer {
    type Codec = TallyCodec;
}

impl Codec<Tally> for TallyCodec {
    fn encode(&self, value: &Tally, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(LAYOUT);
        write_tally(value, out);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Tally, CodecError> {
        whole(bytes, read_tally)
    }
}

impl Codec<ByReferrer> for TallyCodec {
    fn encode(&self, value: &ByReferrer, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(LAYOUT);
        write_u64(value.0.len() as u64, out);
        for (referrer, tally) in &value.0 {
            write_u64(referrer.len() as u64, out);
            out.extend_from_slice(referrer.as_bytes());
            write_tally(tally, out);
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<ByReferrer, CodecError> {
        whole(bytes, |rest| {
            let mut tallies = BTreeMap::new();
            for _ in 0..read_u64(rest)? {
                let referrer = read_text(rest)?;
                tallies.insert(referrer, read_tally(rest)?);
            }
            Ok(ByReferrer(tallies))
        })
    }
}

fn damaged(what: &str) -> CodecError {
    CodecError::new(format!("not a tally: {what}"))
}

/// Reads all of `bytes` with `read`.
fn whole<T>(bytes: &[u8], read: impl FnOnce(&mut &[u8]) -> Result<T, CodecError>) -> Result<T, CodecError> {
    let Some((&LAYOUT, mut rest)) = bytes.split_first() else { return Err(damaged("its layout is not known")) };
    let value = read(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(damaged("bytes are left over")) }
}

fn write_tally(tally: &Tally, out: &mut Vec<u8>) {
    write_u64(tally.0.len() as u64, out);
    let mut before = 0;
    for Clicks { second, missed, count } in &tally.0 {
        write_i64(second.wrapping_sub(before), out);
        write_i64(*missed, out);
        write_u64(*count, out);
        before = *second;
    }
}

fn read_tally(rest: &mut &[u8]) -> Result<Tally, CodecError> {
    let (mut all, mut before) = (Vec::new(), 0_i64);
    for _ in 0..read_u64(rest)? {
        let second = before.wrapping_add(read_i64(rest)?);
        all.push(Clicks { second, missed: read_i64(rest)?, count: read_u64(rest)? });
        before = second;
    }
    if all.is_sorted_by(|one, next| (one.second, one.missed) < (next.second, next.missed)) {
        Ok(Tally(all))
    } else {
        Err(damaged("its seconds are out of order"))
    }
}

fn read_text(rest: &mut &[u8]) -> Result<String, CodecError> {
    let length = usize::try_from(read_u64(rest)?).map_err(|_| damaged("a name is too long"))?;
    let (text, after) = rest.split_at_checked(length).ok_or_else(|| damaged("it ends within a name"))?;
    *rest = after;
    String::from_utf8(text.to_vec()).map_err(|_| damaged("a name is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { window: 3, silent: 6 };

    fn counts(tally: &Tally, times: std::ops::RangeInclusive<i64>) -> Vec<Option<u64>> {
        times.map(|time| tally.count_at(time, SPAN)).collect()
    }

    fn sum(tallies: impl IntoIterator<Item = Tally>) -> Tally {
        tallies.into_iter().fold(Tally::default(), |mut sum, more| {
            sum.add(more);
            sum
        })
    }

    #[test]
    fn a_click_is_in_each_window_that_spans_it_and_then_its_silence_is_told() {
        let counted = counts(&Tally::one(10, 0), 10..=17);
        assert_eq!(counted, [None, Some(1), Some(1), Some(1), Some(0), Some(0), Some(0), None]);
        let at_least_one_zero = Span { window: 3, silent: 0 };
        let tally = Tally::one(10, 0);
        assert_eq!(
            (13..=15).map(|t| tally.count_at(t, at_least_one_zero)).collect::<Vec<_>>(),
            [Some(1), Some(0), None]
        );
    }

    #[test]
    fn a_late_click_is_in_the_windows_that_it_has_not_missed() {
        let tally = sum([Tally::one(10, 0), Tally::one(10, 2), Tally::one(11, 0)]);
        assert_eq!(counts(&tally, 11..=15), [Some(1), Some(2), Some(3), Some(1), Some(0)]);
    }

    #[test]
    fn a_gap_longer_than_the_silence_is_not_told() {
        let tally = sum([Tally::one(0, 0), Tally::one(20, 0)]);
        assert_eq!(counts(&tally, 6..=8), [Some(0), None, None]);
        assert_eq!((tally.next_after(7), tally.count_at(21, SPAN)), (Some(21), Some(1)));
    }

    #[test]
    fn tallies_may_be_added_in_any_order() {
        let tallies = [Tally::one(3, 1), Tally::one(2, 0), Tally::one(3, 0), Tally::one(2, 0), Tally::one(1, 2)];
        let all = sum(tallies.clone());
        let (left, right) = tallies.split_at(2);
        assert_eq!(sum([sum(right.iter().rev().cloned()), sum(left.iter().cloned())]), all);
        assert_eq!(all.count_at(4, SPAN), Some(4));
    }

    #[test]
    fn windows_that_have_been_told_are_missed_and_counted_as_that() {
        let mut tally = sum([Tally::one(10, 0), Tally::one(10, 2), Tally::one(8, 0), Tally::one(12, 0)]);
        // The windows up to 12 are gone: of the click of 10 those that end at 11 and 12, of that of 8 all three.
        assert_eq!(tally.miss(12, SPAN), 2 + 3);
        assert_eq!(counts(&tally, 11..=14), [None, None, Some(3), Some(1)]);
        assert_eq!(tally.miss(12, SPAN), 0);
    }

    #[test]
    fn what_is_forgotten_changes_nothing_that_is_still_to_be_told() {
        let whole = sum((0..12).flat_map(|second| [Tally::one(second, 0), Tally::one(second, second % 3)]));
        for told in 0..14 {
            let mut tally = whole.clone();
            tally.forget(told, SPAN);
            assert_eq!(counts(&tally, told + 1..=30), counts(&whole, told + 1..=30), "after {told}");
        }
        let mut tally = whole;
        tally.forget(30, SPAN);
        assert_eq!(tally.0.len(), 1);
    }

    #[test]
    fn a_tally_is_read_as_it_was_written_and_its_bytes_stay_as_they_are() {
        let tally = sum([Tally::one(1_700_000_000, 0), Tally::one(1_700_000_000, 0), Tally::one(1_700_000_001, 3)]);
        let mut bytes = Vec::new();
        TallyCodec.encode(&tally, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 128, 196, 159, 213, 12, 0, 2, 2, 6, 1]);
        assert_eq!(TallyCodec.decode(&bytes), Ok(tally.clone()));
        let by_referrer =
            ByReferrer(BTreeMap::from([("amazon".to_owned(), tally), ("bing".to_owned(), Tally::default())]));
        let mut bytes = Vec::new();
        TallyCodec.encode(&by_referrer, &mut bytes).unwrap();
        assert_eq!(TallyCodec.decode(&bytes), Ok(by_referrer));
        for end in 0..bytes.len() {
            let cut: Result<ByReferrer, _> = TallyCodec.decode(&bytes[..end]);
            assert!(cut.is_err(), "cut at {end}");
        }
    }
}
