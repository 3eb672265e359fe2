//! What is known of each message of a sensor: a star of tables around it. How many messages each sensor has sent, and
//! how warm it was at it in the last half hour.
//!
//! A message names its sensor and nothing else. The sensor's row names its place and its maker by their own keys: so the
//! message goes from table to table, by a key that the table before has given. It is placed by its sensor (where sensors
//! and their histories are, which have the same key), then by its location, then by its maker, each time through a
//! repartition topic. A table that is small and changes seldom could as well be held whole by every process.
//!
//! - A message of a sensor, place or maker that nobody has listed gives no detail and is counted as `join_miss`; one of an
//!   unknown sensor is not counted nor averaged either. A sensor without a history is told with nulls.
//! - The tables' rows have no time of their own: they hold for every message, however old. So all rows that are there are read
//!   before the first message, and one that changes later holds for the messages that are processed after it.
//! - Averages go out once, when their half hour is over; messages may be a minute out of order.

mod generator;
mod types;

use std::time::Duration;

use millstream::cli::{Declared, Setting, Settings};
use millstream::operators::average::Average;
use millstream::window::HoppingWindows;
use millstream::{
    BadInput, Builder, Data, Error, ErrorKind, Key, NoKey, Reject, Result, Table, Timestamp, Topic, Topology,
};

pub use generator::SensorReportGenerator;
pub use types::{Averaged, Counted, Detail, History, Location, Manufacturer, Message, Sensor};
use types::{Known, SensorPlace};

/// The name it is run by.
pub const NAME: &str = "sensor-report";
/// The messages.
pub const MESSAGES_TOPIC: &str = "demo.sensor.messages";
/// The sensors.
pub const SENSORS_TOPIC: &str = "demo.sensor.sensors";
/// Where they are.
pub const LOCATIONS_TOPIC: &str = "demo.sensor.locations";
/// Who made them.
pub const MANUFACTURERS_TOPIC: &str = "demo.sensor.manufacturers";
/// When they were set up, and last seen to.
pub const HISTORY_TOPIC: &str = "demo.sensor.history";
/// Where the messages go with what is known of them, by sensor.
pub const DETAIL_TOPIC: &str = "demo.sensor.detail";
/// Where the counts go, by sensor.
pub const COUNT_TOPIC: &str = "demo.sensor.count";
/// Where the averages go, by sensor.
pub const AVERAGE_TOPIC: &str = "demo.sensor.average";

const MESSAGES: Topic<NoKey, Message> = Topic::new(MESSAGES_TOPIC);
const SENSORS: Topic<NoKey, Sensor> = Topic::new(SENSORS_TOPIC);
const LOCATIONS: Topic<NoKey, Location> = Topic::new(LOCATIONS_TOPIC);
const MANUFACTURERS: Topic<NoKey, Manufacturer> = Topic::new(MANUFACTURERS_TOPIC);
const HISTORIES: Topic<NoKey, History> = Topic::new(HISTORY_TOPIC);
const DETAIL: Topic<String, Detail> = Topic::new(DETAIL_TOPIC);
const COUNT: Topic<String, Counted> = Topic::new(COUNT_TOPIC);
const AVERAGE: Topic<String, Averaged> = Topic::new(AVERAGE_TOPIC);

/// How much an average is of.
const WINDOW: Duration = Duration::from_mins(30);
/// How long a window stays open for messages that are out of order.
const GRACE: Duration = Duration::from_mins(1);

const EVERY: Setting<Duration> = Setting::new(
    "every",
    Duration::from_mins(5),
    "How often the average of the last half hour is told; half an hour must be a multiple of it",
);

/// The settings that it has.
pub const SETTINGS: &[&dyn Declared] = &[&EVERY];

/// The messages with what is known of them, counted and averaged.
///
/// # Errors
/// When a setting makes no sense, or the declaration has a mistake.
pub fn topology(bad_input: BadInput, settings: &Settings) -> Result<Topology> {
    let every = check(settings.get(&EVERY))?;
    let b = Builder::new(NAME);
    let sensors = dimension(&b, SENSORS, &bad_input, "sensors", |row| row.guid.clone());
    let histories = dimension(&b, HISTORIES, &bad_input, "histories", |row| row.guid.clone());
    let locations = dimension(&b, LOCATIONS, &bad_input, "locations", |row| row.location_id.clone());
    let manufacturers = dimension(&b, MANUFACTURERS, &bad_input, "manufacturers", |row| row.manufacturer_id.clone());

    let known = b
        .source(MESSAGES)
        .event_time(|_, message| message.event_time())
        .on_bad_input(bad_input)
        .stream()
        .try_rekey(|_, message| message.guid.clone().ok_or_else(Reject::null_key))
        .repartition()
        .named("messages-by-sensor")
        .stream()
        .join(&sensors, |_, message, sensor| Known { message, sensor: sensor.clone() });

    known
        .group_by_key()
        .count()
        .named("count")
        .to_stream()
        .flat_map(|guid, count| count.map(|count| (guid.clone(), Counted { guid, count })))
        .to_updates(COUNT);

    known
        .left_join(&histories, |guid, known, history| Detail::of(guid, &known, history))
        .rekey(|_, detail| detail.location_id.clone())
        .repartition()
        .named("details-by-location")
        .stream()
        .join(&locations, |_, detail, location| detail.at(location))
        .rekey(|_, detail| detail.manufacturer_id.clone())
        .repartition()
        .named("details-by-manufacturer")
        .stream()
        .join(&manufacturers, |_, detail, manufacturer| detail.by(manufacturer))
        .rekey(|_, detail| detail.guid.clone())
        .to(DETAIL);

    known
        .map(|guid, known| (SensorPlace { guid, location_id: known.sensor.location_id }, known.message))
        .group_by_key()
        .named("by-sensor-and-location")
        .windowed(HoppingWindows::of(WINDOW, every).grace(GRACE))
        .on_close()
        .try_aggregate(Average::default, |_, average, message| average.add(message.temp))
        .named("averages")
        .to_stream()
        .flat_map(|place, average| {
            average.and_then(|average| Averaged::of(place, &average)).map(|row| (row.guid.clone(), row))
        })
        .to(AVERAGE);
    Ok(b.build()?)
}

/// A table of the newest row of each key. At the beginning of time its rows come before every message.
fn dimension<V: Data>(
    b: &Builder,
    topic: Topic<NoKey, V>,
    bad_input: &BadInput,
    name: &str,
    key: impl Fn(&V) -> Option<String> + Send + Sync + 'static,
) -> Table<String, V>
where
    V::Codec: Default,
    String: Key,
{
    b.source(topic)
        .event_time(|_, _| Timestamp::from_millis(0))
        .on_bad_input(bad_input.clone())
        .stream()
        .try_rekey(move |_, row| key(row).ok_or_else(Reject::null_key))
        .repartition()
        .named(format!("{name}-by-id"))
        .stream()
        .to_table()
        .named(name)
}

fn check(every: Duration) -> Result<Duration> {
    let (window, step) = (WINDOW.as_millis(), every.as_millis());
    if step >= 10_000 && window.is_multiple_of(step) {
        return Ok(every);
    }
    let message = format!("an average of half an hour every {every:?} is not possible");
    Err(Error::new(ErrorKind::Config, message)
        .remedy("give 10 seconds or more, of which half an hour is a multiple, as in --set every=5m"))
}

#[cfg(test)]
mod tests;
