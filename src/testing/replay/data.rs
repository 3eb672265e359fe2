//! Made-up events: several partitions, each with an order of its own, with disorder, late events and ties.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// So long a grace that nothing is late.
pub(super) const AMPLE: i64 = 500;

/// An event as it lies in the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    /// No other event has it.
    pub(super) id: u64,
    pub(super) key: String,
    /// Event time in milliseconds.
    pub(super) time: i64,
}

/// The windows that the events go into.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Tumbling as well: those that advance by their size.
    Hopping {
        size: i64,
        advance: i64,
        grace: i64,
    },
    Session {
        gap: i64,
        grace: i64,
    },
    Sliding {
        difference: i64,
        grace: i64,
    },
}

/// Events, and what is to be made of them.
#[derive(Clone, Debug)]
pub(super) struct Data {
    /// In the order of each partition.
    pub(super) partitions: Vec<Vec<Event>>,
    pub(super) kind: Kind,
    /// Results go out once, on closing; else with every commit.
    pub(super) on_close: bool,
    /// How far out of order the source allows a partition to be.
    pub(super) bound: i64,
}

pub(super) fn ms(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

impl Data {
    /// The data of `seed`: the kind of windows and of results goes round with it.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let bound = random.random_range(0..10);
        let many = random.random_range(1..=4);
        let kind = kind(seed, many, &mut random);
        let ends = random.random_bool(0.5);
        let partitions = (0..many).map(|number| events(number, bound, ends, &mut random));
        Self { partitions: partitions.collect(), kind, on_close: (seed / 4).is_multiple_of(2), bound }
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.partitions.iter().map(Vec::len).sum()
    }

    /// One way in which the partitions may fill, each in its own order: some sooner than others, up to one after another.
    pub(super) fn interleaved(&self, random: &mut ChaCha8Rng) -> Vec<(u32, Event)> {
        let skew = random.random_range(0..12);
        let weights: Vec<u64> = self.partitions.iter().map(|_| 1 << random.random_range(0..=skew)).collect();
        let mut rest: Vec<_> = self.partitions.iter().map(|events| events.iter()).collect();
        let mut mixed = Vec::with_capacity(self.len());
        while mixed.len() < self.len() {
            let open = || (0..rest.len()).filter(|at| rest[*at].len() > 0);
            let mut place = random.random_range(0..open().map(|at| weights[at]).sum());
            let mut chosen = 0;
            for at in open() {
                chosen = at;
                if place < weights[at] {
                    break;
                }
                place -= weights[at];
            }
            let partition = u32::try_from(chosen).expect("few partitions");
            mixed.extend(rest[chosen].next().map(|event| (partition, event.clone())));
        }
        mixed
    }
}

fn kind(seed: u64, partitions: u64, random: &mut ChaCha8Rng) -> Kind {
    let (advance, grace) = (random.random_range(1..10), random.random_range(0..12));
    match seed % 4 {
        0 => Kind::Hopping { size: advance, advance, grace },
        1 => {
            let size = advance * random.random_range(1..4) + random.random_range(0..3);
            Kind::Hopping { size, advance, grace }
        }
        2 => Kind::Session { gap: advance, grace },
        // In the order of a single partition each window takes and refuses by itself, as in Kafka Streams, which is no pure
        // function of the events: recorded runs are the reference for that, and here nothing is late.
        _ => Kind::Sliding { difference: advance, grace: if partitions == 1 { AMPLE } else { grace } },
    }
}

/// The events of a partition: mostly in order, up to the bound out of it, some far behind.
fn events(partition: u64, bound: i64, ends: bool, random: &mut ChaCha8Rng) -> Vec<Event> {
    let mut now = random.random_range(0..30);
    let mut events = Vec::new();
    for number in 0..random.random_range(8..24) {
        now += random.random_range(0..9);
        let back = if random.random_bool(0.2) { 60 } else { bound + 1 };
        let time = (now - random.random_range(0..back)).max(0);
        let key = ["a", "b", "c"][random.random_range(0..3)].to_owned();
        events.push(Event { id: 100 * number + partition, key, time });
    }
    if ends {
        // Closes whatever is open.
        events.push(Event { id: 10_000 + partition, key: "end".into(), time: now + 1_000 });
    }
    events
}
