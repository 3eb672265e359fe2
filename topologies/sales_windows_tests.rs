//! The windows of the shop, through the production engine on the embedded broker.

use super::*;
use millstream::testing::Driver;

fn driver(partitions: u32) -> Driver {
    driver_with(partitions, BadInput::Fail)
}

fn driver_with(partitions: u32, bad_input: BadInput) -> Driver {
    Driver::builder(topology(bad_input).unwrap()).partitions(partitions).threads(2).start().unwrap()
}

fn purchase(time: &str, product_id: &str, total: &str) -> String {
    format!(
        r#"{{"transaction_time":"2022-08-31 {time}","product_id":"{product_id}","quantity":2,"total_purchase":{total}}}"#
    )
}

/// Sells to one partition.
fn sell(driver: &mut Driver, partition: u32, purchases: &[(&str, &str, &str)]) {
    for (time, product_id, total) in purchases {
        let value = purchase(time, product_id, total);
        driver.send_bytes(PURCHASES_TOPIC, partition, None, Some(value.as_bytes()), 0).unwrap();
    }
}

/// What a topic got since it was last looked at, each value as its text behind its key, sorted.
fn taken(driver: &mut Driver, topic: &str) -> Vec<String> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    let mut taken: Vec<String> =
        driver.take(topic).into_iter().map(|record| format!("{} {}", text(record.key), text(record.value))).collect();
    taken.sort();
    taken
}

/// What the windows gave: product, start and end, transactions, quantities, sales.
fn windows(driver: &mut Driver) -> Vec<String> {
    let mut windows: Vec<String> = driver
        .take_values(&WINDOWS)
        .unwrap()
        .into_iter()
        .map(|(key, sales)| {
            assert_eq!(key, sales.product_id);
            let (start, end) = (clock(sales.window_start), clock(sales.window_end));
            format!("{key} {start}-{end} {} {} {}", sales.transactions, sales.quantities, sales.sales)
        })
        .collect();
    windows.sort();
    windows
}

/// The ranks of the windows, in the order of their topic.
fn ranks_of(driver: &mut Driver) -> Vec<String> {
    let ranked = driver.take_values(&TOP).unwrap();
    ranked
        .into_iter()
        .map(|(key, row)| {
            assert_eq!(key, row.window_start.to_string());
            format!("{} {}. {} {}", clock(row.window_start), row.rank, row.product_id, row.sales)
        })
        .collect()
}

/// The late ones: product, when, the watermark, the window's start.
fn late(driver: &mut Driver) -> Vec<String> {
    let mut late: Vec<String> = driver
        .take_values(&LATE)
        .unwrap()
        .into_iter()
        .map(|(key, mut missed)| {
            assert_eq!(missed.purchase.take::<String>("product_id").unwrap(), key);
            let time = clock(missed.purchase.take("transaction_time").unwrap());
            format!("{key} {time} {} {}", clock(missed.watermark), clock(missed.window_start))
        })
        .collect();
    late.sort();
    late
}

/// Lets so many seconds pass, one by one.
fn pass(driver: &mut Driver, seconds: u32) {
    for _ in 0..seconds {
        driver.advance(Duration::from_secs(1)).unwrap();
    }
}

/// Hours and minutes.
fn clock(time: CivilTime) -> String {
    time.to_string()[11..16].to_owned()
}

#[test]
fn a_window_gives_its_sales_once_when_it_closes_and_nothing_before() {
    let mut driver = driver(1);
    sell(&mut driver, 0, &[("08:01:00", "CS01", "4.10"), ("08:06:00", "CS01", "0.2"), ("08:19:59.999", "IS02", "1")]);
    driver.settle().unwrap();
    assert_eq!(
        windows(&mut driver),
        ["CS01 07:55-08:05 1 2 4.10",],
        "it ended at 08:05, and ten minutes of lateness are over at 08:15"
    );
    sell(&mut driver, 0, &[("08:20:00", "IS02", "1")]);
    driver.settle().unwrap();
    assert_eq!(windows(&mut driver), ["CS01 08:00-08:10 2 4 4.30"]);
    let ranked = ranks_of(&mut driver);
    assert_eq!(ranked, ["07:55 1. CS01 4.10", "08:00 1. CS01 4.30"], "the best come with the sales");
    driver.settle().unwrap();
    sell(&mut driver, 0, &[("12:00:00", "IS02", "1")]);
    driver.settle().unwrap();
    assert_eq!(
        windows(&mut driver),
        ["CS01 08:05-08:15 1 2 0.2", "IS02 08:10-08:20 1 2 1", "IS02 08:15-08:25 2 4 2", "IS02 08:20-08:30 1 2 1",]
    );
    assert_eq!(late(&mut driver), [""; 0]);
}

