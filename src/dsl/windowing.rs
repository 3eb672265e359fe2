//! The kinds of windows that a grouping can have, as the operators that they are.

use std::fmt::Debug;
use std::time::Duration;

use super::stateful::store;
use crate::codec::{Data, Key};
use crate::operators::lookup::Lookup;
use crate::operators::timed::Timed;
use crate::operators::window::{Aligned, Emit, Given, Hopping, Merge, Order, Session, Sliding, Windows};
use crate::topology::Wiring;
use crate::topology::graph::NodeId;
use crate::window::{Closing, GivenWindows, HoppingWindows, SessionWindows, SlidingWindows, TumblingWindows, Windowed};

/// A kind of windows. It is implemented by those in [`window`](crate::window), and by nothing else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no windows of keys `{K}`",
    note = "windows are `TumblingWindows`, `HoppingWindows`, `SlidingWindows`, `SessionWindows`, and `GivenWindows` \
            where the key is `Windowed`"
)]
pub trait Windowing<K: Key>: sealed::Sealed + Clone + Debug + Send + Sync + 'static {
    /// The key of a result.
    type Out: Key;

    /// What is wrong with them.
    fn mistake(&self) -> Option<String>;

    /// When they close.
    fn closing(&self) -> Closing;

    /// How far behind the watermark their results may lie.
    fn hold(&self, emit: Emit) -> Duration;

    /// How their store can be asked from outside.
    #[doc(hidden)]
    fn lookup<A: Data>(&self) -> Lookup;

    /// The operator of a task. Sessions need `merge`.
    #[doc(hidden)]
    fn make<A: Data>(&self, making: Making<'_, '_>, merge: Merge<K, A>) -> Box<dyn Windows<K, Self::Out, A>>;
}

/// Windows in which each record counts by itself: all but sessions, whose values must be merged.
pub trait Apart: sealed::Sealed {}

/// What an operator is made with.
#[doc(hidden)]
pub struct Making<'a, 'b> {
    pub(super) wiring: &'a mut Wiring<'b>,
    pub(super) node: NodeId,
    pub(super) emit: Emit,
    pub(super) keeps_before: bool,
}

mod sealed {
    use super::{GivenWindows, HoppingWindows, SessionWindows, SlidingWindows, TumblingWindows};

    pub trait Sealed {}
    impl Sealed for TumblingWindows {}
    impl Sealed for HoppingWindows {}
    impl Sealed for SlidingWindows {}
    impl Sealed for SessionWindows {}
    impl Sealed for GivenWindows {}
}

impl Apart for TumblingWindows {}
impl Apart for HoppingWindows {}
impl Apart for SlidingWindows {}
impl Apart for GivenWindows {}

/// Results of open windows are not behind their records; those of closed ones are, by as much as windows stay open.
fn on_close(emit: Emit, hold: Duration) -> Duration {
    if emit == Emit::OnClose { hold } else { Duration::ZERO }
}

/// Whether the records of a task come in the same order in every run.
fn order(wiring: &Wiring<'_>) -> Order {
    if wiring.one_partition() { Order::Given } else { Order::Any }
}

impl<K: Key> Windowing<K> for HoppingWindows {
    type Out = Windowed<K>;

    fn mistake(&self) -> Option<String> {
        self.mistake()
    }

    fn closing(&self) -> Closing {
        self.closing()
    }

    fn hold(&self, emit: Emit) -> Duration {
        on_close(emit, self.hold())
    }

    fn lookup<A: Data>(&self) -> Lookup {
        Lookup::windows::<K, A>(self.size())
    }

    fn make<A: Data>(&self, making: Making<'_, '_>, _: Merge<K, A>) -> Box<dyn Windows<K, Windowed<K>, A>> {
        let Making { wiring, node, emit, keeps_before } = making;
        let (store, changelog) = store(wiring, node, keeps_before);
        Box::new(Aligned::new(Hopping(*self), store, changelog, emit, keeps_before))
    }
}

impl<K: Key> Windowing<K> for TumblingWindows {
    type Out = Windowed<K>;

    fn mistake(&self) -> Option<String> {
        self.hopping().mistake()
    }

    fn closing(&self) -> Closing {
        self.closing()
    }

    fn hold(&self, emit: Emit) -> Duration {
        on_close(emit, self.hopping().hold())
    }

    fn lookup<A: Data>(&self) -> Lookup {
        Lookup::windows::<K, A>(self.hopping().size())
    }

    fn make<A: Data>(&self, making: Making<'_, '_>, merge: Merge<K, A>) -> Box<dyn Windows<K, Windowed<K>, A>> {
        self.hopping().make(making, merge)
    }
}

impl<K: Key> Windowing<Windowed<K>> for GivenWindows {
    type Out = Windowed<K>;

    fn mistake(&self) -> Option<String> {
        None
    }

    fn closing(&self) -> Closing {
        self.closing()
    }

    fn hold(&self, emit: Emit) -> Duration {
        on_close(emit, self.hold())
    }

    fn lookup<A: Data>(&self) -> Lookup {
        Lookup::given::<K, A>()
    }

    fn make<A: Data>(
        &self,
        making: Making<'_, '_>,
        _: Merge<Windowed<K>, A>,
    ) -> Box<dyn Windows<Windowed<K>, Windowed<K>, A>> {
        let Making { wiring, node, emit, keeps_before } = making;
        let (store, changelog) = store(wiring, node, keeps_before);
        Box::new(Aligned::new(Given(self.closing()), store, changelog, emit, keeps_before))
    }
}

impl<K: Key> Windowing<K> for SlidingWindows {
    type Out = Windowed<K>;

    fn mistake(&self) -> Option<String> {
        None
    }

    fn closing(&self) -> Closing {
        self.closing()
    }

    fn hold(&self, emit: Emit) -> Duration {
        on_close(emit, self.hold())
    }

    fn lookup<A: Data>(&self) -> Lookup {
        Lookup::spans::<K, A>()
    }

    fn make<A: Data>(&self, making: Making<'_, '_>, _: Merge<K, A>) -> Box<dyn Windows<K, Windowed<K>, A>> {
        let Making { wiring, node, emit, keeps_before } = making;
        // What has changed in a row of windows is found by what was there before.
        let (store, changelog) = store(wiring, node, emit == Emit::EachCommit);
        Box::new(Sliding::new((*self, order(wiring)), Timed::new(store, changelog), emit, keeps_before))
    }
}

impl<K: Key> Windowing<K> for SessionWindows {
    type Out = Windowed<K>;

    fn mistake(&self) -> Option<String> {
        self.mistake()
    }

    fn closing(&self) -> Closing {
        self.closing()
    }

    fn hold(&self, emit: Emit) -> Duration {
        // A session that is taken back lies up to a gap behind the record that takes it.
        if emit == Emit::OnClose { self.hold() } else { self.gap() }
    }

    fn lookup<A: Data>(&self) -> Lookup {
        Lookup::spans::<K, A>()
    }

    fn make<A: Data>(&self, making: Making<'_, '_>, merge: Merge<K, A>) -> Box<dyn Windows<K, Windowed<K>, A>> {
        let Making { wiring, node, emit, keeps_before } = making;
        let (store, changelog) = store(wiring, node, emit == Emit::EachCommit);
        Box::new(Session::new((*self, order(wiring)), merge, Timed::new(store, changelog), emit, keeps_before))
    }
}
