//! Bounded runs: they close the windows that a live run closes, and one that goes on live closes none of them again.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::cluster::{self, fault_in};
use super::data::{Data, Event};
use super::naive::Expected;
use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, NewTopic, Outgoing, OutgoingRecord, Partitioning};
use crate::record::{Headers, InputNumber};
use crate::runtime::{App, AppState, Config};
use crate::time::{Clock, SystemClock};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn write(broker: &MemoryBroker, events: Vec<(u32, Event)>) {
    let mut out = Outgoing::default();
    for event in events {
        let input = cluster::input(event);
        let topic = out.topic("in");
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(input.partition.expect("given")),
            key: None,
            value: input.value.as_deref(),
            timestamp: input.timestamp,
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    }
    let mut writer = broker.writer().expect("it opens");
    writer.send(&out).and_then(|()| writer.flush()).expect("written");
}

fn app(data: &Data, broker: &MemoryBroker, until_end: bool) -> App {
    let mut config = Config::new("simulated");
    config.threads = 2;
    config.commit_interval = Duration::from_millis(5);
    (config.until_end, config.leave_on_stop) = (until_end, true);
    App::new(cluster::topology(data), Arc::new(broker.clone()), config)
}

/// The first `many` of each partition's events.
fn first(data: &Data, many: usize) -> Data {
    let partitions = data.partitions.iter().map(|events| events[..many.min(events.len())].to_vec()).collect();
    Data { partitions, ..data.clone() }
}

fn check(seed: u64) -> Result<(), String> {
    let data = Data::of(seed);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let broker = MemoryBroker::new(Arc::clone(&clock));
    let partitions = u32::try_from(data.partitions.len()).expect("few");
    let topics = ["in", "windows", "late", "together"];
    let topic = |name: &str| NewTopic { name: name.into(), partitions, settings: std::collections::BTreeMap::new() };
    broker.create_topics(&topics.map(topic)).expect("created");

    let half = first(&data, 7);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    write(&broker, half.interleaved(&mut random));
    app(&data, &broker, true).start().and_then(crate::Running::join).map_err(|error| error.to_string())?;
    fault_in(&broker, &half, &Expected::of(&half)).map_err(|wrong| format!("after the bounded run: {wrong}"))?;

    let rest = data.partitions.iter().map(|events| events.get(7..).unwrap_or_default().to_vec()).collect();
    let rest = Data { partitions: rest, ..data.clone() };
    let running = app(&data, &broker, false).start().map_err(|error| error.to_string())?;
    write(&broker, rest.interleaved(&mut random));
    let (expected, started) = (Expected::of(&data), clock.elapsed());
    let found = loop {
        let found = fault_in(&broker, &data, &expected);
        let waited = clock.elapsed().saturating_sub(started);
        if found.is_ok() || waited > PATIENCE || running.wait_for(AppState::Failed, Duration::from_millis(10)) {
            break found;
        }
    };
    running.stop();
    running.join().map_err(|error| error.to_string())?;
    found.and_then(|()| fault_in(&broker, &data, &expected)).map_err(|wrong| format!("live again: {wrong}"))
}

#[test]
fn a_bounded_run_closes_the_same_windows_and_going_on_live_closes_none_of_them_again() {
    // Each kind of windows and of results, in several partitions and in one.
    for seed in 0..24 {
        check(seed).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}
