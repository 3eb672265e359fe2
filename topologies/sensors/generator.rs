//! Twenty sensors that report in turn, at random, and send some of their readings again.
//!
//! A sensor that has had no answer sends its reading again: one of twenty, mostly within ten seconds, and one of ten of
//! those later than that. That is how they are, whatever else is asked to go wrong with them.

use std::collections::BTreeMap;

use millstream::Result;
use millstream::broker::Outgoing;
use millstream::generate::{Generator, Options};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rust_decimal::Decimal;

use super::weather::Weather;
use super::{Reading, ReadingTime, SENSORS_TOPIC};
use crate::topologies::civil::CivilTime;
use crate::topologies::faults::{Fault, FaultDice};
use crate::topologies::writing::{check_rate, json, slot, write_faulty};

/// How many sensors there are.
pub const SENSORS: usize = 20;
/// One of so many readings is sent again.
const AGAIN: u32 = 20;
/// One of so many of those is sent again only when it is too late.
const TOO_LATE: u32 = 10;

/// Within this time a reading that is sent again is known by it, in microseconds.
const KNOWN: i64 = 10_000_000;

/// The sensors. The same options give the same records, byte for byte.
pub struct SensorsGenerator {
    options: Options,
    sensors: Vec<Weather>,
    rng: ChaCha8Rng,
    faults: FaultDice,
    written: u64,
    /// What is to be sent again, by the time at which it is, in microseconds, and its number.
    again: BTreeMap<(i64, u64), Reading>,
}

impl SensorsGenerator {
    /// Sensors that report from `options.start` on.
    ///
    /// # Errors
    /// When the rate is not a positive number.
    pub fn new(options: Options) -> Result<Self> {
        check_rate(&options, "readings")?;
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let sensors = (0..SENSORS).map(|_| Weather::new(&mut rng)).collect();
        let faults = FaultDice::new(options.seed, options.faults);
        Ok(Self { options, sensors, rng, faults, written: 0, again: BTreeMap::new() })
    }

    fn read(&mut self, time: CivilTime, fault: Fault) -> Reading {
        let picked = self.rng.random_range(0..SENSORS);
        let place = if fault.hot { 0 } else { picked };
        let (ambient, measured) = self.sensors[place].next(&mut self.rng);
        Reading {
            sensor_id: (!fault.null_key).then(|| format!("sensor-{:02}", place + 1)),
            event_time_stamp: ReadingTime::at(fault.moved_back(time).timestamp()),
            ambient_temp: Decimal::new(ambient, 2),
            measured_temp: Decimal::new(measured, 2),
        }
    }

    /// Whether the reading has to be sent again, and when.
    fn unanswered(&mut self, now: i64) -> Option<i64> {
        let again = self.rng.random_range(0..AGAIN) == 0;
        let too_late = again && self.rng.random_range(0..TOO_LATE) == 0;
        let after = if too_late { KNOWN + 1_000_000..3 * KNOWN } else { 0..KNOWN - 1_000_000 };
        again.then(|| now + self.rng.random_range(after))
    }

    fn send_again(&mut self, now: i64, out: &mut Outgoing) -> Result<()> {
        while let Some(entry) = self.again.first_entry().filter(|entry| entry.key().0 <= now) {
            write(out, &entry.remove(), Fault::default())?;
        }
        Ok(())
    }
}

impl Generator for SensorsGenerator {
    fn topics(&self) -> &[&str] {
        &[SENSORS_TOPIC]
    }

    fn next(&mut self, most: u64, out: &mut Outgoing) -> Result<u64> {
        if most == 0 {
            return Ok(0);
        }
        let within = self.rng.random_range(0.0..1.0);
        let time = slot(&self.options, self.written, within);
        self.send_again(time.micros(), out)?;
        let fault = self.faults.throw();
        let reading = self.read(time, fault);
        write(out, &reading, fault)?;
        if let Some(due) = self.unanswered(time.micros()) {
            self.again.insert((due, self.written), reading);
        }
        self.written += 1;
        Ok(1)
    }
}

fn write(out: &mut Outgoing, reading: &Reading, fault: Fault) -> Result<()> {
    let time = reading.event_time_stamp.0.timestamp();
    write_faulty(out, SENSORS_TOPIC, time, fault, |bytes| json(reading, bytes))
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
