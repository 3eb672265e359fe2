use super::*;
use crate::ErrorKind;
use crate::broker::memory::Tombstones;
use crate::broker::{Isolation, Writer};

fn writer(broker: &MemoryBroker) -> Box<dyn Writer> {
    broker.writer().unwrap()
}

#[test]
fn creating_a_topic_again_leaves_it_as_it_is() {
    let (broker, _) = broker();
    create(&broker, "in", 9, &[("max.message.bytes", "1")]);
    let described = broker.describe_topics(&["in", "nowhere"]).unwrap();
    assert_eq!(described.keys().collect::<Vec<_>>(), ["in"]);
    assert_eq!(described["in"].partitions, 4);
    assert_eq!(described["in"].settings["max.message.bytes"], "1048588");
}

#[test]
fn a_topic_that_was_deleted_is_gone_with_what_groups_have_committed_for_it() {
    let (broker, _) = broker();
    writer(&broker).send(&out("in", 1, &[("k", "old")])).unwrap();
    let offsets = [offset(1, 1, "in"), CommittedOffset { partition: at("out", 0), offset: 0, metadata: "out".into() }];
    broker.commit_for(GROUP, &offsets).unwrap();
    let mut reader = broker.reader(&[(at("in", 1), 1)]).unwrap();
    broker.delete_topics(&["in", "nowhere"]).unwrap();
    assert_eq!(broker.list_topics().unwrap(), BTreeMap::from([("out".to_owned(), 2)]));
    assert!(broker.records("in").is_err());
    assert_eq!(broker.group_offsets(GROUP), offsets[1..]);
    // Whoever still reads it is told, also when there is another of the same name.
    create(&broker, "in", 3, &[]);
    assert!(broker.records("in").unwrap().is_empty());
    assert!(reader.fetch(0, 10, &mut Batch::default()).is_err());
    writer(&broker).send(&out("in", 1, &[("k", "new")])).unwrap();
    assert_eq!(values(&broker, "in"), ["new"]);
}

#[test]
fn a_time_has_the_offset_of_the_first_record_that_is_not_earlier() {
    let (broker, _) = broker();
    let mut records = Outgoing::default();
    let topic = records.topic("in");
    for time in [10, 30, 20, 40] {
        records.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(0),
            key: None,
            value: Some(b"v"),
            timestamp: Timestamp::from_millis(time),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    }
    writer(&broker).send(&records).unwrap();
    let found = |time| broker.offsets_at(&[at("in", 0), at("in", 1)], Timestamp::from_millis(time)).unwrap();
    let times = [0, 10, 11, 31, 40, 41].map(|time| found(time)[0]);
    assert_eq!(times, [Some(0), Some(0), Some(1), Some(3), Some(3), None]);
    assert_eq!(found(0)[1], None);
    broker.delete_records(&[(at("in", 0), 2)]).unwrap();
    assert_eq!(found(0)[0], Some(2));
}

