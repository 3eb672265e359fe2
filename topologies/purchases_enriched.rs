//! Each purchase with its product as it stood when it was bought.
//!
//! Products change: of a product's records the one that holds for a purchase is the newest that is not newer than the
//! purchase, by event time. So the table keeps each product's versions, and it does not matter in which order they were
//! read. How far they go back is a setting.
//!
//! A purchase waits for the products that are there when it is read, through both shuffles and however far behind a task
//! is; so a catch-up gives what a live run gives, also after a stop. A change that is written after a purchase that it would have
//! held for comes too late for it.
//!
//! It is an inner join. A purchase of a product that the shop did not have yet, or of which it never had, gives nothing
//! and is counted as `join_miss`; so does one that is older than what the table still knows.

use std::time::Duration;

use millstream::cli::{Declared, Setting, Settings};
use millstream::operators::DropReason;
use millstream::operators::processor::{Context, Processor};
use millstream::{BadInput, Builder, Data, Json, NoKey, Record, Reject, Topic, Topology};
use rust_decimal::Decimal;
use rust_decimal::serde::{arbitrary_precision, arbitrary_precision_option};
use serde::{Deserialize, Serialize};

use crate::topologies::sales::history::{Dated, History};
use crate::topologies::sales::{CivilTime, PRODUCTS_TOPIC, PURCHASES_TOPIC, Purchase};

/// The name it is run by.
pub const NAME: &str = "purchases-enriched";
/// Where the purchases go with their products, by product.
pub const ENRICHED_TOPIC: &str = "demo.purchases.enriched";

const PRODUCTS: Topic<NoKey, Article> = Topic::new(PRODUCTS_TOPIC);
const PURCHASES: Topic<NoKey, Purchase> = Topic::new(PURCHASES_TOPIC);
const ENRICHED: Topic<String, Enriched> = Topic::new(ENRICHED_TOPIC);

const HISTORY: Setting<Duration> = Setting::new(
    "history",
    Duration::from_hours(7 * 24),
    "How far before its newest change a product's older ones are still known",
);

/// The settings that it has.
pub const SETTINGS: &[&dyn Declared] = &[&HISTORY];

/// Purchases joined with the products, both by product.
///
/// # Errors
/// When the declaration has a mistake.
pub fn topology(bad_input: BadInput, settings: &Settings) -> millstream::Result<Topology> {
    let keep = settings.get(&HISTORY);
    let b = Builder::new(NAME);
    b.agree_on("history", format!("{keep:?}"));
    let products = b
        .source(PRODUCTS)
        .event_time(|_, product| match product.product_id {
            Some(_) => Ok(product.event_time.timestamp()),
            None => Err(Reject::null_key()),
        })
        .on_bad_input(bad_input.clone())
        .stream()
        .try_rekey(|_, product| product.product_id.clone().ok_or_else(Reject::null_key))
        .repartition()
        // A history is the same in whichever order it was read, and a purchase has to wait for what is in it by then.
        .ahead()
        .named("products-by-id")
        .stream()
        .group_by_key()
        .aggregate(History::default, move |_, history, product| history.insert(product, keep))
        .named("products");
    b.source(PURCHASES)
        .event_time(|_, purchase| match purchase.product_id {
            Some(_) => Ok(purchase.transaction_time.timestamp()),
            None => Err(Reject::null_key()),
        })
        .on_bad_input(bad_input)
        .stream()
        .try_rekey(|_, purchase| purchase.product_id.clone().ok_or_else(Reject::null_key))
        .repartition()
        .named("purchases-by-product")
        .stream()
        .left_join(&products, |product_id, purchase, history| {
            let product = history.and_then(|history| history.at(purchase.transaction_time));
            product.map(|product| Enriched::of(product_id, purchase, product.clone()))
        })
        .process(|_| Found)
        .to(ENRICHED);
    Ok(b.build()?)
}

/// Hands on what has found its product, and counts the rest.
struct Found;

