//! How generators write their records: with keys or without, whole or broken, once or twice.

use millstream::broker::{Outgoing, OutgoingRecord, Partitioning};
use millstream::generate::Options;
use millstream::record::InputNumber;
use millstream::{Error, ErrorKind, Headers, Result, Timestamp};
use serde::Serialize;

use super::civil::CivilTime;
use super::faults::Fault;

/// Refuses a rate at which no event time can be given.
///
/// # Errors
/// When it is not a positive number.
pub fn check_rate(options: &Options, what: &str) -> Result<()> {
    if options.rate.is_finite() && options.rate > 0.0 {
        return Ok(());
    }
    let message = format!("a rate of {} {what} a second is not possible", options.rate);
    Err(Error::new(ErrorKind::Config, message).remedy("give a positive --rate"))
}

/// The event time of the `number`-th record at the rate: it has a slot of its own, and lies `within` of it, from 0 to 1.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "far from 2^52 microseconds")]
#[must_use]
pub fn slot(options: &Options, number: u64, within: f64) -> CivilTime {
    let since_start = ((number as f64 + within) * (1_000_000.0 / options.rate)) as i64;
    CivilTime::from_micros(options.start.millis().saturating_mul(1_000).saturating_add(since_start))
}

/// Appends a record without a key, as its fault has it: its value cut off in the middle, or all of it twice.
///
/// # Errors
/// When `encode`, which appends the value's bytes to what it is given, cannot write it.
pub fn write_faulty(
    out: &mut Outgoing,
    topic: &str,
    time: Timestamp,
    fault: Fault,
    encode: impl Fn(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    write_keyed(out, topic, None, time, fault, encode)
}

/// The same with a key, or without one.
///
/// # Errors
/// As [`write_faulty`].
pub fn write_keyed(
    out: &mut Outgoing,
    topic: &str,
    key: Option<&[u8]>,
    time: Timestamp,
    fault: Fault,
    encode: impl Fn(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    for _ in 0..=u8::from(fault.duplicate) {
        let record = record(out, topic, time);
        out.encode(
            &record,
            |bytes| {
                bytes.extend_from_slice(key.unwrap_or_default());
                Ok(key.is_some())
            },
            |bytes| {
                let start = bytes.len();
                encode(bytes)?;
                if fault.broken {
                    bytes.truncate(start + (bytes.len() - start) / 2);
                }
                Ok::<_, Error>(true)
            },
        )?;
    }
    Ok(())
}

/// Appends `value` as JSON to `bytes`.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn json(value: &impl Serialize, bytes: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(bytes, value).map_err(|error| {
        Error::new(ErrorKind::Internal, "a generated record could not be written as JSON").caused_by(error)
    })
}

/// A record without key or value.
fn record(out: &mut Outgoing, topic: &str, timestamp: Timestamp) -> OutgoingRecord<'static> {
    OutgoingRecord {
        topic: out.topic(topic),
        partitioning: Partitioning::ByKey,
        key: None,
        value: None,
        timestamp,
        headers: &Headers::NONE,
        input: InputNumber(0),
    }
}
