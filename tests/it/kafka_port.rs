//! The broker port over real Kafka: transactions, reading, administration.

use std::time::Duration;

use millstream::broker::partitioner::partition_of;
use millstream::broker::{
    Batch, Broker, CommitFailure, CommittedOffset, Guarantee, Isolation, NewTopic, Outgoing, OutgoingRecord,
    Partitioning,
};
use millstream::record::InputNumber;
use millstream::{Clock, ErrorKind, Headers, SystemClock, Timestamp};

use crate::broker::{
    RealBroker, at, committed_values, fill, from_start, joined, offset, options, read_all, records, texts, topic,
    topic_with, unique, until,
};

#[test]
fn what_is_committed_can_be_read_and_what_is_aborted_cannot() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let (input, output) = (topic(&broker, "in", 1), topic(&broker, "out", 1));
    let (mut member, _) = joined(&broker, &options(&unique("group"), "a"), &[&input]);
    member.send(0, &records(&output, 0, [&b"a"[..], b"b"])).expect("sent");
    let ends = member.commit(&[offset(&input, 0, 0)]).expect("committed");
    assert_eq!(ends, [(at(&output, 0), 2)]);
    member.send(0, &records(&output, 0, [&b"never"[..]])).expect("sent");
    member.abort().expect("aborted");
    member.send(0, &records(&output, 0, [&b"c"[..]])).expect("sent");
    member.commit(&[offset(&input, 0, 0)]).expect("committed");
    assert_eq!(committed_values(&broker, &output), ["a", "b", "c"]);
    member.close(true);
}

#[test]
fn the_text_beside_an_offset_comes_back_with_it() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let input = topic(&broker, "in", 2);
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let mut options = options(&unique("group"), "a");
        options.guarantee = guarantee;
        let (mut member, partitions) = joined(&broker, &options, &[&input]);
        let committed = CommittedOffset { partition: at(&input, 1), offset: 42, metadata: "v1 Ü 17".into() };
        member.commit(std::slice::from_ref(&committed)).expect("committed");
        assert_eq!(member.committed(&partitions).expect("told"), [None, Some(committed)], "{guarantee:?}");
        member.close(true);
    }
}

#[test]
fn a_record_comes_back_as_it_was_sent() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let (input, output) = (topic(&broker, "in", 1), topic(&broker, "out", 1));
    let (mut member, _) = joined(&broker, &options(&unique("group"), "a"), &[&input]);
    let mut headers = Headers::NONE;
    headers.push("trace", Some(vec![0, 255]));
    headers.push("trace", None);
    headers.push("", Some(Vec::new()));
    let mut out = Outgoing::default();
    let place = out.topic(&output);
    let mut push = |key: Option<&[u8]>, value: Option<&[u8]>, millis, headers: &Headers| {
        out.push(&OutgoingRecord {
            topic: place,
            partitioning: Partitioning::Fixed(0),
            key,
            value,
            timestamp: Timestamp::from_millis(millis),
            headers,
            input: InputNumber(0),
        });
    };
    push(Some(b"key"), Some(b"value"), 1_234_567_890_123, &headers);
    push(None, None, 0, &Headers::NONE);
    push(Some(b""), Some(b""), -5, &Headers::NONE);
    member.send(0, &out).expect("sent");
    member.commit(&[offset(&input, 0, 0)]).expect("committed");
    let mut batch = Batch::default();
    let mut reader = broker.reader(&[(at(&output, 0), 0)]).expect("a reader");
    read_all(&mut *reader, &mut batch);
    let found: Vec<_> = batch.iter().collect();
    assert_eq!(found.len(), 3);
    assert_eq!((found[0].key, found[0].value), (Some(&b"key"[..]), Some(&b"value"[..])));
    assert_eq!(found[0].timestamp, Some(Timestamp::from_millis(1_234_567_890_123)));
    assert_eq!(*found[0].headers, headers);
    assert_eq!((found[1].key, found[1].value, found[1].headers.is_empty()), (None, None, true));
    // Kafka knows no time before 1970, and librdkafka takes 0 for "now".
    assert_eq!(found[1].timestamp, Some(Timestamp::from_millis(1)));
    assert_eq!((found[2].key, found[2].value), (Some(&b""[..]), Some(&b""[..])));
    assert_eq!(found[2].timestamp, Some(Timestamp::from_millis(1)));
    member.close(true);
}

