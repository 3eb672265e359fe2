//! How a process reads its global tables: to which end before it begins, what it sees later, and what stops it.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::Process;
use super::config::Config;
use crate::broker::memory::{MemoryBroker, Tombstones};
use crate::broker::{
    Broker, CommittedOffset, GroupEvent, Guarantee, Member, MemberOptions, NewTopic, Outgoing, OutgoingRecord,
    Partitioning,
};
use crate::dsl::{Builder, Topic};
use crate::error::{ErrorKind, Result};
use crate::metrics::{Metrics, TopologyMetrics};
use crate::operators::DropReason;
use crate::operators::source::BadInput;
use crate::record::{Headers, InputNumber, TopicPartition};
use crate::runtime::thread::Turn;
use crate::time::{Clock, ManualClock, Timestamp};
use crate::topology::Topology;

const USERS: Topic<String, u64> = Topic::new("users");
const VISITS: Topic<String, String> = Topic::new("visits");
const SEEN: Topic<String, u64> = Topic::new("seen");

/// Each visit with the row of its user; 0 where there is none.
fn topology(policy: BadInput) -> Topology {
    let b = Builder::new("visits");
    let users = b.global_table(USERS).on_bad_input(policy);
    let row = |_: &String, _: String, row: Option<&u64>| row.copied().unwrap_or(0);
    b.source(VISITS).stream().left_join_global(&users, |_, user| Some(user.clone()), row).to(SEEN);
    b.build().expect("it is sound")
}

/// A broker with the topics, whose table has three partitions, and what runs on it once it is started.
struct Rig {
    broker: MemoryBroker,
    clock: Arc<ManualClock>,
    metrics: TopologyMetrics,
    process: Option<Process>,
    taken: usize,
}

impl Rig {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<dyn Clock>);
        for (name, partitions) in [("users", 3), ("visits", 2), ("elsewhere", 1)] {
            let new = NewTopic { name: name.into(), partitions, settings: [].into() };
            broker.create_topics(&[new]).expect("they are created");
        }
        let metrics = Metrics::new().topology("visits");
        Self { broker, clock, metrics, process: None, taken: 0 }
    }

    fn start(&mut self, policy: BadInput, change: impl FnOnce(&mut Config)) {
        let mut config = Config::new("test");
        config.instance = Some("one".into());
        config.threads = 2;
        change(&mut config);
        let (broker, clock) = (Arc::new(self.broker.clone()), Arc::clone(&self.clock) as Arc<dyn Clock>);
        let started = Process::start(topology(policy), broker, config, clock, self.metrics.clone());
        self.process = Some(started.expect("it starts"));
    }

    fn write(&self, topic: &str, partition: u32, key: &str, value: Option<&[u8]>) {
        let mut writer = self.broker.writer().expect("it connects");
        writer.send(&one(topic, partition, key, value)).expect("it is sent");
        writer.flush().expect("it is written");
    }

    fn put(&self, partition: u32, user: &str, row: u64) {
        self.write("users", partition, user, Some(&row.to_be_bytes()));
    }

    fn visit(&self, user: &str) {
        self.write("visits", 0, "v", Some(user.as_bytes()));
    }

    /// Turns until nothing is left to do.
    fn settle(&mut self) -> Result<()> {
        let process = self.process.as_mut().expect("it was started");
        for _ in 0..100_000 {
            match process.turn()? {
                Turn::Worked => {}
                Turn::Idle(due) if process.is_busy() => self.clock.advance(due.max(Duration::from_millis(1))),
                Turn::Idle(_) => return Ok(()),
            }
        }
        panic!("it did not come to rest");
    }

    /// The rows that visits have seen since the last look.
    fn seen(&mut self) -> Vec<u64> {
        self.settle().expect("it settles");
        let seen = self.broker.records("seen").expect("it is there");
        let fresh = seen[self.taken..].iter().map(|record| {
            let bytes = record.value.as_deref().expect("a number");
            u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
        });
        self.taken = seen.len();
        fresh.collect()
    }

    /// The rows that visits of these users see.
    fn visits(&mut self, users: &[&str]) -> Vec<u64> {
        for user in users {
            self.visit(user);
        }
        self.seen()
    }

    /// A writer with a transaction of its own, in which nothing is open yet.
    fn transaction(&self) -> Box<dyn Member> {
        let mut member = self
            .broker
            .connect(&MemberOptions {
                group: "elsewhere".into(),
                instance: "elsewhere".into(),
                transactional_id: "elsewhere".into(),
                client_id: "elsewhere".into(),
                guarantee: Guarantee::ExactlyOnce,
                session_timeout: Duration::from_hours(1),
                transaction_timeout: Duration::from_hours(1),
            })
            .expect("it connects");
        member.subscribe(&["elsewhere"]).expect("it joins");
        let Some(GroupEvent::Assigned(partitions)) = member.poll().expect("it is told") else {
            panic!("it is assigned its topic");
        };
        member
            .assign(&partitions.into_iter().map(|partition| (partition, 0)).collect::<Vec<_>>())
            .expect("it takes it");
        member
    }
}