#[test]
fn a_topic_that_cannot_be_is_refused() {
    let (broker, _) = broker();
    let topic = |partitions, limit: &str| NewTopic {
        name: "odd".into(),
        partitions,
        settings: BTreeMap::from([("max.message.bytes".into(), limit.into())]),
    };
    assert_eq!(broker.create_topics(&[topic(0, "1")]).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(broker.create_topics(&[topic(1, "much")]).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn a_record_without_a_partition_goes_where_java_would_put_it() {
    let (broker, _) = broker();
    let mut records = Outgoing::default();
    push(&mut records, "in", Partitioning::ByKey, Some(b"foobar"), Some(b"keyed"));
    for _ in 0..4 {
        push(&mut records, "in", Partitioning::ByKey, None, Some(b"any"));
    }
    writer(&broker).send(&records).unwrap();
    let stored = broker.records("in").unwrap();
    let keyed = stored.iter().find(|record| record.key.is_some()).unwrap();
    assert_eq!(keyed.partition, crate::broker::partitioner::partition_of(b"foobar", 4));
    let mut others: Vec<_> = stored.iter().filter(|record| record.key.is_none()).map(|r| r.partition).collect();
    others.dedup();
    assert_eq!(others, [0, 1, 2, 3]);
}

#[test]
fn a_reader_goes_through_a_long_log_in_small_steps() {
    let (broker, _) = broker();
    let values: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    let records: Vec<(&str, &str)> = values.iter().map(|value| ("k", value.as_str())).collect();
    writer(&broker).send(&out("in", 0, &records)).unwrap();
    let mut reader = broker.reader(&[(at("in", 0), 5)]).unwrap();
    let mut read = Vec::new();
    loop {
        let (some, fetched) = fetch(&mut reader, 700);
        assert_eq!(fetched.caught_up(), read.len() + some.len() == 2995);
        if some.is_empty() {
            break;
        }
        read.extend(some);
    }
    assert!(read.iter().map(|(offset, _)| *offset).eq(5..3000));
    assert!(read.iter().all(|(offset, value)| offset.to_string() == *value));
}

#[test]
fn reading_below_the_start_says_where_and_why() {
    let (broker, _) = broker();
    writer(&broker).send(&out("in", 1, &[("a", "1"), ("b", "2"), ("c", "3")])).unwrap();
    broker.delete_records(&[(at("in", 1), 2)]).unwrap();
    assert_eq!(broker.start_offsets(&[at("in", 1)]).unwrap(), [2]);
    let mut reader = broker.reader(&[(at("in", 1), 1), (at("in", 1), 2), (at("in", 1), 4)]).unwrap();
    let mut batch = Batch::default();
    let error = reader.fetch(0, 10, &mut batch).unwrap_err().to_string();
    assert!(error.contains("topic in, partition 1, offset 1") && error.contains("starts at 2"), "{error}");
    assert_eq!(reader.fetch(1, 10, &mut batch).unwrap().records, 1);
    assert_eq!(batch.iter().next().unwrap().offset, 2);
    assert!(reader.fetch(2, 10, &mut batch).is_err(), "beyond the end");
    assert_eq!(values(&broker, "in"), ["3"]);
}

#[test]
fn deleting_up_to_the_high_watermark_empties_a_partition_and_no_further() {
    let (broker, _) = broker();
    writer(&broker).send(&out("in", 0, &[("a", "1"), ("b", "2")])).unwrap();
    assert!(broker.delete_records(&[(at("in", 0), 3)]).is_err());
    broker.delete_records(&[(at("in", 0), -1)]).unwrap();
    assert_eq!(broker.start_offsets(&[at("in", 0)]).unwrap(), [2]);
    assert_eq!(broker.end_offsets(&[at("in", 0)], Isolation::ReadCommitted).unwrap(), [2]);
    assert!(broker.delete_records(&[(at("in", 7), 0)]).is_err());
}

#[test]
fn compaction_keeps_the_newest_record_of_each_key_and_its_offset() {
    let (broker, _) = broker();
    let mut write = writer(&broker);
    write.send(&out("out", 0, &[("a", "1"), ("b", "2"), ("a", "3")])).unwrap();
    let mut tombstone = Outgoing::default();
    push(&mut tombstone, "out", Partitioning::Fixed(0), Some(b"b"), None);
    write.send(&tombstone).unwrap();
    let mut member = owner(&broker, &options("m"));
    member.send(0, &out("out", 0, &[("a", "open")])).unwrap();

    broker.compact("out", Tombstones::Keep).unwrap();
    assert_eq!(values(&broker, "out"), ["3", "-"]);
    broker.compact("out", Tombstones::Drop).unwrap();
    let (read, fetched) = fetch(&mut broker.reader(&[(at("out", 0), 0)]).unwrap(), 10);
    assert_eq!(read, [(2, "3".into())]);
    assert_eq!((fetched.position, fetched.caught_up()), (4, true));

    member.commit(&[offset(0, 1, "")]).unwrap();
    broker.compact("out", Tombstones::Keep).unwrap();
    assert_eq!(values(&broker, "out"), ["open"]);
}

#[test]
fn a_compacted_topic_stays_small_by_itself() {
    let (broker, _) = broker();
    create(&broker, "state", 1, &[("cleanup.policy", "compact")]);
    let mut write = writer(&broker);
    for round in 0..200 {
        let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
        let value = round.to_string();
        let records: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), value.as_str())).collect();
        write.send(&out("state", 0, &records)).unwrap();
    }
    let stored = broker.records("state").unwrap();
    assert!(stored.len() < 4200, "{} records", stored.len());
    let newest: BTreeMap<_, _> = stored.iter().map(|record| (record.key.clone(), record.value.clone())).collect();
    assert_eq!(newest.len(), 100);
    assert!(newest.values().all(|value| value.as_deref() == Some(b"199")));
    assert_eq!(broker.end_offsets(&[at("state", 0)], Isolation::ReadUncommitted).unwrap(), [20_000]);
}

#[test]
fn a_compacted_topic_takes_no_record_without_a_key() {
    let (broker, _) = broker();
    create(&broker, "state", 1, &[("cleanup.policy", "compact")]);
    let mut records = Outgoing::default();
    push(&mut records, "state", Partitioning::Fixed(0), None, Some(b"x"));
    let error = writer(&broker).send(&records).unwrap_err().to_string();
    assert!(error.contains("INVALID_RECORD"), "{error}");
}

#[test]
fn a_bounded_topic_loses_its_oldest_records_but_none_that_a_group_needs() {
    let (broker, _) = broker();
    broker.retain("in", 10).unwrap();
    let start = || broker.start_offsets(&[at("in", 0)]).unwrap()[0];
    let mut write = writer(&broker);
    let mut ten = || write.send(&out("in", 0, &[("k", "v"); 10])).unwrap();
    ten();
    ten();
    assert_eq!(start(), 10);

    let mut member = owner(&broker, &options("m"));
    ten();
    assert_eq!(start(), 10, "the group has committed nothing yet");
    member.commit(&[offset(0, 15, "")]).unwrap();
    ten();
    assert_eq!(start(), 10, "record 15 is still to be read");
    member.commit(&[offset(0, 40, "")]).unwrap();
    ten();
    assert_eq!(start(), 40);
}

#[test]
fn a_record_is_measured_as_kafka_does() {
    let (broker, _) = broker();
    // A batch of one record with 1 byte of key and 100 of value: 61 + 2 (length) + 1 + 1 + 1 + 2 + (2 + 100) + 1.
    create(&broker, "fits", 1, &[("max.message.bytes", "171")]);
    create(&broker, "tight", 1, &[("max.message.bytes", "170")]);
    let value = "x".repeat(100);
    writer(&broker).send(&out("fits", 0, &[("k", &value)])).unwrap();
    assert!(writer(&broker).send(&out("tight", 0, &[("k", &value)])).is_err());
}