#[test]
fn a_reader_knows_that_it_is_caught_up_though_the_partition_ends_with_a_marker() {
    let Some(real) = RealBroker::alone() else { return };
    let broker = real.connect();
    let (input, output) = (topic(&broker, "in", 1), topic(&broker, "out", 1));
    let (mut member, _) = joined(&broker, &options(&unique("group"), "a"), &[&input]);
    let mut reader = broker.reader(&[(at(&output, 0), 0)]).expect("a reader");
    let mut batch = Batch::default();
    let empty = read_all(&mut *reader, &mut batch);
    assert_eq!((empty.position, empty.stable_end, empty.high_watermark), (0, 0, 0));

    let clock = SystemClock::new();
    let mut delays = Vec::new();
    for round in 0..20 {
        let clear = batch.len();
        member.send(0, &records(&output, 0, [&b"x"[..]])).expect("sent");
        member.commit(&[offset(&input, 0, 0)]).expect("committed");
        let committed = clock.elapsed();
        let end = 2 * (round + 1);
        let fetched = until("the record", || {
            let fetched = reader.fetch(0, 10, &mut batch).expect("readable");
            if batch.len() == clear {
                reader.wait(Duration::from_millis(20));
                return None;
            }
            fetched.caught_up().then_some(fetched)
        });
        delays.push(clock.elapsed().saturating_sub(committed));
        assert_eq!((fetched.position, fetched.stable_end, fetched.high_watermark), (end, end, end));
    }
    delays.sort();
    println!("from commit to caught up: median {:?}, longest {:?}", delays[10], delays[19]);
    assert!(delays[10] < Duration::from_millis(100), "{delays:?}");

    // Someone's open transaction: it can be seen that there is more, and that it cannot be read.
    member.send(0, &records(&output, 0, [&b"y"[..]])).expect("sent");
    let fetched = until("the open transaction's record to be known", || {
        let fetched = reader.fetch(0, 10, &mut batch).expect("readable");
        (fetched.high_watermark == 41).then_some(fetched)
    });
    assert_eq!((fetched.records, fetched.position), (0, 40));
    let still = until("the end of what can be read", || {
        let fetched = reader.fetch(0, 10, &mut batch).expect("readable");
        fetched.caught_up().then_some(fetched)
    });
    assert_eq!((still.stable_end, still.high_watermark), (40, 41));
    assert_eq!(broker.end_offsets(&[at(&output, 0)], Isolation::ReadCommitted).expect("told"), [40]);
    assert_eq!(broker.end_offsets(&[at(&output, 0)], Isolation::ReadUncommitted).expect("told"), [41]);
    member.abort().expect("aborted");
    let after = until("the aborted transaction to be passed", || {
        let fetched = reader.fetch(0, 10, &mut batch).expect("readable");
        (fetched.position == 42).then_some(fetched)
    });
    assert_eq!((after.records, after.caught_up(), batch.len()), (0, true, 20));
    member.close(true);
}

#[test]
fn a_partition_that_is_not_fetched_does_not_hold_another_up() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let input = topic(&broker, "in", 2);
    fill(&broker, &input, 0, 20_000, 1_000);
    fill(&broker, &input, 1, 20_000, 1_000);
    let (mut member, partitions) = joined(&broker, &options(&unique("group"), "a"), &[&input]);
    assert_eq!(partitions, [at(&input, 0), at(&input, 1)]);
    let mut batch = Batch::default();
    for partition in [1, 0] {
        batch.clear();
        until("all records of the partition", || {
            let fetched = member.fetch(partition, 500, &mut batch).expect("readable");
            assert!(fetched.records <= 500);
            if fetched.records == 0 {
                member.wait(Duration::from_millis(20));
            }
            fetched.caught_up().then_some(())
        });
        assert!(batch.iter().map(|record| record.offset).eq(0..20_000), "partition {partition}");
    }
    member.close(true);
}

