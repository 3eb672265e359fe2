//! A line of a device: "1,65,2016-03-25 01:01:20", which is `device_id,temperature,timestamp`.
//!
//! Fields are parted by commas and not quoted: none of them can hold one. Blanks around a field are not part of it, and what
//! follows the third is not looked at.

use millstream::{Codec, CodecError, Data};
use rust_decimal::Decimal;

use crate::topologies::civil::{CivilTime, ShortTime};

/// A time as the devices write it: to the second, "2016-03-25 01:01:20".
pub type MeasurementTime = ShortTime<0>;

/// How hot a device runs, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The device; `None` where the field is empty.
    pub device_id: Option<String>,
    /// How hot it runs.
    pub temperature: Decimal,
    /// When it was measured.
    pub timestamp: MeasurementTime,
}

impl Data for Measurement {
    type Codec = Line;
}

/// The codec of [`Measurement`]: a line of text. What it cannot read is `unreadable`, and the reason names the field.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line;

impl Codec<Measurement> for Line {
    fn encode(&self, value: &Measurement, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let Measurement { device_id, temperature, timestamp } = value;
        let line = format!("{},{temperature},{timestamp}", device_id.as_deref().unwrap_or_default());
        out.extend_from_slice(line.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Measurement, CodecError> {
        let line = std::str::from_utf8(bytes).map_err(|_| CodecError::new("the line is not UTF-8"))?;
        let mut fields = line.split(',').map(str::trim);
        let mut next = |name| fields.next().ok_or_else(|| CodecError::new(format!("the line has no field {name}")));
        let (device_id, temperature, timestamp) = (next("device_id")?, next("temperature")?, next("timestamp")?);
        let is_not = |name, text: &str, what| CodecError::new(format!("the field {name} is not {what}: {text:?}"));
        Ok(Measurement {
            device_id: (!device_id.is_empty()).then(|| device_id.to_owned()),
            temperature: Decimal::from_str_exact(temperature)
                .map_err(|_| is_not("temperature", temperature, "a number"))?,
            timestamp: CivilTime::parse(timestamp.as_bytes())
                .map(ShortTime)
                .ok_or_else(|| is_not("timestamp", timestamp, "a time such as \"2016-03-25 01:01:20\""))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Measurement, String> {
        Line.decode(line.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_is_read_and_written_again() {
        for line in ["1,65,2016-03-25 01:01:20", "pump 7,-3.50,2016-03-25 01:01:20.25", ",0,1970-01-01 00:00:00"] {
            let mut written = Vec::new();
            Line.encode(&read(line).unwrap(), &mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), line);
        }
        assert_eq!(read(",0,1970-01-01 00:00:00").unwrap().device_id, None);
    }

    #[test]
    fn blanks_around_fields_and_what_comes_after_them_do_not_matter() {
        let plain = read("1,65,2016-03-25 01:01:20").unwrap();
        assert_eq!(read(" 1 , 65,2016-03-25 01:01:20\r"), Ok(plain.clone()));
        assert_eq!(read("1,65,2016-03-25 01:01:20,hall 3"), Ok(plain));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (line, reason) in [
            ("", "the line has no field temperature"),
            ("1,65", "the line has no field timestamp"),
            ("device_id,temperature,timestamp", "the field temperature is not a number: \"temperature\""),
            ("1,,2016-03-25 01:01:20", "the field temperature is not a number: \"\""),
            ("1,NaN,2016-03-25 01:01:20", "the field temperature is not a number: \"NaN\""),
            ("1,65,2016-03-25", "the field timestamp is not a time such as \"2016-03-25 01:01:20\": \"2016-03-25\""),
            (
                "1,65,\"2016-03-25 01:01:20\"",
                "the field timestamp is not a time such as \"2016-03-25 01:01:20\": \"\\\"2016-03-25 01:01:20\\\"\"",
            ),
        ] {
            assert_eq!(read(line), Err(reason.to_owned()), "{line}");
        }
        assert_eq!(Line.decode(b"\xff,1,2016").unwrap_err().to_string(), "the line is not UTF-8");
    }
}
