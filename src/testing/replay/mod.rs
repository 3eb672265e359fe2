//! Replay gives what live gave: the same windows with the same contents, and the same late records, whatever the batches,
//! commits, crashes and interleavings were; and the bugs that would break it are found.

mod bounded;
mod cluster;
mod data;
mod naive;

use std::collections::BTreeMap;

use super::simulation::{Settled, simulate};
use crate::runtime::bugs::Bug;
use data::Data;
use naive::Expected;

/// So many lives of a cluster see the same events.
const LIVES: u64 = 4;

fn live(seed: u64, bug: Option<Bug>) -> Result<Settled, String> {
    let data = Data::of(seed / LIVES);
    let settled = simulate(seed, &cluster::scenario(&data, seed, bug)).map_err(|error| error.to_string())?;
    assert_eq!(settled.inputs.len(), data.len(), "seed {seed}: not all events were written");
    cluster::fault_in(&settled.broker, &data, &Expected::of(&data))
        .map_err(|wrong| format!("{:?}, on close {}: {wrong}", data.kind, data.on_close))?;
    Ok(settled)
}

/// The seeds to run: `REPLAY_SEEDS=from..to`, or the first thousand.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("REPLAY_SEEDS").ok();
    let range = asked.as_deref().and_then(|text| text.split_once(".."));
    range.map_or(0..1_000, |(from, to)| from.parse().expect("a number")..to.parse().expect("a number"))
}

#[test]
fn a_replay_closes_the_same_windows_as_a_live_run_in_a_thousand_lives() {
    let mut happened: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut windows, mut late) = (0, 0);
    for seed in seeds() {
        let settled = live(seed, None).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        for (what, times) in &settled.report.happened {
            *happened.entry(what).or_default() += times;
        }
        windows += settled.broker.records("windows").map_or(0, |records| records.len());
        late += settled.broker.records("late").map_or(0, |records| records.len());
    }
    println!("{windows} results of windows, {late} late; {happened:?}");
    assert!(windows > 0 && late > 0, "the events leave nothing to be wrong");
    for what in ["crash after a call", "prepared commit", "lost membership", "power cut", "graceful stop", "lost disk"]
    {
        assert!(happened.get(what).is_some_and(|times| *times > 0), "{what} never happened: the net has a hole");
    }
}

#[test]
fn each_bug_of_time_is_found() {
    const SEEDS: u64 = 100;
    for bug in Bug::OF_TIME {
        let wrong = |seed: &u64| std::panic::catch_unwind(|| live(*seed, Some(bug))).map_or(true, |life| life.is_err());
        let found = (0..SEEDS).filter(wrong).count();
        println!("{bug:?} is found by {found} of {SEEDS} seeds");
        assert!(found > 0, "{bug:?} survives {SEEDS} seeds");
    }
}
