use super::*;
use crate::ErrorKind;
use crate::broker::{CommitFailure, Isolation};

#[test]
fn a_committed_reader_stops_at_the_first_open_transaction_and_skips_aborted_ones() {
    let (broker, _) = broker();
    let mut one = broker.connect(&options("one")).unwrap();
    let mut two = owner(&broker, &options("two"));
    let mut reader = broker.reader(&[(at("out", 0), 0)]).unwrap();

    two.send(0, &out("out", 0, &[("k", "kept")])).unwrap(); // 0
    two.commit(&[offset(0, 1, "")]).unwrap(); // marker at 1
    one.send(0, &out("out", 0, &[("k", "gone")])).unwrap(); // 2
    two.send(0, &out("out", 0, &[("k", "behind")])).unwrap(); // 3
    two.commit(&[offset(0, 2, "")]).unwrap(); // marker at 4
    let ends = |isolation| broker.end_offsets(&[at("out", 0)], isolation).unwrap()[0];
    assert_eq!((ends(Isolation::ReadCommitted), ends(Isolation::ReadUncommitted)), (2, 5));

    let (read, fetched) = fetch(&mut reader, 10);
    assert_eq!(read, [(0, "kept".into())]);
    assert_eq!(fetched, Fetched { records: 1, position: 2, stable_end: 2, high_watermark: 5 });
    assert!(fetched.caught_up());

    one.abort().unwrap(); // marker at 5
    let (read, fetched) = fetch(&mut reader, 10);
    assert_eq!(read, [(3, "behind".into())]);
    assert_eq!(fetched, Fetched { records: 1, position: 6, stable_end: 6, high_watermark: 6 });
    assert_eq!(values(&broker, "out"), ["kept", "behind"]);
}

#[test]
fn a_transaction_ends_in_all_its_partitions_at_once() {
    let (broker, _) = broker();
    let mut member = owner(&broker, &options("m"));
    member.send(3, &out("out", 0, &[("a", "1"), ("b", "2")])).unwrap();
    member.send(3, &out("out", 1, &[("c", "3")])).unwrap();
    assert_eq!(broker.transactions().open, ["app-m"]);
    assert!(values(&broker, "out").is_empty());
    let written = member.commit(&[offset(2, 9, "seq 1")]).unwrap();
    assert_eq!(written, [(at("out", 0), 2), (at("out", 1), 1)]);
    assert_eq!(values(&broker, "out"), ["1", "2", "3"]);
    assert_eq!(committed(&broker), [(2, 9, "seq 1".into())]);
    let ends = broker.end_offsets(&[at("out", 0), at("out", 1)], Isolation::ReadCommitted).unwrap();
    assert_eq!(ends, [3, 2], "each with a marker");
    assert_eq!(member.commit(&[offset(2, 9, "")]).unwrap(), [], "nothing was written since");
    let counts = broker.transactions();
    assert_eq!((counts.committed, counts.aborted, counts.open.len()), (2, 0, 0));
}

#[test]
fn an_aborted_transaction_leaves_no_offsets_behind() {
    let (broker, _) = broker();
    let mut member = owner(&broker, &options("m"));
    member.abort().unwrap();
    assert_eq!(broker.transactions().aborted, 0, "there was none");
    member.send(0, &out("out", 0, &[("a", "1")])).unwrap();
    member.abort().unwrap();
    assert_eq!(broker.transactions().aborted, 1);
    assert_eq!(member.commit(&[offset(0, 1, "")]).unwrap(), []);
    assert!(values(&broker, "out").is_empty());
}

#[test]
fn a_new_producer_under_the_same_id_aborts_and_fences_the_old_one() {
    let (broker, _) = broker();
    let mut old = owner(&broker, &options("m"));
    old.send(0, &out("out", 0, &[("a", "old")])).unwrap();
    let _new = broker.connect(&options("m")).unwrap();
    assert_eq!(broker.transactions().aborted, 1);
    let Err(CommitFailure::Fatal(error)) = old.send(0, &out("out", 0, &[("a", "zombie")])) else { panic!("sent") };
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let Err(CommitFailure::Fatal(error)) = old.commit(&[offset(0, 1, "")]) else { panic!("committed") };
    assert!(error.to_string().contains("app-m"), "{error}");
    assert!(old.abort().unwrap_err().is_fenced());
    assert!(values(&broker, "out").is_empty() && committed(&broker).is_empty());
}

