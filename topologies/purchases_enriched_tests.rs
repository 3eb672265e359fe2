//! The join of the shop, through the production engine on the embedded broker.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use millstream::testing::Driver;

fn driver(partitions: u32, bad_input: BadInput) -> Driver {
    let topology = topology(bad_input, &Settings::default()).unwrap();
    Driver::builder(topology).partitions(partitions).threads(2).start().unwrap()
}

fn product(time: &str, product_id: &str, price: &str) -> String {
    format!(
        r#"{{"event_time":"2022-08-31 {time}","product_id":"{product_id}","category":"Classic","item":"Rockin’ Kiwi",
        "size":"24 oz.","cogs":1.50,"price":{price},"inventory_level":75,"contains_fruit":true,"contains_veggies":false,
        "contains_nuts":false,"contains_caffeine":true,"propensity_to_buy":3}}"#
    )
}

fn purchase(time: &str, product_id: &str, quantity: i64) -> String {
    format!(
        r#"{{"transaction_time":"2022-08-31 {time}","product_id":"{product_id}","price":4.990,"quantity":{quantity},
        "till":{{"n":7}},"member_discount":0.10,"total_purchase":204.71}}"#
    )
}

fn put(driver: &mut Driver, topic: &str, partition: u32, value: &str) {
    driver.send_bytes(topic, partition, None, Some(value.as_bytes()), 0).unwrap();
}

/// What came out: product, quantity, the product's price; sorted.
fn joined(driver: &mut Driver) -> Vec<String> {
    let of = |(key, found): (String, Enriched)| {
        assert_eq!(key, found.product_id);
        format!("{key} {} {}", found.purchase_quantity, found.product_price)
    };
    let mut joined: Vec<String> = driver.take_values(&ENRICHED).unwrap().into_iter().map(of).collect();
    joined.sort();
    joined
}

fn dropped(driver: &Driver) -> u64 {
    driver.metrics().totals().dropped
}

#[test]
fn a_purchase_gets_all_fields_in_their_order_with_every_digit() {
    let mut driver = driver(1, BadInput::Fail);
    put(&mut driver, PRODUCTS_TOPIC, 0, &product("08:00:00", "SF07", "5.990"));
    put(&mut driver, PURCHASES_TOPIC, 0, &purchase("08:00:34.721802", "SF07", 2));
    driver.settle().unwrap();
    let records = driver.take(ENRICHED_TOPIC);
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap()).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(text(&records[0].key), "SF07");
    assert_eq!(
        text(&records[0].value),
        concat!(
            r#"{"transaction_time":"2022-08-31 08:00:34.721802","transaction_id":null,"product_id":"SF07","#,
            r#""product_category":"Classic","product_name":"Rockin’ Kiwi","product_size":"24 oz.","product_cogs":1.50,"#,
            r#""product_price":5.990,"contains_fruit":true,"contains_veggies":false,"contains_nuts":false,"#,
            r#""contains_caffeine":true,"purchase_price":4.990,"purchase_quantity":2,"is_member":null,"#,
            r#""member_discount":0.10,"add_supplements":null,"supplement_price":null,"total_purchase":204.71}"#
        )
    );
}

#[test]
fn a_purchase_gets_the_product_as_it_stood_then_and_not_as_it_stands_now() {
    let mut driver = driver(1, BadInput::Fail);
    for (time, price) in [("08:00:00", "1"), ("09:00:00", "2"), ("10:00:00.000001", "3")] {
        put(&mut driver, PRODUCTS_TOPIC, 0, &product(time, "SF07", price));
    }
    driver.settle().unwrap();
    for (quantity, time) in (1..).zip(["09:30:00", "08:00:00", "10:00:00.000001", "10:00:00", "08:59:59.999999"]) {
        put(&mut driver, PURCHASES_TOPIC, 0, &purchase(time, "SF07", quantity));
    }
    driver.settle().unwrap();
    assert_eq!(joined(&mut driver), ["SF07 1 2", "SF07 2 1", "SF07 3 3", "SF07 4 2", "SF07 5 1"]);
}

