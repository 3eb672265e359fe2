//! How far time has come in the several inputs of an operator: the least of theirs counts, idle ones are left out.

use crate::time::Timestamp;

/// The inputs' clocks.
#[derive(Debug)]
pub struct Clocks {
    marks: Vec<Timestamp>,
    /// Inputs that time goes on without.
    idle: Vec<bool>,
    flushed: Vec<bool>,
    seen: Timestamp,
}

impl Clocks {
    /// The clocks of so many inputs.
    #[must_use]
    pub fn of(inputs: usize) -> Self {
        let (idle, flushed) = (vec![false; inputs], vec![false; inputs]);
        Self { marks: vec![Timestamp::MIN; inputs], idle, flushed, seen: Timestamp::MIN }
    }

    /// The watermark of all: never goes back.
    #[must_use]
    pub const fn seen(&self) -> Timestamp {
        self.seen
    }

    /// An input has come to `watermark`.
    pub fn advance(&mut self, input: usize, watermark: Timestamp) {
        let mark = &mut self.marks[input];
        *mark = watermark.max(*mark);
        self.idle[input] = false;
        self.look();
    }

    /// An input is idle; gives whether all are. Then time stands still.
    pub fn rest(&mut self, input: usize) -> bool {
        self.idle[input] = true;
        self.look();
        self.idle.iter().all(|idle| *idle)
    }

    /// An input has let go of what it held; gives whether all have.
    pub fn flush(&mut self, input: usize) -> bool {
        self.flushed[input] = true;
        let all = self.flushed.iter().all(|flushed| *flushed);
        if all {
            self.flushed.fill(false);
        }
        all
    }

    fn look(&mut self) {
        let active = self.marks.iter().zip(&self.idle).filter(|(_, idle)| !**idle);
        if let Some(least) = active.map(|(mark, _)| *mark).min() {
            self.seen = self.seen.max(least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: usize = 0;
    const RIGHT: usize = 1;

    #[test]
    fn the_slower_input_counts_unless_it_is_idle_and_time_never_goes_back() {
        let at = Timestamp::from_millis;
        let mut clocks = Clocks::of(2);
        clocks.advance(LEFT, at(10));
        assert_eq!(clocks.seen(), Timestamp::MIN);
        clocks.advance(RIGHT, at(4));
        assert_eq!(clocks.seen(), at(4));
        assert!(!clocks.rest(RIGHT));
        assert_eq!(clocks.seen(), at(10));
        clocks.advance(RIGHT, at(6));
        assert_eq!(clocks.seen(), at(10));
        assert!(!clocks.rest(LEFT) && clocks.rest(RIGHT));
    }

    #[test]
    fn a_flush_is_one_of_both_inputs() {
        let mut clocks = Clocks::of(2);
        assert!(!clocks.flush(LEFT));
        assert!(!clocks.flush(LEFT));
        assert!(clocks.flush(RIGHT));
        assert!(!clocks.flush(RIGHT));
    }
}
