//! Clusters that crash and stumble while their streams are joined with a global table: every record once, with a row
//! that was there, and none before the table was complete.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::simulation::{Scenario, Settled, SimulatedInput, simulate};
use crate::dsl::{Builder, Topic};
use crate::runtime::bugs::Bug;
use crate::time::Timestamp;
use crate::topology::Topology;

/// How many rows there are from the beginning; later inputs only change them.
const ROWS: u64 = 24;

const ROW: Topic<u64, u64> = Topic::new("rows");
const IN: Topic<u64, u64> = Topic::new("in");
const JOINED: Topic<u64, u64> = Topic::new("joined");

/// Each input with its row, and each input by itself.
fn joining() -> Topology {
    let b = Builder::new("joining");
    let rows = b.global_table(ROW);
    let row = |_: &u64, _: u64, row: Option<&u64>| row.copied().unwrap_or(u64::MAX);
    b.source(IN).stream().left_join_global(&rows, |_, of| Some(*of), row).to(JOINED);
    b.build().expect("the topology is sound")
}

/// The `n`-th input: the rows first, then changes of them and records that look them up.
fn input(n: u64) -> SimulatedInput {
    let row = |row: u64| (0, row, n);
    let (source, key, value) = match n {
        0..ROWS => row(n),
        _ if n.is_multiple_of(3) => row(n % ROWS),
        _ => (1, n, n % ROWS),
    };
    SimulatedInput {
        source,
        // A row stays in its partition.
        partition: (source == 0).then(|| u32::try_from(key % 3).expect("small")),
        key: Some(key.to_be_bytes().to_vec()),
        value: Some(value.to_be_bytes().to_vec()),
        timestamp: Timestamp::from_millis(1_700_000_000_000 + i64::try_from(n).expect("small")),
    }
}

fn scenario(seed: u64, bug: Option<Bug>) -> Scenario {
    Scenario {
        topology: Arc::new(joining),
        sources: vec![("rows".into(), 3), ("in".into(), 1 + u32::try_from(seed % 4).expect("small"))],
        input: Arc::new(|n, _| input(n)),
        steps: 600,
        inputs: 300,
        backlog: ROWS,
        refusals: false,
        config: Arc::new(move |config| {
            config.bug = bug;
            // Restoring takes many turns, in which a record might slip through.
            config.batch = seed.is_multiple_of(2).then_some(1);
        }),
    }
}

fn number(bytes: Option<&[u8]>) -> u64 {
    u64::from_be_bytes(bytes.unwrap_or_default().try_into().expect("eight bytes"))
}

/// What is wrong with a settled cluster, if anything is.
fn fault_in(settled: &Settled) -> Result<(), String> {
    // All values that each row has had, and what each record looked up.
    let mut rows: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut waiting: BTreeMap<u64, u64> = BTreeMap::new();
    for input in &settled.inputs {
        let (key, value) = (number(input.key.as_deref()), number(input.value.as_deref()));
        if input.source == 0 {
            rows.entry(key).or_default().push(value);
        } else {
            waiting.insert(key, value);
        }
    }
    for record in settled.broker.records("joined").unwrap_or_default() {
        let (input, found) = (number(record.key.as_deref()), number(record.value.as_deref()));
        let row = waiting.remove(&input).ok_or(format!("input {input} came out twice"))?;
        if !rows[&row].contains(&found) {
            return Err(format!("input {input} saw {found} as row {row}, which has been {:?}", rows[&row]));
        }
    }
    if waiting.is_empty() { Ok(()) } else { Err(format!("{} inputs never came out", waiting.len())) }
}

fn live(seed: u64, bug: Option<Bug>) -> Result<Settled, String> {
    let settled = simulate(seed, &scenario(seed, bug)).map_err(|error| error.to_string())?;
    fault_in(&settled)?;
    Ok(settled)
}

#[test]
fn clusters_that_crash_join_every_record_once_with_a_row_that_was_there() {
    let (mut joined, mut crashes) = (0, 0);
    for seed in 0..300 {
        let settled = live(seed, None).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        joined += settled.inputs.iter().filter(|input| input.source == 1).count();
        let happened = &settled.report.happened;
        crashes += happened.iter().filter(|(what, _)| what.starts_with("crash")).map(|(_, times)| times).sum::<u64>();
    }
    println!("{joined} records joined, {crashes} crashes");
    assert!(joined > 5_000 && crashes > 100, "{joined} records, {crashes} crashes: the net has a hole");
}

#[test]
fn a_cluster_that_joins_before_its_tables_are_complete_is_caught() {
    let caught = (0..300).find(|seed| live(*seed, Some(Bug::JoinsTooEarly)).is_err());
    println!("caught by seed {caught:?}");
    assert!(caught.is_some(), "it survives 300 seeds");
}