#[test]
fn times_and_money_are_written_as_the_purchases_write_them() {
    let mut driver = driver(1);
    sell(&mut driver, 0, &[("08:01:00.5", "CS01", "204.61"), ("08:02:00", "CS01", "0.1"), ("12:00:00", "IS02", "1")]);
    driver.settle().unwrap();
    assert_eq!(
        taken(&mut driver, WINDOWS_TOPIC)[0],
        concat!(
            r#"CS01 {"product_id":"CS01","window_start":"2022-08-31 07:55:00.000000","#,
            r#""window_end":"2022-08-31 08:05:00.000000","transactions":2,"quantities":4,"sales":204.71}"#
        )
    );
    assert_eq!(
        taken(&mut driver, TOP_TOPIC)[0],
        concat!(
            r#"2022-08-31 07:55:00.000000 {"window_start":"2022-08-31 07:55:00.000000","#,
            r#""window_end":"2022-08-31 08:05:00.000000","rank":1,"product_id":"CS01","#,
            r#""transactions":2,"quantities":4,"sales":204.71}"#
        )
    );
}

#[test]
fn a_purchase_counts_within_the_lateness_and_goes_to_the_late_ones_beyond_it() {
    let mut driver = driver(1);
    sell(&mut driver, 0, &[("08:14:59.999", "IS02", "1"), ("08:04:00", "CS01", "1")]);
    sell(&mut driver, 0, &[("08:15:00", "IS02", "1"), ("08:04:00", "CS01", "2"), ("08:20:00", "IS02", "1")]);
    sell(&mut driver, 0, &[("08:03:00", "CS01", "4"), ("12:00:00", "IS02", "1")]);
    driver.settle().unwrap();
    let sold: Vec<String> = windows(&mut driver).into_iter().filter(|text| text.starts_with("CS01")).collect();
    assert_eq!(sold, ["CS01 07:55-08:05 1 2 1", "CS01 08:00-08:10 2 4 3"]);
    assert_eq!(late(&mut driver), ["CS01 08:03 08:20 07:55", "CS01 08:03 08:20 08:00", "CS01 08:04 08:15 07:55",]);
    assert_eq!(driver.metrics().totals().dropped, 3);
}

#[test]
fn a_late_purchase_keeps_its_own_fields_as_they_came() {
    let mut driver = driver(1);
    sell(&mut driver, 0, &[("09:00:00", "IS02", "1")]);
    let value = r#"{"till": 7.50, "watermark": 1, "transaction_time":"2022-08-31 08:01:00","product_id":"CS01",
        "is_member":false,"quantity":1,"total_purchase":4.990}"#;
    driver.send_bytes(PURCHASES_TOPIC, 0, None, Some(value.as_bytes()), 0).unwrap();
    driver.settle().unwrap();
    let expected = |start: &str, end: &str| {
        format!(
            "{}{}\"window_start\":\"2022-08-31 {start}:00.000000\",\"window_end\":\"2022-08-31 {end}:00.000000\",\"expired\":false}}",
            r#"CS01 {"till":7.50,"transaction_time":"2022-08-31 08:01:00","product_id":"CS01","is_member":false,"#,
            r#""quantity":1,"total_purchase":4.990,"watermark":"2022-08-31 09:00:00.000000","#,
        )
    };
    assert_eq!(taken(&mut driver, LATE_TOPIC), [expected("07:55", "08:05"), expected("08:00", "08:10")]);
}

#[test]
fn a_partition_that_lies_days_behind_loses_nothing() {
    let mut driver = driver(2);
    sell(&mut driver, 0, &[("08:01:00", "CS01", "1"), ("23:59:00", "CS01", "2")]);
    driver.settle().unwrap();
    assert_eq!(windows(&mut driver), [""; 0], "the other partition may still have something for the window");
    sell(&mut driver, 1, &[("00:01:00", "CS01", "4"), ("08:02:00", "CS01", "8"), ("23:59:00", "CS01", "16")]);
    driver.settle().unwrap();
    let sold: Vec<String> = windows(&mut driver).into_iter().filter(|text| text.contains(" 0")).collect();
    assert_eq!(sold, ["CS01 00:00-00:10 1 2 4", "CS01 07:55-08:05 2 4 9", "CS01 08:00-08:10 2 4 9"]);
    assert_eq!(late(&mut driver), [""; 0]);
}

