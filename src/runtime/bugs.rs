//! Bugs that others have had, behind a switch that only tests have: the simulator must find each of them, or it proves
//! nothing.

use crate::operators::flaws::Flaw;

/// A bug to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A transaction of unknown outcome is taken to be committed.
    UnknownIsCommitted,
    /// After an abort the inputs are not read again.
    NoRewind,
    /// After an abort the state keeps what was flushed.
    KeepsAbortedState,
    /// A state that was left behind is trusted without looking at its changelogs.
    NoRestore,
    /// A task that comes back goes on from where it was, not from what is committed.
    StalePosition,
    /// A record is late by the watermark of the task, which other partitions and commits decide.
    LateByTask,
    /// Downstream is told of a time before it gets what that time has released.
    MarkerFirst,
    /// A task that moves forgets how far time had come.
    ForgetsTime,
    /// A task upstream that has not been heard of is taken to have nothing to say.
    SilenceIsIdle,
    /// A task upstream that said long ago that it has nothing more is believed.
    BelievesOldWords,
    /// Records are joined before a global table is complete.
    JoinsTooEarly,
}

impl Bug {
    /// Those that spoil what is counted.
    pub(crate) const OF_COUNTS: [Self; 5] =
        [Self::UnknownIsCommitted, Self::NoRewind, Self::KeepsAbortedState, Self::NoRestore, Self::StalePosition];
    /// Those that spoil which windows close with what.
    pub(crate) const OF_TIME: [Self; 4] = [Self::LateByTask, Self::MarkerFirst, Self::ForgetsTime, Self::SilenceIsIdle];

    /// The part of it that lies in the operators.
    pub(crate) fn flaw(self) -> Option<Flaw> {
        match self {
            Self::LateByTask => Some(Flaw::LateByTask),
            Self::MarkerFirst => Some(Flaw::MarkerFirst),
            _ => None,
        }
    }
}
