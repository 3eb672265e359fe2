//! The shop's odds over many sales, and that a seed repeats them.

use std::collections::BTreeMap;

use millstream::Timestamp;
use millstream::broker::OutgoingRecord;
use millstream::generate::Faults;

use super::*;
use crate::topologies::golden::written;

const START: Timestamp = Timestamp::from_millis(1_661_932_800_000);

fn options(faults: Faults) -> Options {
    Options { seed: 7, start: START, rate: 50.0, faults, changes: 0.0 }
}

fn sell(options: Options, count: u64) -> Outgoing {
    written(SalesGenerator::new(options).unwrap(), count)
}

fn values<'a>(out: &'a Outgoing, topic: &str) -> Vec<&'a [u8]> {
    let of_topic = |record: &OutgoingRecord<'_>| &**out.topic_name(record.topic) == topic;
    out.iter().filter(of_topic).filter_map(|record| record.value).collect()
}

fn purchases(out: &Outgoing) -> Vec<Purchase> {
    values(out, PURCHASES_TOPIC).iter().filter_map(|value| serde_json::from_slice(value).ok()).collect()
}

#[expect(clippy::cast_precision_loss)]
fn share(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}

fn near(share: f64, odds: f64) {
    // Five standard deviations of 60,000 throws at the most.
    assert!((share - odds).abs() < 0.0105, "{share} instead of {odds}");
}

#[test]
fn the_odds_of_a_hundred_thousand_sales_are_the_shops() {
    let sold = purchases(&sell(options(Faults::NONE), 100_000));
    assert_eq!(sold.len(), 100_000);
    let count = |is: &dyn Fn(&Purchase) -> bool| sold.iter().filter(|purchase| is(purchase)).count();
    for (quantity, odds) in [(1, 24.0 / 30.0), (2, 5.0 / 30.0), (3, 1.0 / 30.0)] {
        near(share(count(&|purchase| purchase.quantity == quantity), sold.len()), odds);
    }
    near(share(count(&|purchase| purchase.is_member == Some(true)), sold.len()), 0.3);
    let id = |purchase: &Purchase| purchase.product_id.clone().unwrap();
    for (prefixes, odds) in [(["CS", "SF"], 0.5), (["SC", "IS"], 0.2)] {
        let all = count(&|purchase| prefixes.contains(&&id(purchase)[..2]));
        let with =
            |purchase: &Purchase| purchase.add_supplements == Some(true) && prefixes.contains(&&id(purchase)[..2]);
        near(share(count(&with), all), odds);
    }
    let mut below = 0;
    for product in products(CivilTime::default()).unwrap() {
        let odds = f64::from(product.propensity_to_buy - below) / 200.0;
        near(share(count(&|purchase| purchase.product_id.as_deref() == Some(&product.product_id)), sold.len()), odds);
        below = product.propensity_to_buy;
    }
}

#[test]
fn a_transaction_has_one_to_three_items_at_one_time() {
    let sold = purchases(&sell(options(Faults::NONE), 100_000));
    let mut transactions: BTreeMap<&str, Vec<CivilTime>> = BTreeMap::new();
    for purchase in &sold {
        transactions.entry(purchase.transaction_id.as_deref().unwrap()).or_default().push(purchase.transaction_time);
    }
    assert!(transactions.values().all(|times| times.iter().all(|time| time == &times[0])));
    for (items, odds) in [(1, 13.0 / 20.0), (2, 5.0 / 20.0), (3, 2.0 / 20.0)] {
        near(share(transactions.values().filter(|times| times.len() == items).count(), transactions.len()), odds);
    }
    assert!(sold.is_sorted_by_key(|purchase| purchase.transaction_time));
}

#[test]
fn a_seed_repeats_every_byte_and_another_seed_does_not() {
    let bytes = |options| {
        let out = sell(options, 2_000);
        out.iter().map(|record| (record.topic, record.timestamp, record.value.map(<[u8]>::to_vec))).collect::<Vec<_>>()
    };
    let faulty = Faults { late: 0.1, broken: 0.1, duplicate: 0.1, ..Faults::NONE };
    assert_eq!(bytes(options(faulty)), bytes(options(faulty)));
    assert_ne!(bytes(options(faulty)), bytes(Options { seed: 8, ..options(faulty) }));
}