#[test]
fn a_purchase_of_a_partition_that_had_been_silent_has_expired_and_not_come_late() {
    let mut driver = driver(2);
    sell(&mut driver, 1, &[("07:00:00", "IS02", "1")]);
    sell(&mut driver, 0, &[("08:01:00", "CS01", "1")]);
    pass(&mut driver, 20);
    assert_eq!(windows(&mut driver), [""; 0]);
    sell(&mut driver, 0, &[("09:00:00", "CS01", "2")]);
    pass(&mut driver, 20);
    assert!(!windows(&mut driver).is_empty(), "time goes on without the silent partition");
    sell(&mut driver, 1, &[("08:02:00", "CS01", "4")]);
    driver.settle().unwrap();
    let missed: Vec<bool> = driver.take_values(&LATE).unwrap().into_iter().map(|(_, late)| late.expired).collect();
    assert_eq!(missed, [true, true]);
}

#[test]
fn the_ten_best_are_ranked_by_sales_and_of_equals_by_product() {
    for partitions in [1, 3] {
        let mut driver = driver(partitions);
        let products: Vec<String> = (1..=12).map(|number| format!("P{number:02}")).collect();
        // Backwards, so that the first to come is not the first in order.
        for (number, product) in products.iter().enumerate().rev() {
            let total = ["5.0", "7.25", "5.00"][number % 3];
            sell(&mut driver, u32::try_from(number).unwrap() % partitions, &[("08:01:00", product, total)]);
        }
        for partition in 0..partitions {
            sell(&mut driver, partition, &[("12:00:00", "P01", "1")]);
        }
        driver.settle().unwrap();
        let ranked = ranks_of(&mut driver);
        let first: Vec<&str> = ranked.iter().filter_map(|text| text.strip_prefix("07:55 ")).collect();
        assert_eq!(
            first,
            [
                "1. P02 7.25",
                "2. P05 7.25",
                "3. P08 7.25",
                "4. P11 7.25",
                "5. P01 5.0",
                "6. P03 5.00",
                "7. P04 5.0",
                "8. P06 5.00",
                "9. P07 5.0",
                "10. P09 5.00",
            ],
            "{partitions} partitions"
        );
        assert_eq!(ranked.len(), 20, "two windows, and each once");
    }
}

#[test]
fn what_cannot_be_placed_in_a_window_goes_by_the_policy() {
    let null = r#"{"transaction_time":"2022-08-31 08:01:00","product_id":null,"quantity":1,"total_purchase":1}"#;
    let beyond = r#"{"transaction_time":"9999-12-31 23:55:00","product_id":"CS01","quantity":1,"total_purchase":1}"#;
    let broken = r#"{"transaction_time":"2022-08-31 08:01:00","prod"#;
    for (value, reason) in [(null, "null_key"), (beyond, "overflow"), (broken, "unreadable")] {
        let mut skips = driver_with(1, BadInput::Skip);
        skips.send_bytes(PURCHASES_TOPIC, 0, None, Some(value.as_bytes()), 0).unwrap();
        skips.settle().unwrap();
        assert_eq!(skips.metrics().totals().dropped, 1, "{value}");
        let mut fails = driver(1);
        fails.send_bytes(PURCHASES_TOPIC, 0, None, Some(value.as_bytes()), 0).unwrap();
        let error = fails.settle().unwrap_err().to_string();
        assert!(error.contains("demo.purchases") && error.contains(reason), "{error}");
    }
}

#[test]
fn what_holds_bytes_is_named() {
    let topology = topology(BadInput::Fail).unwrap();
    let plan = topology.plan();
    let stores: Vec<&str> = plan.subs.iter().flat_map(|sub| &sub.stores).map(|name| &**name).collect();
    assert_eq!(stores, ["windows", "top"]);
    let repartitions: Vec<&str> = plan.repartitions.iter().map(|repartition| &*repartition.name).collect();
    assert_eq!(repartitions, ["by-product", "by-window"]);
}
