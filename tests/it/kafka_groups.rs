//! The broker port over real Kafka: membership, and who may still commit.

use std::time::Duration;

use millstream::broker::{Batch, Broker, CommitFailure, GroupEvent, Guarantee};
use millstream::{Clock, SystemClock};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::broker::{
    RealBroker, at, committed_values, from_start, joined, next_assignment, next_event, offset, options, records, topic,
    unique, until,
};

#[test]
fn two_members_share_by_range_and_equal_numbers_stay_together() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let (left, right) = (topic(&broker, "left", 4), topic(&broker, "right", 4));
    let group = unique("group");
    let (mut a, all) = joined(&broker, &options(&group, "a"), &[&left, &right]);
    assert_eq!(all.len(), 8);
    let mut b = broker.connect(&options(&group, "b")).expect("connected");
    b.subscribe(&[&left, &right]).expect("subscribed");
    assert_eq!(next_event(&mut *a), GroupEvent::Revoked);
    // In good order: what was read may still be committed.
    a.commit(&[offset(&left, 0, 1)]).expect("committed");
    a.unassign().expect("unassigned");
    assert!(matches!(a.commit(&[offset(&left, 0, 2)]), Err(CommitFailure::Lost(_))), "nothing is assigned");
    a.abort().expect("aborted");
    let mut shares = Vec::new();
    for member in [&mut a, &mut b] {
        let share = next_assignment(&mut **member);
        member.assign(&from_start(&share)).expect("assigned");
        let of = |topic: &str| -> Vec<u32> {
            share.iter().filter(|at| *at.topic == *topic).map(|at| at.partition).collect()
        };
        assert_eq!(of(&left), of(&right));
        assert_eq!(of(&left).len(), 2);
        shares.extend(of(&left));
    }
    shares.sort_unstable();
    assert_eq!(shares, [0, 1, 2, 3]);
    let mut members = broker.group_members(&group).expect("described");
    members.sort_by(|one, other| one.client_id.cmp(&other.client_id));
    let clients: Vec<_> = members.iter().map(|member| member.client_id.as_str()).collect();
    assert_eq!(clients, [format!("{group}|a"), format!("{group}|b")]);
    assert!(members[0].is_instance("a") && !members[0].is_instance("b"), "{members:?}");
    assert_eq!(members[0].host, "127.0.0.1");

    // Whoever leaves for good hands over at once, long before the session timeout.
    let clock = SystemClock::new();
    b.close(true);
    let all = next_assignment(&mut *a);
    assert_eq!(all.len(), 8);
    println!("taken over after {:?}", clock.elapsed());
    assert!(clock.elapsed() < Duration::from_secs(8));
    assert!(broker.group_members(&unique("nobody")).expect("described").is_empty());
    a.assign(&from_start(&all)).expect("assigned");
    a.close(true);
}

#[test]
fn a_rebalance_does_not_move_the_position_past_records_that_were_not_handed_over() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let (input, output) = (topic(&broker, "in", 1), topic(&broker, "out", 1));
    let (mut writer, _) = joined(&broker, &options(&unique("writer"), "w"), &[&output]);
    for _ in 0..20 {
        // Each transaction is a record and a marker: 0 and 1, 2 and 3, …
        writer.send(0, &records(&input, 0, [&b"x"[..]])).expect("sent");
        writer.commit(&[offset(&output, 0, 0)]).expect("committed");
    }
    writer.close(true);
    let group = unique("group");
    let (mut a, _) = joined(&broker, &options(&group, "a"), &[&input]);
    let mut batch = Batch::default();
    // The answer that brings the first record brings the others too: they lie in the queue when the rebalance begins,
    // which throws the records away that were not taken, but not the markers between them.
    let first = until("a record", || {
        let fetched = a.fetch(0, 1, &mut batch).expect("readable");
        (fetched.records > 0).then_some(fetched)
    });
    assert_eq!(first.position, 1);
    let mut b = broker.connect(&options(&group, "b")).expect("connected");
    b.subscribe(&[&input]).expect("subscribed");
    assert_eq!(next_event(&mut *a), GroupEvent::Revoked);
    for _ in 0..100 {
        let fetched = a.fetch(0, 1, &mut batch).expect("readable");
        let handed_over = batch.iter().last().expect("the first record").offset;
        assert_eq!(fetched.position, handed_over + 1, "{fetched:?}");
    }
    a.unassign().expect("unassigned");
    a.close(true);
    b.close(true);
}

#[test]
fn a_static_member_that_comes_back_gets_its_partitions_back_and_nobody_else_notices() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let input = topic(&broker, "in", 4);
    let group = unique("group");
    let (mut a, _) = joined(&broker, &options(&group, "a"), &[&input]);
    let mut b = broker.connect(&options(&group, "b")).expect("connected");
    b.subscribe(&[&input]).expect("subscribed");
    let of_a = next_assignment(&mut *a);
    a.assign(&from_start(&of_a)).expect("assigned");
    let of_b = next_assignment(&mut *b);
    b.assign(&from_start(&of_b)).expect("assigned");
    let clock = SystemClock::new();
    b.close(false);
    let (b, again) = joined(&broker, &options(&group, "b"), &[&input]);
    println!("back after {:?}", clock.elapsed());
    assert_eq!(again, of_b);
    a.wait(Duration::from_millis(50));
    assert_eq!(a.poll().expect("a good membership"), None);
    a.commit(&[offset(&input, of_a[0].partition, 1)]).expect("the membership is as it was");
    a.close(true);
    b.close(true);
}

