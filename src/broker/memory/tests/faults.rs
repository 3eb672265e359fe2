use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::broker::CommitFailure;
use crate::broker::memory::{Call, Fault, Operation, is_crash};

/// A broker whose next call of an operation goes wrong as planned.
struct Plan(Arc<Mutex<VecDeque<(Operation, Fault)>>>);

impl Plan {
    fn next(&self, operation: Operation, fault: Fault) {
        self.0.lock().unwrap().push_back((operation, fault));
    }
}

fn planned() -> (MemoryBroker, Plan, Arc<ManualClock>) {
    let plan: Arc<Mutex<VecDeque<(Operation, Fault)>>> = Arc::default();
    let clock = Arc::new(ManualClock::default());
    let answers = plan.clone();
    let decide = move |call: &Call<'_>| {
        let mut answers = answers.lock().unwrap();
        match answers.front() {
            Some((operation, _)) if *operation == call.operation => answers.pop_front().unwrap().1,
            _ => Fault::None,
        }
    };
    let broker = MemoryBroker::simulated(clock.clone(), Box::new(decide));
    create(&broker, "in", 4, &[]);
    create(&broker, "out", 2, &[]);
    (broker, Plan(plan), clock)
}

/// A member that has sent a record and not committed it.
fn sender(broker: &MemoryBroker, instance: &str) -> Box<dyn Member> {
    let mut member = owner(broker, &options(instance));
    member.send(0, &out("out", 0, &[("k", "v")])).unwrap();
    member
}

fn unknown(result: &Result<Vec<(TopicPartition, Offset)>, CommitFailure>) -> bool {
    matches!(result, Err(CommitFailure::Unknown(_)))
}

fn outcome(broker: &MemoryBroker) -> (usize, usize) {
    (values(broker, "out").len(), committed(broker).len())
}

#[test]
fn a_commit_whose_reply_is_lost_has_happened() {
    let (broker, plan, _) = planned();
    let mut member = sender(&broker, "m");
    plan.next(Operation::Commit, Fault::LostReply);
    assert!(unknown(&member.commit(&[offset(0, 1, "")])));
    assert!(matches!(member.send(0, &out("out", 0, &[("k", "v")])), Err(CommitFailure::Fatal(_))), "not recycled");
    assert!(member.abort().is_err());
    member.recycle().unwrap();
    assert_eq!(member.committed(&[at("in", 0)]).unwrap(), [Some(offset(0, 1, ""))]);
    assert_eq!(outcome(&broker), (1, 1));
}

#[test]
fn a_commit_whose_request_is_lost_has_not_happened_and_holds_the_offsets_back() {
    let (broker, plan, _) = planned();
    let mut member = sender(&broker, "m");
    plan.next(Operation::Commit, Fault::LostRequest);
    assert!(unknown(&member.commit(&[offset(0, 1, "")])));
    let pending = member.committed(&[at("in", 0)]).unwrap_err();
    assert!(pending.to_string().contains("UNSTABLE_OFFSET_COMMIT"), "{pending}");
    assert_eq!(member.committed(&[at("in", 1)]).unwrap(), [None], "another partition is not concerned");
    member.recycle().unwrap();
    assert_eq!(member.committed(&[at("in", 0)]).unwrap(), [None]);
    assert_eq!(outcome(&broker), (0, 0));
    member.send(0, &out("out", 0, &[("k", "again")])).unwrap();
    member.commit(&[offset(0, 1, "")]).unwrap();
    assert_eq!(outcome(&broker), (1, 1));
}

#[test]
fn a_delayed_commit_arrives_later() {
    let (broker, plan, _) = planned();
    let mut member = sender(&broker, "m");
    plan.next(Operation::Commit, Fault::DelayedCommit { calls: 2 });
    assert!(unknown(&member.commit(&[offset(0, 1, "")])));
    assert!(member.committed(&[at("in", 0)]).is_err());
    assert_eq!(outcome(&broker), (0, 0));
    assert_eq!(member.committed(&[at("in", 0)]).unwrap(), [Some(offset(0, 1, ""))]);
    assert_eq!(outcome(&broker), (1, 1));
}

#[test]
fn a_delayed_commit_that_arrives_after_a_recycle_or_a_timeout_counts_for_nothing() {
    for recycled in [true, false] {
        let (broker, plan, clock) = planned();
        let mut member = sender(&broker, "m");
        plan.next(Operation::Commit, Fault::DelayedCommit { calls: 3 });
        assert!(unknown(&member.commit(&[offset(0, 1, "")])));
        if recycled {
            member.recycle().unwrap();
        } else {
            clock.advance(TRANSACTION * 2);
        }
        for _ in 0..5 {
            member.committed(&[at("in", 0)]).unwrap();
        }
        assert_eq!(outcome(&broker), (0, 0));
    }
}

#[test]
fn a_prepared_commit_is_completed_by_whoever_takes_the_id() {
    let (broker, plan, clock) = planned();
    let mut member = sender(&broker, "m");
    plan.next(Operation::Commit, Fault::PreparedCommit { calls: 1000 });
    assert!(unknown(&member.commit(&[offset(0, 1, "")])));
    clock.advance(TRANSACTION * 2);
    assert!(member.committed(&[at("in", 0)]).is_err(), "still under way");
    member.recycle().unwrap();
    assert_eq!(outcome(&broker), (1, 1));
    assert_eq!(broker.transactions().committed, 1);
}

