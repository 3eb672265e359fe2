//! Committed state, asked for from outside: by key, by range, by window. What is here is read here; of what is not here it
//! says who has it.
//!
//! All calls block, for a page or a bounded number of pages; none of them holds up a commit for longer than a page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::partitioner::partition_of;
use crate::codec::CodecError;
use crate::error::{Error, ErrorKind, Result};
use crate::operators::lookup::{Entry, Lookup, Starts, Step};
use crate::record::TopicPartition;
use crate::state::StoreId;
use crate::time::Clock;
use crate::topology::stores::StoreDescription;
use crate::topology::{Layout, TaskId};

use super::owners::{Owner, Owners};
use super::serving::Held;
use super::status::Shared;

/// How many rows are read at once.
const PAGE: usize = 128;
/// How often the windows of a key are read anew where commits came in between.
const TRIES: usize = 4;

/// The queries of one application. Clones ask the same one.
#[derive(Clone)]
pub struct Queries(Arc<Inner>);

struct Inner {
    topology: String,
    stores: Vec<StoreDescription>,
    layout: Arc<Layout>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    threads: usize,
    owners: Owners,
}

/// A row, or a window of one, with where it lies.
#[derive(Clone, Debug)]
pub struct Found<T = Entry> {
    /// What it says.
    pub entry: T,
    /// Its partition.
    pub partition: u32,
    /// The bytes that it is under, by which a range is in order.
    pub at: Vec<u8>,
}

/// Which commits of a task an answer shows: one and the same, unless commits went on while a long answer was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Commits {
    /// The partition.
    pub partition: u32,
    /// The sequence of the commit whose state the first page is.
    pub first: u64,
    /// That of the last page.
    pub last: u64,
}

/// Why a partition cannot be read here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// Another process has it, or none.
    NotHere,
    /// It is here, and not ready yet: why.
    NotReady(String),
}

/// Why a range was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// As many rows as were asked for.
    Rows,
    /// As many bytes as one answer may have.
    Bytes,
    /// It took too long.
    Time,
}

/// What a part of a range gave.
#[derive(Clone, Debug)]
pub struct Part<T = Entry> {
    /// The rows, in order of their bytes.
    pub rows: Vec<Found<T>>,
    /// The bytes from which it goes on; `None` at the end.
    pub next: Option<Vec<u8>>,
    /// Why it was cut.
    pub cut: Option<Cut>,
    /// What it shows.
    pub commits: Vec<Commits>,
}

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), next: None, cut: None, commits: Vec::new() }
    }
}

/// How much a range may give.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Rows.
    pub rows: usize,
    /// Bytes of JSON, about.
    pub bytes: usize,
    /// How long it may take.
    pub time: Duration,
}

impl Queries {
    pub(crate) fn new(
        (topology, stores): (String, Vec<StoreDescription>),
        layout: Arc<Layout>,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        threads: usize,
        owners: Owners,
    ) -> Self {
        Self(Arc::new(Inner { topology, stores, layout, shared, clock, threads, owners }))
    }

    /// The topology's name.
    #[must_use]
    pub fn topology(&self) -> &str {
        &self.0.topology
    }

    /// Its stores.
    #[must_use]
    pub fn stores(&self) -> &[StoreDescription] {
        &self.0.stores
    }

    /// The store called `name`.
    #[must_use]
    pub fn store(&self, name: &str) -> Option<&StoreDescription> {
        self.0.stores.iter().find(|store| &*store.name == name)
    }

    /// How many partitions a store has.
    #[must_use]
    pub fn partitions(&self, store: &StoreDescription) -> u32 {
        self.0.layout.subs[store.sub].partitions
    }

    /// The partitions of a store that can be read here now.
    #[must_use]
    pub fn here(&self, store: &StoreDescription) -> Vec<u32> {
        let task = |partition| TaskId { sub: store.sub, partition };
        (0..self.partitions(store))
            .filter(|partition| self.0.shared.serving().find(task(*partition)).is_some())
            .collect()
    }

    /// Where a key may lie, the most likely partition first. What comes through a shuffle of ours lies where the hash of
    /// its bytes says; a topic of the user's may have been filled by another rule, and a key there may lie anywhere.
    #[must_use]
    pub fn candidates(&self, store: &StoreDescription, lookup: &Lookup, key: &[u8]) -> Vec<u32> {
        let sub = &self.0.layout.subs[store.sub];
        let first = partition_of(lookup.placed(key), sub.partitions.max(1));
        let others = (0..sub.partitions).filter(|partition| *partition != first);
        let anywhere = sub.inputs.iter().any(|input| input.upstream.is_none());
        std::iter::once(first).chain(others.filter(|_| anywhere)).collect()
    }

