//! What the totals must be, found without the product: purchases are decoded as plain JSON and added up in whole cents.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream::broker::{Batch, Broker, Isolation};
use millstream::{Headers, Offset, TopicPartition};
use serde_json::Value;

use crate::process::within;

/// What a product has sold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub transactions: i128,
    pub quantities: i128,
    pub cents: i128,
    pub newest: String,
}

/// What each product has sold.
pub type Sums = BTreeMap<String, Sum>;

/// A record as it lies in a topic.
#[derive(Clone, Debug)]
pub struct Stored {
    pub partition: u32,
    pub offset: Offset,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Headers,
}

impl Stored {
    /// The key as text.
    pub fn key(&self) -> &str {
        std::str::from_utf8(self.key.as_deref().expect("a key")).expect("a text")
    }

    /// The value's bytes.
    pub fn value(&self) -> &[u8] {
        self.value.as_deref().expect("a value")
    }
}

/// Adds up purchases.
pub fn of_purchases<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Sums {
    let mut sums = Sums::new();
    for value in values {
        let purchase: Value = serde_json::from_slice(value).expect("a purchase is JSON");
        let sum = sums.entry(purchase["product_id"].as_str().expect("a product").to_owned()).or_default();
        sum.transactions += 1;
        sum.quantities += i128::from(purchase["quantity"].as_i64().expect("a quantity"));
        sum.cents += cents(&purchase["total_purchase"]);
        sum.newest = sum.newest.clone().max(time(&purchase["transaction_time"]));
    }
    sums
}

/// Reads one record of totals: the product and its sum.
pub fn of_total(value: &[u8]) -> (String, Sum) {
    let total: Value = serde_json::from_slice(value).expect("a total is JSON");
    let sum = Sum {
        transactions: i128::from(total["transactions"].as_i64().expect("a number")),
        quantities: i128::from(total["quantities"].as_i64().expect("a number")),
        cents: cents(&total["sales"]),
        newest: time(&total["event_time"]),
    };
    (total["product_id"].as_str().expect("a product").to_owned(), sum)
}

/// The newest total of each product. Each key must be the product's id, in one partition alone.
pub fn newest(totals: &[Stored]) -> Sums {
    let mut newest = Sums::new();
    let mut places = BTreeMap::new();
    for total in totals {
        let (product, sum) = of_total(total.value());
        assert_eq!(product, total.key());
        assert_eq!(*places.entry(product.clone()).or_insert(total.partition), total.partition, "{product} has moved");
        newest.insert(product, sum);
    }
    newest
}

/// A sum of money, written as a JSON number, in cents.
pub fn cents(number: &Value) -> i128 {
    let Value::Number(number) = number else { panic!("money must be a JSON number, not {number}") };
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    assert!(fraction.len() <= 2 && !whole.starts_with('-'), "{text} is no sum of money");
    let digits = format!("{whole}{fraction:0<2}");
    digits.parse().unwrap_or_else(|_| panic!("{text} is no plain decimal"))
}

/// A time as text that compares as the times do.
fn time(time: &Value) -> String {
    let text = time.as_str().expect("a time");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

/// All partitions of a topic.
pub fn partitions(broker: &dyn Broker, topic: &str) -> Vec<TopicPartition> {
    let described = broker.describe_topics(&[topic]).expect("described").remove(topic);
    let count = described.unwrap_or_else(|| panic!("there is no topic {topic}")).partitions;
    (0..count).map(|partition| TopicPartition::new(topic, partition)).collect()
}

/// Waits until no transaction holds readers of the topics up: the last stable offset is the high watermark everywhere.
pub fn settled(broker: &dyn Broker, topics: &[&str]) {
    let of: Vec<TopicPartition> = topics.iter().flat_map(|topic| partitions(broker, topic)).collect();
    within(Duration::from_mins(2), "all transactions to have ended", || {
        let stable = broker.end_offsets(&of, Isolation::ReadCommitted).expect("asked");
        let written = broker.end_offsets(&of, Isolation::ReadUncommitted).expect("asked");
        (stable == written).then_some(())
    });
}

/// All committed records of a topic, partition by partition, once no transaction is open in it any more.
pub fn committed(broker: &dyn Broker, topic: &str) -> Vec<Stored> {
    let partitions = partitions(broker, topic);
    let starts = broker.start_offsets(&partitions).expect("asked");
    committed_from(broker, &partitions.into_iter().zip(starts).collect::<Vec<_>>())
}

/// The committed records of partitions from these offsets on, once no transaction is open in their topics any more.
pub fn committed_from(broker: &dyn Broker, from: &[(TopicPartition, Offset)]) -> Vec<Stored> {
    let mut all = Vec::new();
    for (partition, start) in from {
        settled(broker, &[&partition.topic]);
        let end = broker.end_offsets(std::slice::from_ref(partition), Isolation::ReadCommitted).expect("asked")[0];
        let mut reader = broker.reader(&[(partition.clone(), *start)]).expect("a reader");
        let mut batch = Batch::default();
        within(Duration::from_mins(1), "the end of the partition", || {
            let fetched = reader.fetch(0, 100_000, &mut batch).expect("readable");
            if fetched.position < end {
                reader.wait(Duration::from_millis(20));
            }
            (fetched.position >= end).then_some(())
        });
        all.extend(batch.iter().map(|record| Stored {
            partition: partition.partition,
            offset: record.offset,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.clone(),
        }));
    }
    all
}
