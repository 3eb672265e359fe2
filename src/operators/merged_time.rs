//! Time where several inputs become one: the watermark is the minimum over them, a flush waits for all.

use super::Signal;
use crate::time::Timestamp;

/// How far each of several inputs has come.
#[derive(Debug)]
pub struct MergedTime {
    watermarks: Vec<Timestamp>,
    idle: Vec<bool>,
    flushed: Vec<bool>,
    told: Timestamp,
}

impl MergedTime {
    /// The time of so many inputs.
    #[must_use]
    pub fn of(inputs: usize) -> Self {
        let (idle, flushed) = (vec![false; inputs], vec![false; inputs]);
        Self { watermarks: vec![Timestamp::MIN; inputs], idle, flushed, told: Timestamp::MIN }
    }

    /// The minimum of all inputs' watermarks after `input` has come to `watermark`; idle inputs are left out.
    pub fn advance(&mut self, input: usize, watermark: Timestamp) -> Timestamp {
        let own = &mut self.watermarks[input];
        *own = watermark.max(*own);
        self.idle[input] = false;
        self.minimum()
    }

    /// The minimum of all inputs' watermarks that count.
    #[must_use]
    pub fn minimum(&self) -> Timestamp {
        let active = self.watermarks.iter().zip(&self.idle).filter(|(_, idle)| !**idle);
        active.map(|(watermark, _)| *watermark).min().unwrap_or(self.told).max(self.told)
    }

    /// What is to be passed on of a signal of `input`, if anything. What is downstream holds until every input has let go
    /// of what it held, so a flush is passed on once all have flushed.
    pub fn signal(&mut self, input: usize, signal: Signal) -> Option<Signal> {
        match signal {
            Signal::Watermark(watermark) => {
                self.advance(input, watermark);
                self.tell()
            }
            Signal::Idle => {
                self.idle[input] = true;
                if self.idle.iter().all(|idle| *idle) { Some(Signal::Idle) } else { self.tell() }
            }
            Signal::Flush => {
                self.flushed[input] = true;
                let all = self.flushed.iter().all(|flushed| *flushed);
                all.then(|| {
                    self.flushed.fill(false);
                    Signal::Flush
                })
            }
        }
    }

    fn tell(&mut self) -> Option<Signal> {
        let now = self.minimum();
        (now > self.told).then(|| {
            self.told = now;
            Signal::Watermark(now)
        })
    }
}
