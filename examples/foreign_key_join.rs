//! Orders with their customers: tables joined by a key that stands in the rows. An order changes its result when its
//! customer changes, or when it goes to another one.
//!
//! `cargo run --example foreign_key_join`

use std::collections::BTreeMap;

use millstream::testing::Driver;
use millstream::{Builder, Result, Topic, Topology};

/// An order's value is the number of its customer; before anybody has ordered it, there is none.
const ORDERS: Topic<u64, String> = Topic::new("orders");
const CUSTOMERS: Topic<String, String> = Topic::new("customers");
const NAMED: Topic<u64, String> = Topic::new("orders.named");

fn named() -> Result<Topology> {
    let b = Builder::new("orders-named");
    let (orders, customers) = (b.table(ORDERS), b.table(CUSTOMERS));
    orders
        .left_join_by(
            &customers,
            |_, customer| (!customer.is_empty()).then(|| customer.clone()),
            |_, _, name| name.map_or_else(|| "nobody yet".into(), Clone::clone),
        )
        .named("orders-with-customers")
        .to(NAMED);
    Ok(b.build()?)
}

fn main() -> Result<()> {
    let mut driver = Driver::builder(named()?).partitions(3).start()?;
    for (order, customer) in [(1, "c1"), (2, "c2"), (3, ""), (4, "c1")] {
        driver.send(&ORDERS, &order, &customer.to_owned(), 1)?;
    }
    for (customer, name) in [("c1", "Ada"), ("c2", "Grace")] {
        driver.send(&CUSTOMERS, &customer.to_owned(), &name.to_owned(), 2)?;
    }
    driver.settle()?;
    // Ada takes another name, and order 4 goes to Grace.
    driver.send(&CUSTOMERS, &"c1".to_owned(), &"Ada King".to_owned(), 3)?;
    driver.send(&ORDERS, &4, &"c2".to_owned(), 4)?;
    driver.settle()?;
    let newest: BTreeMap<u64, String> = driver.take_values(&NAMED)?.into_iter().collect();
    for (order, name) in &newest {
        println!("{order}: {name}");
    }
    let names: Vec<&str> = newest.values().map(String::as_str).collect();
    assert_eq!(names, ["Ada King", "Grace", "nobody yet", "Grace"]);
    Ok(())
}
