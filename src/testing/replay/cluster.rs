//! The topology that the events go through, and what it leaves in its topics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::data::{self, AMPLE, Event, Kind, ms};
use super::naive::{Expected, Windows};
use crate::broker::memory::{MemoryBroker, StoredRecord};
use crate::codec::Codec;
use crate::dsl::{WindowedBy, Windowing};
use crate::runtime::bugs::Bug;
use crate::testing::simulation::{Scenario, SimulatedInput};
use crate::time::Timestamp;
use crate::topology::Topology;
use crate::window::{GivenWindows, HoppingWindows, SessionWindowed, SessionWindows, SlidingWindows, Window, Windowed};
use crate::{Builder, Data, Json, NoKey, Topic};

impl Data for Event {
    type Codec = Json;
}

/// The ids of events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Ids(Vec<u64>);

impl Data for Ids {
    type Codec = Json;
}

/// An event that came too late, with the window that it missed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Missed {
    ids: Ids,
    window: Window,
    expired: bool,
}

impl Data for Missed {
    type Codec = Json;
}

const IN: Topic<NoKey, Event> = Topic::new("in");
const WINDOWS: Topic<Windowed<String>, Ids> = Topic::new("windows");
const TOGETHER: Topic<Windowed<String>, Ids> = Topic::new("together");
const LATE: Topic<String, Missed> = Topic::new("late");

/// No partition is left out as idle: which windows a silence closes is decided by the clock.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// Events, re-keyed, in windows; of results on closing, all keys of a window together in a second stage.
pub(super) fn topology(data: &data::Data) -> Topology {
    let b = Builder::new("replay");
    let time = |_: &NoKey, event: &Event| Timestamp::from_millis(event.time);
    let events = b.source(IN).event_time(time).out_of_order_by(ms(data.bound)).idle_after(NEVER).stream();
    let keyed = events.rekey(|_, event| event.key.clone()).map_values(|event| Ids(vec![event.id]));
    let keyed = keyed.group_by_key().named("by-key");
    let on_close = data.on_close;
    match data.kind {
        Kind::Hopping { size, advance, grace } => {
            let windows = HoppingWindows::of(ms(size), ms(advance)).grace(ms(grace));
            aggregate(keyed.windowed(windows), on_close, GivenWindows::closed(ms(size)));
        }
        Kind::Session { gap, grace } => {
            aggregate(
                keyed.windowed(SessionWindows::of(ms(gap)).grace(ms(grace))),
                on_close,
                GivenWindows::up_to(ms(AMPLE)),
            );
        }
        Kind::Sliding { difference, grace } => {
            let windows = SlidingWindows::of(ms(difference)).grace(ms(grace));
            aggregate(keyed.windowed(windows), on_close, GivenWindows::up_to(ms(difference)));
        }
    }
    b.build().expect("the topology is sound")
}

fn add(ids: &mut Ids, more: Ids) {
    ids.0.extend(more.0);
}

fn aggregate<W>(windows: WindowedBy<String, Ids, W>, on_close: bool, second: GivenWindows)
where
    W: Windowing<String, Out = Windowed<String>>,
{
    let windows = if on_close { windows.on_close() } else { windows };
    let table = windows.reduce(add).named("windows");
    table.to(WINDOWS);
    let missed = |late: crate::operators::window::Late<Ids>| Missed {
        ids: late.value,
        window: late.window,
        expired: late.expired,
    };
    table.late().map_values(missed).to(LATE);
    if on_close {
        let all = |of: Windowed<String>, ids: Option<Ids>| {
            (Windowed::new("all".to_owned(), of.window), ids.unwrap_or_default())
        };
        let together = table.to_stream().map(all).group_by_key().named("by-window");
        together.windowed(second).on_close().reduce(add).named("together").to(TOGETHER);
    }
}

/// The events in one of the ways in which their partitions may fill, some or all of them before the first process starts.
pub(super) fn scenario(data: &data::Data, seed: u64, bug: Option<Bug>) -> Scenario {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let inputs: Vec<SimulatedInput> = data.interleaved(&mut random).into_iter().map(input).collect();
    let many = inputs.len() as u64;
    let backlog = [0, many / 2, many][random.random_range(0..3)];
    let batch = [1, 3, 20, 1_000][random.random_range(0..4)];
    let of = data.clone();
    Scenario {
        topology: Arc::new(move || topology(&of)),
        sources: vec![("in".into(), u32::try_from(data.partitions.len()).expect("few"))],
        input: Arc::new(move |n, _| inputs[usize::try_from(n).expect("small")].clone()),
        steps: 600,
        inputs: many,
        backlog,
        refusals: false,
        config: Arc::new(move |config| {
            config.bug = bug;
            config.batch = Some(batch);
        }),
    }
}

pub(super) fn input((partition, event): (u32, Event)) -> SimulatedInput {
    let value = Some(serde_json::to_vec(&event).expect("it can be written"));
    // Kafka's timestamp has nothing to do with it.
    SimulatedInput { source: 0, partition: Some(partition), key: None, value, timestamp: Timestamp::from_millis(1) }
}

/// What is wrong with what a cluster has left in its topics, if anything is.
pub(super) fn fault_in(broker: &MemoryBroker, data: &data::Data, expected: &Expected) -> Result<(), String> {
    let windows = if data.on_close { &expected.closed } else { &expected.all };
    same("windows", &results(broker, "windows", data.on_close)?, windows)?;
    same("late events", &late(broker)?, &expected.late)?;
    if data.on_close {
        let of_all = |(window, ids): (&Window, &BTreeSet<u64>)| (("all".to_owned(), *window), ids.clone());
        same("second stage", &results(broker, "together", true)?, &expected.together.iter().map(of_all).collect())?;
    }
    Ok(())
}

fn same<T: std::fmt::Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}:\n   found {found:?}\nexpected {expected:?}")) }
}

/// The last result of each window; with `once`, one that comes again is wrong.
fn results(broker: &MemoryBroker, topic: &str, once: bool) -> Result<Windows, String> {
    let mut results = Windows::new();
    for record in broker.records(topic).unwrap_or_default() {
        let key: Windowed<String> = SessionWindowed.decode(&record.key.unwrap_or_default()).expect("a window");
        let at = (key.key, key.window);
        let before = match &record.value {
            Some(value) => {
                let Ids(ids) = serde_json::from_slice(value).expect("ids");
                let many = ids.len();
                let ids: BTreeSet<u64> = ids.into_iter().collect();
                if ids.len() < many {
                    return Err(format!("an event was counted twice in {at:?}"));
                }
                results.insert(at.clone(), ids)
            }
            None => results.remove(&at),
        };
        if once && before.is_some() {
            return Err(format!("{topic}: {at:?} came twice"));
        }
    }
    Ok(results)
}

fn late(broker: &MemoryBroker) -> Result<BTreeSet<(u64, Window)>, String> {
    let mut late = BTreeSet::new();
    for record in broker.records("late").unwrap_or_default() {
        let StoredRecord { value, .. } = record;
        let Missed { ids, window, expired } = serde_json::from_slice(&value.unwrap_or_default()).expect("a late event");
        let event = (ids.0[0], window);
        if expired {
            return Err(format!("{event:?} was in time, and its window had closed already"));
        }
        if !late.insert(event) {
            return Err(format!("{event:?} was late twice"));
        }
    }
    Ok(late)
}
