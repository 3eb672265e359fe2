//! What is in stock, with what it costs: two tables joined by their key. The result changes with either side.
//!
//! `cargo run --example table_table_join`

use std::collections::BTreeMap;

use millstream::testing::Driver;
use millstream::{Builder, Result, Topic, Topology};

const PRICES: Topic<String, i64> = Topic::new("prices");
const STOCK: Topic<String, i64> = Topic::new("stock");
const WORTH: Topic<String, String> = Topic::new("worth");

fn worth() -> Result<Topology> {
    let b = Builder::new("worth");
    let (prices, stock) = (b.table(PRICES), b.table(STOCK));
    prices
        .outer_join(&stock, |_, price, pieces| match (price, pieces) {
            (Some(price), Some(pieces)) => (price * pieces).to_string(),
            (Some(_), None) => "sold out".into(),
            _ => "no price".into(),
        })
        .to(WORTH);
    Ok(b.build()?)
}

fn main() -> Result<()> {
    let mut driver = Driver::builder(worth()?).partitions(2).start()?;
    for (product, price) in [("tea", 3), ("wine", 12)] {
        driver.send(&PRICES, &product.to_owned(), &price, 1)?;
    }
    for (product, pieces) in [("tea", 100), ("salt", 5)] {
        driver.send(&STOCK, &product.to_owned(), &pieces, 2)?;
    }
    driver.settle()?;
    driver.send(&PRICES, &"tea".to_owned(), &4, 3)?;
    driver.settle()?;
    let newest: BTreeMap<String, String> = driver.take_values(&WORTH)?.into_iter().collect();
    for (product, worth) in &newest {
        println!("{product}: {worth}");
    }
    let shown: Vec<&str> = newest.values().map(String::as_str).collect();
    assert_eq!(shown, ["no price", "400", "sold out"]);
    Ok(())
}
