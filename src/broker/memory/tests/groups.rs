use super::*;
use crate::ErrorKind;
use crate::broker::CommitFailure;

/// Lets all members answer until nobody is asked anything any more; gives what each was assigned last.
fn settle(members: &mut [Box<dyn Member>]) -> Vec<Option<Vec<TopicPartition>>> {
    let mut last = vec![None; members.len()];
    for _ in 0..4 {
        for (member, assigned) in members.iter_mut().zip(&mut last) {
            match member.poll().unwrap() {
                Some(GroupEvent::Assigned(partitions)) => *assigned = Some(partitions),
                Some(GroupEvent::Revoked | GroupEvent::Lost) => member.unassign().unwrap(),
                None => {}
            }
        }
    }
    last
}

fn numbers(partitions: &[TopicPartition], topic: &str) -> Vec<u32> {
    partitions.iter().filter(|partition| &*partition.topic == topic).map(|partition| partition.partition).collect()
}

#[test]
fn range_gives_equal_numbers_of_equal_topics_to_the_same_member() {
    for count in 1..=5 {
        let (broker, _) = broker();
        create(&broker, "table", 4, &[]);
        let join = |n| subscribed(&broker, &options(&format!("m{n}")), &["in", "table"]);
        let mut members: Vec<_> = (0..count).map(join).collect();
        let assigned: Vec<_> = settle(&mut members).into_iter().map(Option::unwrap).collect();
        let mut all: Vec<u32> = Vec::new();
        for partitions in &assigned {
            assert_eq!(numbers(partitions, "in"), numbers(partitions, "table"), "{count} members");
            all.extend(numbers(partitions, "in"));
        }
        assert_eq!(all, [0, 1, 2, 3], "contiguous, in order of the instance ids, {count} members");
        assert_eq!(broker.group_members(GROUP).unwrap().len(), count);
        assert_eq!(broker.group_members(GROUP).unwrap()[0].client_id, "client-m0");
    }
}

#[test]
fn a_new_member_makes_the_others_give_up_first() {
    let (broker, _) = broker();
    let mut one = owner(&broker, &options("1"));
    let mut two = subscribed(&broker, &options("2"), &["in"]);
    assert_eq!(two.poll().unwrap(), None, "the other has not answered");
    assert_eq!(one.poll().unwrap(), Some(GroupEvent::Revoked));
    one.send(0, &out("out", 0, &[("a", "in time")])).unwrap();
    one.commit(&[offset(0, 1, "")]).unwrap();
    assert_eq!(one.poll().unwrap(), None);
    assert_eq!(two.poll().unwrap(), None);
    one.unassign().unwrap();
    assert_eq!(numbers(&assigned(&mut two), "in"), [2, 3]);
    assert!(matches!(one.commit(&[offset(0, 2, "")]), Err(CommitFailure::Lost(_))), "was not told yet");
    assert_eq!(numbers(&assigned(&mut one), "in"), [0, 1]);
    one.commit(&[offset(0, 2, "")]).unwrap();
    assert_eq!(broker.generation(GROUP), 2);
}

#[test]
fn a_member_that_comes_back_under_its_instance_id_disturbs_nobody() {
    let (broker, clock) = broker();
    let mut members = [subscribed(&broker, &options("1"), &["in"]), subscribed(&broker, &options("2"), &["in"])];
    settle(&mut members);
    let generation = broker.generation(GROUP);
    let [one, mut two] = members;
    one.close(false);
    clock.advance(SESSION / 2);
    two.poll().unwrap();
    let mut back = subscribed(&broker, &options("1"), &["in"]);
    assert_eq!(numbers(&assigned(&mut back), "in"), [0, 1]);
    assert_eq!(two.poll().unwrap(), None);
    assert_eq!(broker.generation(GROUP), generation);
    back.commit(&[offset(0, 1, "")]).unwrap();
    two.commit(&[offset(2, 1, "")]).unwrap();
}

#[test]
fn the_old_holder_of_an_instance_id_is_fenced() {
    let (broker, _) = broker();
    let other_id = MemberOptions { transactional_id: "another".into(), ..options("1") };
    let mut old = owner(&broker, &options("1"));
    let mut new = owner(&broker, &other_id);
    assert_eq!(old.poll().unwrap_err().kind(), ErrorKind::Fenced);
    assert!(old.committed(&[at("in", 0)]).unwrap_err().is_fenced());
    let Err(CommitFailure::Lost(error)) = old.commit(&[offset(0, 1, "")]) else { panic!("committed") };
    assert!(error.to_string().contains("FENCED_INSTANCE_ID"), "{error}");
    old.close(true);
    assert_eq!(new.poll().unwrap(), None, "the old one could not remove the new one");
    new.commit(&[offset(0, 1, "")]).unwrap();
}

