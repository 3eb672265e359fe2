//! What waits for Redis' answers: the commands of records that were read, and whose they are.

use super::commands::Commands;
use super::server::Answer;
use crate::record::Offset;

/// Records of one turn with their commands, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    commands: Commands,
    records: Vec<Waiting>,
    /// So many records have been answered, with so many commands.
    done: usize,
    answered: usize,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// The place of its partition among the assigned ones.
    slot: usize,
    /// The offset after it.
    next: Offset,
    /// How many commands there are up to and with its own.
    until: usize,
}

/// How far Redis has answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The partitions with records that are answered, and the offset after the last of them; a later entry is the newer one.
    pub(super) to: Vec<(usize, Offset)>,
    /// How many of their messages nobody has heard.
    pub(super) unheard: u64,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many records wait.
    pub(super) fn waiting(&self) -> usize {
        self.records.len() - self.done
    }

    pub(super) fn bytes(&self) -> usize {
        self.commands.bytes()
    }

    /// Adds a record of the `slot`-th partition with the commands that `fill` adds; nothing of it where that fails.
    pub(super) fn add<T, E>(
        &mut self,
        slot: usize,
        next: Offset,
        fill: impl FnOnce(&mut Commands) -> Result<T, E>,
    ) -> Result<T, E> {
        let before = self.commands.len();
        match fill(&mut self.commands) {
            Ok(filled) => {
                self.records.push(Waiting { slot, next, until: self.commands.len() });
                Ok(filled)
            }
            Err(error) => {
                self.commands.truncate(before);
                Err(error)
            }
        }
    }

    /// What is not answered yet: the commands' bytes, and how many they are.
    pub(super) fn rest(&self) -> (&[u8], usize) {
        (self.commands.after(self.answered), self.commands.len() - self.answered)
    }

    /// Takes the answers to [`rest`](Self::rest), as far as they came. What follows a refused command is not done, even
    /// where Redis has done it: it is sent again after that, so that the order holds.
    pub(super) fn answer(&mut self, answers: &[Answer]) -> Progress {
        let good = answers.iter().take_while(|answer| !matches!(answer, Answer::Refused(_))).count();
        let mut progress = Progress::default();
        let first = self.answered;
        while let Some(record) = self.records.get(self.done).filter(|record| record.until <= first + good) {
            for number in self.answered..record.until {
                let unheard = self.commands.is_publish(number) && answers[number - first] == Answer::Number(0);
                progress.unheard += u64::from(unheard);
            }
            self.answered = record.until;
            self.done += 1;
            progress.to.push((record.slot, record.next));
        }
        if self.done == self.records.len() {
            self.clear();
        }
        progress
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self) {
        self.commands.truncate(0);
        self.records.clear();
        (self.done, self.answered) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::redis::failure::{Failure, FailureKind};

    fn outbox() -> Outbox {
        let mut outbox = Outbox::default();
        for (slot, next) in [(0, 1), (1, 8), (0, 2)] {
            let filled: Result<(), Infallible> = outbox.add(slot, next, |commands| {
                commands.publish("c", "m").set("h", "f", "v");
                Ok(())
            });
            filled.unwrap();
        }
        outbox
    }

    #[test]
    fn a_record_is_done_when_all_its_commands_are_answered() {
        let mut outbox = outbox();
        let all = outbox.rest().0.to_vec();
        let progress = outbox.answer(&[Answer::Number(1), Answer::Number(0), Answer::Number(0)]);
        assert_eq!(progress, Progress { to: vec![(0, 1)], unheard: 0 });
        assert_eq!((outbox.rest(), outbox.waiting()), ((&all[all.len() / 3..], 4), 2));
        let rest = [Answer::Number(0), Answer::Done, Answer::Number(3), Answer::Done];
        assert_eq!(outbox.answer(&rest), Progress { to: vec![(1, 8), (0, 2)], unheard: 1 });
        assert!(outbox.is_empty() && outbox.rest() == (&[], 0));
    }

    #[test]
    fn what_follows_a_refused_command_is_sent_again() {
        let mut outbox = outbox();
        let refused = Answer::Refused(Failure { kind: FailureKind::Refused, text: String::new() });
        let answers = [Answer::Done, Answer::Done, Answer::Done, refused, Answer::Done, Answer::Done];
        assert_eq!(outbox.answer(&answers).to, [(0, 1)]);
        assert_eq!(outbox.rest().1, 4);
    }

    #[test]
    fn a_record_without_commands_is_done_when_those_before_it_are() {
        let mut outbox = outbox();
        let nothing: Result<(), Infallible> = outbox.add(1, 9, |_| Ok(()));
        nothing.unwrap();
        assert_eq!(outbox.answer(&[]).to, []);
        assert_eq!(outbox.answer(&vec![Answer::Done; 6]).to.last(), Some(&(1, 9)));
        let alone: Result<(), Infallible> = outbox.add(0, 3, |_| Ok(()));
        alone.unwrap();
        assert_eq!(outbox.answer(&[]).to, [(0, 3)]);
    }

    #[test]
    fn a_record_that_fails_half_way_leaves_nothing_behind() {
        let mut outbox = outbox();
        let before = outbox.rest().0.to_vec();
        let failed = outbox.add(0, 3, |commands| {
            commands.publish("c", "m");
            Err::<(), _>("no")
        });
        assert_eq!((failed, outbox.rest()), (Err("no"), (&before[..], 6)));
    }
}
