//! Small values of the command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::operators::source::BadInput;
use crate::time::Timestamp;

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// `TOPIC=FILE`.
pub(super) fn topic_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((topic, file)) if !topic.is_empty() && !file.is_empty() => Ok((topic.to_owned(), file.into())),
        _ => Err("expected TOPIC=FILE, such as demo.purchases=purchases.jsonl; - is standard input".into()),
    }
}

/// `100ms`, `10s`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 100ms, 10s or 5m"))
}

/// A share from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to 1, such as 0.05".into()),
    }
}

/// How many a second: more than nothing.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("expected a number above 0".into()),
    }
}

/// `2022-08-31T08:00:00Z`, or without a zone in UTC.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let local =
        || text.parse::<jiff::civil::DateTime>()?.to_zoned(jiff::tz::TimeZone::UTC).map(|time| time.timestamp());
    let time = text.parse::<jiff::Timestamp>().or_else(|_| local());
    time.map(|time| Timestamp::from_millis(time.as_millisecond()))
        .map_err(|error| format!("{error}; write it as 2022-08-31T08:00:00Z"))
}

/// What is to happen to input that cannot be used: `fail`, `skip` or `dead-letter=TOPIC`.
pub(super) fn bad_input(text: &str) -> Result<BadInput, String> {
    match text.split_once('=') {
        Some(("dead-letter", topic)) if !topic.is_empty() => Ok(BadInput::dead_letter(topic)),
        None if text == "fail" => Ok(BadInput::Fail),
        None if text == "skip" => Ok(BadInput::Skip),
        _ => Err("expected fail, skip or dead-letter=TOPIC".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_utc() {
        let eight = Timestamp::from_millis(1_661_932_800_000);
        for text in ["2022-08-31T08:00:00Z", "2022-08-31 08:00:00", "2022-08-31T10:00:00+02:00"] {
            assert_eq!(time(text), Ok(eight), "{text}");
        }
        assert!(time("yesterday").unwrap_err().contains("2022-08-31T08:00:00Z"));
    }

    #[test]
    fn only_the_first_equals_sign_separates() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("a").is_err() && pair("=a").is_err());
        assert_eq!(topic_file("t=-"), Ok(("t".into(), "-".into())));
        assert!(topic_file("t=").is_err());
    }

    #[test]
    fn a_share_and_a_rate_stay_in_their_range() {
        assert_eq!(share("0.5"), Ok(0.5));
        assert!(share("1.5").is_err() && share("NaN").is_err() && share("-0.1").is_err());
        assert!(rate("0").is_err() && rate("inf").is_err());
    }
}
