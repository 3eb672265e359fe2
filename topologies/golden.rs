//! For tests that hold a topology's results against a plain computation of them: made-up records in, text out.

use millstream::broker::Outgoing;
use millstream::generate::{Faults, Generator, Options};
use millstream::testing::Driver;
use millstream::{Timestamp, Topology};

/// When the records begin, and the clock with them.
const START: Timestamp = Timestamp::from_millis(1_458_867_680_000);

/// What a generator writes: its opening, `count` records and what comes along with them.
pub fn written(mut generator: impl Generator, count: u64) -> Outgoing {
    let mut out = Outgoing::default();
    generator.opening(&mut out).unwrap();
    let mut written = 0;
    while written < count {
        written += generator.next(count - written, &mut out).unwrap();
    }
    assert_eq!(written, count);
    out
}

/// The values of [`written`], where there is one topic.
pub fn values(generator: impl Generator, count: u64) -> Vec<Vec<u8>> {
    written(generator, count).iter().map(|record| record.value.unwrap().to_vec()).collect()
}

/// Fifty records a second of which some are late, doubled, without a key or broken.
pub fn faulty(seed: u64) -> Options {
    let faults =
        Faults { late: 0.05, late_by_millis: 25_000, duplicate: 0.03, null_key: 0.01, broken: 0.01, ..Faults::NONE };
    Options { seed, start: START, rate: 50.0, faults, changes: 0.0 }
}

/// How a topology is played to: nothing of it may show in the results.
#[derive(Clone, Copy, Debug)]
pub struct Play {
    pub partitions: u32,
    pub threads: usize,
    /// So many records are written before the topology gets to work.
    pub at_once: usize,
}

impl Play {
    /// A few ways, from all at once in one partition to a few records at a time in several.
    pub const WAYS: [Self; 3] = [
        Self { partitions: 1, threads: 1, at_once: usize::MAX },
        Self { partitions: 4, threads: 2, at_once: 500 },
        Self { partitions: 3, threads: 1, at_once: 97 },
    ];

    /// Writes the values to the topic's partitions in turn and lets the topology work them off.
    pub fn run(self, topology: Topology, topic: &str, values: &[Vec<u8>]) -> Driver {
        let builder = Driver::builder(topology).partitions(self.partitions).threads(self.threads);
        let mut driver = builder.start_at(START).start().unwrap();
        let mut written = 0_u32;
        for values in values.chunks(self.at_once) {
            for value in values {
                driver.send_bytes(topic, written % self.partitions, None, Some(value), 0).unwrap();
                written += 1;
            }
            driver.settle().unwrap();
        }
        driver
    }

    /// The partition that [`run`](Self::run) writes the `number`-th value to.
    pub fn partition(self, number: usize) -> usize {
        number % self.partitions as usize
    }
}

/// What has come out at a topic, each record as its key, a blank and its value; sorted.
pub fn taken(driver: &mut Driver, topic: &str) -> Vec<String> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.expect("no nulls")).unwrap();
    let records = driver.take(topic).into_iter();
    let mut lines: Vec<_> = records.map(|record| format!("{} {}", text(record.key), text(record.value))).collect();
    lines.sort();
    lines
}

/// Milliseconds since 1970 of "2016-03-25 01:01:20.123", by another implementation of the calendar.
pub fn millis(time: &str) -> i64 {
    let time: jiff::Timestamp = format!("{}Z", time.replace(' ', "T")).parse().unwrap();
    time.as_millisecond()
}

/// The inverse of [`millis`], to whole seconds.
pub fn civil(millis: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
    time.replace('T', " ")[..19].to_owned()
}
