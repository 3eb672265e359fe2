//! Sells smoothies: writes the products once, then purchases, and an inventory record whenever a product runs low.

use millstream::Result;
use millstream::broker::Outgoing;
use millstream::generate::{Generator, Options};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rust_decimal::Decimal;
use serde::Serialize;

use super::odds;
use super::products::products;
use super::types::total_purchase;
use super::{CivilTime, INVENTORIES_TOPIC, Inventory, PRODUCTS_TOPIC, PURCHASES_TOPIC, Product, Purchase};
use crate::topologies::faults::{Fault, FaultDice};
use crate::topologies::writing::{check_rate, json, slot, write_faulty};

/// A product at this level or under it is to be restocked.
pub const MIN_INVENTORY: i64 = 10;
/// By so many.
pub const RESTOCK_AMOUNT: i64 = 15;
/// One of so many deliveries does not come: the product stays low until it is sold again.
const MISSING_DELIVERY: u32 = 4;

/// The shop. The same options give the same records, byte for byte.
pub struct SalesGenerator {
    options: Options,
    products: Vec<Product>,
    levels: Vec<i64>,
    rng: ChaCha8Rng,
    faults: FaultDice,
    /// Decides about changes, so that the purchases of a seed are made the same way whether there are any or not.
    changes: ChaCha8Rng,
    /// Decides whether a delivery comes.
    deliveries: ChaCha8Rng,
    sold: u64,
}

/// A transaction: one to three line items share it.
struct Transaction {
    time: CivilTime,
    id: String,
}

impl SalesGenerator {
    /// A shop that opens at `options.start`.
    ///
    /// # Errors
    /// When the rate is not a positive number.
    pub fn new(options: Options) -> Result<Self> {
        check_rate(&options, "purchases")?;
        let products = products(CivilTime::from_timestamp(options.start))?;
        let levels = products.iter().map(|product| product.inventory_level).collect();
        let faults = FaultDice::new(options.seed, options.faults);
        let rng = ChaCha8Rng::seed_from_u64(options.seed);
        let [mut changes, mut deliveries] = [rng.clone(), rng.clone()];
        changes.set_stream(2);
        deliveries.set_stream(3);
        Ok(Self { options, products, levels, rng, faults, changes, deliveries, sold: 0 })
    }

    /// Sells one line item and gives the inventory record where that made the product run low.
    fn sell(&mut self, transaction: &Transaction, item: i64, fault: Fault) -> (Purchase, Option<Inventory>) {
        let picked = odds::product(&mut self.rng, &self.products);
        let place = if fault.hot { 0 } else { picked };
        let product = &self.products[place];
        let quantity = odds::quantity(&mut self.rng);
        let is_member = odds::is_member(&mut self.rng);
        let add_supplements = odds::add_supplements(&mut self.rng, &product.product_id);
        let member_discount = Decimal::new(i64::from(is_member), 1);
        let supplement_price = if add_supplements { Decimal::new(199, 2) } else { Decimal::new(0, 2) };
        let purchase = Purchase {
            transaction_time: fault.moved_back(transaction.time),
            transaction_id: Some(transaction.id.clone()),
            product_id: (!fault.null_key).then(|| product.product_id.clone()),
            price: Some(product.price),
            quantity,
            is_member: Some(is_member),
            member_discount: Some(member_discount),
            add_supplements: Some(add_supplements),
            supplement_price: Some(supplement_price),
            total_purchase: total_purchase(product.price, supplement_price, quantity, member_discount),
        };
        // A product may be in a transaction twice: its levels still follow one another.
        let counted = CivilTime::from_micros(transaction.time.micros() + item);
        (purchase, self.restock(place, quantity, counted))
    }

    fn restock(&mut self, place: usize, quantity: i64, event_time: CivilTime) -> Option<Inventory> {
        let level = &mut self.levels[place];
        *level -= quantity;
        if *level > MIN_INVENTORY {
            return None;
        }
        let existing_level = *level;
        let stock_quantity = if self.deliveries.random_range(0..MISSING_DELIVERY) == 0 { 0 } else { RESTOCK_AMOUNT };
        *level += stock_quantity;
        let product_id = self.products[place].product_id.clone();
        Some(Inventory { event_time, product_id, existing_level, stock_quantity, new_level: *level })
    }

    /// Gives a product that costs something else from `time` on, if one shall.
    fn change(&mut self, time: CivilTime, items: u64) -> Option<&Product> {
        // One throw an item, whatever comes of it: then a seed's changes do not depend on those before.
        let throws: Vec<f64> = (0..items).map(|_| self.changes.random_range(0.0..1.0)).collect();
        let place = self.changes.random_range(0..self.products.len());
        let cents = self.changes.random_range(0..100);
        if throws.iter().all(|throw| *throw >= self.options.changes) {
            return None;
        }
        let product = &mut self.products[place];
        product.event_time = time;
        product.price = product.price.trunc() + Decimal::new(cents, 2);
        Some(product)
    }

    /// When the next transaction is: somewhere within the time that its first line item has at the rate.
    fn next_transaction(&mut self) -> Transaction {
        let within = self.rng.random_range(0.0..1.0);
        let time = slot(&self.options, self.sold, within);
        Transaction { time, id: self.rng.random::<u64>().to_string() }
    }
}

impl Generator for SalesGenerator {
    fn topics(&self) -> &[&str] {
        &[PRODUCTS_TOPIC, PURCHASES_TOPIC, INVENTORIES_TOPIC]
    }

    fn opening(&mut self, out: &mut Outgoing) -> Result<()> {
        self.products.iter().try_for_each(|product| write(out, PRODUCTS_TOPIC, product.event_time, product))
    }

    fn next(&mut self, most: u64, out: &mut Outgoing) -> Result<u64> {
        let items = odds::items(&mut self.rng).min(most);
        let transaction = self.next_transaction();
        if let Some(product) = self.change(transaction.time, items) {
            write(out, PRODUCTS_TOPIC, product.event_time, product)?;
        }
        for item in (0_i64..).take(usize::try_from(items).unwrap_or(usize::MAX)) {
            let fault = self.faults.throw();
            let (purchase, inventory) = self.sell(&transaction, item, fault);
            let time = purchase.transaction_time.timestamp();
            write_faulty(out, PURCHASES_TOPIC, time, fault, |bytes| json(&purchase, bytes))?;
            if let Some(inventory) = inventory {
                write(out, INVENTORIES_TOPIC, inventory.event_time, &inventory)?;
            }
        }
        self.sold += items;
        Ok(items)
    }
}

fn write(out: &mut Outgoing, topic: &str, time: CivilTime, value: &impl Serialize) -> Result<()> {
    write_faulty(out, topic, time.timestamp(), Fault::default(), |bytes| json(value, bytes))
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
