//! Twelve devices that send lines in turn, at random. Some run hotter than others, and all of them wander.

use millstream::broker::Outgoing;
use millstream::generate::{Generator, Options};
use millstream::{Codec, Error, ErrorKind, Result};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rust_decimal::Decimal;

use super::measurement::Line;
use super::{DEVICES_TOPIC, Measurement, MeasurementTime};
use crate::topologies::civil::{CivilTime, ShortTime};
use crate::topologies::faults::{Fault, FaultDice};
use crate::topologies::writing::{check_rate, slot, write_faulty};

/// How many devices there are.
pub const DEVICES: usize = 12;

/// The devices. The same options give the same records, byte for byte.
pub struct DevicesGenerator {
    options: Options,
    devices: Vec<Device>,
    rng: ChaCha8Rng,
    faults: FaultDice,
    written: u64,
}

/// How hot a device runs, and what it comes back to.
struct Device {
    usual: i64,
    now: i64,
}

impl DevicesGenerator {
    /// Devices that send from `options.start` on.
    ///
    /// # Errors
    /// When the rate is not a positive number.
    pub fn new(options: Options) -> Result<Self> {
        check_rate(&options, "lines")?;
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let usual = |rng: &mut ChaCha8Rng| rng.random_range(45..=70);
        let devices = (0..DEVICES).map(|_| usual(&mut rng)).map(|usual| Device { usual, now: usual }).collect();
        let faults = FaultDice::new(options.seed, options.faults);
        Ok(Self { options, devices, rng, faults, written: 0 })
    }

    fn measure(&mut self, time: CivilTime, fault: Fault) -> Measurement {
        let picked = self.rng.random_range(0..DEVICES);
        let place = if fault.hot { 0 } else { picked };
        let device = &mut self.devices[place];
        device.now = (device.now + (device.usual - device.now) / 8 + self.rng.random_range(-3..=3)).clamp(20, 100);
        Measurement {
            device_id: (!fault.null_key).then(|| (place + 1).to_string()),
            temperature: Decimal::from(device.now),
            timestamp: to_the_second(fault.moved_back(time)),
        }
    }
}

/// The devices' clocks count seconds.
fn to_the_second(time: CivilTime) -> MeasurementTime {
    let micros = time.micros();
    ShortTime(CivilTime::from_micros(micros - micros.rem_euclid(1_000_000)))
}

impl Generator for DevicesGenerator {
    fn topics(&self) -> &[&str] {
        &[DEVICES_TOPIC]
    }

    fn next(&mut self, most: u64, out: &mut Outgoing) -> Result<u64> {
        if most == 0 {
            return Ok(0);
        }
        let within = self.rng.random_range(0.0..1.0);
        let time = slot(&self.options, self.written, within);
        let fault = self.faults.throw();
        let measurement = self.measure(time, fault);
        write_faulty(out, DEVICES_TOPIC, measurement.timestamp.0.timestamp(), fault, |bytes| {
            Line.encode(&measurement, bytes).map_err(not_a_line)
        })?;
        self.written += 1;
        Ok(1)
    }
}

fn not_a_line(error: millstream::CodecError) -> Error {
    Error::new(ErrorKind::Internal, "a generated measurement could not be written as a line").caused_by(error)
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
