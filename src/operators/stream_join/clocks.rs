//! How far time has come in the two inputs of a join: the least of theirs counts, idle ones are left out.

use crate::time::Timestamp;

/// An input of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The stream that the join was called on.
    Left,
    /// The other one.
    Right,
}

/// The inputs' clocks.
#[derive(Debug)]
pub(super) struct Clocks {
    marks: [Timestamp; 2],
    idle: [bool; 2],
    flushed: [bool; 2],
    /// The watermark of both: never goes back.
    pub(super) seen: Timestamp,
}

impl Clocks {
    pub(super) const fn new() -> Self {
        Self { marks: [Timestamp::MIN; 2], idle: [false; 2], flushed: [false; 2], seen: Timestamp::MIN }
    }

    /// An input has come to `watermark`.
    pub(super) fn advance(&mut self, input: Input, watermark: Timestamp) {
        let mark = &mut self.marks[input as usize];
        *mark = watermark.max(*mark);
        self.idle[input as usize] = false;
        self.look();
    }

    /// An input is idle; gives whether both are. Then time stands still.
    pub(super) fn rest(&mut self, input: Input) -> bool {
        self.idle[input as usize] = true;
        self.look();
        self.idle == [true; 2]
    }

    /// An input has let go of what it held; gives whether both have.
    pub(super) fn flush(&mut self, input: Input) -> bool {
        self.flushed[input as usize] = true;
        let all = self.flushed == [true; 2];
        if all {
            self.flushed = [false; 2];
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

    #[test]
    fn the_slower_input_counts_unless_it_is_idle_and_time_never_goes_back() {
        let at = Timestamp::from_millis;
        let mut clocks = Clocks::new();
        clocks.advance(Input::Left, at(10));
        assert_eq!(clocks.seen, Timestamp::MIN);
        clocks.advance(Input::Right, at(4));
        assert_eq!(clocks.seen, at(4));
        assert!(!clocks.rest(Input::Right));
        assert_eq!(clocks.seen, at(10));
        clocks.advance(Input::Right, at(6));
        assert_eq!(clocks.seen, at(10));
        assert!(!clocks.rest(Input::Left) && clocks.rest(Input::Right));
    }

    #[test]
    fn a_flush_is_one_of_both_inputs() {
        let mut clocks = Clocks::new();
        assert!(!clocks.flush(Input::Left));
        assert!(!clocks.flush(Input::Left));
        assert!(clocks.flush(Input::Right));
        assert!(!clocks.flush(Input::Right));
    }
}