fn one(topic: &str, partition: u32, key: &str, value: Option<&[u8]>) -> Outgoing {
    let mut out = Outgoing::default();
    let topic = out.topic(topic);
    out.push(&OutgoingRecord {
        topic,
        partitioning: Partitioning::Fixed(partition),
        key: Some(key.as_bytes()),
        value,
        timestamp: Timestamp::from_millis(7),
        headers: &Headers::NONE,
        input: InputNumber(0),
    });
    out
}

fn commit(member: &mut dyn Member) {
    let partition = TopicPartition::new("elsewhere", 0);
    member.commit(&[CommittedOffset { partition, offset: 0, metadata: String::new() }]).expect("it is committed");
}

#[test]
fn nothing_is_processed_before_the_table_is_complete() {
    let mut rig = Rig::new();
    for row in 1..=200_u64 {
        rig.put(u32::try_from(row % 3).expect("small"), &format!("u{}", row % 50), row);
    }
    (0..50).for_each(|user| rig.visit(&format!("u{user}")));
    // A record of each partition at a time: the group has assigned its partitions long before the table is complete.
    rig.start(BadInput::Fail, |config| config.batch = Some(1));
    let seen = rig.seen();
    let newest: Vec<u64> = (0..50).map(|user| if user == 0 { 200 } else { 150 + user }).collect();
    assert_eq!(seen, newest);
}

#[test]
fn an_open_transaction_is_not_waited_for_and_its_rows_come_with_its_commit() {
    let mut rig = Rig::new();
    rig.put(0, "a", 1);
    let mut writer = rig.transaction();
    writer.send(0, &one("users", 0, "a", Some(&2_u64.to_be_bytes()))).expect("it is sent");
    rig.put(0, "b", 3);
    rig.start(BadInput::Fail, |_| ());
    // What lies behind the open transaction has to wait for it.
    assert_eq!(rig.visits(&["a", "b"]), [1, 0]);
    commit(&mut *writer);
    assert_eq!(rig.visits(&["a", "b"]), [2, 3]);
    writer.send(0, &one("users", 0, "a", Some(&9_u64.to_be_bytes()))).expect("it is sent");
    writer.abort().expect("it is aborted");
    rig.put(0, "c", 4);
    assert_eq!(rig.visits(&["a", "c"]), [2, 4]);
}

#[test]
fn a_bounded_run_waits_for_what_was_written_and_sees_nothing_that_came_later() {
    let mut rig = Rig::new();
    let mut writer = rig.transaction();
    writer.send(0, &one("users", 1, "a", Some(&1_u64.to_be_bytes()))).expect("it is sent");
    rig.visit("a");
    rig.start(BadInput::Fail, |config| config.until_end = true);
    for _ in 0..100 {
        rig.process.as_mut().expect("it runs").turn().expect("it goes on");
        rig.clock.advance(Duration::from_millis(10));
    }
    assert_eq!(rig.broker.records("seen").expect("it is there").len(), 0, "the table is not complete");
    commit(&mut *writer);
    assert_eq!(rig.seen(), [1]);
    rig.put(1, "a", 2);
    assert_eq!(rig.visits(&["a"]), [1]);
}

