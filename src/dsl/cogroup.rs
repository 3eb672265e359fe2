//! Several grouped streams into one aggregate.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::grouped::Grouped;
use super::stateful::StoreSlot;
use super::stream::Stream;
use super::table::Table;
use super::windowed::term;
use super::windowing::{Apart, Making, Windowing};
use crate::codec::{Data, Key};
use crate::operators::aggregate::{Aggregate, FromInitial};
use crate::operators::lookup::Lookup;
use crate::operators::merge::Merge;
use crate::operators::table_out::{Standing, TableOut};
use crate::operators::window::{Emit, Merge as MergeValues, Port, Shell};
use crate::operators::{Change, Edge, Out, Reject};
use crate::topology::graph::{Graph, NodeId, NodeKind};
use crate::topology::{Mistake, Wiring};
use crate::window::{SessionWindows, Windowed};

const KIND: NodeKind = NodeKind::Stateful { emission: None, keeps_before: false };

/// What an aggregate begins with.
type Initial<A> = Arc<dyn Fn() -> A + Send + Sync>;
/// Windows as the inputs of one task share them.
type Shared<K, A> = Arc<Mutex<Shell<K, Windowed<K>, A>>>;
type WirePlain<K, A> = Box<dyn Fn(&mut Wiring<'_>, Standing<K, A>, Initial<A>, Out<K, Change<A>>) + Send + Sync>;
type WireWindowed<K, A> = Box<dyn Fn(&mut Wiring<'_>, usize, Shared<K, A>, Initial<A>) + Send + Sync>;

/// An input whose records have been placed by their keys.
struct Placed<K: Key, A: Data> {
    node: NodeId,
    plain: WirePlain<K, A>,
    windowed: WireWindowed<K, A>,
}

/// An input: placed when it is known what is made of it.
type Input<K, A> = Rc<dyn Fn() -> Placed<K, A>>;

/// Several grouped streams with equal keys, on the way to one table.
///
/// ```
/// # use millstream::testing::Driver;
/// # use millstream::{Builder, Topic};
/// # const CLICKS: Topic<String, String> = Topic::new("clicks");
/// # const ORDERS: Topic<String, u64> = Topic::new("orders");
/// # const SEEN: Topic<String, String> = Topic::new("seen");
/// let b = Builder::new("seen");
/// let clicks = b.source(CLICKS).stream().group_by_key();
/// let orders = b.source(ORDERS).stream().group_by_key();
/// clicks
///     .cogroup(|_, seen: &mut String, page| *seen += &page)
///     .and(&orders, |_, seen, amount| *seen += &format!("({amount})"))
///     .aggregate(String::new)
///     .to(SEEN);
/// let mut driver = Driver::builder(b.build()?).start()?;
/// driver.send(&CLICKS, &"a".to_owned(), &"/shop".to_owned(), 1)?;
/// driver.send(&ORDERS, &"a".to_owned(), &12, 2)?;
/// driver.settle()?;
/// assert_eq!(driver.take_values(&SEEN)?, [("a".to_owned(), "/shop(12)".to_owned())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "groups are nothing by themselves: call .aggregate()"]
pub struct Cogrouped<K: Key, A: Data> {
    graph: Rc<RefCell<Graph>>,
    inputs: Vec<Input<K, A>>,
}

impl<K: Key, V: Data> Grouped<K, V> {
    /// Begins an aggregate of several streams: this one's records are added by `f(key, so_far, value)`. A null value is
    /// dropped and counted as `null_value`.
    #[track_caller]
    pub fn cogroup<A: Data>(&self, f: impl Fn(&K, &mut A, V) + Send + Sync + 'static) -> Cogrouped<K, A> {
        let graph = Rc::clone(self.graph());
        Cogrouped { graph, inputs: Vec::new() }.and(self, f)
    }
}

impl<K: Key, A: Data> Cogrouped<K, A> {
    /// The records of `other` as well, added by `f(key, so_far, value)`.
    #[track_caller]
    pub fn and<V: Data>(mut self, other: &Grouped<K, V>, f: impl Fn(&K, &mut A, V) + Send + Sync + 'static) -> Self {
        if !Rc::ptr_eq(&self.graph, other.graph()) {
            let mistake = Mistake::at(Location::caller(), "streams of two builders cannot be grouped together");
            self.graph.borrow_mut().mistakes.push(mistake);
            return self;
        }
        if other.combines() {
            let message = "combine() goes with reduce() and count(), not with cogroup()";
            self.graph.borrow_mut().mistakes.push(Mistake::at(Location::caller(), message));
        }
        let (other, f) = (other.clone(), Arc::new(f));
        self.inputs.push(Rc::new(move || input(&other, Arc::clone(&f))));
        self
    }

    /// One value a key: `initial()` before the first record of any stream.
    #[track_caller]
    pub fn aggregate(&self, initial: impl Fn() -> A + Send + Sync + 'static) -> Table<K, A> {
        let initial: Initial<A> = Arc::new(initial);
        let inputs: Vec<_> = self.inputs.iter().map(|input| input()).collect();
        let edge: Edge<K, Change<A>> = Edge::new();
        let (below, node) = (edge.clone(), self.graph.borrow().next());
        let parents = inputs.iter().map(|input| input.node).collect();
        let slot = StoreSlot::of(node);
        let view = Some(slot.view());
        self.node::<K>("cogroup", parents, move |wiring| {
            let at = slot.stand(wiring);
            let ports = Merge::ports(inputs.len(), below.take());
            // In reverse, as everything is wired.
            for (input, port) in inputs.iter().zip(ports).rev() {
                let own = Edge::new();
                own.join(Box::new(port));
                (input.plain)(wiring, at.clone(), Arc::clone(&initial), own.take());
            }
        });
        self.graph.borrow_mut().queried(node, Lookup::rows::<K, A>());
        Table { graph: Rc::clone(&self.graph), node, edge, view }
    }

    /// Groups the records by windows of their event time as well. All streams share one clock: a window closes when the
    /// watermark of each has come that far.
    #[track_caller]
    pub fn windowed<W: Windowing<K, Out = Windowed<K>>>(&self, windows: W) -> CogroupedBy<K, A, W> {
        if let Some(mistake) = windows.mistake() {
            self.graph.borrow_mut().mistakes.push(Mistake::at(Location::caller(), mistake));
        }
        let (graph, inputs) = (Rc::clone(&self.graph), self.inputs.clone());
        CogroupedBy { cogrouped: Self { graph, inputs }, windows, on_close: false }
    }

    #[track_caller]
    fn node<O: 'static>(
        &self,
        label: &'static str,
        parents: Vec<NodeId>,
        wire: impl Fn(&mut Wiring<'_>) + Send + Sync + 'static,
    ) {
        let first = parents.first().copied().unwrap_or(NodeId(0));
        let above: Stream<O, A> = Stream::new(Rc::clone(&self.graph), first, Edge::new(), false);
        above.node::<O, A>(label, KIND, parents, Box::new(wire));
    }
}

fn input<K: Key, V: Data, A: Data>(
    grouped: &Grouped<K, V>,
    f: Arc<impl Fn(&K, &mut A, V) + Send + Sync + 'static>,
) -> Placed<K, A> {
    let stream = grouped.placed("by-cogroup");
    let (edge, by) = (stream.edge.clone(), Arc::clone(&f));
    let plain: WirePlain<K, A> = Box::new(move |wiring, at, initial, out| {
        wiring.join(&edge, Aggregate::new(TableOut::new(at, out), fold(initial, Arc::clone(&by))));
    });
    let edge = stream.edge;
    let windowed: WireWindowed<K, A> = Box::new(move |wiring, number, shell, initial| {
        let late = Edge::new().take();
        wiring.join(&edge, Port::new(number, shell, fold(initial, Arc::clone(&f)), late));
    });
    Placed { node: stream.node, plain, windowed }
}

type ByInitial<I, F> = Arc<FromInitial<I, F>>;

fn fold<K: 'static, V: 'static, A: 'static>(
    initial: Initial<A>,
    f: Arc<impl Fn(&K, &mut A, V) + Send + Sync + 'static>,
) -> ByInitial<impl Fn() -> A, impl Fn(&K, &mut A, V) -> Result<(), Reject>> {
    let add = move |key: &K, so_far: &mut A, value: V| {
        f(key, so_far, value);
        Ok(())
    };
    Arc::new(FromInitial(move || initial(), add))
}

/// Several streams grouped by key and window.
#[must_use = "groups are nothing by themselves: call .aggregate()"]
pub struct CogroupedBy<K: Key, A: Data, W> {
    cogrouped: Cogrouped<K, A>,
    windows: W,
    on_close: bool,
}

impl<K: Key, A: Data, W: Windowing<K, Out = Windowed<K>>> CogroupedBy<K, A, W> {
    /// Each window's result goes out once, when the window closes.
    pub fn on_close(mut self) -> Self {
        self.on_close = true;
        self
    }

    #[track_caller]
    fn table(&self, initial: Initial<A>, merge: MergeValues<K, A>) -> Table<Windowed<K>, A> {
        let graph = &self.cogrouped.graph;
        let inputs: Vec<_> = self.cogrouped.inputs.iter().map(|input| input()).collect();
        let edge: Edge<Windowed<K>, Change<A>> = Edge::new();
        let (below, node) = (edge.clone(), graph.borrow().next());
        let (windows, on_close) = (self.windows.clone(), self.on_close);
        graph.borrow_mut().agree(Some(node), term(&windows, on_close));
        graph.borrow_mut().queried(node, windows.lookup::<A>());
        let parents = inputs.iter().map(|input| input.node).collect();
        self.cogrouped.node::<Windowed<K>>("windowed-cogroup", parents, move |wiring| {
            let (emission, keeps_before) = wiring.updates(node);
            let emit = if on_close { Emit::OnClose } else { emission.into() };
            let (name, hold) = (wiring.name(node), windows.hold(emit));
            let made = windows.make(Making { wiring, node, emit, keeps_before }, Arc::clone(&merge));
            let shell = Arc::new(Mutex::new(Shell::new(name, made, inputs.len(), emit, hold, below.take())));
            // In reverse, as everything is wired.
            for (number, input) in inputs.iter().enumerate().rev() {
                (input.windowed)(wiring, number, Arc::clone(&shell), Arc::clone(&initial));
            }
        });
        Table { graph: Rc::clone(graph), node, edge, view: None }
    }
}

impl<K: Key, A: Data, W: Windowing<K, Out = Windowed<K>> + Apart> CogroupedBy<K, A, W> {
    /// One value a key and window: `initial()` before the first record of any stream.
    #[track_caller]
    pub fn aggregate(&self, initial: impl Fn() -> A + Send + Sync + 'static) -> Table<Windowed<K>, A> {
        let merge: MergeValues<K, A> =
            Arc::new(|_, _, _| Err(Reject::because("windows of this kind are never merged")));
        self.table(Arc::new(initial), merge)
    }
}

impl<K: Key, A: Data> CogroupedBy<K, A, SessionWindows> {
    /// One value a session: `initial()` before the first record of any stream; `merge(key, earlier, later)` adds the
    /// later one's value to the earlier one's where two become one.
    #[track_caller]
    pub fn aggregate_sessions(
        &self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        merge: impl Fn(&K, &mut A, A) + Send + Sync + 'static,
    ) -> Table<Windowed<K>, A> {
        let merge: MergeValues<K, A> = Arc::new(move |key, one, other| {
            merge(key, one, other);
            Ok(())
        });
        self.table(Arc::new(initial), merge)
    }
}
