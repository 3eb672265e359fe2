//! The dice of the shop: what a customer does, and how often.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

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
