//! A time as the producers write it: "2022-08-31 08:00:34.721802", in UTC, to the microsecond.
//!
//! It is read once a record, so it is read by position: no format string, no allocation.

use std::fmt;
use std::ops::Range;

use millstream::Timestamp;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A time of the UTC calendar from the year 0 to 9999, as microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilTime(i64);

const MICROS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;

impl CivilTime {
    /// The last time that can be written: 9999-12-31 23:59:59.999999.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The time `micros` microseconds after 1970-01-01 00:00:00.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// A time as Kafka counts it. It can be written if it is of the years 0 to 9999.
    #[must_use]
    pub const fn from_timestamp(time: Timestamp) -> Self {
        Self(time.millis().saturating_mul(1_000))
    }

    /// Microseconds since 1970-01-01 00:00:00.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The same time as Kafka counts it, without what is finer than a millisecond.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        Timestamp::from_millis(self.0.div_euclid(1_000))
    }

    /// Reads "2022-08-31 08:00:34.721802"; the fraction may have one to six digits or be left out.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let separators = text.len() >= 19
            && text[4] == b'-'
            && text[7] == b'-'
            && matches!(text[10], b' ' | b'T')
            && text[13] == b':'
            && text[16] == b':';
        if !separators {
            return None;
        }
        let (year, month, day) = (digits(text, 0..4)?, digits(text, 5..7)?, digits(text, 8..10)?);
        let (hour, minute, second) = (digits(text, 11..13)?, digits(text, 14..16)?, digits(text, 17..19)?);
        let valid = (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        let seconds = day_number(year, month, day) * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second;
        valid.then_some(Self(seconds * MICROS_A_SECOND + fraction(&text[19..])?))
    }

    /// Writes it with six digits of fraction.
    fn write(self) -> [u8; 26] {
        let mut text = *b"0000-00-00 00:00:00.000000";
        let (seconds, micros) = (self.0.div_euclid(MICROS_A_SECOND), self.0.rem_euclid(MICROS_A_SECOND));
        let (days, second) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
        let (year, month, day) = civil_day(days);
        put(&mut text, 0..4, year);
        put(&mut text, 5..7, month);
        put(&mut text, 8..10, day);
        put(&mut text, 11..13, second / 3_600);
        put(&mut text, 14..16, second / 60 % 60);
        put(&mut text, 17..19, second % 60);
        put(&mut text, 20..26, micros);
        text
    }
}

fn digits(text: &[u8], range: Range<usize>) -> Option<i64> {
    text[range].iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn put(text: &mut [u8], range: Range<usize>, mut number: i64) {
    for digit in text[range].iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// The microseconds of ".721802", of ".72" or of nothing.
fn fraction(text: &[u8]) -> Option<i64> {
    match text {
        [] => Some(0),
        [b'.', digits_only @ ..] if (1..=6).contains(&digits_only.len()) => {
            let missing = 6 - u32::try_from(digits_only.len()).ok()?;
            Some(digits(text, 1..text.len())? * 10_i64.pow(missing))
        }
        _ => None,
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, with the year begun in March so that a leap day is its last.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The year, month and day of a day number; the inverse of [`day_number`].
fn civil_day(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

impl fmt::Display for CivilTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.write()))
    }
}

impl Serialize for CivilTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.write()).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for CivilTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = CivilTime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"2022-08-31 08:00:34.721802\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CivilTime, E> {
                CivilTime::parse(text.as_bytes()).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// A time that is written with no more digits of fraction than it needs, but `LEAST` at least: "2016-03-25 01:01:20" with
/// none, "2016-03-25 01:01:20.120" with 3. It is read as any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct ShortTime<const LEAST: usize>(pub CivilTime);

impl<const LEAST: usize> ShortTime<LEAST> {
    /// The time that Kafka counts as `timestamp`.
    #[must_use]
    pub const fn at(timestamp: Timestamp) -> Self {
        Self(CivilTime::from_timestamp(timestamp))
    }

