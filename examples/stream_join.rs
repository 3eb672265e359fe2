//! Orders and their payments, which come as two streams: a payment counts for an order of the same number up to an hour
//! before it, and orders that nobody pays come out as well once it is certain that nobody will.
//!
//! `cargo run --example stream_join`

use std::time::Duration;

use millstream::testing::Driver;
use millstream::window::JoinWindow;
use millstream::{Builder, Result, Topic};

const ORDERS: Topic<String, String> = Topic::new("orders");
const PAYMENTS: Topic<String, u64> = Topic::new("payments");
const SETTLED: Topic<String, String> = Topic::new("settled");

const MINUTE: i64 = 60_000;

fn main() -> Result<()> {
    let b = Builder::new("settled");
    let (orders, payments) = (b.source(ORDERS).stream(), b.source(PAYMENTS).stream());
    // Never before the order; payments may come five minutes out of order.
    let an_hour_later = JoinWindow::of(Duration::ZERO).after(Duration::from_hours(1)).grace(Duration::from_mins(5));
    orders
        .left_join_within(&payments, an_hour_later, |_, what, amount| match amount {
            Some(amount) => format!("{what}, paid with {amount}"),
            None => format!("{what}, not paid"),
        })
        .to(SETTLED);

    let mut driver = Driver::builder(b.build()?).start()?;
    driver.send(&ORDERS, &"17".into(), &"tea".into(), 0)?;
    driver.send(&ORDERS, &"18".into(), &"milk".into(), MINUTE)?;
    driver.send(&PAYMENTS, &"17".into(), &3, 20 * MINUTE)?;
    driver.send(&PAYMENTS, &"17".into(), &4, 30 * MINUTE)?;
    driver.settle()?;
    let tea = [("17".into(), "tea, paid with 3".into()), ("17".into(), "tea, paid with 4".into())];
    assert_eq!(driver.take_values(&SETTLED)?, tea, "the milk may still be paid for");

    // An hour and the five minutes after the milk; time is that of the slower of both.
    driver.send(&PAYMENTS, &"99".into(), &1, 67 * MINUTE)?;
    driver.send(&ORDERS, &"19".into(), &"bread".into(), 67 * MINUTE)?;
    driver.settle()?;
    let rest = driver.take_values(&SETTLED)?;
    assert_eq!(rest, [("18".into(), "milk, not paid".into())]);

    for (number, text) in tea.iter().chain(&rest) {
        println!("order {number}: {text}");
    }
    Ok(())
}
