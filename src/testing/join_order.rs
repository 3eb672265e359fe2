//! A stream joined with a table, against a naive reference: the row of a record is that of the newest change which is not
//! later, whatever the batches, commits, crashes and interleavings were, and through shuffles as well.
//!
//! That is so where each partition is in order of time and all records are there when the cluster starts. Where a partition
//! is out of order, the row is the one that stood when the record's turn came: of the heads of the two partitions the
//! earlier one goes first, and of equal times the table's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::simulation::{Scenario, Settled, SimulatedInput, simulate};
use crate::operators::DropReason;
use crate::time::Timestamp;
use crate::topology::Topology;
use crate::{Builder, Data, Emission, Json, NoKey, Topic};

/// A change of the table, or a record of the stream.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Event {
    /// No other event has it.
    pub(super) id: u64,
    pub(super) key: String,
    pub(super) time: i64,
    /// Deletes the row; of a stream's record, it has no value.
    pub(super) null: bool,
}

impl Data for Event {
    type Codec = Json;
}

/// What came of a record: its id, and that of the row it met.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct Met(pub(super) u64, pub(super) Option<u64>);

impl Data for Met {
    type Codec = Json;
}

pub(super) const KEYS: [&str; 4] = ["a", "b", "c", "d"];
pub(super) const NEVER: Duration = Duration::from_hours(24 * 365);

/// How the two sides come to the join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Both topics have the key, and equally many partitions.
    Direct,
    /// Neither topic has keys: both go through repartition topics. Each topic has one partition, so that what comes out of
    /// those is in order of time.
    Shuffled,
}

/// Changes and records, by topic and partition, each in the order of its partition.
#[derive(Clone, Debug)]
struct Events {
    way: Way,
    left: bool,
    table: Vec<Vec<Event>>,
    stream: Vec<Vec<Event>>,
    /// The stream is declared before the table.
    stream_first: bool,
}

impl Events {
    fn of(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let way = if seed.is_multiple_of(2) { Way::Direct } else { Way::Shuffled };
        let many = if way == Way::Direct { random.random_range(1..=3) } else { 1 };
        // Only where one partition meets one other is the order of heads a function of the two.
        let back = if way == Way::Direct && random.random() { random.random_range(1..40) } else { 1 };
        let mut id = 0;
        let mut side = |random: &mut ChaCha8Rng, nulls: f64| -> Vec<Vec<Event>> {
            let keys = |place: usize| KEYS.iter().skip(place).step_by(many).collect::<Vec<_>>();
            (0..many)
                .map(|place| {
                    let mut now = random.random_range(0..30);
                    let number = random.random_range(5..30);
                    let events = (0..number).map(|_| {
                        now += random.random_range(0..6);
                        let keys = keys(place);
                        let key = (*keys[random.random_range(0..keys.len())]).to_owned();
                        let time = (now - random.random_range(0..back)).max(0);
                        id += 1;
                        Event { id, key, time, null: random.random_bool(nulls) }
                    });
                    events.collect()
                })
                .collect()
        };
        let (table, stream) = (side(&mut random, 0.2), side(&mut random, 0.1));
        Self { way, left: random.random(), table, stream, stream_first: random.random() }
    }

    fn len(&self) -> usize {
        self.table.iter().chain(&self.stream).map(Vec::len).sum()
    }

    /// The naive reference: the events of each pair of partitions one by one, that with the earlier head first.
    fn expected(&self) -> (BTreeSet<Met>, u64, u64) {
        let (mut met, mut misses, mut nulls) = (BTreeSet::new(), 0, 0);
        for (table, stream) in self.table.iter().zip(&self.stream) {
            let (mut table, mut rows) = (table.iter().peekable(), BTreeMap::new());
            for record in stream {
                while let Some(change) = table.next_if(|change| change.time <= record.time) {
                    rows.insert(change.key.clone(), (!change.null).then_some(change.id));
                }
                let row = rows.get(&record.key).copied().flatten();
                match row {
                    _ if record.null => nulls += 1,
                    None if !self.left => misses += 1,
                    row => drop(met.insert(Met(record.id, row))),
                }
            }
        }
        (met, misses, nulls)
    }
}

const TABLE: Topic<String, Event> = Topic::new("table");
const STREAM: Topic<String, Option<Event>> = Topic::new("stream");
const KEYLESS_TABLE: Topic<NoKey, Event> = Topic::new("table");
const KEYLESS_STREAM: Topic<NoKey, Event> = Topic::new("stream");
const MET: Topic<String, Met> = Topic::new("met");

/// What a side is without a value that is null.
pub(super) fn present(event: Event) -> Option<Event> {
    Some(event).filter(|event| !event.null)
}

