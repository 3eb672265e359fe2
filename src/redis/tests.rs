//! On the embedded broker, against a Redis that does as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::failure::{Failure, FailureKind};
use super::server::{Answer, Connect, Link};
use super::*;
use crate::broker::memory::MemoryBroker;
use crate::broker::{Batch, Guarantee, MemberOptions, NewTopic, Outgoing, OutgoingRecord, Partitioning};
use crate::codec::{Json, Text};
use crate::operators::DropReason;
use crate::record::{Headers, InputNumber, Offset, TopicPartition};
use crate::time::{Clock, ManualClock, Timestamp};

const COUNTS: Topic<String, u64, Text, Json> = Topic::new("counts");
const GROUP: &str = "test-clicks-redis-counts";

/// A Redis in this process. Clones are the same one.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    down: bool,
    /// After so many more commands the connection breaks; the command after them has its effect and no answer.
    breaks_after: Option<usize>,
    /// Commands with this word are refused.
    refused: Option<&'static str>,
    /// Nobody is subscribed.
    deaf: bool,
    /// What was carried out, without pings.
    done: Vec<String>,
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) -> Vec<String> {
        self.lock().done.clone()
    }
}

impl Connect for Fake {
    fn connect(&self) -> Result<Box<dyn Link>, Failure> {
        if self.lock().down {
            return Err(Failure { kind: FailureKind::Unreachable, text: "it is down".into() });
        }
        Ok(Box::new(self.clone()))
    }

    fn address(&self) -> &'static str {
        "fake"
    }
}

impl Link for Fake {
    fn send(&mut self, packed: &[u8], count: usize) -> (Vec<Answer>, Option<Failure>) {
        let commands = unpacked(packed);
        assert_eq!(commands.len(), count);
        let broken = || Some(Failure { kind: FailureKind::Disconnected, text: "it broke".into() });
        let mut state = self.lock();
        let mut answers = Vec::new();
        for command in commands {
            if state.down {
                return (answers, broken());
            }
            if state.refused.is_some_and(|word| command.contains(word)) {
                answers.push(Answer::Refused(Failure { kind: FailureKind::Refused, text: "ERR no".into() }));
                continue;
            }
            let answer =
                if command.starts_with("PUBLISH") { Answer::Number(i64::from(!state.deaf)) } else { Answer::Done };
            if command != "PING" {
                state.done.push(command);
            }
            match &mut state.breaks_after {
                Some(0) => {
                    state.breaks_after = None;
                    return (answers, broken());
                }
                Some(left) => *left -= 1,
                None => {}
            }
            answers.push(answer);
        }
        (answers, None)
    }
}

/// Packed commands as lines. No argument here holds a line's end.
fn unpacked(packed: &[u8]) -> Vec<String> {
    let mut lines = std::str::from_utf8(packed).unwrap().split("\r\n");
    let mut commands = Vec::new();
    while let Some(count) = lines.next().and_then(|line| line.strip_prefix('*')) {
        let words: Vec<&str> = (0..count.parse().unwrap()).map(|_| lines.nth(1).unwrap()).collect();
        commands.push(words.join(" "));
    }
    commands
}

/// A broker with a topic of two partitions, a Redis, and a clock that moves when it is told to.
struct World {
    broker: MemoryBroker,
    redis: Fake,
    metrics: Metrics,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let broker = MemoryBroker::new(clock.clone());
        let new = |name: &str| NewTopic { name: name.into(), partitions: 2, settings: [].into() };
        broker.create_topics(&[new("counts"), new("dead")]).unwrap();
        Self { broker, redis: Fake::default(), metrics: Metrics::new(), clock }
    }

    fn start(&self, sink: &RedisSink) -> RunningSink {
        let broker: Arc<dyn Broker> = Arc::new(self.broker.clone());
        let redis = Arc::new(self.redis.clone());
        RunningSink::start(sink, redis, broker, &Config::new("test"), &self.metrics, self.clock.clone()).unwrap()
    }

    /// Writes records of the key "k", numbered, to a partition.
    fn write(&self, partition: u32, values: impl IntoIterator<Item = u64>) {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        self.write_raw(partition, Some("k"), values.iter().map(|value| Some(value.as_str())));
    }

    fn write_raw<'a>(&self, partition: u32, key: Option<&str>, values: impl IntoIterator<Item = Option<&'a str>>) {
        let mut writer = self.broker.writer().unwrap();
        writer.send(&records(partition, key, values)).unwrap();
        writer.flush().unwrap();
    }

    /// Waits until something holds, while time goes on: pauses end, commits become due.
    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            if holds(self) {
                return;
            }
            self.clock.advance(Duration::from_millis(5));
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("waited in vain for {what}; Redis has done {:?}", self.redis.done());
    }

    fn own(&self) -> crate::metrics::RedisMetrics {
        self.metrics.redis("clicks", "counts")
    }

    fn committed(&self) -> Vec<Option<Offset>> {
        let partitions = [TopicPartition::new("counts", 0), TopicPartition::new("counts", 1)];
        let committed = self.broker.committed(GROUP, &partitions).unwrap();
        committed.into_iter().map(|committed| committed.map(|committed| committed.offset)).collect()
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.metrics.topology("clicks").drops("counts").get(reason)
    }
}

