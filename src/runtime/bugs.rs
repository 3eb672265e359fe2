//! Bugs that others have had, behind a switch that only tests have: the simulator must find each of them, or it proves
//! nothing.

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
}

impl Bug {
    pub(crate) const ALL: [Self; 5] =
        [Self::UnknownIsCommitted, Self::NoRewind, Self::KeepsAbortedState, Self::NoRestore, Self::StalePosition];
}
