//! What is stuck or goes wrong, and why: pure functions over what was seen of a topology, a file for each sort.
//!
//! `docs/stuck.md` says when each is said; the thresholds stand at the top of each file, and a test holds the table against
//! them.
#![cfg_attr(
    test,
    expect(clippy::single_range_in_vec_init, reason = "when a finding is told, as ranges: often only one")
)]

mod commits_fail;
#[cfg(test)]
mod docs;
mod dropping;
mod failed;
mod lag;
mod no_progress;
mod no_tasks;
mod paused;
mod rebalances;
mod restoring;
mod silent;
#[cfg(test)]
mod testing;
mod trend;
mod watermark_held;
mod words;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::facts::Facts;
use super::sample::{Sample, Series, value};
use super::view::{Finding, FindingKind};

/// What findings are made from.
pub(super) struct Story<'a> {
    pub(super) facts: &'a Facts,
    pub(super) series: &'a Series,
    /// What was said a moment ago.
    pub(super) before: &'a [Finding],
}

/// Looks for one sort of thing, or for some that belong together, in what was seen up to now.
type Finder = fn(&Story<'_>, &Sample) -> Vec<Finding>;

const FINDERS: [Finder; 11] = [
    failed::find,
    no_progress::find,
    commits_fail::find,
    rebalances::find,
    watermark_held::find,
    lag::find,
    dropping::find,
    restoring::find,
    paused::find,
    silent::find,
    no_tasks::find,
];

/// More of a kind than this are not told one by one.
const MOST_OF_A_KIND: usize = 20;

/// All that is found.
pub(super) fn all(story: &Story<'_>) -> Vec<Finding> {
    let Some(now) = story.series.last() else { return Vec::new() };
    let mut found: Vec<Finding> = FINDERS.iter().flat_map(|find| find(story, now)).collect();
    for kind in FindingKind::ALL {
        shorten(&mut found, *kind);
    }
    found
}

/// A thousand tasks that stand still are one thing to look at; the last that is told says how many there are.
fn shorten(found: &mut Vec<Finding>, kind: FindingKind) {
    let places: Vec<usize> = (0..found.len()).filter(|place| found[*place].kind == kind).collect();
    let Some(last) = places.get(MOST_OF_A_KIND - 1).filter(|_| places.len() > MOST_OF_A_KIND) else { return };
    let more = places.len() - MOST_OF_A_KIND;
    // Writing to a String cannot fail.
    let _ = write!(found[*last].what, " There are {more} more like this.");
    for place in places[MOST_OF_A_KIND..].iter().rev() {
        found.remove(*place);
    }
}

/// The commits that failed within this time, by kind; kinds without any are left out.
fn failures_within(story: &Story<'_>, time: Duration) -> Vec<(Arc<str>, u64)> {
    let (Some(now), Some(before)) = (story.series.last(), story.series.ago_at_most(time)) else { return Vec::new() };
    let grown = |(kind, count): &(Arc<str>, u64)| {
        (Arc::clone(kind), count.saturating_sub(value(&before.counts.commit_failures, kind)))
    };
    now.counts.commit_failures.iter().map(grown).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::PartitionCounts;
    use crate::record::TopicPartition;
    use crate::watch::sample::tests::at;

    #[test]
    fn very_many_of_a_kind_are_told_shortly() {
        let mut facts = testing::facts();
        let names: Vec<Arc<str>> = (0..100).map(|number| format!("count-{number}").into()).collect();
        let mut series = Series::default();
        for second in 0..60 {
            let mut sample = at(second);
            sample.tasks = names.iter().map(|name| testing::task(name)).collect();
            let waiting = |partition| PartitionCounts { topic: "ours".into(), partition, lag: 1, watermark: None };
            sample.counts.partitions = (0..100).map(waiting).collect();
            series.push(sample);
        }
        let reads = |(name, number): (&Arc<str>, u32)| (Arc::clone(name), vec![TopicPartition::new("ours", number)]);
        facts.inputs = names.iter().zip(0..).map(reads).collect();
        let found = all(&Story { facts: &facts, series: &series, before: &[] });
        let stuck: Vec<&Finding> = found.iter().filter(|found| found.kind == FindingKind::NoProgress).collect();
        assert_eq!(stuck.len(), MOST_OF_A_KIND);
        assert!(stuck[MOST_OF_A_KIND - 1].what.ends_with("There are 80 more like this."), "{}", stuck[19].what);
    }
}
