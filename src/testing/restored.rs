//! A stream and its table after a pause: the cluster comes to rest and stops, more is written to both, and it starts again.
//! What its tasks knew of those upstream is out of date then, and no record may meet an older row for that.
//!
//! The naive reference takes what was written before the pause in order of time, and then what was written during it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::join_order::{Event, KEYS, Met, NEVER, present};
use super::simulation::{Scenario, Settled, SimulatedInput, simulate_with_a_pause};
use crate::runtime::bugs::Bug;
use crate::time::Timestamp;
use crate::topology::Topology;
use crate::{Builder, Emission, NoKey, Topic};

const TABLE: Topic<NoKey, Event> = Topic::new("table");
const STREAM: Topic<NoKey, Event> = Topic::new("stream");
const MET: Topic<String, Met> = Topic::new("met");

/// Changes and records, each in order of time, before the pause and during it.
#[derive(Clone, Debug)]
struct Life {
    /// The table's changes come through two shuffles.
    far: bool,
    /// Sources fall silent soon.
    idle_after: Duration,
    before: [Vec<Event>; 2],
    during: [Vec<Event>; 2],
}

impl Life {
    fn of(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (far, idle_after) = (random.random(), if random.random() { NEVER } else { Duration::from_secs(5) });
        let (mut id, mut now) = (0, [0_i64, 0]);
        let mut side = |random: &mut ChaCha8Rng, place: usize| -> Vec<Event> {
            let number = random.random_range(3..15);
            let events = (0..number).map(|_| {
                now[place] += random.random_range(0..6);
                id += 1;
                let key = KEYS[random.random_range(0..KEYS.len())].to_owned();
                Event { id, key, time: now[place], null: random.random_bool(0.1) }
            });
            events.collect()
        };
        let before = [side(&mut random, 0), side(&mut random, 1)];
        Self { far, idle_after, before, during: [side(&mut random, 0), side(&mut random, 1)] }
    }

    fn expected(&self) -> BTreeSet<Met> {
        let (mut met, mut rows) = (BTreeSet::new(), BTreeMap::new());
        for [table, stream] in [&self.before, &self.during] {
            let mut changes = table.iter().peekable();
            let mut change = |rows: &mut BTreeMap<_, _>, until: i64| {
                while let Some(change) = changes.next_if(|change| change.time <= until) {
                    rows.insert(&change.key, (!change.null).then_some(change.id));
                }
            };
            for record in stream {
                change(&mut rows, record.time);
                if !record.null {
                    met.insert(Met(record.id, rows.get(&record.key).copied().flatten()));
                }
            }
            change(&mut rows, i64::MAX);
        }
        met
    }

    fn topology(&self) -> Topology {
        let b = Builder::new("restored");
        let changes = b.source(TABLE).idle_after(self.idle_after).stream().rekey(|_, event| event.key.clone());
        // Of one partition, so that what goes through it stays in order of time.
        let changes = if self.far { changes.repartition().partitions(1).named("first").stream() } else { changes };
        let changes = changes.rekey(|_, event| event.key.clone()).map_values(present);
        let table = changes.repartition().partitions(3).named("changes").stream().to_table_with_tombstones();
        let records = b.source(STREAM).idle_after(self.idle_after).stream().rekey(|_, event| event.key.clone());
        let records = records.map_values(present).repartition().partitions(3).named("records").stream();
        let id = |record: &Option<Event>| record.as_ref().map_or(0, |record| record.id);
        records.left_join(&table, move |_, record, row| Met(id(&record), row.map(|row| row.id))).to(MET);
        b.build().expect("the topology is sound")
    }

    fn scenario(&self, seed: u64, bug: Option<Bug>) -> Scenario {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let input = |source: usize, event: &Event| SimulatedInput {
            source,
            partition: Some(0),
            key: None,
            value: Some(serde_json::to_vec(event).expect("plain")),
            timestamp: Timestamp::from_millis(event.time),
        };
        let all = self.before.iter().chain(&self.during).enumerate();
        let inputs: Vec<_> =
            all.flat_map(|(at, events)| events.iter().map(move |event| input(at % 2, event))).collect();
        let (many, before, of) = (inputs.len() as u64, self.count_before(), self.clone());
        let (batch, each) = ([1, 2, 5, 1_000][random.random_range(0..4)], random.random());
        Scenario {
            topology: Arc::new(move || of.topology()),
            sources: vec![("table".into(), 1), ("stream".into(), 1)],
            input: Arc::new(move |n, _| inputs[usize::try_from(n).expect("few")].clone()),
            steps: 120,
            inputs: many,
            backlog: before,
            refusals: false,
            config: Arc::new(move |config| {
                config.batch = Some(batch);
                config.emission = if each { Emission::EachUpdate } else { Emission::EachCommit };
                config.bug = bug;
            }),
        }
    }

    fn count_before(&self) -> u64 {
        self.before.iter().map(|events| events.len() as u64).sum()
    }
}

fn live(seed: u64, bug: Option<Bug>) -> Result<Settled, String> {
    let life = Life::of(seed);
    let settled = simulate_with_a_pause(seed, &life.scenario(seed, bug), life.count_before())
        .map_err(|error| error.to_string())?;
    let written = life.before.iter().chain(&life.during).map(Vec::len).sum::<usize>();
    assert_eq!(settled.inputs.len(), written, "seed {seed}: not all events were written");
    let mut found = BTreeSet::new();
    for record in settled.broker.records("met").unwrap_or_default() {
        let met: Met = serde_json::from_slice(&record.value.unwrap_or_default()).expect("what the join made");
        if !found.insert(met.clone()) {
            return Err(format!("{met:?} came twice"));
        }
    }
    let expected = life.expected();
    if found != expected {
        let missing: Vec<_> = expected.difference(&found).collect();
        return Err(format!("missing {missing:?}, wrong {:?}", found.difference(&expected).collect::<Vec<_>>()));
    }
    Ok(settled)
}

#[test]
fn after_a_pause_no_stream_overtakes_what_was_written_to_its_table_in_a_thousand_lives() {
    for seed in 0..1_000 {
        if let Err(wrong) = live(seed, None) {
            panic!("seed {seed}, {:?}: {wrong}", Life::of(seed).far);
        }
    }
}

#[test]
fn tasks_that_believe_what_was_said_before_the_pause_are_found_out() {
    let wrong = (0..50).filter(|seed| live(*seed, Some(Bug::BelievesOldWords)).is_err()).count();
    println!("{wrong} of 50 lives went wrong");
    assert!(wrong >= 5, "only {wrong} of 50 lives show it");
}