#[test]
fn a_crash_before_a_commit_leaves_nothing_and_one_after_it_all() {
    for (fault, expected) in [(Fault::CrashBefore, (0, 0)), (Fault::CrashAfter, (1, 1))] {
        let (broker, plan, _) = planned();
        let mut member = sender(&broker, "m");
        plan.next(Operation::Commit, fault);
        let Err(CommitFailure::Fatal(error)) = member.commit(&[offset(0, 1, "")]) else { panic!("lives") };
        assert!(is_crash(&error));
        assert!(is_crash(&crate::Error::new(crate::ErrorKind::Internal, "wrapped").caused_by(error)));
        assert!(is_crash(&member.poll().unwrap_err()), "the dead stay dead");
        assert!(is_crash(&member.fetch(0, 1, &mut Batch::default()).unwrap_err()));
        member.close(true);
        assert_eq!(broker.group_members(GROUP).unwrap().len(), 1, "the dead do not leave");
        let _back = broker.connect(&options("m")).unwrap();
        assert_eq!(outcome(&broker), expected);
    }
}

#[test]
fn what_is_lost_of_other_calls_may_be_tried_again() {
    let (broker, plan, _) = planned();
    let mut member = sender(&broker, "m");
    for fault in [Fault::LostRequest, Fault::LostReply] {
        for operation in [Operation::Committed, Operation::Recycle, Operation::EndOffsets, Operation::Connect] {
            plan.next(operation, fault);
        }
        assert_eq!(member.committed(&[at("in", 0)]).unwrap_err().kind(), crate::ErrorKind::Broker);
        assert!(member.recycle().is_err());
        let ends = || broker.end_offsets(&[at("in", 0)], crate::broker::Isolation::ReadCommitted);
        assert!(ends().is_err() && ends().is_ok());
        assert!(broker.connect(&options("x")).is_err());
    }
    let sent = member.send(0, &out("out", 0, &[("k", "v")]));
    assert!(matches!(sent, Err(CommitFailure::Fatal(_))), "the reply with the new epoch was lost");
    member.recycle().unwrap();
    member.send(0, &out("out", 0, &[("k", "v")])).unwrap();
    plan.next(Operation::Send, Fault::LostReply);
    assert!(matches!(member.send(0, &out("out", 0, &[("k", "v")])), Err(CommitFailure::Abort(..))));
    plan.next(Operation::Abort, Fault::LostReply);
    assert!(member.abort().is_err());
    assert_eq!(broker.transactions().open.len(), 0);
}

#[test]
fn a_fetch_or_poll_that_is_lost_finds_nothing_and_forgets_nothing() {
    let (broker, plan, _) = planned();
    broker.writer().unwrap().send(&out("in", 0, &[("a", "1")])).unwrap();
    let mut member = subscribed(&broker, &options("m"), &["in"]);
    for fault in [Fault::LostRequest, Fault::LostReply] {
        plan.next(Operation::Poll, fault);
        assert_eq!(member.poll().unwrap(), None);
    }
    assigned(&mut member);
    member.assign(&[(at("in", 0), 0)]).unwrap();
    plan.next(Operation::Fetch, Fault::LostReply);
    let fetched = member.fetch(0, 9, &mut Batch::default()).unwrap();
    assert_eq!((fetched.position, fetched.stable_end, fetched.caught_up()), (0, -1, false));
    assert_eq!(member.fetch(0, 9, &mut Batch::default()).unwrap().records, 1);
}

#[test]
fn a_member_can_be_thrown_out_and_its_transaction_timed_out() {
    let (broker, plan, _) = planned();
    let mut member = sender(&broker, "m");
    plan.next(Operation::Commit, Fault::LoseMembership);
    assert!(matches!(member.commit(&[offset(0, 1, "")]), Err(CommitFailure::Lost(_))));
    member.abort().unwrap();
    assert_eq!(member.poll().unwrap(), Some(GroupEvent::Lost));
    member.unassign().unwrap();
    assigned(&mut member);
    member.send(0, &out("out", 0, &[("k", "v")])).unwrap();
    plan.next(Operation::Commit, Fault::TransactionTimeout);
    assert!(matches!(member.commit(&[offset(0, 1, "")]), Err(CommitFailure::Abort(..))));
    member.recycle().unwrap();
    assert_eq!(outcome(&broker), (0, 0));
}

#[test]
fn the_broker_can_be_made_to_refuse_a_record() {
    let (broker, plan, _) = planned();
    let mut member = owner(&broker, &options("m"));
    plan.next(Operation::Send, Fault::Refuse { record: 1 });
    member.send(4, &out("out", 0, &[("a", "0"), ("a", "1"), ("a", "2")])).unwrap();
    let Err(CommitFailure::Abort(_, refused)) = member.commit(&[offset(0, 1, "")]) else { panic!("committed") };
    assert_eq!(refused.iter().map(|r| (r.task, r.input.0)).collect::<Vec<_>>(), [(4, 1)]);
    member.abort().unwrap();
    assert_eq!(outcome(&broker), (0, 0));
}

#[test]
fn the_hook_sees_who_calls() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = seen.clone();
    let note = move |call: &Call<'_>| {
        log.lock().unwrap().push(format!("{} {:?} {} {}", call.number, call.operation, call.process, call.instance));
        Fault::None
    };
    let broker = MemoryBroker::with_faults(Arc::new(ManualClock::default()), Box::new(note));
    broker.process("east").connect(&options("m")).unwrap().poll().unwrap();
    broker.describe_topics(&[]).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["1 Connect east m", "2 Poll east m", "3 DescribeTopics  "]);
}
