//! How often each device was hot, every five seconds.
//!
//! Event time is the line's `timestamp`. Windows close five seconds of event time after their end: a line may be out of
//! order by that much. One that is later is dropped, counted as `late`. A line that cannot be read goes by the source's
//! policy as `unreadable`, with a reason that names the field; one without a device as `null_key`. A window in which a
//! device was not hot has no count.

use std::time::Duration;

use millstream::window::{TumblingWindows, Windowed};
use millstream::{BadInput, Builder, Data, Json, NoKey, Reject, Topic, Topology};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{COUNTS_TOPIC, DEVICES_TOPIC, Measurement, MeasurementTime};

/// The name it is run by.
pub const NAME: &str = "device-counts";

/// A device is hot where it measures more than this.
pub const HOT_ABOVE: Decimal = Decimal::from_parts(60, 0, 0, false, 0);
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(5);
/// How long it stays open for lines that are out of order.
const GRACE: Duration = Duration::from_secs(5);

const DEVICES: Topic<NoKey, Measurement> = Topic::new(DEVICES_TOPIC);
const COUNTS: Topic<String, HotCount> = Topic::new(COUNTS_TOPIC);

/// Of each device, how many measurements of five seconds were above [`HOT_ABOVE`]. A count goes out once, five seconds of
/// event time after its window's end.
///
/// # Errors
/// When the declaration has a mistake.
pub fn topology(bad_input: BadInput) -> millstream::Result<Topology> {
    let b = Builder::new(NAME);
    b.source(DEVICES)
        .event_time(|_, measurement| measurement.timestamp.0.timestamp())
        .on_bad_input(bad_input)
        .stream()
        .try_rekey(|_, measurement| measurement.device_id.clone().ok_or_else(Reject::null_key))
        .filter(|_, measurement| measurement.temperature > HOT_ABOVE)
        .group_by_key()
        .named("by-device")
        .windowed(TumblingWindows::of(WINDOW).grace(GRACE))
        .on_close()
        .count()
        .named("counts")
        .to_stream()
        .flat_map(|device, count| count.map(|count| HotCount::row(device, count)))
        .to(COUNTS);
    Ok(b.build()?)
}

/// How often a device was hot in five seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotCount {
    /// The device.
    pub device_id: String,
    /// The first moment of the window.
    pub window_start: MeasurementTime,
    /// The first moment after it.
    pub window_end: MeasurementTime,
    /// How many measurements were hot.
    pub count: u64,
}

impl Data for HotCount {
    type Codec = Json;
}

impl HotCount {
    fn row(device: Windowed<String>, count: u64) -> (String, Self) {
        let Windowed { key: device_id, window } = device;
        let (window_start, window_end) = (MeasurementTime::at(window.start), MeasurementTime::at(window.end));
        (device_id.clone(), Self { device_id, window_start, window_end, count })
    }
}

#[cfg(test)]
#[path = "counts_tests.rs"]
mod tests;
