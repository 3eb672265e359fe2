//! What goes wrong with made-up records, and how often.

use millstream::generate::Faults;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::civil::CivilTime;

/// Decides what goes wrong. It has dice of its own, so that the records of a seed stay the same whatever goes wrong
/// with them; only skew moves a record to another key.
pub struct FaultDice {
    rng: ChaCha8Rng,
    faults: Faults,
}

/// What goes wrong with one record.
#[expect(clippy::struct_excessive_bools, reason = "each goes wrong on its own")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// It goes to the hot key.
    pub hot: bool,
    /// It lies back by so many milliseconds.
    pub late_millis: Option<u64>,
    /// It is written twice.
    pub duplicate: bool,
    /// Its key field is null.
    pub null_key: bool,
    /// Its value is cut off.
    pub broken: bool,
}

impl Fault {
    /// `time`, moved back where the record is late.
    #[must_use]
    pub fn moved_back(self, time: CivilTime) -> CivilTime {
        let back = i64::try_from(self.late_millis.unwrap_or(0)).unwrap_or(i64::MAX).saturating_mul(1_000);
        CivilTime::from_micros(time.micros().saturating_sub(back))
    }
}

impl FaultDice {
    /// Dice for `faults`: the same seed throws the same.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        Self { rng, faults }
    }

    /// What goes wrong with the next record.
    pub fn throw(&mut self) -> Fault {
        let Faults { skew, late, late_by_millis, duplicate, null_key, broken } = self.faults;
        let is_late = self.hits(late);
        Fault {
            hot: self.hits(skew),
            late_millis: is_late.then(|| self.rng.random_range(1..=late_by_millis.max(1))),
            duplicate: self.hits(duplicate),
            null_key: self.hits(null_key),
            broken: self.hits(broken),
        }
    }

    fn hits(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share.min(1.0))
    }
}
