//! A program of one's own, whole: counts words on two threads, exactly once, on the embedded broker. With `KafkaBroker`
//! in the place of `MemoryBroker` it is the same program on Kafka.
//!
//! `cargo run --example word_count`

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream::broker::NewTopic;
use millstream::broker::{Outgoing, OutgoingRecord, Partitioning};
use millstream::record::InputNumber;
use millstream::{
    App, Broker, Builder, Clock, Config, Headers, MemoryBroker, NoKey, Result, SystemClock, Timestamp, Topic, Topology,
};

const LINES: Topic<NoKey, String> = Topic::new("lines");
const COUNTS: Topic<String, u64> = Topic::new("counts");

/// Counts each word of the lines.
fn word_count() -> Result<Topology> {
    let b = Builder::new("word-count");
    b.source(LINES)
        .stream()
        .flat_map(|_, line| line.split_whitespace().map(|word| (word.to_lowercase(), ())).collect::<Vec<_>>())
        .map_values(|()| 1_u64)
        .group_by_key()
        .named("by-word")
        .combine()
        .reduce(|sum, more| *sum += more)
        .named("words")
        .to(COUNTS);
    Ok(b.build()?)
}

fn main() -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let broker = MemoryBroker::new(Arc::clone(&clock));
    let lines = NewTopic { name: LINES.name().to_owned(), partitions: 4, settings: BTreeMap::new() };
    broker.create_topics(&[lines])?;
    write(&broker, clock.wall(), &["the quick brown fox", "jumps over the lazy dog", "The end"])?;

    let mut config = Config::new("examples");
    config.threads = 2;
    config.until_end = true;
    App::new(word_count()?, Arc::new(broker.clone()), config).start()?.join()?;

    let mut newest = BTreeMap::new();
    for record in broker.records(COUNTS.name())? {
        newest.insert(record.key, record.value);
    }
    for (word, count) in newest {
        let count = count.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
        println!("{} {}", String::from_utf8_lossy(&word.unwrap_or_default()), count.unwrap_or(0));
    }
    Ok(())
}

/// Writes lines without keys, as a producer elsewhere would.
fn write(broker: &dyn Broker, now: Timestamp, lines: &[&str]) -> Result<()> {
    let mut out = Outgoing::default();
    let topic = out.topic(LINES.name());
    for line in lines {
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::ByKey,
            key: None,
            value: Some(line.as_bytes()),
            timestamp: now,
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    }
    let mut writer = broker.writer()?;
    writer.send(&out)?;
    writer.flush()
}
