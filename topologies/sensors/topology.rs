//! What the sensors report, each reading once; which readings alert; how warm it was on average.
//!
//! ```text
//! demo.sensors ─► by sensor ─► each once ─┬─► demo.sensors.distinct
//!                                         ├─► far from what is around ─► demo.sensors.alerts
//!                                         └─► averages of 10 s ─► demo.sensors.averages
//! ```
//!
//! Event time is `eventTimeStamp`. A reading is known by all its fields, so what is sent again has the same event time:
//!
//! - It may be out of order, or be sent again, by up to 10 s behind what its partition has come to. Within that time a
//!   reading passes once; what equals it is dropped and counted as `duplicate`.
//! - Further back it is dropped and counted as `late`, whether it has been there before or not: what it might equal has
//!   been forgotten, and its window has closed. Every reading that passes is in an average.
//! - A reading without a sensor, time or temperature goes by the source's policy, as `null_key` or `unreadable`; one whose
//!   temperatures do not fit `DECIMAL(16,2)`, or cannot be added exactly, as `overflow`.

use std::time::Duration;

use millstream::operators::average::Average;
use millstream::window::{TumblingWindows, Windowed};
use millstream::{BadInput, Builder, Data, Json, NoKey, Reject, Topic, Topology};
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

use super::{ALERTS_TOPIC, AVERAGES_TOPIC, DISTINCT_TOPIC, Reading, ReadingTime, SENSORS_TOPIC};

/// The name it is run by.
pub const NAME: &str = "sensors";

/// How long a reading is known, and how long windows stay open for it.
const KNOWN: Duration = Duration::from_secs(10);
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(10);
/// The places of `DECIMAL(16,2)`.
const PLACES: u32 = 2;

const SENSORS: Topic<NoKey, Reading> = Topic::new(SENSORS_TOPIC);
const DISTINCT: Topic<String, Reading> = Topic::new(DISTINCT_TOPIC);
const ALERTS: Topic<String, Reading> = Topic::new(ALERTS_TOPIC);
const AVERAGES: Topic<String, Averages> = Topic::new(AVERAGES_TOPIC);

/// Readings by sensor: each once, those that alert, and the averages of every ten seconds. All three have the sensor as
/// key. An average goes out once, ten seconds of event time after its window's end.
///
/// # Errors
/// When the declaration has a mistake.
pub fn topology(bad_input: BadInput) -> millstream::Result<Topology> {
    let b = Builder::new(NAME);
    let distinct = b
        .source(SENSORS)
        .event_time(|_, reading| reading.event_time_stamp.0.timestamp())
        .on_bad_input(bad_input)
        .stream()
        .try_rekey(|_, reading| reading.key())
        // Equal readings may come in any partition: they have to meet before they can be told.
        .repartition()
        .named("by-sensor")
        .stream()
        .dedup(KNOWN, |_, reading| reading.identity())
        .named("distinct");
    distinct.to(DISTINCT);
    distinct.filter(|_, reading| reading.alerts()).to(ALERTS);
    distinct
        .group_by_key()
        .windowed(TumblingWindows::of(WINDOW).grace(KNOWN))
        .on_close()
        .try_aggregate(Sums::default, |_, sums, reading| sums.add(&reading))
        .named("averages")
        .to_stream()
        .flat_map(|key, sums| sums.and_then(|sums| Averages::of(key, &sums)).map(|row| (row.sensor_id.clone(), row)))
        .to(AVERAGES);
    Ok(b.build()?)
}

/// What the averages are made of, while their window is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    ambient: Average,
    measured: Average,
}

impl Data for Sums {
    type Codec = Json;
}

impl Sums {
    fn add(&mut self, reading: &Reading) -> Result<(), Reject> {
        self.ambient.add(reading.ambient_temp)?;
        self.measured.add(reading.measured_temp)
    }
}

/// How warm it was at a sensor in ten seconds, on average. Averages have two decimal places, a half rounded away from
/// zero, as SQL engines round to `DECIMAL(16,2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Averages {
    /// The sensor.
    pub sensor_id: String,
    /// The first moment of the window.
    pub window_start: ReadingTime,
    /// The first moment after it.
    pub window_end: ReadingTime,
    /// The average around the sensor.
    #[serde(with = "arbitrary_precision")]
    pub avg_ambient_temp: Decimal,
    /// The average of what it measured.
    #[serde(with = "arbitrary_precision")]
    pub avg_measured_temp: Decimal,
    /// How many readings it is the average of.
    pub count: u64,
}

impl Data for Averages {
    type Codec = Json;
}

impl Averages {
    /// `None` where nothing was added up; [`Reading::key`] sees to it that there is room for every average.
    fn of(key: Windowed<String>, sums: &Sums) -> Option<Self> {
        Some(Self {
            sensor_id: key.key,
            window_start: ReadingTime::at(key.window.start),
            window_end: ReadingTime::at(key.window.end),
            avg_ambient_temp: sums.ambient.rounded(PLACES)?,
            avg_measured_temp: sums.measured.rounded(PLACES)?,
            count: sums.measured.count,
        })
    }
}

#[cfg(test)]
#[path = "topology_tests.rs"]
mod tests;