    /// Who has a partition of a store. Blocks while the group is asked, which it is seldom; `anew` where what it said
    /// before has turned out to be wrong.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub fn owner(&self, store: &StoreDescription, partition: u32, anew: bool) -> Result<Owner> {
        let sub = &self.0.layout.subs[store.sub];
        let Some(input) = sub.inputs.first() else {
            return Ok(Owner::Unknown { why: "it reads nothing".into(), passing: false });
        };
        self.0.owners.of(&TopicPartition::new(Arc::clone(&input.topic), partition), anew)
    }

    /// The other processes of the application, each once: the address where it answers; where it cannot be asked, the host
    /// that it is at, and why. Blocks while the group is asked, which it is seldom.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub fn processes(&self) -> Result<BTreeMap<String, Option<String>>> {
        self.0.owners.processes()
    }

    /// The rows of a key in one partition, and the commit that they are of; windows are those that start then, at most
    /// `most`.
    ///
    /// # Errors
    /// When the partition cannot be read here, or a row is damaged.
    pub fn get(
        &self,
        store: &StoreDescription,
        lookup: &Lookup,
        (partition, key): (u32, &[u8]),
        starts: Starts,
        bounds: Bounds,
    ) -> Result<Result<Part, Unserved>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let part = self.walk(store, lookup, partition, lookup.seek(key, starts), (Some(key), starts), bounds)?;
            let torn = matches!(&part, Ok(Part { commits, .. }) if commits.iter().any(|one| one.first != one.last));
            if !torn || tries >= TRIES {
                return Ok(part);
            }
        }
    }

    /// The rows of a stretch in one partition, in order of their bytes.
    ///
    /// # Errors
    /// When the partition cannot be read here, or a row is damaged.
    pub fn range(
        &self,
        store: &StoreDescription,
        lookup: &Lookup,
        partition: u32,
        stretch: (Vec<u8>, Option<Vec<u8>>),
        (starts, bounds): (Starts, Bounds),
    ) -> Result<Result<Part, Unserved>> {
        self.walk(store, lookup, partition, stretch, (None, starts), bounds)
    }

    fn walk(
        &self,
        store: &StoreDescription,
        lookup: &Lookup,
        partition: u32,
        (mut from, to): (Vec<u8>, Option<Vec<u8>>),
        (key, starts): (Option<&[u8]>, Starts),
        bounds: Bounds,
    ) -> Result<Result<Part, Unserved>> {
        let held = match self.held(store, partition) {
            Ok(held) => held,
            Err(unserved) => return Ok(Err(unserved)),
        };
        let (id, begun) = (StoreId::of(&store.name), self.0.clock.elapsed());
        let (mut part, mut bytes) = (Part::default(), 0);
        // The search for a key jumps: what is read ahead would be read in vain.
        let page = if key.is_some() { 2 } else { PAGE };
        loop {
            let read = held.read(|reader| reader.scan(id, &from, to.as_deref(), page.min(bounds.rows + 1)));
            let Some(page) = read.transpose()? else { return Ok(Err(self.unserved(store, partition))) };
            note(&mut part.commits, partition, page.sequence);
            let mut next = page.next;
            for (at, row) in page.rows {
                if part.rows.len() >= bounds.rows || bytes >= bounds.bytes {
                    part.cut = Some(if bytes >= bounds.bytes { Cut::Bytes } else { Cut::Rows });
                    part.next = Some(at);
                    return Ok(Ok(part));
                }
                match key.map_or(Step::Take, |key| lookup.step(key, &at)) {
                    Step::Take => {
                        bytes += row.len() + at.len();
                        let mut shown = Vec::new();
                        lookup
                            .show(&at, &row, starts, &mut shown)
                            .map_err(|error| unreadable(store, partition, &error))?;
                        part.rows.extend(shown.into_iter().map(|entry| Found { entry, partition, at: at.clone() }));
                    }
                    // What is left of the page may lie before that place, and is not looked at.
                    Step::Skip(place) => {
                        next = Some(place);
                        break;
                    }
                    Step::End => next = None,
                }
            }
            let Some(place) = next else { return Ok(Ok(part)) };
            from = place;
            if self.0.clock.elapsed().saturating_sub(begun) >= bounds.time {
                part.cut = Some(Cut::Time);
                part.next = Some(from);
                return Ok(Ok(part));
            }
        }
    }

    fn held(&self, store: &StoreDescription, partition: u32) -> Result<Arc<Held>, Unserved> {
        let task = TaskId { sub: store.sub, partition };
        self.0.shared.serving().find(task).ok_or_else(|| self.unserved(store, partition))
    }

    /// Why a task cannot be read: it may be on its way.
    fn unserved(&self, store: &StoreDescription, partition: u32) -> Unserved {
        let name = self.0.layout.task_name(TaskId { sub: store.sub, partition });
        let status = self.0.shared.status(self.0.threads);
        let Some(task) = status.tasks.iter().find(|task| task.name == name) else { return Unserved::NotHere };
        Unserved::NotReady(match task.restore_remaining {
            0 if task.state == "running" || task.state == "paused" => format!("task {name} changes hands"),
            0 => format!("task {name} is {}", task.state),
            left => format!("task {name} is {}, {left} records to go", task.state),
        })
    }
}

