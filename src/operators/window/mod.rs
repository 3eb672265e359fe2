//! Windowed aggregations: one value a key and window, kept in a store as long as the window is open.
//!
//! - A record is refused by a window, as `late`, when its *own source partition's* watermark had come to the window's end
//!   and the grace before it was read. That does not depend on batches, commits or other partitions. A record that is in
//!   time for some windows and late for others counts in the former.
//! - A window closes when the watermark of the edge comes to its end and the grace: a minimum over partitions, so no record
//!   that would be accepted comes after it. Its row is deleted then, in the store and in the changelog.
//! - A record with a null value is dropped and counted as `null_value`.
//! - Results go out with every update, once before each commit, or once when the window closes. What is held back holds
//!   time back as well: first the results, then the time that released them, less the operator's hold.
//! - What a watermark closes is done in portions: [`Cx::more_to_do`] says that there is more, and time does not go on
//!   before it is done. Nothing need be remembered for it: what is not closed yet is still in the store.

mod aligned;
mod late;
mod port;
mod session;
mod shell;
mod sliding;
mod spans;
#[cfg(test)]
pub(super) mod window_tests;

pub use aligned::{Aligned, Assign, Given, Hopping, RowKey};
pub use late::Late;
pub use port::Port;
pub use session::{Merge, Order, Session};
pub use shell::Shell;
pub use sliding::Sliding;
pub use spans::{Span, Spans};
pub(crate) use {aligned::end_bytes, spans::raw};

use super::aggregate::Emission;
use super::{Change, Cx, DropReason, Reject};
use crate::error::{Error, Result};
use crate::record::{Headers, InputNumber, Record};
use crate::state::Origin;
use crate::time::Timestamp;
use crate::window::{Closing, Window};

/// When the results of windows go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// Every update by itself.
    EachUpdate,
    /// The newest of each changed window, once before each commit.
    EachCommit,
    /// Once, when the window closes.
    OnClose,
}

impl From<Emission> for Emit {
    fn from(emission: Emission) -> Self {
        match emission {
            Emission::EachCommit => Self::EachCommit,
            Emission::EachUpdate => Self::EachUpdate,
        }
    }
}

/// A record on its way into windows, without its key and value.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Event time.
    pub timestamp: Timestamp,
    /// How far behind its source partition.
    pub behind: u64,
    /// The watermark of the edge once it has been seen.
    pub watermark: Timestamp,
    /// What its results carry as the watermark.
    pub stamp: Timestamp,
    /// Which input it is.
    pub input: InputNumber,
    /// Its headers.
    pub headers: Headers,
}

impl Arrival {
    /// The watermark of its own source partition when it was read, as far as it matters: before every time for a record
    /// that came in order.
    pub(in crate::operators) fn reference(&self) -> Timestamp {
        reference(self.timestamp, self.behind)
    }

    /// True where a window may refuse it.
    fn may_miss(&self) -> bool {
        self.behind > 0 || self.watermark > self.timestamp
    }

    /// Why a window does not take the record any more.
    pub(in crate::operators) fn refused(&self, closing: Closing, end: Timestamp) -> Option<DropReason> {
        let closes = closing.at(end);
        if self.reference() >= closes {
            return Some(DropReason::Late);
        }
        (self.watermark >= closes).then_some(DropReason::Expired)
    }

    /// How far behind a result at `timestamp` is, of an operator that passes time on `hold` milliseconds late.
    pub(in crate::operators) fn behind_at(&self, timestamp: Timestamp, hold: i64) -> u64 {
        let reference = self.reference();
        if reference == Timestamp::MIN {
            return 0;
        }
        Timestamp::from_millis(reference.millis().saturating_sub(hold)).millis_since(timestamp)
    }

    fn origin(&self, timestamp: Timestamp, behind: u64) -> Origin {
        let Self { stamp: watermark, input, headers, .. } = self.clone();
        Origin { timestamp, behind, watermark, input, headers }
    }

    fn update<O, A>(&self, key: O, value: Change<A>, timestamp: Timestamp, behind: u64) -> Record<O, Change<A>> {
        let Self { stamp: watermark, input, headers, .. } = self.clone();
        Record { key, value, timestamp, behind, watermark, input, headers }
    }
}

/// The watermark of its own source partition when a record was read, as far as it matters.
pub(in crate::operators) fn reference(timestamp: Timestamp, behind: u64) -> Timestamp {
    if behind == 0 {
        return Timestamp::MIN;
    }
    let behind = i64::try_from(behind).unwrap_or(i64::MAX);
    Timestamp::from_millis(timestamp.millis().saturating_add(behind))
}

/// Why a record could not be added.
#[derive(Debug)]
pub enum Trouble {
    /// A user's function refused it.
    Reject(Reject),
    /// The state cannot be read.
    Error(Error),
}

impl From<Reject> for Trouble {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Adds the record to the value of one window; the last window may have the record itself.
pub type Add<'a, K, A> = dyn FnMut(&K, &mut Option<A>, bool) -> Result<(), Reject> + 'a;

/// What a step of windows gives.
pub struct Made<O, A> {
    /// Results.
    pub updates: Vec<Record<O, Change<A>>>,
    /// Windows that did not take the record.
    pub missed: Vec<(Window, DropReason)>,
}

/// The windows of one kind, with their store. What they share is the [`Shell`] around them.
pub trait Windows<K, O, A>: Send {
    /// Adds a record to its windows.
    ///
    /// # Errors
    /// When a user's function refuses it, or the state cannot be read.
    fn add(&mut self, key: K, arrival: &Arrival, add: &mut Add<'_, K, A>, made: &mut Made<O, A>)
    -> Result<(), Trouble>;

    /// Closes windows: their results where those go out on closing, then their rows. Takes from `budget` and gives
    /// whether that was enough. `stamp` is the watermark that the results carry.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn close(
        &mut self,
        watermark: Timestamp,
        stamp: Timestamp,
        budget: &mut usize,
        made: &mut Made<O, A>,
    ) -> Result<bool>;

    /// Writes the changelog. Where results go out with the commit, they are made of what has changed if `stamp` has the
    /// watermark that they carry.
    fn flush(&mut self, stamp: Option<Timestamp>, made: &mut Made<O, A>, cx: &mut Cx);
}

/// A result that time has released.
fn closed<O, A>(key: O, value: A, timestamp: Timestamp, stamp: Timestamp) -> Record<O, Change<A>> {
    let value = Change { old: None, new: Some(value) };
    let (input, headers) = (InputNumber::UNKNOWN, Headers::NONE);
    Record { key, value, timestamp, behind: 0, watermark: stamp, input, headers }
}