fn records<'a>(partition: u32, key: Option<&str>, values: impl IntoIterator<Item = Option<&'a str>>) -> Outgoing {
    let mut out = Outgoing::default();
    let topic = out.topic("counts");
    for value in values {
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(partition),
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
            timestamp: Timestamp::from_millis(1),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    }
    out
}

fn published() -> RedisSink {
    RedisSink::of("clicks", "counts", COUNTS).publish("ticker").build().unwrap()
}

fn both() -> RedisSink {
    let sink = RedisSink::of("clicks", "counts", COUNTS).publish("ticker");
    sink.counter("newest", Clone::clone, |count| *count).build().unwrap()
}

fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("PUBLISH ticker {number}")).collect()
}

#[test]
fn every_record_is_delivered_in_order_and_then_committed() {
    let world = World::new();
    world.write(0, 0..3);
    let running = world.start(&both());
    world.until("the first records", |world| world.redis.done().len() == 6);
    world.write(0, 3..2_000);
    world.until("all records", |world| world.redis.done().len() == 4_000);
    world.until("the commit", |world| world.committed()[0] == Some(2_000));
    let done = world.redis.done();
    assert_eq!(&done[..3], ["PUBLISH ticker 0", "HSET newest k 0", "PUBLISH ticker 1"]);
    let counted: Vec<&String> = done.iter().filter(|command| command.starts_with("HSET")).collect();
    assert_eq!(
        counted,
        (0..2_000).map(|n| format!("HSET newest k {n}")).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    assert_eq!((world.own().delivered.get(), world.own().unheard.get()), (2_000, 0));
    assert_eq!((world.own().lag.get(), world.own().connections.get()), (0, 1));
    running.stop();
    running.join().unwrap();
}

#[test]
fn a_redis_that_is_away_is_waited_for_and_the_metrics_say_so() {
    let world = World::new();
    world.redis.lock().down = true;
    let running = world.start(&published());
    world.until("a failure", |world| world.own().failures("unreachable") > 2);
    world.write(0, 0..500);
    world.write(1, 500..505);
    world.until("the lag", |world| world.own().lag.get() == 505);
    world.write(1, 505..600);
    world.until("the lag to grow", |world| world.own().lag.get() == 600);
    assert_eq!((world.own().connections.get(), world.own().delivered.get()), (0, 0));
    assert!(!running.is_finished());
    world.redis.lock().down = false;
    world.until("what waited", |world| world.redis.done().len() == 600);
    world.until("the end of the lag", |world| world.own().lag.get() == 0);
    assert_eq!(world.own().connections.get(), 1);
    let mut done = world.redis.done();
    done.sort_by_key(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(done, numbered(0..600));
}

#[test]
fn what_was_not_answered_is_sent_again_in_order() {
    let world = World::new();
    world.redis.lock().down = true;
    let running = world.start(&published());
    world.write(0, 0..10);
    world.until("the lag", |world| world.own().lag.get() == 10);
    *world.redis.lock() = State { breaks_after: Some(4), ..State::default() };
    world.until("all records", |world| world.redis.done().last().is_some_and(|last| last.ends_with(" 9")));
    // The fifth was carried out twice: its first answer never came.
    assert_eq!(world.redis.done(), numbered((0..=4).chain(4..10)));
    world.until("the commit", |world| world.committed()[0] == Some(10));
    assert_eq!((world.own().delivered.get(), world.own().failures("disconnected")), (10, 1));
    drop(running);
}

#[test]
fn a_refused_command_is_tried_until_it_is_taken_and_nothing_overtakes_it() {
    let world = World::new();
    world.redis.lock().refused = Some("3");
    world.write(0, 0..5);
    let running = world.start(&published());
    world.until("refusals", |world| world.own().failures("refused") > 3);
    world.until("the commit of what came before it", |world| world.committed()[0] == Some(3));
    assert_eq!(world.own().lag.get(), 2);
    world.redis.lock().refused = None;
    world.until("the rest", |world| world.committed()[0] == Some(5));
    let done = world.redis.done();
    assert_eq!(&done[done.len() - 2..], numbered(3..5));
    drop(running);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let world = World::new();
    world.write(0, 0..7);
    let running = world.start(&published());
    world.until("the first records", |world| world.redis.done().len() == 7);
    running.stop();
    running.join().unwrap();
    assert_eq!(world.committed()[0], Some(7));
    world.write(0, 7..9);
    let running = world.start(&published());
    world.until("the others", |world| world.redis.done().len() == 9);
    assert_eq!(world.redis.done(), numbered(0..9));
    drop(running);
}

#[test]
fn two_members_share_the_work_and_one_takes_over_from_the_other() {
    let world = World::new();
    let (one, other) = (world.start(&published()), world.start(&published()));
    let readers = |world: &World| {
        let members = world.broker.group_members(GROUP).unwrap();
        members.iter().filter(|member| member.partitions.len() == 1).count()
    };
    world.until("both to read", |world| readers(world) == 2);
    for partition in 0..2 {
        world.write(partition, 0..50);
    }
    world.until("all", |world| world.redis.done().len() >= 100);
    one.stop();
    one.join().unwrap();
    for partition in 0..2 {
        world.write(partition, 50..60);
    }
    world.until("what came after it", |world| world.committed() == [Some(60), Some(60)]);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    world.redis.done().into_iter().for_each(|line| *seen.entry(line).or_default() += 1);
    assert!(numbered(0..60).iter().all(|line| seen[line] >= 2), "{seen:?}");
    drop(other);
}

#[test]
fn only_committed_records_are_delivered() {
    let world = World::new();
    let mut writer = world.broker.connect(&MemberOptions {
        group: "writers".into(),
        instance: "writer".into(),
        transactional_id: "writer".into(),
        client_id: "writer".into(),
        guarantee: Guarantee::ExactlyOnce,
        session_timeout: Duration::from_hours(1),
        transaction_timeout: Duration::from_hours(1),
    });
    let writer = writer.as_mut().unwrap();
    writer.send(0, &records(0, Some("k"), [Some("1")])).unwrap();
    writer.abort().unwrap();
    world.write(0, [2]);
    writer.send(0, &records(0, Some("k"), [Some("3")])).unwrap();
    world.write(0, [4]);
    let running = world.start(&published());
    world.until("what is stable", |world| !world.redis.done().is_empty());
    assert_eq!(world.redis.done(), numbered([2]));
    writer.abort().unwrap();
    world.until("the rest", |world| world.redis.done().len() == 2);
    assert_eq!(world.redis.done(), numbered([2, 4]));
    // Marks of transactions are behind it as well, or the lag would never end.
    world.until("the end of the lag", |world| world.own().lag.get() == 0);
    drop(running);
}

#[test]
fn a_null_deletes_the_field_and_is_no_message() {
    let world = World::new();
    world.write_raw(0, Some("k"), [Some("1"), None, Some("2")]);
    let running = world.start(&both());
    world.until("all", |world| world.redis.done().len() == 5);
    let expected = ["PUBLISH ticker 1", "HSET newest k 1", "HDEL newest k", "PUBLISH ticker 2", "HSET newest k 2"];
    assert_eq!(world.redis.done(), expected);
    world.until("the count", |world| world.dropped(DropReason::NullValue) == 1);
    drop(running);
}

#[test]
fn a_message_that_nobody_hears_is_counted_and_is_no_failure() {
    let world = World::new();
    world.redis.lock().deaf = true;
    world.write(0, 0..4);
    let running = world.start(&both());
    world.until("all", |world| world.own().delivered.get() == 4);
    assert_eq!(world.own().unheard.get(), 4);
    drop(running);
}

#[test]
fn a_record_that_cannot_be_read_stops_it_after_those_before_it() {
    let world = World::new();
    world.write_raw(0, Some("k"), [Some("1"), Some("two"), Some("3")]);
    for _ in 0..2 {
        let running = world.start(&both());
        world.until("the end", |_| running.is_finished());
        assert!(running.has_failed());
        let error = running.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Record);
        assert!(error.to_string().contains("counts, partition 0, offset 1"), "{error}");
        // The restart does not deliver the first again.
        assert_eq!(world.redis.done(), ["PUBLISH ticker 1", "HSET newest k 1"]);
    }
}

#[test]
fn a_record_that_cannot_be_read_is_left_out_or_a_dead_letter() {
    let world = World::new();
    world.write_raw(0, Some("k"), [Some("1"), Some("two"), Some("3")]);
    world.write_raw(1, None, [Some("4")]);
    let running = world.start(&both().on_bad_input(BadInput::dead_letter("dead")));
    world.until("the commits", |world| world.committed() == [Some(3), Some(1)]);
    assert_eq!(world.redis.done().len(), 4, "{:?}", world.redis.done());
    assert_eq!((world.dropped(DropReason::Unreadable), world.dropped(DropReason::NullKey)), (1, 1));
    running.stop();
    running.join().unwrap();
    let mut dead = Batch::default();
    let partitions = [(TopicPartition::new("dead", 0), 0), (TopicPartition::new("dead", 1), 0)];
    let mut reader = world.broker.reader(&partitions).unwrap();
    for partition in 0..2 {
        reader.fetch(partition, 10, &mut dead).unwrap();
    }
    let mut values: Vec<&[u8]> = dead.iter().map(|record| record.value.unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, [&b"4"[..], b"two"]);
    assert_eq!(world.metrics.topology("clicks").dead_letters("counts").get(), 2);
}

#[test]
fn a_panic_of_a_users_function_belongs_to_its_record() {
    let world = World::new();
    world.write(0, 0..3);
    let add = |_: &String, count: Option<&u64>, commands: &mut Commands| {
        commands.command("SET", &[b"k", b"v"]);
        assert_ne!(count, Some(&1), "no ones");
    };
    let sink = RedisSink::of("clicks", "counts", COUNTS).commands(add).on_bad_input(BadInput::Skip).build().unwrap();
    let running = world.start(&sink);
    world.until("the commit", |world| world.committed()[0] == Some(3));
    assert_eq!(world.redis.done(), ["SET k v", "SET k v"]);
    assert_eq!(world.dropped(DropReason::Panicked), 1);
    drop(running);
}

#[test]
fn what_retention_deletes_before_it_is_delivered_is_counted_as_lost() {
    let world = World::new();
    world.write(0, 0..1);
    let running = world.start(&published());
    world.until("the first", |world| world.committed()[0] == Some(1));
    running.stop();
    running.join().unwrap();
    world.write(0, 1..10);
    world.broker.delete_records(&[(TopicPartition::new("counts", 0), 6)]).unwrap();
    let running = world.start(&published());
    world.until("the rest", |world| world.redis.done().len() == 5);
    assert_eq!(world.redis.done(), numbered([0, 6, 7, 8, 9]));
    assert_eq!(world.own().lost.get(), 5);
    drop(running);
}

#[test]
fn a_bounded_run_ends_when_all_is_delivered_or_says_what_is_not() {
    let world = World::new();
    world.write(0, 0..20);
    let running = world.start(&published());
    running.finish();
    world.until("the end", |_| running.is_finished());
    running.join().unwrap();
    assert_eq!((world.redis.done(), world.committed()[0]), (numbered(0..20), Some(20)));

    world.redis.lock().down = true;
    world.write(1, 20..25);
    let running = world.start(&published());
    running.finish();
    world.until("it to give up", |_| running.is_finished());
    let error = running.join().unwrap_err().to_string();
    assert!(error.contains("5 records of counts were not delivered to Redis: it is down (unreachable)"), "{error}");
    assert!(world.clock.elapsed() >= Duration::from_secs(30));
}

#[test]
fn an_output_that_cannot_be_is_refused_before_it_starts() {
    let refused = |sink: Result<RedisSink>| sink.unwrap_err().to_string();
    assert!(refused(RedisSink::of("clicks", "counts", COUNTS).build()).contains("has nothing to do"));
    assert!(refused(RedisSink::of("clicks", "a b", COUNTS).publish("c").build()).contains("\"a b\""));
    let world = World::new();
    let missing: Topic<String, u64, Text, Json> = Topic::new("missing");
    let sink = RedisSink::of("clicks", "counts", missing).publish("c").build().unwrap();
    let broker: Arc<dyn Broker> = Arc::new(world.broker.clone());
    let redis = RedisServer::new("redis://127.0.0.1:1").unwrap();
    let error = sink.start(&redis, broker, &Config::new("test"), &world.metrics).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Topic);
}