    /// Hands its text to `f`.
    fn with_text<R>(self, f: impl FnOnce(&str) -> R) -> R {
        let text = self.0.write();
        let (whole, fraction) = text.split_at(20);
        let needed = fraction.iter().rposition(|digit| *digit != b'0').map_or(0, |place| place + 1).max(LEAST);
        let end = if needed == 0 { whole.len() - 1 } else { whole.len() + needed };
        f(&String::from_utf8_lossy(&text[..end.min(text.len())]))
    }
}

impl<const LEAST: usize> fmt::Display for ShortTime<LEAST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl<const LEAST: usize> Serialize for ShortTime<LEAST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_and_writes_what_the_calendar_says() {
        let mut micros = -62_167_219_200_000_000;
        while micros < 253_402_300_799_000_000 {
            let time = CivilTime(micros);
            let calendar = millstream_calendar(micros);
            assert_eq!(time.to_string(), calendar);
            assert_eq!(CivilTime::parse(calendar.as_bytes()), Some(time));
            // A prime step, so that every month, hour and digit comes up.
            micros += 86_399_999_999_989 * 7;
        }
    }

    /// The same by another implementation of the calendar.
    fn millstream_calendar(micros: i64) -> String {
        let time = jiff::Timestamp::from_microsecond(micros).unwrap().to_string();
        let (seconds, fraction) = time.trim_end_matches('Z').split_at(19);
        format!("{}.{:0<6}", seconds.replace('T', " "), fraction.trim_start_matches('.'))
    }

    #[test]
    fn the_fraction_may_be_short_or_left_out() {
        let micros = |text: &str| CivilTime::parse(text.as_bytes()).map(|time| time.micros() % MICROS_A_SECOND);
        assert_eq!(micros("2022-08-31 08:00:34"), Some(0));
        assert_eq!(micros("2022-08-31 08:00:34.5"), Some(500_000));
        assert_eq!(micros("2022-08-31T08:00:34.721802"), Some(721_802));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2022-08-31",
            "2022-02-29 00:00:00",
            "2022-13-01 00:00:00",
            "2022-00-01 00:00:00",
            "2022-04-31 00:00:00",
            "2022-08-31 24:00:00",
            "2022-08-31 08:60:00",
            "2022-08-31 08:00:60",
            "2022-08-31 08:00:34.",
            "2022-08-31 08:00:34.1234567",
            "2022-08-31 08:00:34Z",
            "2022-08-31 08:00:3x",
            "+022-08-31 08:00:34",
        ] {
            assert_eq!(CivilTime::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_timestamp_is_the_millisecond_it_lies_in() {
        let time = CivilTime::parse(b"1970-01-01 00:00:01.999999").unwrap();
        assert_eq!(time.timestamp(), Timestamp::from_millis(1_999));
        assert_eq!(CivilTime::from_micros(-1).timestamp(), Timestamp::from_millis(-1));
        assert_eq!(CivilTime::from_timestamp(time.timestamp()).to_string(), "1970-01-01 00:00:01.999000");
        assert_eq!(CivilTime::MAX.to_string(), "9999-12-31 23:59:59.999999");
    }

    #[test]
    fn a_short_time_has_the_digits_that_it_needs_and_not_less_than_it_is_to_have() {
        let time = |text: &str| CivilTime::parse(text.as_bytes()).unwrap();
        for (text, none, three) in [
            ("2016-03-25 01:01:20", "2016-03-25 01:01:20", "2016-03-25 01:01:20.000"),
            ("2016-03-25 01:01:20.5", "2016-03-25 01:01:20.5", "2016-03-25 01:01:20.500"),
            ("2016-03-25 01:01:20.123", "2016-03-25 01:01:20.123", "2016-03-25 01:01:20.123"),
            ("2016-03-25 01:01:20.123400", "2016-03-25 01:01:20.1234", "2016-03-25 01:01:20.1234"),
        ] {
            assert_eq!(ShortTime::<0>(time(text)).to_string(), none);
            assert_eq!(ShortTime::<3>(time(text)).to_string(), three);
            assert_eq!(serde_json::to_string(&ShortTime::<3>(time(text))).unwrap(), format!("{three:?}"));
            assert_eq!(time(none), time(three));
        }
    }
}
