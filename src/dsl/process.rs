//! Processors of the user's own.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::stream::{Item, Stream};
use crate::codec::{Data, Key};
use crate::operators::changelog::Changelog;
use crate::operators::process::{Asked, Owned, Process};
use crate::operators::processor::{Processor, Schedule, Stored, Timer, TimerKind};
use crate::operators::stores::{SharedStore, StoreHandle, StorePort};
use crate::operators::value_processor::{KeepingKey, ValueProcessor};
use crate::operators::{Edge, Out};
use crate::state::{Store, StoreOptions};
use crate::topology::Wiring;
use crate::topology::graph::{NodeId, NodeKind};

/// What a processor asks for while it is made.
pub struct Setup<'a, 'b> {
    /// Where it is declared, or where a task is made.
    place: Place<'a, 'b>,
    /// The node that its next store gets.
    next: NodeId,
    timers: Vec<Schedule>,
    stores: Vec<Box<dyn Owned>>,
    ports: Vec<Box<dyn StorePort>>,
    hold: Duration,
}

enum Place<'a, 'b> {
    Declared(&'a dyn Fn(NodeId, Option<&str>, Types)),
    Wired(&'a mut Wiring<'b>),
}

/// The names of the types in a store.
type Types = (&'static str, &'static str);

impl<'a, 'b> Setup<'a, 'b> {
    fn new(place: Place<'a, 'b>, NodeId(process): NodeId) -> Self {
        let (timers, stores, ports) = (Vec::new(), Vec::new(), Vec::new());
        Self { place, next: NodeId(process + 1), timers, stores, ports, hold: Duration::ZERO }
    }

    /// A store, with a changelog. Its name must be its own in the whole topology.
    pub fn store<K: Key, V: Data>(&mut self, name: &str) -> Stored<K, V> {
        let opened = self.open::<K, V>(Some(name));
        let store = opened.as_ref().map(|(store, _)| store.clone());
        self.stores.extend(opened.map(|opened| Box::new(opened) as Box<dyn Owned>));
        Stored(store)
    }

    /// A timer by event time: it goes off when the watermark comes to a multiple of `interval`, and once at the very
    /// beginning. Multiples that are jumped over count as one.
    pub fn every(&mut self, interval: Duration) -> Timer {
        self.timer(TimerKind::EventTime, interval)
    }

    /// A timer by the time of day: it goes off `interval` after the task has started, and so on, in silence as well.
    pub fn every_by_clock(&mut self, interval: Duration) -> Timer {
        self.timer(TimerKind::WallClock, interval)
    }

    /// The processor forwards records that may lie so far behind the one that it processes, or behind a timer: what is
    /// downstream waits so much longer for them.
    pub fn holds_back(&mut self, hold: Duration) {
        self.hold = hold;
    }

    fn timer(&mut self, kind: TimerKind, every: Duration) -> Timer {
        self.timers.push(Schedule { kind, every });
        Timer(u32::try_from(self.timers.len() - 1).unwrap_or(u32::MAX))
    }

    fn by_event_time(&self) -> bool {
        self.timers.iter().any(|timer| timer.kind == TimerKind::EventTime)
    }

    fn open<K: Key, V: Data>(&mut self, name: Option<&str>) -> Option<(SharedStore<K, V>, Changelog)> {
        let id = self.next;
        self.next = NodeId(id.0 + 1);
        match &mut self.place {
            Place::Declared(declare) => {
                declare(id, name, (std::any::type_name::<K>(), std::any::type_name::<V>()));
                None
            }
            Place::Wired(wiring) => {
                let (name, changelog) = (wiring.name(id), wiring.changelog(id));
                let cache_bytes = wiring.options().cache_bytes;
                let options = StoreOptions { name: name.to_string(), keep_before: false, cache_bytes };
                let store = SharedStore::new(Store::new(options, wiring.state().clone()));
                self.ports.push(Box::new(StoreHandle::new(name, Arc::clone(&changelog), store.clone())));
                Some((store, Changelog::new(changelog, wiring.partition())))
            }
        }
    }
}

impl<K: Item, V: Item> Stream<K, V> {
    /// As [`process`](Self::process), of a [`ValueProcessor`]: it forwards values with the key of the record that it
    /// processes and no other, as its type says, so that what is grouped below it needs no shuffle.
    ///
    /// ```
    /// use millstream::operators::Reject;
    /// use millstream::operators::processor::Stored;
    /// use millstream::operators::value_processor::{ValueContext, ValueProcessor};
    /// use millstream::testing::Driver;
    /// use millstream::{Builder, Record, Topic};
    ///
    /// const PRICES: Topic<String, i64> = Topic::new("prices");
    /// const RISES: Topic<String, i64> = Topic::new("rises");
    /// const COUNTS: Topic<String, u64> = Topic::new("counts");
    ///
    /// /// By how much a price has risen, where it has.
    /// struct Rise { last: Stored<String, i64> }
    ///
    /// impl ValueProcessor<String, i64> for Rise {
    ///     type Value = i64;
    ///
    ///     fn process(
    ///         &self,
    ///         record: Record<String, i64>,
    ///         cx: &mut ValueContext<'_, '_, String, i64>,
    ///     ) -> Result<(), Reject> {
    ///         let last = cx.get(&self.last, &record.key);
    ///         cx.put(&self.last, &record.key, record.value);
    ///         if let Some(rise) = last.map(|last| record.value - last).filter(|rise| *rise > 0) {
    ///             cx.forward(rise);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let b = Builder::new("rises");
    /// let rises = b.source(PRICES).stream().process_values(|setup| Rise { last: setup.store("last-price") });
    /// rises.to(RISES);
    /// rises.group_by_key().count().to(COUNTS);
    /// let topology = b.build()?;
    /// assert_eq!(topology.plan().repartitions.len(), 0);
    /// let mut driver = Driver::builder(topology).start()?;
    /// for price in [80, 90, 85, 86] {
    ///     driver.send(&PRICES, &"tea".to_owned(), &price, 0)?;
    /// }
    /// driver.settle()?;
    /// assert_eq!(driver.take_values(&RISES)?, [("tea".to_owned(), 10), ("tea".to_owned(), 1)]);
    /// assert_eq!(driver.take_values(&COUNTS)?, [("tea".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn process_values<P: ValueProcessor<K, V>>(
        &self,
        make: impl Fn(&mut Setup<'_, '_>) -> P + Send + Sync + 'static,
    ) -> Stream<K, P::Value> {
        Stream { rekeyed: self.rekeyed, ..self.process(move |setup| KeepingKey(make(setup))) }
    }