impl Processor<String, Option<Enriched>> for Found {
    type Key = String;
    type Value = Enriched;

    fn process(
        &self,
        record: Record<String, Option<Enriched>>,
        cx: &mut Context<'_, String, Enriched>,
    ) -> Result<(), Reject> {
        match record.value {
            Some(enriched) => cx.forward(record.key, enriched),
            None => cx.count_dropped(DropReason::JoinMiss, 1),
        }
        Ok(())
    }
}

/// A product as it stood from some time on: what the purchases are given of it.
#[expect(clippy::struct_excessive_bools, reason = "the fields of the topic")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    /// Since when.
    pub event_time: CivilTime,
    /// Its id. A null has no key to be grouped by.
    pub product_id: Option<String>,
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
    /// It contains fruit.
    pub contains_fruit: bool,
    /// It contains vegetables.
    pub contains_veggies: bool,
    /// It contains nuts.
    pub contains_nuts: bool,
    /// It contains caffeine.
    pub contains_caffeine: bool,
}

impl Data for Article {
    type Codec = Json;
}

impl Dated for Article {
    fn since(&self) -> CivilTime {
        self.event_time
    }
}

/// A purchase with its product. What the purchase leaves out is null, so that every record has the same fields.
#[expect(clippy::struct_excessive_bools, reason = "the fields of the topic")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enriched {
    /// When it was bought.
    pub transaction_time: CivilTime,
    /// The transaction it belongs to.
    pub transaction_id: Option<String>,
    /// What was bought.
    pub product_id: String,
    /// The product's category.
    pub product_category: String,
    /// The product's name.
    pub product_name: String,
    /// The product's size.
    pub product_size: String,
    /// What the product cost the shop.
    #[serde(with = "arbitrary_precision")]
    pub product_cogs: Decimal,
    /// What the product was to cost the customer.
    #[serde(with = "arbitrary_precision")]
    pub product_price: Decimal,
    /// The product contains fruit.
    pub contains_fruit: bool,
    /// The product contains vegetables.
    pub contains_veggies: bool,
    /// The product contains nuts.
    pub contains_nuts: bool,
    /// The product contains caffeine.
    pub contains_caffeine: bool,
    /// The price of one as it was paid.
    #[serde(with = "arbitrary_precision_option")]
    pub purchase_price: Option<Decimal>,
    /// How many.
    pub purchase_quantity: i64,
    /// Whether the customer is a member.
    pub is_member: Option<bool>,
    /// The member's discount, as a share.
    #[serde(with = "arbitrary_precision_option")]
    pub member_discount: Option<Decimal>,
    /// Whether a supplement was added.
    pub add_supplements: Option<bool>,
    /// What the supplement costs.
    #[serde(with = "arbitrary_precision_option")]
    pub supplement_price: Option<Decimal>,
    /// What was paid.
    #[serde(with = "arbitrary_precision")]
    pub total_purchase: Decimal,
}

impl Data for Enriched {
    type Codec = Json;
}

impl Enriched {
    fn of(product_id: &str, purchase: Purchase, product: Article) -> Self {
        Self {
            transaction_time: purchase.transaction_time,
            transaction_id: purchase.transaction_id,
            product_id: product_id.to_owned(),
            product_category: product.category,
            product_name: product.item,
            product_size: product.size,
            product_cogs: product.cogs,
            product_price: product.price,
            contains_fruit: product.contains_fruit,
            contains_veggies: product.contains_veggies,
            contains_nuts: product.contains_nuts,
            contains_caffeine: product.contains_caffeine,
            purchase_price: purchase.price,
            purchase_quantity: purchase.quantity,
            is_member: purchase.is_member,
            member_discount: purchase.member_discount,
            add_supplements: purchase.add_supplements,
            supplement_price: purchase.supplement_price,
            total_purchase: purchase.total_purchase,
        }
    }
}

#[cfg(test)]
#[path = "purchases_enriched_tests.rs"]
mod tests;