#[test]
fn a_compacted_topic_with_gaps_and_one_that_begins_late_are_read_to_their_ends() {
    let mut rig = Rig::new();
    for row in 1..=500_u64 {
        rig.put(u32::try_from(row % 3).expect("small"), &user_of(row), row);
    }
    for partition in 0..3 {
        rig.write("users", partition, &format!("u{partition}"), None);
    }
    rig.broker.compact("users", Tombstones::Drop).expect("it is compacted");
    let start = TopicPartition::new("users", 2);
    rig.broker.delete_records(&[(start, 20)]).expect("they are deleted");
    rig.start(BadInput::Fail, |_| ());
    // The nulls came last. Of the others the newest row of each is there.
    let newest = |user: &str| (1..=500_u64).rfind(|row| user_of(*row) == user).expect("it has rows");
    assert_eq!(rig.visits(&["u0", "u3", "u20"]), [0, newest("u3"), newest("u20")]);
}

/// One of 21 users, seven in each partition.
fn user_of(row: u64) -> String {
    format!("u{}", row % 7 * 3 + row % 3)
}

#[test]
fn partitions_that_a_topic_gets_later_are_found() {
    let mut rig = Rig::new();
    rig.put(0, "a", 1);
    rig.start(BadInput::Fail, |_| ());
    assert_eq!(rig.visits(&["a", "b"]), [1, 0]);
    rig.broker.grow("users", 5).expect("it grows");
    rig.put(4, "b", 2);
    rig.put(0, "a", 3);
    rig.clock.advance(Duration::from_secs(31));
    rig.settle().expect("it settles");
    assert_eq!(rig.visits(&["a", "b"]), [3, 2]);
}

#[test]
fn a_row_that_cannot_be_read_stops_the_application_and_is_named() {
    let mut rig = Rig::new();
    rig.put(2, "a", 1);
    rig.start(BadInput::Fail, |_| ());
    assert_eq!(rig.visits(&["a"]), [1]);
    rig.put(2, "a", 2);
    rig.write("users", 2, "a", Some(b"three"));
    for _ in 0..2 {
        let error = rig.settle().expect_err("it stops, and again when it is asked again");
        assert_eq!(error.kind(), ErrorKind::Record);
        let text = error.to_string();
        assert!(text.contains("a row of a global table cannot be used (unreadable)"), "{text}");
        assert!(text.contains("topic users, partition 2, offset 2"), "{text}");
        assert!(text.contains("BadInput::Skip"), "{text}");
    }
}

#[test]
fn a_row_that_cannot_be_read_may_be_skipped_and_is_counted() {
    let mut rig = Rig::new();
    rig.put(2, "a", 1);
    rig.write("users", 2, "a", Some(b"two"));
    rig.start(BadInput::Skip, |_| ());
    assert_eq!(rig.visits(&["a"]), [1]);
    assert_eq!(rig.metrics.drops("users").get(DropReason::Unreadable), 1);
}

#[test]
fn the_metrics_say_how_many_rows_there_are_and_how_many_records_wait() {
    let mut rig = Rig::new();
    rig.put(0, "a", 1);
    rig.put(1, "b", 2);
    rig.put(1, "b", 3);
    rig.start(BadInput::Fail, |_| ());
    rig.settle().expect("it settles");
    assert_eq!((rig.metrics.global_rows("users").get(), rig.metrics.lag("users", 1).get()), (2, 0));
    let mut writer = rig.transaction();
    writer.send(0, &one("users", 1, "c", Some(&1_u64.to_be_bytes()))).expect("it is sent");
    rig.write("users", 1, "b", None);
    rig.settle().expect("it settles");
    assert_eq!(rig.metrics.lag("users", 1).get(), 2, "they lie behind an open transaction");
    commit(&mut *writer);
    rig.settle().expect("it settles");
    assert_eq!((rig.metrics.global_rows("users").get(), rig.metrics.lag("users", 1).get()), (2, 0));
}

#[test]
fn a_missing_topic_is_an_error_that_says_what_to_do() {
    let mut config = Config::new("test");
    config.topics.insert("users".into(), "people".into());
    let rig = Rig::new();
    let (broker, clock) = (Arc::new(rig.broker.clone()), Arc::clone(&rig.clock) as Arc<dyn Clock>);
    let started = Process::start(topology(BadInput::Fail), broker, config, clock, rig.metrics.clone());
    let text = started.err().expect("it does not start").to_string();
    assert!(text.contains("source topic people does not exist"), "{text}");
}
