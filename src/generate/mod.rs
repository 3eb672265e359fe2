//! Writes made-up records at a steady rate: for the demo, for trying a topology out and for measuring it.
//!
//! What the records say is a [`Generator`]'s business; here is when they are written, and how they get to the broker.

mod options;

use std::time::Duration;

pub use options::{Faults, Options};

use crate::broker::{Outgoing, Writer};
use crate::error::Result;
use crate::time::Clock;

/// Makes records, without end. The same options give the same records, byte for byte.
pub trait Generator: Send {
    /// The topics it writes to.
    fn topics(&self) -> &[&str];

    /// Appends what is written once, before everything else: nothing, where it is not said otherwise.
    ///
    /// # Errors
    /// When a record cannot be written in its format.
    fn opening(&mut self, out: &mut Outgoing) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// Appends the next few records, at most `most` that count, and tells how many that were; what comes along with
    /// them (a stock level, a duplicate) does not count.
    ///
    /// # Errors
    /// When a record cannot be written in its format.
    fn next(&mut self, most: u64, out: &mut Outgoing) -> Result<u64>;
}

/// How fast, and how many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Records a second; `None` writes as fast as it goes.
    pub rate: Option<f64>,
    /// How many; `None` goes on until it is stopped.
    pub count: Option<u64>,
}

/// What the driver asks and tells while it runs.
pub trait Watch {
    /// True where it shall stop.
    fn stopped(&self) -> bool;
    /// So many records have been written by now.
    fn written(&self, count: u64);
    /// Waits; comes back early where it was stopped.
    fn wait(&self, duration: Duration);
}

/// A batch goes out when it holds so many records: enough to spare the writer calls, little enough to stop at once.
const BATCH: usize = 1_000;
/// The longest wait, so that a stop is heard.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Writes what `generator` makes until the count is reached or `watch` stops it; gives how many were written.
///
/// # Errors
/// When the writer fails.
pub fn drive(
    generator: &mut dyn Generator,
    writer: &mut dyn Writer,
    clock: &dyn Clock,
    pace: Pace,
    watch: &dyn Watch,
) -> Result<u64> {
    let mut out = Outgoing::default();
    generator.opening(&mut out)?;
    writer.send(&out)?;
    let start = clock.elapsed();
    let most = pace.count.unwrap_or(u64::MAX);
    let mut written = 0;
    while written < most && !watch.stopped() {
        let due = pace.due(clock.elapsed().saturating_sub(start)).min(most);
        if written >= due {
            watch.wait(pace.until(written + 1, clock.elapsed().saturating_sub(start)).min(LONGEST_WAIT));
            continue;
        }
        out.clear();
        while written < due && out.len() < BATCH {
            written += generator.next(due - written, &mut out)?;
        }
        writer.send(&out)?;
        watch.written(written);
    }
    writer.flush()?;
    Ok(written)
}

impl Pace {
    /// How many records should have been written after `elapsed`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; neither is negative")]
    fn due(self, elapsed: Duration) -> u64 {
        self.rate.map_or(u64::MAX, |rate| (elapsed.as_secs_f64() * rate) as u64)
    }

    /// How long until the `number`-th record is due.
    #[expect(clippy::cast_precision_loss, reason = "2^52 records are not written in a lifetime")]
    fn until(self, number: u64, elapsed: Duration) -> Duration {
        let due = self.rate.map_or(0.0, |rate| number as f64 / rate);
        Duration::try_from_secs_f64(due - elapsed.as_secs_f64()).unwrap_or_default().max(Duration::from_micros(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{OutgoingRecord, Partitioning};
    use crate::record::{Headers, InputNumber};
    use crate::time::{ManualClock, Timestamp};
    use std::cell::Cell;

    struct Numbers;

    impl Generator for Numbers {
        fn topics(&self) -> &[&str] {
            &["numbers"]
        }

        fn next(&mut self, most: u64, out: &mut Outgoing) -> Result<u64> {
            let topic = out.topic("numbers");
            let count = most.min(3);
            for _ in 0..count {
                out.push(&OutgoingRecord {
                    topic,
                    partitioning: Partitioning::ByKey,
                    key: None,
                    value: Some(b"1"),
                    timestamp: Timestamp::from_millis(0),
                    headers: &Headers::NONE,
                    input: InputNumber(0),
                });
            }
            Ok(count)
        }
    }

    #[derive(Default)]
    struct Counting(usize);

    impl Writer for Counting {
        fn send(&mut self, records: &Outgoing) -> Result<()> {
            self.0 += records.len();
            Ok(())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    /// Moves the clock on instead of waiting, and stops at a time.
    struct Until<'a> {
        clock: &'a ManualClock,
        end: Duration,
        most_waits: Cell<u32>,
    }

    impl Watch for Until<'_> {
        fn stopped(&self) -> bool {
            self.clock.elapsed() >= self.end
        }

        fn written(&self, _: u64) {}

        fn wait(&self, duration: Duration) {
            self.most_waits.set(self.most_waits.get() + 1);
            self.clock.advance(duration.max(Duration::from_millis(1)));
        }
    }

    fn run(pace: Pace, end: Duration) -> (u64, usize) {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let mut writer = Counting::default();
        let watch = Until { clock: &clock, end, most_waits: Cell::default() };
        let written = drive(&mut Numbers, &mut writer, &clock, pace, &watch).unwrap();
        (written, writer.0)
    }

    #[test]
    fn the_rate_is_kept() {
        let (written, _) = run(Pace { rate: Some(50.0), count: None }, Duration::from_secs(10));
        assert!((498..=501).contains(&written), "{written}");
    }

    #[test]
    fn the_count_is_exact() {
        assert_eq!(run(Pace { rate: None, count: Some(10_001) }, Duration::MAX), (10_001, 10_001));
        assert_eq!(run(Pace { rate: Some(7.0), count: Some(10) }, Duration::MAX), (10, 10));
    }
}