#[test]
fn a_second_producer_with_the_same_transactional_id_fences_the_first() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let (input, output) = (topic(&broker, "in", 1), topic(&broker, "out", 1));
    let group = unique("group");
    let (mut old, _) = joined(&broker, &options(&group, "a"), &[&input]);
    old.send(0, &records(&output, 0, [&b"never"[..]])).expect("sent");
    let mut other = options(&unique("other"), "a");
    other.transactional_id = format!("{group}-a");
    let mut new = broker.connect(&other).expect("connected");
    let fenced = |failure: CommitFailure| match failure {
        CommitFailure::Abort(error, _) | CommitFailure::Unknown(error) => {
            assert!(error.is_fenced(), "{error}");
            false
        }
        CommitFailure::Fatal(error) => {
            assert!(error.is_fenced() && error.to_string().contains("same transactional id"), "{error}");
            true
        }
        CommitFailure::Lost(error) => panic!("the membership is good: {error}"),
    };
    assert!(!fenced(old.commit(&[offset(&input, 0, 1)]).expect_err("fenced")));
    assert!(committed_values(&broker, &output).is_empty());
    // A fence may also be a transaction that took too long: the producer is replaced, and it goes on.
    old.abort().expect("replaced");
    old.send(0, &records(&output, 0, [&b"once"[..]])).expect("sent");
    old.commit(&[offset(&input, 0, 1)]).expect("committed");
    // Again and again it means that there are two: no way on.
    until("giving up", || {
        new.recycle().expect("recycled");
        let failure = old
            .send(0, &records(&output, 0, [&b"never"[..]]))
            .and_then(|()| old.commit(&[offset(&input, 0, 2)]).map(|_| ()))
            .expect_err("fenced");
        let fatal = fenced(failure);
        old.abort().expect("replaced");
        fatal.then_some(())
    });
    assert_eq!(committed_values(&broker, &output), ["once"]);
    new.close(false);
    old.close(true);
}

#[test]
fn a_member_that_its_own_earlier_join_has_fenced_joins_anew() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let input = topic(&broker, "in", 2);
    let group = unique("group");
    let mut options = options(&group, "a");
    // The least that the broker allows.
    options.session_timeout = Duration::from_secs(6);
    let (mut member, partitions) = joined(&broker, &options, &[&input]);
    // A join under the same instance id that nobody keeps alive, as one whose answer was lost.
    let settings = [
        ("bootstrap.servers", real.bootstrap),
        ("group.id", &group),
        ("group.instance.id", "a"),
        ("session.timeout.ms", "6000"),
        ("partition.assignment.strategy", "range"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let lost: BaseConsumer = settings.into_iter().collect::<ClientConfig>().create().expect("a consumer");
    lost.subscribe(&[&input]).expect("subscribed");
    let event = until("word of it", || {
        lost.poll(Duration::ZERO);
        member.wait(Duration::from_millis(20));
        member.poll().expect("it may be its own")
    });
    assert_eq!(event, GroupEvent::Lost);
    drop(lost);
    member.unassign().expect("unassigned");
    let again = next_assignment(&mut *member);
    assert_eq!(again, partitions);
    member.assign(&from_start(&again)).expect("assigned");
    member.commit(&[offset(&input, 0, 0)]).expect("it is a member again");
    member.close(true);
}

#[test]
fn whoever_is_replaced_in_the_group_cannot_commit_any_more() {
    let Some(real) = RealBroker::start() else { return };
    let broker = real.connect();
    let (input, output) = (topic(&broker, "in", 1), topic(&broker, "out", 1));
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        let group = unique("group");
        let mut options = options(&group, "a");
        options.guarantee = guarantee;
        options.session_timeout = Duration::from_secs(6);
        let (mut old, _) = joined(&broker, &options, &[&input]);
        old.send(0, &records(&output, 0, [&b"old"[..]])).expect("sent");
        // The same member elsewhere, with a producer of its own.
        let mut twin = options.clone();
        twin.transactional_id = format!("{group}-twin");
        let (mut new, partitions) = joined(&broker, &twin, &[&input]);
        assert_eq!(partitions, [at(&input, 0)]);
        let failure = old.commit(&[offset(&input, 0, 5)]).expect_err("replaced");
        assert!(matches!(&failure, CommitFailure::Lost(error) if error.is_fenced()), "{guarantee:?}: {failure:?}");
        old.abort().expect("aborted");
        assert_eq!(next_event(&mut *old), GroupEvent::Lost);
        let error = until("the end", || {
            old.wait(Duration::from_millis(20));
            new.poll().expect("it is not disturbed");
            old.poll().err()
        });
        assert!(error.is_fenced() && error.to_string().contains("instance id"), "{error}");
        new.commit(&[offset(&input, 0, 7)]).expect("committed");
        let committed = new.committed(&partitions).expect("told");
        assert_eq!(committed[0].as_ref().map(|committed| committed.offset), Some(7));
        old.close(false);
        new.close(true);
    }
    assert_eq!(committed_values(&broker, &output), ["old"], "at-least-once alone had written it");
}