#[test]
fn when_a_session_is_over_others_take_over_and_the_late_member_has_lost_all() {
    let (broker, clock) = broker();
    let mut members = [subscribed(&broker, &options("1"), &["in"]), subscribed(&broker, &options("2"), &["in"])];
    settle(&mut members);
    let [mut one, two] = members;
    one.send(0, &out("out", 0, &[("a", "late")])).unwrap();
    let mut others = [two];
    for _ in 0..3 {
        clock.advance(SESSION / 2);
        settle(&mut others);
    }
    let [mut two] = others;
    assert_eq!(broker.group_members(GROUP).unwrap().len(), 1);
    two.commit(&[offset(0, 1, ""), offset(3, 1, "")]).unwrap();

    let Err(CommitFailure::Lost(error)) = one.commit(&[offset(0, 1, "")]) else { panic!("committed") };
    assert!(error.to_string().contains("UNKNOWN_MEMBER_ID"), "{error}");
    one.abort().unwrap();
    assert_eq!(one.poll().unwrap(), Some(GroupEvent::Lost));
    assert_eq!(one.poll().unwrap(), None, "it has not answered");
    one.unassign().unwrap();
    let assigned = settle(&mut [one, two]);
    assert_eq!(numbers(assigned[0].as_ref().unwrap(), "in"), [0, 1]);
    assert_eq!(numbers(assigned[1].as_ref().unwrap(), "in"), [2, 3]);
    assert!(values(&broker, "out").is_empty());
}

#[test]
fn a_member_that_leaves_is_replaced_at_once() {
    let (broker, _) = broker();
    let mut members = [subscribed(&broker, &options("1"), &["in"]), subscribed(&broker, &options("2"), &["in"])];
    settle(&mut members);
    let [one, two] = members;
    one.close(true);
    let assigned = settle(&mut [two]);
    assert_eq!(numbers(assigned[0].as_ref().unwrap(), "in"), [0, 1, 2, 3]);
}

#[test]
fn a_member_that_does_not_answer_a_rebalance_is_left_out_after_its_session() {
    let (broker, clock) = broker();
    let mut silent = owner(&broker, &options("1"));
    let two = subscribed(&broker, &options("2"), &["in"]);
    assert_eq!(silent.poll().unwrap(), Some(GroupEvent::Revoked));
    let mut others = [two];
    for _ in 0..3 {
        assert_eq!(settle(&mut others), [None]);
        clock.advance(SESSION / 3);
    }
    clock.advance(Duration::from_millis(10));
    assert_eq!(numbers(settle(&mut others)[0].as_ref().unwrap(), "in"), [0, 1, 2, 3]);
    assert_eq!(silent.poll().unwrap(), Some(GroupEvent::Lost));
}

#[test]
fn all_members_of_a_group_must_read_the_same_topics() {
    let (broker, _) = broker();
    let _one = owner(&broker, &options("1"));
    let mut two = broker.connect(&options("2")).unwrap();
    let error = two.subscribe(&["in", "out"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("out"), "{error}");
    assert_eq!(two.subscribe(&["nowhere"]).unwrap_err().kind(), ErrorKind::Topic);
    assert_eq!(two.poll().unwrap(), None);
}

#[test]
fn a_member_alone_may_come_back_with_other_topics() {
    let (broker, _) = broker();
    owner(&broker, &options("1")).close(false);
    let mut back = subscribed(&broker, &options("1"), &["out"]);
    assert_eq!(assigned(&mut back), [at("out", 0), at("out", 1)]);
}

#[test]
fn a_member_reads_what_it_was_assigned_from_where_it_says() {
    let (broker, _) = broker();
    broker.writer().unwrap().send(&out("in", 1, &[("a", "1"), ("b", "2"), ("c", "3")])).unwrap();
    let mut member = owner(&broker, &options("1"));
    assert_eq!(member.committed(&[at("in", 1)]).unwrap(), [None]);
    let mut batch = Batch::default();
    assert!(member.fetch(0, 1, &mut batch).is_err(), "nothing is assigned");
    member.assign(&[(at("in", 0), 0), (at("in", 1), 1)]).unwrap();
    assert_eq!(member.fetch(1, 1, &mut batch).unwrap().position, 2);
    member.seek(&[(at("in", 1), 0)]).unwrap();
    assert_eq!(member.fetch(1, 9, &mut batch).unwrap().position, 3);
    let read: Vec<_> = batch.iter().map(|record| record.offset).collect();
    assert_eq!(read, [1, 0, 1, 2]);
    assert!(member.seek(&[(at("in", 2), 0)]).is_err());
}
