//! A whole small application on the broker, with everything going wrong: two members copy the input to the output.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::broker::memory::{Call, Fault, Operation, is_crash};
use crate::broker::{CommitFailure, RawRecord};

const RECORDS: usize = 120;

fn decide(random: &mut ChaCha8Rng, call: &Call<'_>) -> Fault {
    if !matches!(call.operation, Operation::Connect | Operation::Subscribe) && random.random_ratio(1, 25) {
        let calls = random.random_range(1..20);
        let faults = [
            Fault::CrashBefore,
            Fault::CrashAfter,
            Fault::LostRequest,
            Fault::LostReply,
            Fault::DelayedCommit { calls },
            Fault::PreparedCommit { calls },
            Fault::Refuse { record: 0 },
            Fault::LoseMembership,
            Fault::TransactionTimeout,
        ];
        faults[random.random_range(0..faults.len())]
    } else {
        Fault::None
    }
}

/// Why a worker cannot simply go on.
enum Trouble {
    Died,
    Abort,
    Recycle,
}

impl From<crate::Error> for Trouble {
    fn from(error: crate::Error) -> Self {
        if is_crash(&error) { Self::Died } else { Self::Recycle }
    }
}

impl From<CommitFailure> for Trouble {
    fn from(failure: CommitFailure) -> Self {
        match failure {
            CommitFailure::Abort(..) | CommitFailure::Lost(_) => Self::Abort,
            CommitFailure::Unknown(_) => Self::Recycle,
            CommitFailure::Fatal(error) if is_crash(&error) => Self::Died,
            CommitFailure::Fatal(error) => panic!("{error}"),
        }
    }
}

struct Worker {
    member: Box<dyn Member>,
    partitions: Vec<TopicPartition>,
    /// Must find its place anew: in the committed offsets.
    lost: bool,
    recycle: bool,
}

impl Worker {
    fn start(broker: &MemoryBroker, name: &str) -> Self {
        let member = subscribed(broker, &options(name), &["in"]);
        Self { member, partitions: Vec::new(), lost: false, recycle: false }
    }

    fn step(&mut self, batch: &mut Batch) -> Result<(), Trouble> {
        match self.member.poll()? {
            Some(GroupEvent::Assigned(partitions)) => (self.partitions, self.lost) = (partitions, true),
            Some(GroupEvent::Revoked | GroupEvent::Lost) => {
                self.member.abort()?;
                self.partitions.clear();
                self.member.unassign()?;
            }
            None => {}
        }
        if self.recycle {
            self.member.recycle()?;
            self.recycle = false;
        }
        if self.lost {
            let committed = self.member.committed(&self.partitions)?;
            let from = self.partitions.iter().cloned().zip(committed.into_iter().map(|c| c.map_or(0, |c| c.offset)));
            self.member.assign(&from.collect::<Vec<_>>())?;
            self.lost = false;
        }
        (0..self.partitions.len()).try_for_each(|number| self.copy(number, batch))
    }

    fn copy(&mut self, number: usize, batch: &mut Batch) -> Result<(), Trouble> {
        batch.clear();
        let fetched = self.member.fetch(number, 5, batch)?;
        if fetched.records == 0 {
            return Ok(());
        }
        let mut out = Outgoing::default();
        for RawRecord { key, value, .. } in batch.iter() {
            push(&mut out, "out", Partitioning::Fixed(0), key, value);
        }
        self.member.send(0, &out)?;
        let partition = self.partitions[number].clone();
        self.member.commit(&[CommittedOffset { partition, offset: fetched.position, metadata: String::new() }])?;
        Ok(())
    }
}

fn play(seed: u64) -> Vec<String> {
    let clock = Arc::new(ManualClock::default());
    let faulty = Arc::new(Mutex::new(Some(ChaCha8Rng::seed_from_u64(seed))));
    let dice = faulty.clone();
    let hook = move |call: &Call<'_>| dice.lock().unwrap().as_mut().map_or(Fault::None, |dice| decide(dice, call));
    let broker = MemoryBroker::simulated(clock.clone(), Box::new(hook));
    let random = faulty.lock().unwrap().take();
    create(&broker, "in", 4, &[]);
    create(&broker, "out", 1, &[]);
    for n in 0..RECORDS {
        let partition = u32::try_from(n % 4).unwrap();
        broker.writer().unwrap().send(&out("in", partition, &[("k", &n.to_string())])).unwrap();
    }
    *faulty.lock().unwrap() = random;

    let names = ["east", "west"];
    let mut workers: Vec<_> = names.iter().map(|name| Worker::start(&broker, name)).collect();
    let mut batch = Batch::default();
    for round in 0..600 {
        if round == 500 {
            *faulty.lock().unwrap() = None;
        }
        for (worker, name) in workers.iter_mut().zip(names) {
            match worker.step(&mut batch) {
                Ok(()) => {}
                Err(Trouble::Died) => *worker = Worker::start(&broker, name),
                Err(Trouble::Abort) => {
                    worker.recycle = worker.member.abort().is_err();
                    worker.lost = true;
                }
                Err(Trouble::Recycle) => (worker.recycle, worker.lost) = (true, true),
            }
        }
        clock.advance(SESSION / 5);
    }
    assert_eq!(broker.transactions().open, [""; 0], "seed {seed}");
    values(&broker, "out")
}

#[test]
fn whatever_goes_wrong_every_record_is_copied_once_and_a_seed_repeats_all() {
    for seed in 0..100 {
        let copied = play(seed);
        let mut counts = BTreeMap::new();
        for value in &copied {
            *counts.entry(value.parse::<usize>().unwrap()).or_insert(0) += 1;
        }
        assert!(counts.keys().copied().eq(0..RECORDS), "seed {seed}: {counts:?}");
        assert!(counts.values().all(|count| *count == 1), "seed {seed}: {counts:?}");
        if seed < 5 {
            assert_eq!(copied, play(seed), "seed {seed} twice");
        }
    }
}