fn note(commits: &mut Vec<Commits>, partition: u32, sequence: u64) {
    match commits.last_mut() {
        Some(commits) => commits.last = sequence,
        None => commits.push(Commits { partition, first: sequence, last: sequence }),
    }
}

fn unreadable(store: &StoreDescription, partition: u32, error: &CodecError) -> Error {
    let message = format!("a row of the store {} in partition {partition} cannot be shown: {error}", store.name);
    Error::new(ErrorKind::State, message)
}

/// Lays the parts of several partitions together, in order of the rows' bytes, up to `rows` of them. Where a part was cut
/// nothing is known of what comes after it: so the whole ends there.
#[must_use]
pub fn merge<T>(parts: Vec<Part<T>>, rows: usize) -> Part<T> {
    let first = parts.iter().filter(|part| part.next.is_some()).min_by(|a, b| a.next.cmp(&b.next));
    let (end, mut cut) = (first.and_then(|part| part.next.clone()), first.and_then(|part| part.cut));
    let mut whole: Vec<Found<T>> = Vec::new();
    let mut commits = Vec::new();
    for part in parts {
        commits.extend(part.commits);
        whole.extend(part.rows.into_iter().take_while(|row| end.as_ref().is_none_or(|end| row.at < *end)));
    }
    commits.sort_by_key(|commits| commits.partition);
    whole.sort_by(|a, b| (&a.at, a.partition).cmp(&(&b.at, b.partition)));
    let mut next = end;
    // Rows of the same bytes stay together, or the next page would not know which of them it has had.
    if let Some(last) = rows.checked_sub(1).and_then(|last| whole.get(last)).map(|row| row.at.clone()) {
        let kept = whole.partition_point(|row| row.at <= last);
        if kept < whole.len() {
            next = Some(whole[kept].at.clone());
            cut = Some(Cut::Rows);
            whole.truncate(kept);
        }
    }
    Part { rows: whole, next, cut, commits }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    /// Rows of each partition, in order; the first of them up to a random place, as a part that may have been cut.
    fn part(all: &[u8], partition: u32, most: usize) -> Part<u8> {
        let rows = all.iter().take(most).map(|at| Found { entry: *at, partition, at: vec![*at] }).collect();
        let next = all.get(most).map(|at| vec![*at]);
        let cut = next.is_some().then_some(Cut::Rows);
        Part { rows, next, cut, commits: vec![Commits { partition, first: 1, last: 1 }] }
    }

    #[test]
    fn pages_of_several_partitions_together_have_every_row_once_and_in_order() {
        for seed in 0..1_000 {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let partitions: Vec<Vec<u8>> =
                (0..random.random_range(1..5)).map(|_| (0..60).filter(|_| random.random_bool(0.3)).collect()).collect();
            let mut expected: Vec<(u8, u32)> =
                (0..).zip(&partitions).flat_map(|(p, rows)| rows.iter().map(move |at| (*at, p))).collect();
            expected.sort_unstable();
            let (mut found, mut from, mut pages) = (Vec::new(), 0, 0);
            loop {
                pages += 1;
                assert!(pages < 200, "it does not go on, seed {seed}");
                let parts = (0..).zip(&partitions).map(|(partition, rows)| {
                    let left: Vec<u8> = rows.iter().copied().filter(|at| *at >= from).collect();
                    part(&left, partition, random.random_range(1..8))
                });
                let whole = merge(parts.collect(), random_rows(seed, pages));
                assert_eq!(whole.commits.len(), partitions.len());
                assert_eq!(whole.next.is_some(), whole.cut.is_some(), "seed {seed}");
                found.extend(whole.rows.iter().map(|row| (row.entry, row.partition)));
                let Some(next) = whole.next else { break };
                from = next[0];
            }
            assert_eq!(found, expected, "seed {seed}");
        }
    }

    fn random_rows(seed: u64, page: u64) -> usize {
        usize::try_from((seed + page) % 7 + 1).unwrap()
    }
}