    /// A processor of the user's own: `make` is called once for the plan and once for each task, and must ask for the same
    /// every time. What it forwards may have any key: what is grouped below it is shuffled.
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream::operators::processor::{Context, Processor, Stored, Timer};
    /// use millstream::operators::Reject;
    /// use millstream::testing::Driver;
    /// use millstream::{Builder, NoKey, Record, Timestamp, Topic};
    ///
    /// const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// const SO_FAR: Topic<String, u64> = Topic::new("so-far");
    ///
    /// /// Counts lines, and says every ten seconds how many there were.
    /// struct Counter { lines: Stored<u32, u64> }
    ///
    /// impl Processor<NoKey, String> for Counter {
    ///     type Key = String;
    ///     type Value = u64;
    ///
    ///     fn process(&self, _: Record<NoKey, String>, cx: &mut Context<'_, String, u64>) -> Result<(), Reject> {
    ///         cx.update(&self.lines, &0, |lines| *lines.get_or_insert(0) += 1);
    ///         Ok(())
    ///     }
    ///
    ///     fn punctuate(&self, _: Timer, _: Timestamp, cx: &mut Context<'_, String, u64>) -> Result<(), Reject> {
    ///         let lines = cx.get(&self.lines, &0).unwrap_or(0);
    ///         cx.forward("lines".into(), lines);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let b = Builder::new("lines");
    /// b.source(LINES)
    ///     .stream()
    ///     .process(|setup| {
    ///         setup.every(Duration::from_secs(10));
    ///         Counter { lines: setup.store("lines-so-far") }
    ///     })
    ///     .to(SO_FAR);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for time in [1_000, 4_000, 12_000] {
    ///     driver.send(&LINES, &NoKey, &"a line".to_owned(), time)?;
    /// }
    /// driver.settle()?;
    /// let counts: Vec<u64> = driver.take_values(&SO_FAR)?.into_iter().map(|(_, count)| count).collect();
    /// assert_eq!(counts, [1, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn process<P: Processor<K, V>>(
        &self,
        make: impl Fn(&mut Setup<'_, '_>) -> P + Send + Sync + 'static,
    ) -> Stream<P::Key, P::Value> {
        let make = Arc::new(make);
        let (again, above, edge) = (Arc::clone(&make), self.edge.clone(), Edge::new());
        let (below, id) = (edge.clone(), self.graph.borrow().next());
        let wire = move |wiring: &mut Wiring<'_>| {
            let out: Out<P::Key, P::Value> = below.take();
            let name = wiring.name(id);
            let mut setup = Setup::new(Place::Wired(wiring), id);
            let processor = again(&mut setup);
            let due = if setup.by_event_time() { setup.open(None) } else { None };
            let Setup { timers, stores, ports, hold, .. } = setup;
            let (port, clock) = Process::ports(name, processor, Asked { timers, due, stores, hold }, out);
            // In reverse, as everything is wired.
            ports.into_iter().rev().for_each(|port| wiring.add_store(port));
            if let Some(clock) = clock {
                wiring.add_clock(clock);
            }
            wiring.join(&above, port);
        };
        self.node::<P::Key, P::Value>("process", NodeKind::Stateless, vec![self.node], Box::new(wire));
        // A store is a node of its own below the processor, whose task makes it.
        let location = std::panic::Location::caller();
        let declare = |_: NodeId, name: Option<&str>, (key_type, value_type): Types| {
            let label = if name.is_some() { "store" } else { "timers" };
            let kind = NodeKind::Stateful { emission: None, keeps_before: false };
            let named = name.map(str::to_owned);
            let (parents, wire) = (vec![id], Box::new(|_: &mut Wiring<'_>| ()));
            let mut graph = self.graph.borrow_mut();
            graph.add(crate::topology::graph::Node {
                kind,
                label,
                named,
                key_type,
                value_type,
                location,
                parents,
                placed_by: None,
                wire,
            });
        };
        let mut setup = Setup::new(Place::Declared(&declare), id);
        drop(make(&mut setup));
        if setup.by_event_time() {
            setup.open::<u32, i64>(None);
        }
        let Setup { timers, hold, .. } = setup;
        let mut graph = self.graph.borrow_mut();
        for Schedule { kind, every } in timers {
            graph.agree(Some(id), format!("{kind:?} every {every:?}"));
        }
        if hold > Duration::ZERO {
            graph.agree(Some(id), format!("hold {hold:?}"));
        }
        drop(graph);
        Stream::new(Rc::clone(&self.graph), id, edge, true)
    }
}