#[test]
fn the_next_record_after_a_seek_is_the_one_asked_for() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let input = topic(&broker, "in", 1);
    fill(&broker, &input, 0, 5_000, 100);
    let (mut member, _) = joined(&broker, &options(&unique("group"), "a"), &[&input]);
    let mut batch = Batch::default();
    // Forwards and back, with more in the queue than was taken, and twice without reading between.
    for target in [0, 10, 3, 4_999, 0, 4_000, 7, 7, 2_500, 2_499] {
        member.seek(&[(at(&input, 0), target)]).expect("moved");
        batch.clear();
        let fetched = until("records", || {
            let fetched = member.fetch(0, 100, &mut batch).expect("readable");
            (fetched.records > 0).then_some(fetched)
        });
        let count = i64::try_from(batch.len()).expect("small");
        assert!(batch.iter().map(|record| record.offset).eq(target..target + count), "after a seek to {target}");
        assert!(fetched.position >= target + count && fetched.caught_up() == (target + count == 5_000));
    }
    member.seek(&[(at(&input, 0), 1)]).expect("moved");
    member.seek(&[(at(&input, 0), 0)]).expect("moved");
    batch.clear();
    until("all records", || member.fetch(0, 999, &mut batch).expect("readable").caught_up().then_some(()));
    assert!(batch.iter().map(|record| record.offset).eq(0..5_000));
    // At the very end there is nothing to read, and that is known as well.
    member.seek(&[(at(&input, 0), 5_000)]).expect("moved");
    until("the end", || member.fetch(0, 999, &mut batch).expect("readable").caught_up().then_some(()));
    member.close(true);
}

#[test]
fn a_record_that_the_broker_refuses_is_named_by_its_input() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let input = topic(&broker, "in", 1);
    let output = topic_with(&broker, "out", 1, &[("max.message.bytes", "1000")]);
    let (mut member, _) = joined(&broker, &options(&unique("group"), "a"), &[&input]);
    let large = vec![b'x'; 5_000];
    // Over the topic's limit: the broker says so.
    member.send(7, &records(&output, 0, [&large[..]])).expect("handed over");
    let Err(CommitFailure::Abort(error, refusals)) = member.commit(&[offset(&input, 0, 0)]) else {
        panic!("it was committed")
    };
    assert_eq!(refusals.iter().map(|refusal| (refusal.task, refusal.input)).collect::<Vec<_>>(), [(7, InputNumber(0))]);
    assert!(error.to_string().contains(&output) && error.to_string().contains("max.message.bytes"), "{error}");
    assert!(!error.to_string().contains("xxx"), "a record's bytes do not belong into an error: {error}");
    member.abort().expect("aborted");
    // Over the producer's own limit: it is not even sent.
    let huge = vec![b'x'; 2_000_000];
    let Err(CommitFailure::Abort(_, refusals)) = member.send(3, &records(&output, 0, [&b"small"[..], &huge])) else {
        panic!("it was taken")
    };
    assert_eq!((refusals[0].task, refusals[0].input), (3, InputNumber(1)));
    assert!(
        matches!(member.commit(&[offset(&input, 0, 0)]), Err(CommitFailure::Abort(..))),
        "half of it was committed"
    );
    member.abort().expect("aborted");
    member.send(0, &records(&output, 0, [&b"fits"[..]])).expect("sent");
    member.commit(&[offset(&input, 0, 0)]).expect("committed");
    assert_eq!(committed_values(&broker, &output), ["fits"]);
    member.close(true);
}

#[test]
fn a_recycled_producer_leaves_nothing_of_its_open_transaction_behind() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let (input, output) = (topic(&broker, "in", 1), topic(&broker, "out", 1));
    let (mut member, _) = joined(&broker, &options(&unique("group"), "a"), &[&input]);
    let clock = SystemClock::new();
    for n in 0..3 {
        member.send(0, &records(&output, 0, [&b"never"[..]])).expect("sent");
        let started = clock.elapsed();
        member.recycle().expect("recycled");
        println!("recycling took {:?}", clock.elapsed().saturating_sub(started));
        member.send(0, &records(&output, 0, [&b"once"[..]])).expect("sent");
        member.commit(&[offset(&input, 0, n)]).expect("committed");
    }
    assert_eq!(committed_values(&broker, &output), ["once"; 3]);
    member.close(true);
}

