//! The dice of the shop: what a customer does, and how often.

use millstream::generate::Faults;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::Product;

/// How many line items a transaction has: of 1 to 20, up to 13 is one, 19 and 20 are three.
pub fn items(rng: &mut ChaCha8Rng) -> u64 {
    match rng.random_range(1..=20) {
        ..=13 => 1,
        19.. => 3,
        _ => 2,
    }
}

/// How many of a product: of 1 to 30, up to 24 is one, 30 is three.
pub fn quantity(rng: &mut ChaCha8Rng) -> i64 {
    match rng.random_range(1..=30) {
        ..=24 => 1,
        30.. => 3,
        _ => 2,
    }
}

/// Whether the customer is a member: 3 of 10.
pub fn is_member(rng: &mut ChaCha8Rng) -> bool {
    rng.random_range(1..=10) <= 3
}

/// Whether a supplement goes in: 5 of 10 for classic and superfoods smoothies, 2 of 10 for the others.
pub fn add_supplements(rng: &mut ChaCha8Rng, product_id: &str) -> bool {
    let likely = product_id.starts_with("CS") || product_id.starts_with("SF");
    rng.random_range(1..=10) <= if likely { 5 } else { 2 }
}

/// Picks a product in proportion to its step of the cumulative weight; gives its place.
pub fn product(rng: &mut ChaCha8Rng, products: &[Product]) -> usize {
    let highest = products.last().map_or(1, |product| product.propensity_to_buy);
    let thrown = rng.random_range(1..=highest);
    products.partition_point(|product| product.propensity_to_buy < thrown)
}

/// Decides what goes wrong. It has dice of its own, so that the purchases of a seed stay the same whatever goes wrong
/// with them; only skew moves a purchase to another product.
pub struct FaultDice {
    rng: ChaCha8Rng,
    faults: Faults,
}

/// What goes wrong with one purchase.
#[expect(clippy::struct_excessive_bools, reason = "each goes wrong on its own")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// It goes to the hot product.
    pub hot: bool,
    /// It lies back by so many milliseconds.
    pub late_millis: Option<u64>,
    /// It is written twice.
    pub duplicate: bool,
    /// It has no product.
    pub null_key: bool,
    /// Its value is cut off.
    pub broken: bool,
}

impl FaultDice {
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        Self { rng, faults }
    }

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