fn topology(events: &Events) -> Topology {
    let b = Builder::new("join-order");
    let table = || match events.way {
        Way::Direct => b.source(TABLE).idle_after(NEVER).table(),
        Way::Shuffled => {
            let changes = b.source(KEYLESS_TABLE).idle_after(NEVER).stream().rekey(|_, event| event.key.clone());
            changes.map_values(present).repartition().partitions(3).named("changes").stream().to_table_with_tombstones()
        }
    };
    let stream = || match events.way {
        Way::Direct => b.source(STREAM).idle_after(NEVER).stream(),
        Way::Shuffled => {
            let records = b.source(KEYLESS_STREAM).idle_after(NEVER).stream().rekey(|_, event| event.key.clone());
            records.map_values(present).repartition().partitions(3).named("records").stream()
        }
    };
    let (stream, table) = if events.stream_first {
        let stream = stream();
        (stream, table())
    } else {
        let table = table();
        (stream(), table)
    };
    let id = |record: &Option<Event>| record.as_ref().map_or(0, |record| record.id);
    if events.left {
        stream.left_join(&table, move |_, record, row| Met(id(&record), row.map(|row| row.id))).to(MET);
    } else {
        stream.join(&table, move |_, record, row| Met(id(&record), Some(row.id))).to(MET);
    }
    b.build().expect("the topology is sound")
}

fn scenario(events: &Events, seed: u64) -> Scenario {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let of = |source: usize, partitions: &[Vec<Event>]| -> Vec<SimulatedInput> {
        let input = |partition: usize, event: &Event| SimulatedInput {
            source,
            partition: u32::try_from(partition).ok(),
            key: (events.way == Way::Direct).then(|| event.key.clone().into_bytes()),
            value: (!event.null || events.way == Way::Shuffled).then(|| serde_json::to_vec(event).expect("plain")),
            timestamp: Timestamp::from_millis(event.time),
        };
        let all =
            partitions.iter().enumerate().flat_map(|(at, events)| events.iter().map(move |event| input(at, event)));
        all.collect()
    };
    let inputs: Vec<_> = of(0, &events.table).into_iter().chain(of(1, &events.stream)).collect();
    let partitions = |side: &[Vec<Event>]| u32::try_from(side.len()).expect("few");
    let sources = vec![("table".into(), partitions(&events.table)), ("stream".into(), partitions(&events.stream))];
    let (many, of) = (inputs.len() as u64, events.clone());
    let (batch, each) = ([1, 2, 5, 1_000][random.random_range(0..4)], random.random());
    Scenario {
        topology: Arc::new(move || topology(&of)),
        sources,
        input: Arc::new(move |n, _| inputs[usize::try_from(n).expect("few")].clone()),
        steps: 400,
        inputs: many,
        backlog: many,
        refusals: false,
        config: Arc::new(move |config| {
            config.batch = Some(batch);
            config.emission = if each { Emission::EachUpdate } else { Emission::EachCommit };
        }),
    }
}

/// What is wrong with a settled cluster, if anything is.
fn fault_in(settled: &Settled, events: &Events) -> Result<(), String> {
    let (expected, misses, nulls) = events.expected();
    let mut found = BTreeSet::new();
    for record in settled.broker.records("met").unwrap_or_default() {
        let met: Met = serde_json::from_slice(&record.value.unwrap_or_default()).expect("what the join made");
        if !found.insert(met.clone()) {
            return Err(format!("{met:?} came twice"));
        }
    }
    if found != expected {
        let (missing, wrong): (Vec<_>, Vec<_>) =
            (expected.difference(&found).collect(), found.difference(&expected).collect());
        return Err(format!("missing {missing:?}, wrong {wrong:?}"));
    }
    let dropped: BTreeMap<DropReason, u64> = settled.metrics.dropped().into_iter().collect();
    // A commit whose outcome is told to nobody is counted by nobody: in a calm life the counts are exact.
    let calm = settled.report.happened.is_empty();
    let count = |reason| dropped.get(&reason).copied().unwrap_or(0);
    let counts = (count(DropReason::JoinMiss), count(DropReason::NullValue));
    if calm && counts != (misses, nulls) {
        return Err(format!("misses and nulls {counts:?} were counted, of {:?}", (misses, nulls)));
    }
    Ok(())
}

#[test]
fn a_stream_meets_its_table_as_it_stood_in_a_thousand_lives() {
    let (mut calm, mut missed, mut joined) = (0, 0, 0);
    for seed in 0..1_000 {
        let events = Events::of(seed);
        let settled = simulate(seed, &scenario(&events, seed)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(settled.inputs.len(), events.len(), "seed {seed}: not all events were written");
        fault_in(&settled, &events)
            .unwrap_or_else(|wrong| panic!("seed {seed}, {:?}, left {}: {wrong}", events.way, events.left));
        let (met, no_row, _) = events.expected();
        (joined, missed) = (joined + met.len(), missed + no_row);
        calm += u32::from(settled.report.happened.is_empty());
    }
    println!("{joined} results, {missed} misses, {calm} lives without a fault");
    assert!(joined > 0 && missed > 0 && calm > 0, "the events leave nothing to be wrong");
}