#[test]
fn an_offset_that_is_not_there_is_an_error_that_names_it() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let input = topic(&broker, "in", 2);
    fill(&broker, &input, 1, 100, 10);
    broker.delete_records(&[(at(&input, 1), 60)]).expect("deleted");
    assert_eq!(broker.start_offsets(&[at(&input, 0), at(&input, 1)]).expect("told"), [0, 60]);
    for gone in [20, 4_711] {
        let mut reader = broker.reader(&[(at(&input, 1), gone)]).expect("a reader");
        let mut batch = Batch::default();
        let error = until("the error", || {
            reader.wait(Duration::from_millis(20));
            reader.fetch(0, 10, &mut batch).err()
        });
        let text = error.to_string();
        assert!(text.contains(&format!("topic {input}, partition 1, offset {gone}")), "{text}");
        assert!(text.contains("not in the topic any more"), "{text}");
        // It does not go away by asking again.
        assert!(reader.fetch(0, 10, &mut batch).is_err());
    }
}

#[test]
fn a_topic_that_does_not_exist_is_missing_from_the_description_and_is_not_created_by_asking() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let here = topic_with(&broker, "here", 3, &[("cleanup.policy", "compact")]);
    let missing = unique("missing");
    for _ in 0..2 {
        let described = broker.describe_topics(&[&here, &missing]).expect("described");
        assert_eq!(described.keys().collect::<Vec<_>>(), [&here]);
        assert_eq!(described[&here].partitions, 3);
        assert_eq!(described[&here].settings["cleanup.policy"], "compact");
        assert!(described[&here].settings.contains_key("max.message.bytes"));
    }
    let error = broker.end_offsets(&[at(&missing, 0)], Isolation::ReadUncommitted).expect_err("no such topic");
    assert!(error.to_string().contains(&missing), "{error}");
    // Creating it twice is no error, and leaves it as it was the first time.
    for partitions in [2, 5] {
        let new = millstream::broker::NewTopic { name: missing.clone(), partitions, settings: [].into() };
        broker.create_topics(&[new]).expect("created");
        assert_eq!(broker.describe_topics(&[&missing]).expect("described")[&missing].partitions, 2);
    }
}

#[test]
fn a_topic_that_was_deleted_can_be_created_anew_and_is_empty() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let (name, missing) = (topic(&broker, "again", 2), unique("missing"));
    fill(&broker, &name, 1, 5, 10);
    let group = unique("group");
    broker.commit_for(&group, &[offset(&name, 1, 3)]).expect("committed");
    assert_eq!(broker.list_topics().expect("listed").get(&name), Some(&2));
    broker.delete_topics(&[&name, &missing]).expect("deleted");
    assert!(!broker.list_topics().expect("listed").contains_key(&name));
    let anew = NewTopic { name: name.clone(), partitions: 3, settings: [].into() };
    broker.create_topics(&[anew]).expect("created");
    let all: Vec<_> = (0..3).map(|number| at(&name, number)).collect();
    assert_eq!(broker.end_offsets(&all, Isolation::ReadUncommitted).expect("told"), [0, 0, 0]);
    // What was committed for the old one does not come back, and what is committed for the new one stays.
    broker.commit_for(&group, &[offset(&name, 2, 0)]).expect("committed");
    let committed = broker.committed(&group, &all).expect("told");
    assert_eq!(committed, [None, None, Some(offset(&name, 2, 0))]);
}

#[test]
fn anybody_may_commit_for_a_group_without_members_and_nobody_for_one_with() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let (input, group) = (topic(&broker, "in", 2), unique("group"));
    let wanted = CommittedOffset { partition: at(&input, 1), offset: 42, metadata: "a text, Ü".into() };
    broker.commit_for(&group, std::slice::from_ref(&wanted)).expect("committed");
    let (member, partitions) = joined(&broker, &options(&group, "a"), &[&input]);
    assert_eq!(broker.committed(&group, &partitions).expect("told"), [None, Some(wanted.clone())]);
    let error = broker.commit_for(&group, &[offset(&input, 1, 7)]).expect_err("it has a member");
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert!(error.to_string().contains("stop all its processes first"), "{error}");
    assert_eq!(broker.committed(&group, &partitions).expect("told")[1], Some(wanted));
    member.close(true);
    until("the group to be at rest", || broker.commit_for(&group, &[offset(&input, 1, 7)]).ok());
}

