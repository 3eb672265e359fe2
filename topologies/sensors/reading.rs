//! What a sensor reports. Temperatures are exact: decimals that are written as JSON numbers.

use millstream::{Data, Json, Reject};
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

use crate::topologies::civil::ShortTime;

/// A time as the sensors write it: to the millisecond, "2016-03-25 01:01:20.123".
pub type ReadingTime = ShortTime<3>;

/// A reading alerts where what is measured and what is around lie further apart than this.
pub const ALERT_ABOVE: Decimal = Decimal::from_parts(20, 0, 0, false, 0);
/// The first temperature that has no room in `DECIMAL(16,2)`, and so none in an average: 10^14.
const TOO_LARGE: Decimal = Decimal::from_parts(276_447_232, 23_283, 0, false, 0);

/// One reading of one sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// The sensor. A null has no key to be grouped by.
    #[serde(default)]
    pub sensor_id: Option<String>,
    /// When it was read.
    pub event_time_stamp: ReadingTime,
    /// How warm it is around the sensor, from -40 to 60.
    #[serde(with = "arbitrary_precision")]
    pub ambient_temp: Decimal,
    /// How warm that is what the sensor measures, from 0 to 100.
    #[serde(with = "arbitrary_precision")]
    pub measured_temp: Decimal,
}

impl Data for Reading {
    type Codec = Json;
}

impl Reading {
    /// The sensor, which is the reading's key.
    ///
    /// # Errors
    /// When it names no sensor, or a temperature is too large for what is made of it.
    pub fn key(&self) -> Result<String, Reject> {
        let id = self.sensor_id.clone().ok_or_else(Reject::null_key)?;
        for (field, temperature) in [("ambientTemp", self.ambient_temp), ("measuredTemp", self.measured_temp)] {
            if temperature.abs() >= TOO_LARGE {
                return Err(Reject::overflow(format!(
                    "the {field} of {id}, {temperature}, is too large for DECIMAL(16,2)"
                )));
            }
        }
        Ok(id)
    }

    /// Equal for equal readings, and for no others. 20.5 and 20.50 are the same temperature.
    #[must_use]
    pub fn identity(&self) -> Vec<u8> {
        let mut identity = Vec::from(self.event_time_stamp.0.micros().to_be_bytes());
        identity.extend(self.ambient_temp.normalize().serialize());
        identity.extend(self.measured_temp.normalize().serialize());
        identity.extend(self.sensor_id.as_deref().unwrap_or_default().as_bytes());
        identity
    }

    /// True where what is measured is more than [`ALERT_ABOVE`] degrees from what is around it. Temperatures that
    /// [`key`](Self::key) has let through have a difference.
    #[must_use]
    pub fn alerts(&self) -> bool {
        self.measured_temp.checked_sub(self.ambient_temp).is_none_or(|difference| difference.abs() > ALERT_ABOVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream::operators::DropReason;

    fn reading(ambient: &str, measured: &str) -> Reading {
        let time = r#""sensorId":"sensor-07","eventTimeStamp":"2016-03-25 01:01:20.123""#;
        serde_json::from_str(&format!("{{{time},\"ambientTemp\":{ambient},\"measuredTemp\":{measured}}}")).unwrap()
    }

    #[test]
    fn a_reading_is_written_as_it_was_read() {
        let text = r#"{"sensorId":"sensor-07","eventTimeStamp":"2016-03-25 01:01:20.123","ambientTemp":-3.40,"measuredTemp":21}"#;
        let read: Reading = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let more = text.replace('{', r#"{"room":7,"#);
        assert_eq!(serde_json::from_str::<Reading>(&more).unwrap(), read);
    }

    #[test]
    fn it_alerts_beyond_twenty_degrees_either_way() {
        let alerts = |ambient, measured| reading(ambient, measured).alerts();
        assert!(!alerts("10", "30") && !alerts("30", "10.00") && !alerts("-20", "0"));
        assert!(alerts("10", "30.01") && alerts("30.01", "10") && alerts("-20.01", "0"));
    }

    #[test]
    fn equal_readings_have_one_identity_and_others_another() {
        let one = reading("20.5", "21");
        assert_eq!(one.identity(), reading("20.50", "21.0").identity());
        assert_ne!(one.identity(), reading("20.5", "21.1").identity());
        assert_ne!(one.identity(), reading("21", "20.5").identity());
        assert_ne!(one.identity(), Reading { sensor_id: Some("sensor-08".into()), ..one.clone() }.identity());
        let later = ReadingTime::at(millstream::Timestamp::from_millis(0));
        assert_ne!(one.identity(), Reading { event_time_stamp: later, ..one.clone() }.identity());
    }

    #[test]
    fn a_reading_of_no_sensor_has_no_key_and_one_that_fits_no_average_overflows() {
        let reason = |reading: Reading| reading.key().unwrap_err().reason;
        assert_eq!(reason(Reading { sensor_id: None, ..reading("1", "1") }), DropReason::NullKey);
        assert_eq!(reason(reading("-100000000000000", "1")), DropReason::Overflow);
        let refused = reading("1", "100000000000000").key().unwrap_err();
        assert_eq!(refused.message, "the measuredTemp of sensor-07, 100000000000000, is too large for DECIMAL(16,2)");
        assert_eq!(reading("1", "99999999999999.99").key().unwrap(), "sensor-07");
    }
}
