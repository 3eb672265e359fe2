mod copying;
mod faults;
mod groups;
mod logs;
mod random;
mod transactions;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::MemoryBroker;
use crate::broker::{
    Batch, Broker, CommittedOffset, Fetched, GroupEvent, Guarantee, Member, MemberOptions, NewTopic, Outgoing,
    OutgoingRecord, Partitioning, Reader,
};
use crate::record::{Headers, InputNumber, Offset, TopicPartition};
use crate::time::{ManualClock, Timestamp};

const SESSION: Duration = Duration::from_secs(10);
const TRANSACTION: Duration = Duration::from_mins(1);
const GROUP: &str = "app";

fn broker() -> (MemoryBroker, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let broker = MemoryBroker::new(clock.clone());
    create(&broker, "in", 4, &[]);
    create(&broker, "out", 2, &[]);
    (broker, clock)
}

fn create(broker: &MemoryBroker, name: &str, partitions: u32, settings: &[(&str, &str)]) {
    let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect::<BTreeMap<_, _>>();
    broker.create_topics(&[NewTopic { name: name.into(), partitions, settings }]).unwrap();
}

fn options(instance: &str) -> MemberOptions {
    MemberOptions {
        group: GROUP.into(),
        instance: instance.into(),
        transactional_id: format!("{GROUP}-{instance}"),
        client_id: format!("client-{instance}"),
        guarantee: Guarantee::ExactlyOnce,
        session_timeout: SESSION,
        transaction_timeout: TRANSACTION,
    }
}

fn at_least_once(instance: &str) -> MemberOptions {
    MemberOptions { guarantee: Guarantee::AtLeastOnce, ..options(instance) }
}

/// A member that has subscribed and not yet polled.
fn subscribed(broker: &MemoryBroker, options: &MemberOptions, topics: &[&str]) -> Box<dyn Member> {
    let mut member = broker.connect(options).unwrap();
    member.subscribe(topics).unwrap();
    member
}

/// The only member of its group, with its assignment.
fn owner(broker: &MemoryBroker, options: &MemberOptions) -> Box<dyn Member> {
    let mut member = subscribed(broker, options, &["in"]);
    assigned(&mut member);
    member
}

fn assigned(member: &mut Box<dyn Member>) -> Vec<TopicPartition> {
    match member.poll().unwrap() {
        Some(GroupEvent::Assigned(partitions)) => partitions,
        other => panic!("expected an assignment, got {other:?}"),
    }
}

fn out(topic: &str, partition: u32, records: &[(&str, &str)]) -> Outgoing {
    let mut out = Outgoing::default();
    for (key, value) in records {
        push(&mut out, topic, Partitioning::Fixed(partition), Some(key.as_bytes()), Some(value.as_bytes()));
    }
    out
}

fn push(out: &mut Outgoing, topic: &str, partitioning: Partitioning, key: Option<&[u8]>, value: Option<&[u8]>) {
    let topic = out.topic(topic);
    let input = InputNumber(u32::try_from(out.len()).unwrap());
    let (timestamp, headers) = (Timestamp::from_millis(7), &Headers::NONE);
    out.push(&OutgoingRecord { topic, partitioning, key, value, timestamp, headers, input });
}

fn at(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

fn offset(partition: u32, offset: Offset, metadata: &str) -> CommittedOffset {
    CommittedOffset { partition: at("in", partition), offset, metadata: metadata.into() }
}

fn committed(broker: &MemoryBroker) -> Vec<(u32, Offset, String)> {
    broker.group_offsets(GROUP).into_iter().map(|o| (o.partition.partition, o.offset, o.metadata)).collect()
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8(bytes.unwrap_or(b"-").to_vec()).unwrap()
}

fn values(broker: &MemoryBroker, topic: &str) -> Vec<String> {
    broker.records(topic).unwrap().iter().map(|record| text(record.value.as_deref())).collect()
}

/// What a reader finds: offset and value of each record.
fn fetch(reader: &mut Box<dyn Reader>, max: usize) -> (Vec<(Offset, String)>, Fetched) {
    let mut batch = Batch::default();
    let fetched = reader.fetch(0, max, &mut batch).unwrap();
    assert_eq!(fetched.records, batch.len());
    (batch.iter().map(|record| (record.offset, text(record.value))).collect(), fetched)
}
