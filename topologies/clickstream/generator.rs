//! Clicks on a website, from six referrers whose shares go up and down.

use millstream::broker::Outgoing;
use millstream::generate::{Generator, Options};
use millstream::{Result, Timestamp};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::CLICKSTREAM_TOPIC;
use crate::topologies::faults::{Fault, FaultDice};
use crate::topologies::writing::{check_rate, json, slot, write_keyed};

/// What is clicked on, and how often beside the others.
const RESOURCES: [(&str, i64); 10] = [
    ("/index.html", 30),
    ("/products.html", 16),
    ("/search", 12),
    ("/cart", 9),
    ("/about.html", 8),
    ("/blog/", 7),
    ("/contact.html", 6),
    ("/checkout", 5),
    ("/help.html", 4),
    ("/jobs.html", 3),
];

/// The referrers.
const REFERRERS: [Wave; 6] = [
    Wave { referrer: "http://www.amazon.com", low: 60, high: 240, seconds: 97 },
    Wave { referrer: "http://www.google.com", low: 180, high: 300, seconds: 151 },
    Wave { referrer: "http://www.yahoo.com", low: 30, high: 120, seconds: 61 },
    // Below nothing, a referrer is silent.
    Wave { referrer: "http://www.bing.com", low: -60, high: 120, seconds: 131 },
    Wave { referrer: "http://www.stackoverflow.com", low: 20, high: 160, seconds: 73 },
    Wave { referrer: "http://www.reddit.com", low: -120, high: 180, seconds: 113 },
];

/// A weight that goes up and down in a straight line. Whole numbers, so that it is the same on every machine.
#[derive(Clone, Copy, Debug)]
struct Wave {
    referrer: &'static str,
    low: i64,
    high: i64,
    /// How long it takes to come back to where it was.
    seconds: i64,
}

impl Wave {
    /// The weight `millis` after the wave was at its lowest.
    fn weight(self, millis: i64) -> i64 {
        let period = self.seconds * 1_000;
        let at = millis.rem_euclid(period);
        let risen = at.min(period - at) * 2;
        (self.low + (self.high - self.low) * risen / period).max(0)
    }
}

/// The website. The same options give the same records, byte for byte.
pub struct ClickGenerator {
    options: Options,
    rng: ChaCha8Rng,
    faults: FaultDice,
    /// By how much each wave is ahead at the start.
    ahead: [i64; REFERRERS.len()],
    clicked: u64,
}

/// A click as it is written.
#[derive(Serialize)]
struct Click<'a> {
    resource: Option<&'a str>,
    referrer: &'a str,
}

impl ClickGenerator {
    /// A website that opens at `options.start`.
    ///
    /// # Errors
    /// When the rate is not a positive number.
    pub fn new(options: Options) -> Result<Self> {
        check_rate(&options, "clicks")?;
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let ahead = REFERRERS.map(|wave| rng.random_range(0..wave.seconds * 1_000));
        let faults = FaultDice::new(options.seed, options.faults);
        Ok(Self { options, rng, faults, ahead, clicked: 0 })
    }

    /// Who refers at a time.
    fn referrer(&mut self, time: Timestamp) -> &'static str {
        let passed = time.millis().saturating_sub(self.options.start.millis());
        let weights: [i64; REFERRERS.len()] =
            std::array::from_fn(|place| REFERRERS[place].weight(passed.saturating_add(self.ahead[place])));
        REFERRERS[pick(&mut self.rng, &weights)].referrer
    }
}

/// A place, as often as its weight is beside the others'.
fn pick(rng: &mut ChaCha8Rng, weights: &[i64]) -> usize {
    let mut thrown = rng.random_range(0..weights.iter().sum::<i64>().max(1));
    let passed = |weight: &i64| {
        thrown -= weight;
        thrown < 0
    };
    weights.iter().position(passed).unwrap_or(0)
}

impl Generator for ClickGenerator {
    fn topics(&self) -> &[&str] {
        &[CLICKSTREAM_TOPIC]
    }

    /// One click. One of those whose key is null has no resource either.
    fn next(&mut self, _: u64, out: &mut Outgoing) -> Result<u64> {
        let time = slot(&self.options, self.clicked, self.rng.random_range(0.0..1.0));
        let referrer = self.referrer(time.timestamp());
        let picked = pick(&mut self.rng, &RESOURCES.map(|(_, weight)| weight));
        let fault: Fault = self.faults.throw();
        let (resource, _) = RESOURCES[if fault.hot { 0 } else { picked }];
        let resource = (!fault.null_key).then_some(resource);
        let click = Click { resource, referrer };
        let key = resource.map(str::as_bytes);
        let time = fault.moved_back(time).timestamp();
        write_keyed(out, CLICKSTREAM_TOPIC, key, time, fault, |bytes| json(&click, bytes))?;
        self.clicked += 1;
        Ok(1)
    }
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
