//! What the topics of the sensors hold.

use millstream::operators::average::Average;
use millstream::window::Windowed;
use millstream::{Codec, CodecError, Data, Json, Key, Reject, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;
/// No sensor measures more than a million degrees, and then every average has room for its decimal places.
const HOTTEST: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);
/// The decimal places of an average.
const PLACES: u32 = 2;

/// What a sensor sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The sensor. A null has no key to be joined by.
    pub guid: Option<String>,
    /// When: whole seconds since 1970.
    pub ts: i64,
    /// How warm it is.
    #[serde(with = "arbitrary_precision")]
    pub temp: Decimal,
}

impl Message {
    /// When it was sent, of a message that can be used.
    ///
    /// # Errors
    /// When it names no sensor, or a time or temperature that cannot be.
    pub fn event_time(&self) -> Result<Timestamp, Reject> {
        if self.guid.is_none() {
            return Err(Reject::null_key());
        }
        if self.temp.abs() > HOTTEST {
            return Err(Reject::overflow(format!("a temperature of {} cannot be", self.temp)));
        }
        if self.ts > LAST_SECOND {
            return Err(Reject::overflow(format!("the time {} is after the year 9999", self.ts)));
        }
        Ok(Timestamp::from_millis(self.ts.saturating_mul(1_000)))
    }
}

/// A sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sensor {
    /// Which. A null has no key.
    pub guid: Option<String>,
    /// What kind of sensor it is.
    pub model: String,
    /// Where it is.
    pub location_id: String,
    /// Who made it.
    pub manufacturer_id: String,
}

/// A place.
#[expect(clippy::struct_field_names, reason = "the fields of the topic")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Which. A null has no key.
    pub location_id: Option<String>,
    /// The building.
    pub building: String,
    /// The room in it.
    pub room: String,
}

/// Who makes sensors.
#[expect(clippy::struct_field_names, reason = "the fields of the topic")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manufacturer {
    /// Which. A null has no key.
    pub manufacturer_id: Option<String>,
    /// The name.
    pub name: String,
    /// Where from.
    pub country: String,
}

/// What was done to a sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The sensor. A null has no key.
    pub guid: Option<String>,
    /// The day on which it was set up.
    pub installed: String,
    /// The day on which it was last seen to.
    pub serviced: String,
}

/// A message and its sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The message.
    pub message: Message,
    /// Its sensor.
    pub sensor: Sensor,
}

/// A message with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// The sensor.
    pub guid: String,
    /// When: whole seconds since 1970.
    pub ts: i64,
    /// How warm it was.
    #[serde(with = "arbitrary_precision")]
    pub temp: Decimal,
    /// What kind of sensor it is.
    pub model: String,
    /// Where it is.
    pub location_id: String,
    /// The building.
    pub building: String,
    /// The room in it.
    pub room: String,
    /// Who made the sensor.
    pub manufacturer_id: String,
    /// The maker's name.
    pub manufacturer: String,
    /// The maker's country.
    pub country: String,
    /// The day on which the sensor was set up.
    pub installed: Option<String>,
    /// The day on which it was last seen to.
    pub serviced: Option<String>,
}

impl Detail {
    /// What the sensor's own tables know; the rest is still empty.
    pub(super) fn of(guid: &str, known: &Known, history: Option<&History>) -> Self {
        let Known { message, sensor } = known;
        Self {
            guid: guid.to_owned(),
            ts: message.ts,
            temp: message.temp,
            model: sensor.model.clone(),
            location_id: sensor.location_id.clone(),
            building: String::new(),
            room: String::new(),
            manufacturer_id: sensor.manufacturer_id.clone(),
            manufacturer: String::new(),
            country: String::new(),
            installed: history.map(|history| history.installed.clone()),
            serviced: history.map(|history| history.serviced.clone()),
        }
    }

    pub(super) fn at(self, location: &Location) -> Self {
        Self { building: location.building.clone(), room: location.room.clone(), ..self }
    }

    pub(super) fn by(self, manufacturer: &Manufacturer) -> Self {
        Self { manufacturer: manufacturer.name.clone(), country: manufacturer.country.clone(), ..self }
    }
}

/// How many messages a sensor has sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The sensor.
    pub guid: String,
    /// How many.
    pub count: u64,
}

/// How warm it was at a sensor in half an hour, on average: with two decimal places, a half rounded away from zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Averaged {
    /// The sensor.
    pub guid: String,
    /// Where it was.
    pub location_id: String,
    /// The first second of the half hour, since 1970.
    pub window_start: i64,
    /// The first second after it.
    pub window_end: i64,
    /// The average.
    #[serde(with = "arbitrary_precision")]
    pub average: Decimal,
    /// Of how many messages.
    pub count: u64,
}

impl Averaged {
    /// `None` of nothing; [`Message::event_time`] sees to it that there is room for every average.
    pub(super) fn of(place: Windowed<SensorPlace>, average: &Average) -> Option<Self> {
        let Windowed { key: SensorPlace { guid, location_id }, window } = place;
        let [window_start, window_end] = [window.start, window.end].map(|time| time.millis().div_euclid(1_000));
        let (count, average) = (average.count, average.rounded(PLACES)?);
        Some(Self { guid, location_id, window_start, window_end, average, count })
    }
}

/// A sensor in a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SensorPlace {
    /// The sensor.
    pub guid: String,
    /// The place.
    pub location_id: String,
}

/// The codec of [`SensorPlace`]: a JSON array of both, so that no sign in either can be mistaken for the gap.
#[derive(Clone, Copy, Debug, Default)]
pub struct SensorPlaceCodec;

impl Codec<SensorPlace> for SensorPlaceCodec {
    fn encode(&self, value: &SensorPlace, out: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(out, &(&value.guid, &value.location_id))
            .map_err(|error| CodecError::new(error.to_string()))
    }

    fn decode(&self, bytes: &[u8]) -> Result<SensorPlace, CodecError> {
        let pair = serde_json::from_slice(bytes);
        let (guid, location_id) =
            pair.map_err(|error| CodecError::new(format!("not a sensor and a place: {error}")))?;
        Ok(SensorPlace { guid, location_id })
    }
}

impl Data for SensorPlace {
    type Codec = SensorPlaceCodec;
}

impl Key for SensorPlace {}

macro_rules! json {
    ($($of:ty),*) => { $(impl Data for $of { type Codec = Json; })* };
}

json!(Message, Sensor, Location, Manufacturer, History, Known, Detail, Counted, Averaged);