#[test]
fn a_time_has_the_offset_of_the_first_record_that_is_not_earlier() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let input = topic(&broker, "in", 2);
    let mut writer = broker.writer().expect("a writer");
    for time in [1_000, 3_000, 2_000, 4_000] {
        let mut out = Outgoing::default();
        let topic = out.topic(&input);
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(0),
            key: None,
            value: Some(b"v"),
            timestamp: Timestamp::from_millis(time),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
        writer.send(&out).expect("sent");
        writer.flush().expect("written");
    }
    let all = [at(&input, 0), at(&input, 1)];
    let found = |time| broker.offsets_at(&all, Timestamp::from_millis(time)).expect("told");
    assert_eq!([0, 1_001, 3_001, 4_001].map(|time| found(time)[0]), [Some(0), Some(1), Some(3), None]);
    assert_eq!(found(0)[1], None);
}

#[test]
fn a_writer_partitions_as_java_does_and_reports_what_was_refused() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let output = topic_with(&broker, "out", 5, &[("max.message.bytes", "1000")]);
    let mut out = Outgoing::default();
    let place = out.topic(&output);
    let keys: Vec<String> = (0..100).map(|n| format!("key {n}")).collect();
    let push = |out: &mut Outgoing, key: Option<&[u8]>, value: &[u8]| {
        out.push(&OutgoingRecord {
            topic: place,
            partitioning: Partitioning::ByKey,
            key,
            value: Some(value),
            timestamp: Timestamp::from_millis(1),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    };
    for key in &keys {
        push(&mut out, Some(key.as_bytes()), b"v");
    }
    let mut writer = broker.writer().expect("a writer");
    writer.send(&out).expect("sent");
    writer.flush().expect("written");
    let partitions: Vec<_> = (0..5).map(|partition| at(&output, partition)).collect();
    let mut reader = broker.reader(&from_start(&partitions)).expect("a reader");
    let mut found = 0;
    for partition in 0..5 {
        let mut batch = Batch::default();
        until("the end", || {
            let fetched = reader.fetch(partition, 1_000, &mut batch).expect("readable");
            fetched.caught_up().then_some(())
        });
        found += batch.len();
        for record in batch.iter() {
            assert_eq!(partition_of(record.key.expect("a key"), 5) as usize, partition);
        }
    }
    assert_eq!(found, 100);
    out.clear();
    push(&mut out, None, &[b'x'; 5_000]);
    let refused = writer.send(&out).and_then(|()| writer.flush()).expect_err("too large");
    assert!(refused.to_string().contains(&output), "{refused}");
    // Told once, it is over.
    writer.flush().expect("nothing left");
}

#[test]
fn a_sleeping_member_wakes_for_a_record_and_for_its_waker() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let input = topic(&broker, "in", 1);
    let (mut member, _) = joined(&broker, &options(&unique("group"), "a"), &[&input]);
    let mut batch = Batch::default();
    until("the end", || {
        member.poll().expect("a good membership");
        member.wait(Duration::from_millis(50));
        member.fetch(0, 10, &mut batch).expect("readable").caught_up().then_some(())
    });
    let clock = SystemClock::new();
    let waker = member.waker();
    waker();
    member.wait(Duration::from_secs(20));
    fill(&broker, &input, 0, 1, 10);
    while member.fetch(0, 10, &mut batch).expect("readable").records == 0 {
        member.wait(Duration::from_secs(20));
    }
    assert!(clock.elapsed() < Duration::from_secs(15), "it slept through");
    assert_eq!(texts(&batch), ["0000000000"]);
    member.close(true);
}

#[test]
fn a_broker_that_is_not_there_is_an_error_and_no_hang() {
    let Some(_) = RealBroker::start() else { return };
    let nowhere = millstream::broker::kafka::KafkaBroker::new("127.0.0.1:1", &[].into()).expect("valid");
    let error = nowhere.describe_topics(&["x"]).expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::Broker);
    assert!(error.to_string().contains("bootstrap"), "{error}");
}
