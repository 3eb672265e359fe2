use std::sync::mpsc;
use std::thread;

use super::*;

const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_waiting_member_wakes_when_another_thread_writes() {
    let (broker, _) = broker();
    let mut member = owner(&broker, &options("m"));
    member.assign(&[(at("in", 0), 0)]).unwrap();
    let (ready, go) = mpsc::channel();
    let writer = {
        let broker = broker.clone();
        thread::spawn(move || {
            go.recv().unwrap();
            broker.writer().unwrap().send(&out("in", 0, &[("a", "1")])).unwrap();
        })
    };
    let mut batch = Batch::default();
    member.wait(LONG); // the bell of the assignment
    assert_eq!(member.fetch(0, 9, &mut batch).unwrap().records, 0);
    ready.send(()).unwrap();
    member.wait(LONG);
    assert_eq!(member.fetch(0, 9, &mut batch).unwrap().records, 1);
    writer.join().unwrap();
}

#[test]
fn what_comes_between_a_fetch_and_a_wait_is_not_missed() {
    let (broker, _) = broker();
    let mut reader = broker.reader(&[(at("out", 0), 0)]).unwrap();
    reader.wait(LONG);
    assert!(fetch(&mut reader, 9).0.is_empty());
    let mut member = owner(&broker, &options("m"));
    member.send(0, &out("out", 0, &[("a", "1")])).unwrap();
    member.commit(&[offset(0, 1, "")]).unwrap();
    reader.wait(LONG);
    assert_eq!(fetch(&mut reader, 9).0.len(), 1);
}

#[test]
fn a_rebalance_and_the_waker_wake_too() {
    let (broker, _) = broker();
    let mut one = owner(&broker, &options("1"));
    one.wait(Duration::ZERO);
    let _two = subscribed(&broker, &options("2"), &["in"]);
    one.wait(LONG);
    assert_eq!(one.poll().unwrap(), Some(GroupEvent::Revoked));
    let waker = one.waker();
    let other = thread::spawn(move || waker());
    one.wait(LONG);
    other.join().unwrap();
}

#[test]
fn a_partition_that_was_given_up_wakes_nobody() {
    let (broker, _) = broker();
    let mut member = owner(&broker, &options("1"));
    member.assign(&[(at("in", 0), 0)]).unwrap();
    member.unassign().unwrap();
    member.wait(LONG);
    broker.writer().unwrap().send(&out("in", 0, &[("a", "1")])).unwrap();
    member.wait(Duration::ZERO);
    assert!(broker.state().topics.find("in").unwrap().logs[0].bells() == 0);
}