#[test]
fn a_purchase_without_a_product_is_left_out_and_counted() {
    let mut driver = driver(1, BadInput::Fail);
    put(&mut driver, PRODUCTS_TOPIC, 0, &product("08:00:00", "SF07", "1"));
    put(&mut driver, PURCHASES_TOPIC, 0, &purchase("07:59:59.999999", "SF07", 1));
    put(&mut driver, PURCHASES_TOPIC, 0, &purchase("08:30:00", "SF08", 2));
    put(&mut driver, PURCHASES_TOPIC, 0, &purchase("08:30:00", "SF07", 3));
    driver.settle().unwrap();
    assert_eq!(joined(&mut driver), ["SF07 3 1"]);
    assert_eq!(dropped(&driver), 2);
}

#[test]
fn what_names_no_product_goes_by_the_policy() {
    let null = |text: String| text.replace("\"SF07\"", "null");
    let given = [
        (PRODUCTS_TOPIC, null(product("08:00:00", "SF07", "1")), "null_key"),
        (PURCHASES_TOPIC, null(purchase("08:00:00", "SF07", 1)), "null_key"),
        (PRODUCTS_TOPIC, product("08:00:00", "SF07", "\"dear\""), "unreadable"),
    ];
    for (topic, value, reason) in given {
        let mut skips = driver(1, BadInput::Skip);
        put(&mut skips, topic, 0, &value);
        skips.settle().unwrap();
        assert_eq!(dropped(&skips), 1, "{value}");
        let mut fails = driver(1, BadInput::Fail);
        put(&mut fails, topic, 0, &value);
        let error = fails.settle().unwrap_err().to_string();
        assert!(error.contains(topic) && error.contains(reason), "{error}");
    }
}

#[test]
fn a_catch_up_gives_every_purchase_its_product_however_the_partitions_interleave() {
    for seed in 0..100 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let partitions = rng.random_range(1..5);
        let mut driver = driver(partitions, BadInput::Fail);
        let clock = |second: u32| format!("08:{:02}:{:02}", second / 60, second % 60);
        // The three products of the first seconds, and then a change of one of them every few seconds.
        let changes = (0..120).filter(|second| *second < 3 || rng.random_ratio(1, 3)).collect::<Vec<u32>>();
        let mut prices: BTreeMap<(u32, u32), String> = BTreeMap::new();
        for second in changes {
            let of = if second < 3 { second } else { rng.random_range(0..3) };
            let price = format!("{}.5", second + 1);
            let value = product(&clock(second), &format!("P{of}"), &price);
            put(&mut driver, PRODUCTS_TOPIC, rng.random_range(0..partitions), &value);
            prices.insert((of, second), price);
        }
        let mut expected = Vec::new();
        for number in 0..300 {
            let (of, second) = (rng.random_range(0..3), 3 + number * 117 / 300);
            let value = purchase(&clock(second), &format!("P{of}"), i64::from(number));
            put(&mut driver, PURCHASES_TOPIC, rng.random_range(0..partitions), &value);
            let (_, price) = prices.range((of, 0)..=(of, second)).next_back().unwrap();
            expected.push(format!("P{of} {number} {price}"));
        }
        expected.sort();
        driver.settle().unwrap();
        assert_eq!(joined(&mut driver), expected, "seed {seed}, {partitions} partitions");
    }
}

#[test]
fn what_holds_bytes_is_named() {
    let topology = topology(BadInput::Fail, &Settings::default()).unwrap();
    let plan = topology.plan();
    let stores: Vec<&str> = plan.subs.iter().flat_map(|sub| &sub.stores).map(|name| &**name).collect();
    assert_eq!(stores, ["products"]);
    let repartitions: Vec<&str> = plan.repartitions.iter().map(|repartition| &*repartition.name).collect();
    assert_eq!(repartitions, ["products-by-id", "purchases-by-product"]);
}