#[test]
fn every_total_follows_from_its_purchase() {
    for purchase in purchases(&sell(options(Faults::NONE), 10_000)) {
        let (price, supplement) = (purchase.price.unwrap(), purchase.supplement_price.unwrap());
        let total = total_purchase(price, supplement, purchase.quantity, purchase.member_discount.unwrap());
        assert_eq!(purchase.total_purchase, total);
    }
}

#[test]
fn the_products_come_first_and_a_low_product_is_restocked() {
    let out = sell(options(Faults::NONE), 20_000);
    assert_eq!(values(&out, PRODUCTS_TOPIC).len(), 27);
    let restocked = values(&out, INVENTORIES_TOPIC);
    assert!(restocked.len() > 100, "{}", restocked.len());
    let mut missing = 0;
    for value in &restocked {
        let Inventory { existing_level, stock_quantity, new_level, .. } = serde_json::from_slice(value).unwrap();
        // It falls below only where a delivery has not come.
        assert!((MIN_INVENTORY - 30..=MIN_INVENTORY).contains(&existing_level), "{existing_level}");
        assert_eq!(new_level, existing_level + stock_quantity);
        missing += usize::from(stock_quantity == 0);
    }
    let share = share(missing, restocked.len());
    assert!((0.2..0.3).contains(&share), "{share} of the deliveries have not come");
}

#[test]
fn each_fault_comes_at_its_rate() {
    let faults = Faults { skew: 0.5, late: 0.1, late_by_millis: 60_000, duplicate: 0.05, null_key: 0.02, broken: 0.01 };
    let out = sell(options(faults), 100_000);
    let written = values(&out, PURCHASES_TOPIC).len();
    near(share(written - 100_000, 100_000), 0.05);
    let whole = purchases(&out);
    near(share(written - whole.len(), written), 0.01);
    near(share(whole.iter().filter(|purchase| purchase.product_id.is_none()).count(), whole.len()), 0.02);
    let hot = whole.iter().filter(|purchase| purchase.product_id.as_deref() == Some("CS01")).count();
    near(share(hot, whole.len()), 0.98 * (0.5 + 0.5 * 3.0 / 200.0));
    let mut newest = CivilTime::default();
    let late = whole.iter().filter(|purchase| {
        newest = newest.max(purchase.transaction_time);
        purchase.transaction_time < newest
    });
    near(share(late.count(), whole.len()), 0.1);
}

#[test]
fn faults_leave_the_other_purchases_as_they_are() {
    let clean = purchases(&sell(options(Faults::NONE), 1_000));
    let with_nulls = purchases(&sell(options(Faults { null_key: 0.5, ..Faults::NONE }), 1_000));
    let same = clean.iter().zip(&with_nulls).filter(|(clean, other)| clean == other).count();
    assert!((400..600).contains(&same), "{same}");
}

#[test]
fn a_rate_of_nothing_is_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(SalesGenerator::new(Options { rate, ..options(Faults::NONE) }).is_err());
    }
}

#[test]
fn products_change_at_their_rate_and_are_sold_at_the_new_price_from_then_on() {
    let out = sell(Options { changes: 0.01, ..options(Faults::NONE) }, 20_000);
    let mut prices: BTreeMap<String, (Decimal, CivilTime)> = BTreeMap::new();
    let mut changes = 0;
    for record in out.iter() {
        match &**out.topic_name(record.topic) {
            PRODUCTS_TOPIC => {
                let product: Product = serde_json::from_slice(record.value.unwrap()).unwrap();
                assert!(product.price > product.cogs);
                changes += u32::from(prices.insert(product.product_id, (product.price, product.event_time)).is_some());
            }
            PURCHASES_TOPIC => {
                let purchase: Purchase = serde_json::from_slice(record.value.unwrap()).unwrap();
                let (price, since) = prices[purchase.product_id.as_ref().unwrap()];
                assert_eq!(purchase.price, Some(price));
                assert!(since <= purchase.transaction_time);
            }
            _ => {}
        }
    }
    assert!((150..250).contains(&changes), "{changes}");
    let picked = |out: &Outgoing| purchases(out).into_iter().map(|sold| sold.product_id).collect::<Vec<_>>();
    assert_eq!(picked(&out), picked(&sell(options(Faults::NONE), 20_000)), "only the prices are others");
}
