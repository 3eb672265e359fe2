//! The earliest of the times in a queue, wherever in it that is.

use std::collections::VecDeque;

use crate::time::Timestamp;

/// The times of what is in a queue, as far as they can ever be the earliest: those that a later one in the queue does
/// not undercut. So each costs a step when it comes and one when it goes.
#[derive(Debug, Default)]
pub struct Earliest {
    /// Rising times, each with the number of what has it.
    rising: VecDeque<(u64, Timestamp)>,
    come: u64,
    gone: u64,
}

impl Earliest {
    /// Something has come to the queue's end.
    pub fn push(&mut self, time: Timestamp) {
        while self.rising.back().is_some_and(|(_, later)| *later >= time) {
            self.rising.pop_back();
        }
        self.rising.push_back((self.come, time));
        self.come += 1;
    }

    /// The queue's head has gone.
    pub fn pop(&mut self) {
        if self.rising.front().is_some_and(|(number, _)| *number == self.gone) {
            self.rising.pop_front();
        }
        self.gone += 1;
    }

    /// The earliest of the times in the queue; `None` where it is empty.
    #[must_use]
    pub fn get(&self) -> Option<Timestamp> {
        self.rising.front().map(|(_, time)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn it_is_the_least_of_the_queue_at_any_moment() {
        for seed in 0..200 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut queue, mut earliest) = (VecDeque::new(), Earliest::default());
            for _ in 0..200 {
                if rng.random_bool(0.55) {
                    let time = Timestamp::from_millis(rng.random_range(0..20));
                    queue.push_back(time);
                    earliest.push(time);
                } else if queue.pop_front().is_some() {
                    earliest.pop();
                }
                assert_eq!(earliest.get(), queue.iter().min().copied(), "seed {seed}");
            }
        }
    }
}
