//! A join as of a record's own time: each order at the price that was valid when it was made, although prices come late.
//!
//! `cargo run --example as_of_join`

use std::error::Error;
use std::time::Duration;

use millstream::testing::Driver;
use millstream::{Builder, Topic};

const PRICES: Topic<String, i64> = Topic::new("prices");
const ORDERS: Topic<String, i64> = Topic::new("orders");
const COSTS: Topic<String, i64> = Topic::new("costs");

fn main() -> Result<(), Box<dyn Error>> {
    let b = Builder::new("costs");
    // What prices were is known for an hour; orders wait for those that come up to ten seconds late.
    let prices = b.source(PRICES).versioned_table(Duration::from_hours(1));
    let in_time = prices.with_grace(Duration::from_secs(10));
    b.source(ORDERS).stream().join_as_of(&in_time, |_, count, price| count * price).named("costs").to(COSTS);

    // The engine itself, on the embedded broker, step by step; `App` and `KafkaBroker` run the same topology on Kafka.
    let mut driver = Driver::builder(b.build()?).start()?;
    let tea = "tea".to_owned();
    driver.send(&PRICES, &tea, &3, 1_000)?;
    driver.send(&ORDERS, &tea, &10, 5_000)?;
    driver.settle()?;
    assert_eq!(driver.take_values(&COSTS)?, [], "the order waits: a price that was valid then may still come");

    driver.send(&PRICES, &tea, &7, 20_000)?;
    driver.send(&PRICES, &tea, &4, 10_000)?;
    driver.send(&ORDERS, &tea, &1, 20_000)?;
    driver.send(&ORDERS, &tea, &1, 12_000)?;
    driver.send(&PRICES, &tea, &8, 31_000)?;
    driver.send(&ORDERS, &tea, &1, 31_000)?;
    driver.settle()?;

    let costs: Vec<i64> = driver.take_values(&COSTS)?.into_iter().map(|(_, cost)| cost).collect();
    println!("{costs:?}");
    assert_eq!(costs, [30, 4, 7], "by the prices at 5 s, at 12 s and at 20 s");
    Ok(())
}
