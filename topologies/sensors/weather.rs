//! How warm it is: around a sensor it wanders, and what the sensor measures follows, but for the times at which it runs hot.
//!
//! In hundredths of a degree, with whole numbers only: the same dice give the same temperatures on every machine.

use std::ops::RangeInclusive;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// What the sensors' surroundings can be.
const AMBIENT: RangeInclusive<i64> = -4_000..=6_000;
/// What they can measure.
const MEASURED: RangeInclusive<i64> = 0..=10_000;
/// How much warmer than its surroundings that is what a sensor measures, while all is well.
const USUAL: i64 = 600;
/// Of so many readings of a sensor one is the beginning of a time at which it runs hot.
const SELDOM: u32 = 400;

/// The temperatures at one sensor.
pub struct Weather {
    /// What its surroundings come back to.
    climate: i64,
    ambient: i64,
    /// How much warmer it is than its surroundings.
    excess: i64,
    /// What that comes to.
    aim: i64,
    /// How many more readings it is hot for.
    hot: u32,
}

impl Weather {
    /// Somewhere between a cold store and a roof in summer.
    pub fn new(rng: &mut ChaCha8Rng) -> Self {
        let climate = rng.random_range(-500..=4_000);
        Self { climate, ambient: climate, excess: USUAL, aim: USUAL, hot: 0 }
    }

    /// The next reading: of the surroundings, and of what is measured.
    pub fn next(&mut self, rng: &mut ChaCha8Rng) -> (i64, i64) {
        if self.hot > 0 {
            self.hot -= 1;
        } else if rng.random_range(0..SELDOM) == 0 {
            self.hot = rng.random_range(60..=200);
            self.aim = rng.random_range(2_500..=6_000);
        } else {
            self.aim = USUAL;
        }
        self.ambient += (self.climate - self.ambient) / 100 + rng.random_range(-20..=20);
        self.excess += (self.aim - self.excess) / 20 + rng.random_range(-30..=30);
        let ambient = self.ambient.clamp(*AMBIENT.start(), *AMBIENT.end());
        (ambient, (ambient + self.excess).clamp(*MEASURED.start(), *MEASURED.end()))
    }
}
