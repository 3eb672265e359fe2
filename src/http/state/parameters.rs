//! What stands behind the question mark.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::answer::Problem;
use super::{MOST_ROWS, ROWS};
use crate::operators::lookup::Starts;
use crate::time::Timestamp;

/// Whose state is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    /// That of all processes.
    #[default]
    All,
    /// That of the process that is asked.
    Local,
}

/// All that a request may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Parameters {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    limit: Option<usize>,
    pub(super) scope: Scope,
    cursor: Option<String>,
    redirect: Option<String>,
    /// Between processes: which partitions are meant.
    partitions: Option<String>,
}

impl Parameters {
    pub(super) fn take(query: Result<Query<Self>, QueryRejection>) -> Result<Self, Problem> {
        query.map(|Query(parameters)| parameters).map_err(|error| Problem::wrong(error.body_text()))
    }

    /// How many rows.
    pub(super) fn rows(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(ROWS) {
            limit @ 1..=MOST_ROWS => Ok(limit),
            limit => Err(Problem::wrong(format!("limit is 1 to {MOST_ROWS}, and not {limit}"))),
        }
    }

    /// Which windows.
    pub(super) fn starts(&self) -> Result<Starts, Problem> {
        let time = |text: &Option<String>, other| text.as_deref().map_or(Ok(other), time);
        Ok(Starts { from: time(&self.from, Timestamp::MIN)?, to: time(&self.to, Timestamp::MAX)? })
    }

    /// Whether to be sent to the owner instead of being answered for it.
    pub(super) fn redirects(&self) -> bool {
        self.redirect.as_deref().is_some_and(|redirect| redirect != "0")
    }

    /// The bytes that a range goes on from.
    pub(super) fn cursor(&self) -> Result<Option<Vec<u8>>, Problem> {
        self.cursor.as_deref().map(from_base64).transpose()
    }

    /// The partitions that another process asks for.
    pub(super) fn partitions(&self) -> Result<Option<Vec<u32>>, Problem> {
        let numbers = |text: &str| text.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>();
        let wrong = |_| Problem::wrong("partitions are numbers with commas between them");
        self.partitions.as_deref().map(numbers).transpose().map_err(wrong)
    }
}

/// The parts of a path.
pub(super) fn path<T>(path: Result<Path<T>, PathRejection>) -> Result<T, Problem> {
    path.map(|Path(parts)| parts).map_err(|error| Problem::wrong(error.body_text()))
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, Problem> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Problem::wrong("a cursor is what `next` of an answer says"))
}

/// A time in milliseconds, or as RFC 3339 has it.
fn time(text: &str) -> Result<Timestamp, Problem> {
    if let Ok(millis) = text.parse() {
        return Ok(Timestamp::from_millis(millis));
    }
    let time = text.parse::<jiff::Timestamp>();
    time.map(|time| Timestamp::from_millis(time.as_millisecond())).map_err(|_| {
        Problem::wrong(format!("{text:?} is no time: give milliseconds since 1970, or 2022-08-31T08:00:00Z"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_or_rfc_3339() {
        assert_eq!(time("1661932800000").unwrap(), time("2022-08-31T08:00:00Z").unwrap());
        assert_eq!(time("-5").unwrap(), Timestamp::from_millis(-5));
        assert!(time("yesterday").unwrap_err().error.contains("no time"));
    }

    #[test]
    fn a_limit_has_its_limits() {
        let rows = |limit| Parameters { limit, ..Parameters::default() }.rows();
        assert_eq!(rows(None).unwrap(), ROWS);
        assert_eq!(rows(Some(MOST_ROWS)).unwrap(), MOST_ROWS);
        assert!(rows(Some(0)).is_err() && rows(Some(MOST_ROWS + 1)).is_err());
    }
}
