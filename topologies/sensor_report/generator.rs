//! Thirty sensors in eight places of four makers: writes the tables once, then messages, and now and then a sensor that is
//! carried to another place.

use millstream::generate::{Generator, Options};
use millstream::{Result, broker::Outgoing};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rust_decimal::Decimal;
use serde::Serialize;

use super::{
    HISTORY_TOPIC, History, LOCATIONS_TOPIC, Location, MANUFACTURERS_TOPIC, MESSAGES_TOPIC, Manufacturer, Message,
    SENSORS_TOPIC, Sensor,
};
use crate::topologies::civil::CivilTime;
use crate::topologies::faults::{Fault, FaultDice};
use crate::topologies::writing::{check_rate, json, slot, write_faulty};

/// How many sensors there are.
pub const SENSORS: usize = 30;
/// One of so many sensors has no history.
const NEW: usize = 10;
const BUILDINGS: [&str; 2] = ["Mill", "Weir"];
const ROOMS: [&str; 4] = ["Cellar", "Hall", "Loft", "Roof"];
const MANUFACTURERS: [(&str, &str); 4] =
    [("Alder", "Norway"), ("Birch", "Japan"), ("Cedar", "Canada"), ("Elm", "Germany")];

/// The sensors. The same options give the same records, byte for byte.
pub struct SensorReportGenerator {
    options: Options,
    sensors: Vec<Sensor>,
    /// What each measures, in tenths of a degree.
    temperatures: Vec<i64>,
    rng: ChaCha8Rng,
    /// Decides about changes, so that the messages of a seed stay the same whether there are any or not.
    changes: ChaCha8Rng,
    faults: FaultDice,
    written: u64,
}

fn location_id(place: usize) -> String {
    format!("L{}", place + 1)
}

fn manufacturer_id(place: usize) -> String {
    format!("M{}", place + 1)
}

impl SensorReportGenerator {
    /// Sensors that report from `options.start` on.
    ///
    /// # Errors
    /// When the rate is not a positive number.
    pub fn new(options: Options) -> Result<Self> {
        check_rate(&options, "messages")?;
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let mut changes = rng.clone();
        changes.set_stream(2);
        let sensor = |place: usize| Sensor {
            guid: Some(format!("{:08x}-{place:02}", rng.random::<u32>())),
            model: format!("T{}", 100 + 10 * (place % 3)),
            location_id: location_id(place % (BUILDINGS.len() * ROOMS.len())),
            manufacturer_id: manufacturer_id(place % MANUFACTURERS.len()),
        };
        let sensors = (0..SENSORS).map(sensor).collect();
        let temperatures = (0..SENSORS).map(|_| rng.random_range(-50..300)).collect();
        let faults = FaultDice::new(options.seed, options.faults);
        Ok(Self { options, sensors, temperatures, rng, changes, faults, written: 0 })
    }

    fn measure(&mut self, time: CivilTime, fault: Fault) -> Message {
        let picked = self.rng.random_range(0..SENSORS);
        let place = if fault.hot { 0 } else { picked };
        let temperature = &mut self.temperatures[place];
        *temperature = (*temperature + self.rng.random_range(-5..=5)).clamp(-400, 600);
        let guid = self.sensors[place].guid.clone().filter(|_| !fault.null_key);
        let ts = fault.moved_back(time).micros().div_euclid(1_000_000);
        Message { guid, ts, temp: Decimal::new(*temperature, 1) }
    }

    /// Carries a sensor to another place, if one shall be.
    fn change(&mut self) -> Option<&Sensor> {
        let place = self.changes.random_range(0..SENSORS);
        let to = self.changes.random_range(0..BUILDINGS.len() * ROOMS.len());
        if self.changes.random_range(0.0..1.0) >= self.options.changes {
            return None;
        }
        let sensor = &mut self.sensors[place];
        sensor.location_id = location_id(to);
        Some(sensor)
    }
}

impl Generator for SensorReportGenerator {
    fn topics(&self) -> &[&str] {
        &[SENSORS_TOPIC, LOCATIONS_TOPIC, MANUFACTURERS_TOPIC, HISTORY_TOPIC, MESSAGES_TOPIC]
    }

    fn opening(&mut self, out: &mut Outgoing) -> Result<()> {
        let start = slot(&self.options, 0, 0.0);
        for (place, (building, room)) in BUILDINGS.iter().flat_map(|b| ROOMS.iter().map(move |r| (b, r))).enumerate() {
            let (building, room) = ((*building).to_owned(), (*room).to_owned());
            write(out, LOCATIONS_TOPIC, start, &Location { location_id: Some(location_id(place)), building, room })?;
        }
        for (place, (name, country)) in MANUFACTURERS.iter().enumerate() {
            let manufacturer_id = Some(manufacturer_id(place));
            let (name, country) = ((*name).to_owned(), (*country).to_owned());
            write(out, MANUFACTURERS_TOPIC, start, &Manufacturer { manufacturer_id, name, country })?;
        }
        for (place, sensor) in self.sensors.iter().enumerate() {
            write(out, SENSORS_TOPIC, start, sensor)?;
            if place % NEW != 0 {
                let day = |year: usize| format!("20{year:02}-{:02}-{:02}", 1 + place % 12, 1 + place % 28);
                let (installed, serviced) = (day(15 + place % 5), day(20 + place % 3));
                write(out, HISTORY_TOPIC, start, &History { guid: sensor.guid.clone(), installed, serviced })?;
            }
        }
        Ok(())
    }

    fn next(&mut self, _: u64, out: &mut Outgoing) -> Result<u64> {
        let within = self.rng.random_range(0.0..1.0);
        let time = slot(&self.options, self.written, within);
        if let Some(sensor) = self.change() {
            write(out, SENSORS_TOPIC, time, sensor)?;
        }
        let fault = self.faults.throw();
        let message = self.measure(time, fault);
        let at = fault.moved_back(time).timestamp();
        write_faulty(out, MESSAGES_TOPIC, at, fault, |bytes| json(&message, bytes))?;
        self.written += 1;
        Ok(1)
    }
}

fn write(out: &mut Outgoing, topic: &str, time: CivilTime, value: &impl Serialize) -> Result<()> {
    write_faulty(out, topic, time.timestamp(), Fault::default(), |bytes| json(value, bytes))
}
