use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const PRODUCERS: usize = 3;

/// A partition as a plain list: each offset with its value, the producer and how its transaction ended.
#[derive(Default)]
struct Model(Vec<(Option<String>, usize, Option<bool>)>);

impl Model {
    fn send(&mut self, producer: usize, value: String) {
        self.0.push((Some(value), producer, None));
    }

    fn end(&mut self, producer: usize, commit: bool) {
        let mut touched = false;
        for (_, _, end) in self.0.iter_mut().filter(|(_, by, end)| *by == producer && end.is_none()) {
            *end = Some(commit);
            touched = true;
        }
        if touched {
            self.0.push((None, producer, Some(true)));
        }
    }

    /// What a committed reader must see, and how far it must come.
    fn visible(&self) -> (Vec<(Offset, String)>, Offset) {
        let stable = self.0.iter().position(|(_, _, end)| end.is_none()).unwrap_or(self.0.len());
        let committed = (0..).zip(&self.0[..stable]).filter(|(_, (_, _, end))| *end == Some(true));
        let records = committed.filter_map(|(offset, (value, _, _))| Some((offset, value.clone()?)));
        (records.collect(), Offset::try_from(stable).unwrap())
    }
}

fn end(models: &mut [Model], producer: usize, commit: bool) {
    for model in models {
        model.end(producer, commit);
    }
}

fn play(seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (broker, _) = broker();
    let mut producers: Vec<_> =
        (0..PRODUCERS).map(|n| subscribed(&broker, &options(&n.to_string()), &["in"])).collect();
    for _ in 0..3 {
        for member in &mut producers {
            if let Some(GroupEvent::Revoked) = member.poll().unwrap() {
                member.unassign().unwrap();
            }
        }
    }
    let mut models = [Model::default(), Model::default()];
    let mut readers: Vec<_> = (0..2).map(|n| broker.reader(&[(at("out", n), 0)]).unwrap()).collect();
    let mut read = [Vec::new(), Vec::new()];
    for step in 0..200 {
        let producer = random.random_range(0..PRODUCERS);
        match random.random_range(0..10) {
            0..5 => {
                let partition = random.random_range(0..2);
                for n in 0..random.random_range(1..4) {
                    let value = format!("{step}.{n}");
                    let records = out("out", u32::try_from(partition).unwrap(), &[("k", &value)]);
                    producers[producer].send(0, &records).unwrap();
                    models[partition].send(producer, value);
                }
            }
            5..7 => {
                producers[producer].commit(&[offset(0, step, "")]).unwrap();
                end(&mut models, producer, true);
            }
            7 => {
                producers[producer].abort().unwrap();
                end(&mut models, producer, false);
            }
            8 => {
                producers[producer].recycle().unwrap();
                end(&mut models, producer, false);
            }
            _ => {
                let partition = random.random_range(0..2);
                read[partition].extend(fetch(&mut readers[partition], random.random_range(1..6)).0);
            }
        }
        for (partition, model) in models.iter().enumerate() {
            let (expected, _) = model.visible();
            assert!(expected.starts_with(&read[partition]), "seed {seed}, step {step}, partition {partition}");
        }
    }
    for (partition, model) in models.iter().enumerate() {
        let (expected, stable) = model.visible();
        let (rest, fetched) = fetch(&mut readers[partition], 10_000);
        read[partition].extend(rest);
        assert_eq!(read[partition], expected, "seed {seed}, partition {partition}");
        assert_eq!((fetched.position, fetched.caught_up()), (stable, true), "seed {seed}, partition {partition}");
    }
}

#[test]
fn a_committed_reader_sees_what_a_naive_model_says() {
    (0..200).for_each(play);
}
