//! An application that has nothing to do leaves the broker alone, and one that is restarted leaves the others alone.
#![cfg(feature = "cli")]

use std::time::Duration;

use millstream::broker::{Broker, Isolation};
use millstream::{Clock, SystemClock, TopicPartition};

use crate::broker::RealBroker;
use crate::process::within;
use crate::shop::{Shop, purchase, sums_of};
use crate::sums;

const TRANSACTIONS: &str = "millstream_transactions_total";

#[test]
fn an_idle_application_makes_no_transaction() {
    let Some(real) = RealBroker::start() else { return };
    let mut shop = Shop::new(&real, 4);
    let mut process = shop.start("idle", &["--threads", "2", "--http", "127.0.0.1:0"]);
    process.logged("partitions assigned");
    let purchases: Vec<String> = (0..100).map(|n| purchase(&format!("P{n}"), 1, "2.5")).collect();
    shop.write(&purchases);
    shop.await_totals(&sums_of(&purchases));
    let internal = shop.internal_topics();
    let topics = [shop.totals.as_str(), shop.input.as_str(), &internal[0], &internal[1]];
    let all: Vec<TopicPartition> = topics.iter().flat_map(|topic| sums::partitions(&shop.broker, topic)).collect();
    let ends = || shop.broker.end_offsets(&all, Isolation::ReadUncommitted).expect("asked");
    // What was done is committed, downstream as well: nothing moves any more.
    let clock = SystemClock::new();
    let (mut before, mut since) = ((Vec::new(), 0), clock.elapsed());
    within(Duration::from_secs(30), "the last commit", || {
        let now = (ends(), process.metric(TRANSACTIONS, &[]));
        if now != before {
            (before, since) = (now, clock.elapsed());
        }
        // Ten commit intervals: what the last records leave to be told downstream has been told by then.
        (clock.elapsed().saturating_sub(since) >= Duration::from_secs(1)).then_some(())
    });
    let committed = process.metric(TRANSACTIONS, &["outcome=\"committed\""]);
    assert!(committed > 0, "it has worked");
    let clock = SystemClock::new();
    within(Duration::from_secs(11), "ten idle seconds", || {
        assert_eq!((ends(), process.metric(TRANSACTIONS, &[])), before, "after {:?}", clock.elapsed());
        (clock.elapsed() >= Duration::from_secs(10)).then_some(())
    });
    println!("{committed} transactions for {} purchases, then none in {:?}", purchases.len(), clock.elapsed());
}

/// An address of this machine that nobody listens at.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn a_rolling_restart_moves_no_task() {
    let Some(real) = RealBroker::start() else { return };
    let mut shop = Shop::new(&real, 4);
    // As in production, an address that stays: a process that comes back at another has to join the group anew.
    let addresses = [free_address(), free_address()];
    let at = |number: usize, instance: &'static str| ["--http", &addresses[number], "--instance", instance];
    let mut a = shop.start("a", &at(0, "a"));
    a.logged("partitions assigned");
    let mut b = shop.start("b", &at(1, "b"));
    b.logged("partitions assigned");
    let rebalances = |process: &mut crate::process::Process| process.metric("millstream_rebalances_total", &[]);
    within(Duration::from_secs(30), "both to share the partitions", || (rebalances(&mut a) >= 2).then_some(()));
    let assigned = |log: &str| -> Vec<String> {
        let lines = log.lines().filter(|line| line.contains("partitions assigned"));
        lines.filter_map(|line| line.split_once("partitions=").map(|(_, list)| list.to_owned())).collect()
    };
    let had = assigned(&a.log()).pop().expect("it has some");
    let others = (rebalances(&mut b), assigned(&b.log()), b.count("revoked"));
    let clock = SystemClock::new();
    a.terminate();
    a.succeeds(Duration::from_secs(10));
    let stopped = clock.elapsed();
    let mut again = shop.start("a again", &at(0, "a"));
    again.logged("partitions assigned");
    println!("stopped in {stopped:?}, back with its partitions after {:?}", clock.elapsed());
    assert_eq!(assigned(&again.log()), [had]);
    let purchases: Vec<String> = (0..200).map(|n| purchase(&format!("P{n}"), 1, "2.5")).collect();
    shop.write(&purchases);
    shop.await_totals(&sums_of(&purchases));
    assert_eq!((rebalances(&mut b), assigned(&b.log()), b.count("revoked")), others, "nobody else notices");
    assert_eq!(rebalances(&mut again), 1);
}
