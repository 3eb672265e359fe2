//! What an upstream task says of its time: carried by frames, remembered in committed positions.

use crate::time::Timestamp;

/// Whether an upstream task, or an input, has more to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activity {
    /// More may come; also what is assumed of one that has not been heard of.
    #[default]
    Active,
    /// All that its inputs hold now has been read: what comes next is new.
    CaughtUp,
    /// Silent for so long that time goes on without it.
    Idle,
    /// A bounded run has read to its end.
    End,
}

impl Activity {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::CaughtUp => 1,
            Self::Idle => 2,
            Self::End => 3,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Active,
            1 => Self::CaughtUp,
            2 => Self::Idle,
            3 => Self::End,
            _ => return None,
        })
    }
}

/// How far time has come in one upstream task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Which edge it is about: a stable hash of the repartition's name.
    pub edge: u64,
    /// The upstream task's partition number.
    pub task: u32,
    /// How many tasks write this edge.
    pub tasks: u32,
    /// The edge's watermark.
    pub watermark: Timestamp,
    /// Whether more is to come.
    pub activity: Activity,
}
