//! A stream joined with a table: each order with the customer it is from, as the table stands when the order's turn comes.
//!
//! `cargo run --example stream_table_join`

use std::error::Error;

use millstream::testing::Driver;
use millstream::{Builder, Topic};

const CUSTOMERS: Topic<String, String> = Topic::new("customers");
const ORDERS: Topic<String, String> = Topic::new("orders");
const NAMED: Topic<String, String> = Topic::new("named");

fn main() -> Result<(), Box<dyn Error>> {
    let b = Builder::new("named-orders");
    let customers = b.table(CUSTOMERS);
    let orders = b.source(ORDERS).stream();
    let name = |name: Option<&String>| name.map_or("somebody", String::as_str).to_owned();
    orders.left_join(&customers, move |_, order, customer| format!("{} orders {order}", name(customer))).to(NAMED);

    // The engine itself, on the embedded broker, step by step; `App` and `KafkaBroker` run the same topology on Kafka.
    let mut driver = Driver::builder(b.build()?).partitions(4).start()?;
    let (ada, bob) = ("c1".to_owned(), "c2".to_owned());
    // Orders that came before the customers' changes: the earlier record goes first all the same.
    for (customer, order, time) in [(&ada, "tea", 2), (&bob, "milk", 3), (&ada, "cups", 7)] {
        driver.send(&ORDERS, customer, &order.to_owned(), time)?;
    }
    driver.send(&CUSTOMERS, &ada, &"Ada".to_owned(), 1)?;
    driver.send(&CUSTOMERS, &ada, &"Ada King".to_owned(), 5)?;
    driver.settle()?;

    let mut named: Vec<String> = driver.take_values(&NAMED)?.into_iter().map(|(_, named)| named).collect();
    named.sort();
    println!("{named:?}");
    assert_eq!(named, ["Ada King orders cups", "Ada orders tea", "somebody orders milk"]);
    Ok(())
}
