//! Sales in many currencies become euros: every process holds all rates, whatever partition they are in, and looks one up
//! for each sale. On the embedded broker; with `KafkaBroker` in the place of `MemoryBroker` it is the same on Kafka.
//!
//! `cargo run --example global_table`

use millstream::testing::Driver;
use millstream::{Builder, Data, Json, NoKey, Result, Topic};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Sale {
    currency: String,
    amount: u64,
}

impl Data for Sale {
    type Codec = Json;
}

/// What a unit of a currency costs in cents. Compacted: the newest rate of each currency counts, a null takes it away.
const RATES: Topic<String, u64> = Topic::new("rates");
const WITHDRAWN: Topic<String, Option<u64>> = Topic::new("rates");
const SALES: Topic<NoKey, Sale> = Topic::new("sales");
const CENTS: Topic<NoKey, u64> = Topic::new("cents");

fn main() -> Result<()> {
    let b = Builder::new("euros");
    let rates = b.global_table(RATES);
    b.source(SALES)
        .stream()
        .join_global(&rates, |_, sale| Some(sale.currency.clone()), |_, sale, rate| sale.amount * rate)
        .to(CENTS);

    // Four partitions each, and two threads that share the table.
    let mut driver = Driver::builder(b.build()?).partitions(4).threads(2).start()?;
    for (currency, rate) in [("USD", 86), ("GBP", 114), ("CHF", 107)] {
        driver.send(&RATES, &currency.to_owned(), &rate, 0)?;
    }
    assert_eq!(cents(&mut driver, &[("USD", 10), ("GBP", 1)])?, [114, 860]);

    // What is sold from now on has the new rate, and what has no rate is left out and counted.
    driver.send(&RATES, &"USD".to_owned(), &90, 1)?;
    driver.send(&WITHDRAWN, &"CHF".to_owned(), &None, 1)?;
    assert_eq!(cents(&mut driver, &[("USD", 10), ("CHF", 5), ("JPY", 7)])?, [900]);
    let left_out: Vec<_> = driver.metrics().dropped().iter().map(|(why, count)| (why.label(), *count)).collect();
    assert_eq!(left_out, [("join_miss", 2)]);
    println!("left out: {left_out:?}");
    Ok(())
}

/// Sells, and gives what that was in cents, smallest first.
fn cents(driver: &mut Driver, sales: &[(&str, u64)]) -> Result<Vec<u64>> {
    for (currency, amount) in sales {
        let sale = Sale { currency: (*currency).to_owned(), amount: *amount };
        driver.send(&SALES, &NoKey, &sale, 2)?;
    }
    driver.settle()?;
    let mut cents: Vec<u64> = driver.take_values(&CENTS)?.into_iter().map(|(_, cents)| cents).collect();
    cents.sort_unstable();
    println!("{sales:?} came to {cents:?} cents");
    Ok(cents)
}