#[test]
fn recycling_aborts_and_goes_on() {
    let (broker, _) = broker();
    let mut member = owner(&broker, &options("m"));
    member.send(0, &out("out", 0, &[("a", "1")])).unwrap();
    member.recycle().unwrap();
    member.send(0, &out("out", 0, &[("a", "2")])).unwrap();
    assert_eq!(member.commit(&[offset(0, 1, "")]).unwrap(), [(at("out", 0), 3)]);
    assert_eq!(values(&broker, "out"), ["2"]);
}

#[test]
fn a_transaction_that_is_open_too_long_is_aborted_and_its_producer_must_be_recycled() {
    let (broker, clock) = broker();
    let mut member = broker.connect(&options("m")).unwrap();
    member.send(0, &out("out", 0, &[("a", "1")])).unwrap();
    clock.advance(TRANSACTION);
    assert_eq!(broker.transactions().open.len(), 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(broker.end_offsets(&[at("out", 0)], Isolation::ReadCommitted).unwrap(), [2]);
    let Err(CommitFailure::Abort(error, refusals)) = member.commit(&[offset(0, 1, "")]) else { panic!("committed") };
    assert!(error.kind() == ErrorKind::Broker && refusals.is_empty());
    assert!(member.abort().is_err());
    member.recycle().unwrap();
    member.send(0, &out("out", 0, &[("a", "2")])).unwrap();
    assert_eq!(broker.next_deadline(), Some(TRANSACTION * 2 + Duration::from_millis(1)));
}

#[test]
fn a_refused_record_is_named_at_the_commit_until_the_abort() {
    let (broker, _) = broker();
    create(&broker, "narrow", 1, &[("max.message.bytes", "100")]);
    for options in [options("m"), at_least_once("n")] {
        let mut member = owner(&broker, &options);
        let large = "x".repeat(200);
        member.send(5, &out("narrow", 0, &[("a", "fits"), ("b", &large)])).unwrap();
        member.send(6, &out("out", 99, &[("a", "1")])).unwrap();
        member.send(7, &out("nowhere", 0, &[("a", "1")])).unwrap();
        for _ in 0..2 {
            let Err(CommitFailure::Abort(error, refused)) = member.commit(&[offset(0, 1, "")]) else { panic!() };
            assert!(error.to_string().contains("MESSAGE_TOO_LARGE"), "{error}");
            let named: Vec<_> = refused.iter().map(|r| (r.task, r.input.0, r.error.kind())).collect();
            assert_eq!(named, [(5, 1, ErrorKind::Record), (6, 0, ErrorKind::Topic), (7, 0, ErrorKind::Topic)]);
        }
        assert!(committed(&broker).is_empty());
        member.abort().unwrap();
        member.commit(&[offset(0, 1, "")]).unwrap();
        member.close(true);
        broker.state().groups.clear();
    }
}

#[test]
fn a_record_of_a_member_must_have_its_partition() {
    let (broker, _) = broker();
    let mut member = owner(&broker, &options("m"));
    let mut records = Outgoing::default();
    push(&mut records, "out", Partitioning::ByKey, Some(b"k"), None);
    member.send(0, &records).unwrap();
    let Err(CommitFailure::Abort(error, _)) = member.commit(&[offset(0, 1, "")]) else { panic!("committed") };
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[test]
fn the_text_beside_an_offset_has_a_limit() {
    let (broker, _) = broker();
    let mut member = owner(&broker, &options("m"));
    member.commit(&[offset(0, 1, &"x".repeat(4096))]).unwrap();
    let result = member.commit(&[offset(0, 2, &"x".repeat(4097))]);
    assert!(matches!(result, Err(CommitFailure::Abort(..))), "{result:?}");
    assert!(matches!(member.commit(&[]), Err(CommitFailure::Fatal(_))));
}

#[test]
fn without_transactions_records_are_there_at_once_and_offsets_at_the_commit() {
    let (broker, _) = broker();
    let mut member = owner(&broker, &at_least_once("m"));
    member.send(0, &out("out", 1, &[("a", "1")])).unwrap();
    assert_eq!(values(&broker, "out"), ["1"]);
    assert!(committed(&broker).is_empty());
    assert_eq!(member.commit(&[offset(1, 4, "")]).unwrap(), [(at("out", 1), 1)]);
    assert_eq!(committed(&broker), [(1, 4, String::new())]);
    assert_eq!(broker.transactions().committed, 0);
}

#[test]
fn closing_aborts_what_is_open() {
    let (broker, _) = broker();
    let mut member = owner(&broker, &options("m"));
    member.send(0, &out("out", 0, &[("a", "1")])).unwrap();
    member.close(false);
    let counts = broker.transactions();
    assert_eq!((counts.aborted, counts.open.len()), (1, 0));
}
