//! What the shop's topics hold. Money is exact: a decimal that is written as a JSON number.
//!
//! What a producer may leave out is an `Option`, so that nobody takes a missing price for a price of nothing.

use millstream::{Data, Json};
use rust_decimal::serde::{arbitrary_precision, arbitrary_precision_option};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::CivilTime;

/// A product of the shop.
#[expect(clippy::struct_excessive_bools, clippy::struct_field_names, reason = "the fields of the topic")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// When it was entered.
    pub event_time: CivilTime,
    /// Its id, such as `CS01`.
    pub product_id: String,
    /// Its category.
    pub category: String,
    /// Its name.
    pub item: String,
    /// Its size.
    pub size: String,
    /// What it costs the shop.
    #[serde(with = "arbitrary_precision")]
    pub cogs: Decimal,
    /// What it costs the customer.
    #[serde(with = "arbitrary_precision")]
    pub price: Decimal,
    /// How many there are.
    pub inventory_level: i64,
    /// It contains fruit.
    pub contains_fruit: bool,
    /// It contains vegetables.
    pub contains_veggies: bool,
    /// It contains nuts.
    pub contains_nuts: bool,
    /// It contains caffeine.
    pub contains_caffeine: bool,
    /// The upper end of its step of the cumulative weight by which products are picked.
    pub propensity_to_buy: u32,
}

/// One line item of a transaction.
#[expect(clippy::struct_field_names, reason = "the fields of the topic")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purchase {
    /// When it was bought.
    pub transaction_time: CivilTime,
    /// The transaction it belongs to; older exports have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// What was bought. A null has no key to be grouped by.
    #[serde(default)]
    pub product_id: Option<String>,
    /// The price of one.
    #[serde(default, with = "arbitrary_precision_option", skip_serializing_if = "Option::is_none")]
    pub price: Option<Decimal>,
    /// How many.
    pub quantity: i64,
    /// Whether the customer is a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_member: Option<bool>,
    /// The member's discount, as a share.
    #[serde(default, with = "arbitrary_precision_option", skip_serializing_if = "Option::is_none")]
    pub member_discount: Option<Decimal>,
    /// Whether a supplement was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_supplements: Option<bool>,
    /// What the supplement costs.
    #[serde(default, with = "arbitrary_precision_option", skip_serializing_if = "Option::is_none")]
    pub supplement_price: Option<Decimal>,
    /// What was paid.
    #[serde(with = "arbitrary_precision")]
    pub total_purchase: Decimal,
}

impl Data for Purchase {
    type Codec = Json;
}

/// A product was restocked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// When.
    pub event_time: CivilTime,
    /// Which product.
    pub product_id: String,
    /// How many there were.
    pub existing_level: i64,
    /// How many came in.
    pub stock_quantity: i64,
    /// How many there are now.
    pub new_level: i64,
}

/// What is paid: (price + supplement) × quantity × (1 − discount), rounded to cents, a half away from zero as a till
/// does it. With the shop's prices no half ever comes up, so every rounding to the nearest cent gives the same.
#[must_use]
pub fn total_purchase(price: Decimal, supplement: Decimal, quantity: i64, discount: Decimal) -> Decimal {
    let full = (price + supplement) * Decimal::from(quantity) * (Decimal::ONE - discount);
    let mut total = full.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    total.rescale(2);
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first lines of a real export, as the shop's first generator wrote it.
    const EXPORT: &str = r#"{"transaction_time": "2022-08-31 08:00:34.721802", "product_id": "SF07", "price": 5.99, "quantity": 1, "is_member": false, "member_discount": 0.0, "add_supplements": true, "supplement_price": 1.99, "total_purchase": 7.98}"#;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_purchase_of_an_older_export_is_read() {
        let purchase: Purchase = serde_json::from_str(EXPORT).unwrap();
        assert_eq!(purchase.transaction_id, None);
        assert_eq!(purchase.total_purchase, decimal("7.98"));
        assert_eq!(purchase.transaction_time.to_string(), "2022-08-31 08:00:34.721802");
    }

    #[test]
    fn the_formula_gives_every_total_of_a_real_export() {
        let lines = include_str!("../../tests/data/purchases.jsonl").lines();
        let read: Vec<Purchase> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read.len(), 290);
        for purchase in read {
            let (price, supplement) = (purchase.price.unwrap(), purchase.supplement_price.unwrap());
            let total = total_purchase(price, supplement, purchase.quantity, purchase.member_discount.unwrap());
            assert_eq!(total, purchase.total_purchase, "{}", purchase.transaction_time);
        }
    }

    #[test]
    fn what_is_missing_stays_missing_and_what_is_added_is_passed_over() {
        let text = r#"{"transaction_time":"2022-08-31 08:00:34","quantity":1,"total_purchase":1.10,"till":7}"#;
        let purchase: Purchase = serde_json::from_str(text).unwrap();
        assert_eq!((purchase.product_id, purchase.price), (None, None));
        assert_eq!(purchase.total_purchase.to_string(), "1.10");
    }

    #[test]
    fn money_is_written_as_the_number_it_was_read_as() {
        let text = r#"{"transaction_time":"2022-08-31 08:00:34.000001","product_id":"SF07","price":204.71,"quantity":1,"total_purchase":123456789012345678.90}"#;
        let purchase: Purchase = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&purchase).unwrap(), text);
    }

    #[test]
    fn the_total_is_rounded_to_cents_and_a_half_goes_up() {
        let total = |price, supplement, quantity, discount| {
            total_purchase(decimal(price), decimal(supplement), quantity, decimal(discount)).to_string()
        };
        assert_eq!(total("5.99", "1.99", 1, "0.0"), "7.98");
        assert_eq!(total("4.99", "0", 1, "0.1"), "4.49");
        assert_eq!(total("4.99", "1.99", 3, "0.1"), "18.85");
        assert_eq!(total("0.05", "0", 1, "0.1"), "0.05");
        assert_eq!(total("5", "0", 1, "0"), "5.00");
    }
}
