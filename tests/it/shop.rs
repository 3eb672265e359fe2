//! Running totals with topics of a test's own, run by the program against the real broker.

use std::time::Duration;

use millstream::broker::kafka::KafkaBroker;
use millstream::broker::{Broker, Outgoing, OutgoingRecord, Partitioning};
use millstream::record::{Header, InputNumber};
use millstream::{Headers, Timestamp};

use crate::broker::{RealBroker, topic, topic_with, unique};
use crate::process::{Process, within};
use crate::sums::{self, Sums};

/// An application `running-totals` with its topics.
pub struct Shop<'a> {
    pub real: &'a RealBroker,
    pub broker: KafkaBroker,
    pub application: String,
    pub input: String,
    pub totals: String,
    pub renames: [String; 2],
    written: u32,
}

impl<'a> Shop<'a> {
    pub fn new(real: &'a RealBroker, partitions: u32) -> Self {
        Self::with_output(real, partitions, &[])
    }

    /// With settings of the output topic.
    pub fn with_output(real: &'a RealBroker, partitions: u32, settings: &[(&str, &str)]) -> Self {
        let broker = real.connect();
        let input = topic(&broker, "purchases", partitions);
        let totals = topic_with(&broker, "totals", partitions, settings);
        let renames = [format!("demo.purchases={input}"), format!("demo.running.totals={totals}")];
        Self { real, broker, application: unique("shop"), input, totals, renames, written: 0 }
    }

    /// The arguments of a process.
    pub fn arguments<'b>(&'b self, more: &[&'b str]) -> Vec<&'b str> {
        self.arguments_at(self.real.bootstrap, more)
    }

    /// The arguments of a process that comes to the broker at this address.
    pub fn arguments_at<'b>(&'b self, address: &'b str, more: &[&'b str]) -> Vec<&'b str> {
        let mut arguments = vec!["run", "running-totals", "--bootstrap-servers", address];
        arguments.extend(["--application-id", &self.application]);
        arguments.extend(["--topic", &self.renames[0], "--topic", &self.renames[1]]);
        arguments.extend(more);
        arguments
    }

    /// Starts a process.
    pub fn start(&self, name: &str, more: &[&str]) -> Process {
        Process::start(name, &self.arguments(more))
    }

    /// Runs a process until it has processed everything.
    pub fn drain(&self, more: &[&str]) -> Process {
        let mut process = self.start("until the end", &[&["--until-end"], more].concat());
        process.succeeds(Duration::from_mins(1));
        process
    }

    /// Writes values to the partitions in turn; each with a key of its own and a header, which must be left alone.
    pub fn write<V: AsRef<[u8]>>(&mut self, values: impl IntoIterator<Item = V>) {
        let partitions = u32::try_from(sums::partitions(&self.broker, &self.input).len()).expect("few");
        let mut out = Outgoing::default();
        let topic = out.topic(&self.input);
        for value in values {
            let number = self.written;
            self.written += 1;
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::Fixed(number % partitions),
                key: Some(format!("key {number}").as_bytes()),
                value: Some(value.as_ref()),
                timestamp: Timestamp::from_millis(1_661_932_800_000 + i64::from(number)),
                headers: &headers(number),
                input: InputNumber(0),
            });
        }
        let mut writer = self.broker.writer().expect("a writer");
        writer.send(&out).expect("sent");
        writer.flush().expect("written");
    }

    /// What a committed reader finds now.
    pub fn totals(&self) -> Sums {
        sums::newest(&sums::committed(&self.broker, &self.totals))
    }

    /// Waits until a committed reader finds these totals.
    pub fn await_totals(&self, expected: &Sums) {
        within(Duration::from_mins(1), "the totals", || (self.totals() == *expected).then_some(()));
    }

    /// The application's own topics.
    pub fn internal_topics(&self) -> [String; 2] {
        let group = format!("{}-running-totals", self.application);
        let topics = [format!("{group}-by-product-repartition"), format!("{group}-totals-changelog")];
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        assert_eq!(self.broker.describe_topics(&names).expect("described").len(), 2, "they are called otherwise");
        topics
    }
}

/// The header of the `number`-th record that [`Shop::write`] writes.
pub fn headers(number: u32) -> Headers {
    [Header { name: "origin".into(), value: Some(format!("till {number}").into_bytes()) }].into_iter().collect()
}

/// A purchase as JSON.
pub fn purchase(product: &str, quantity: u32, total: &str) -> String {
    format!(
        r#"{{"transaction_time":"2022-08-31 08:00:33","product_id":"{product}","quantity":{quantity},"total_purchase":{total}}}"#
    )
}

/// The sums of purchases.
pub fn sums_of(purchases: &[String]) -> Sums {
    sums::of_purchases(purchases.iter().map(String::as_bytes))
}
