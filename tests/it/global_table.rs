//! A stream and a global table on a real broker: three partitions beside two, nulls, an update while it runs, and
//! somebody's open transaction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream::broker::partitioner::partition_of;
use millstream::broker::{Batch, Broker, Outgoing, OutgoingRecord, Partitioning};
use millstream::metrics::Metrics;
use millstream::record::InputNumber;
use millstream::{App, AppState, Builder, Config, Headers, KafkaBroker, Running, Timestamp, Topic, Topology};

use crate::broker::{RealBroker, at, joined, offset, options, topic, topic_with, unique};
use crate::process::within;

const USERS: u64 = 2_000;

/// Users by number, the visits of users by their own number, and the names that visits have seen.
struct Site {
    broker: Arc<KafkaBroker>,
    users: String,
    visits: String,
    seen: String,
    application: String,
    visited: u64,
}

impl Site {
    fn new(real: &RealBroker) -> Self {
        let broker = Arc::new(real.connect());
        let users = topic_with(&*broker, "users", 3, &[("cleanup.policy", "compact")]);
        let (visits, seen) = (topic(&*broker, "visits", 2), topic(&*broker, "seen", 2));
        Self { broker, users, visits, seen, application: unique("site"), visited: 0 }
    }

    fn topology(&self) -> Topology {
        let b = Builder::new("seen");
        let users = b.global_table(Topic::<u64, String>::owned(self.users.clone()));
        let name = |_: &u64, _: u64, name: Option<&String>| name.cloned().unwrap_or_default();
        b.source(Topic::<u64, u64>::owned(self.visits.clone()))
            .stream()
            .left_join_global(&users, |_, user| Some(*user), name)
            .to(Topic::<u64, String>::owned(self.seen.clone()));
        b.build().expect("it is sound")
    }

    fn start(&self, metrics: &Metrics, change: impl FnOnce(&mut Config)) -> Running {
        let mut config = Config::new(&self.application);
        config.threads = 2;
        config.leave_on_stop = true;
        change(&mut config);
        let broker = Arc::clone(&self.broker) as Arc<dyn Broker>;
        App::new(self.topology(), broker, config).metrics(metrics).start().expect("it starts")
    }

    fn write<'a>(&self, topic: &str, records: impl IntoIterator<Item = (u64, Option<&'a [u8]>)>) {
        let mut writer = self.broker.writer().expect("a writer");
        writer.send(&outgoing(topic, records)).expect("sent");
        writer.flush().expect("written");
    }

    fn put(&self, user: u64, name: Option<&str>) {
        self.write(&self.users, [(user, name.map(str::as_bytes))]);
    }

    /// Has these users visit, and waits for the names that their visits see, in their order.
    fn visit(&mut self, users: &[u64]) -> Vec<String> {
        let values: Vec<(u64, [u8; 8])> =
            (self.visited..).zip(users).map(|(visit, user)| (visit, user.to_be_bytes())).collect();
        self.visited += users.len() as u64;
        self.write(&self.visits, values.iter().map(|(visit, user)| (*visit, Some(&user[..]))));
        let seen = within(Duration::from_mins(1), "the visits to come out", || {
            let seen = self.seen();
            (seen.len() as u64 == self.visited).then_some(seen)
        });
        values.iter().map(|(visit, _)| seen[visit].clone()).collect()
    }

    /// All visits that have come out, each of which must have done so once.
    fn seen(&self) -> BTreeMap<u64, String> {
        let from = [(at(&self.seen, 0), 0), (at(&self.seen, 1), 0)];
        let mut reader = self.broker.reader(&from).expect("a reader");
        let mut seen = BTreeMap::new();
        for partition in 0..2 {
            let mut batch = Batch::default();
            within(Duration::from_secs(30), "the end of the partition", || {
                let fetched = reader.fetch(partition, 1_000_000, &mut batch).expect("readable");
                if !fetched.caught_up() {
                    reader.wait(Duration::from_millis(5));
                }
                fetched.caught_up().then_some(())
            });
            for record in batch.iter() {
                let visit = u64::from_be_bytes(record.key.expect("a key").try_into().expect("eight bytes"));
                let name = String::from_utf8(record.value.expect("a name").to_vec()).expect("text");
                assert_eq!(seen.insert(visit, name), None, "visit {visit} came out twice");
            }
        }
        seen
    }
}

fn outgoing<'a>(topic: &str, records: impl IntoIterator<Item = (u64, Option<&'a [u8]>)>) -> Outgoing {
    let mut out = Outgoing::default();
    let topic = out.topic(topic);
    for (key, value) in records {
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::ByKey,
            key: Some(&key.to_be_bytes()),
            value,
            timestamp: Timestamp::from_millis(1_000),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    }
    out
}

/// Every user's name, then a null for each third: what a lookup must give.
fn fill(site: &Site) -> Vec<String> {
    let names: Vec<String> = (0..USERS).map(|user| format!("user {user}")).collect();
    site.write(&site.users, (0..USERS).zip(names.iter().map(|name| Some(name.as_bytes()))));
    site.write(&site.users, (0..USERS).step_by(3).map(|user| (user, None)));
    let name = |(user, name): (usize, String)| if user % 3 == 0 { String::new() } else { name };
    names.into_iter().enumerate().map(name).collect()
}

#[test]
fn a_stream_sees_all_rows_from_its_first_record_on_and_an_update_while_it_runs() {
    let Some(real) = RealBroker::start() else { return };
    let mut site = Site::new(&real);
    let names = fill(&site);
    let metrics = Metrics::new();
    let running = site.start(&metrics, |_| ());
    let everybody: Vec<u64> = (0..USERS).collect();
    assert_eq!(site.visit(&everybody), names);
    let rows = names.iter().filter(|name| !name.is_empty()).count();
    assert_eq!(metrics.topology("seen").global_rows(&site.users).get(), i64::try_from(rows).expect("small"));
    // While it runs: one row changes, one goes, one comes.
    site.put(1, Some("Ada"));
    site.put(2, None);
    site.put(3, Some("Bob"));
    within(Duration::from_secs(30), "the changes to be seen", || {
        (site.visit(&[1, 2, 3]) == ["Ada", "", "Bob"]).then_some(())
    });
    assert_eq!(running.status().state, AppState::Running);
    running.stop();
    running.join().expect("it ends in good order");
}

#[test]
fn somebodys_open_transaction_does_not_hold_the_start_up() {
    let Some(real) = RealBroker::start() else { return };
    let mut site = Site::new(&real);
    site.put(1, Some("before"));
    let (elsewhere, group) = (topic(&*site.broker, "elsewhere", 1), unique("writer"));
    let (mut writer, _) = joined(&*site.broker, &options(&group, "one"), &[&elsewhere]);
    let mut out = outgoing(&site.users, [(1, Some(&b"after"[..]))]);
    let placed: Result<(), ()> = out.place(|_, key| Ok(partition_of(key.expect("a key"), 3)));
    placed.expect("it belongs somewhere");
    writer.send(0, &out).expect("sent");
    let running = site.start(&Metrics::new(), |_| ());
    assert_eq!(site.visit(&[1, 1]), ["before", "before"]);
    writer.commit(&[offset(&elsewhere, 0, 0)]).expect("committed");
    within(Duration::from_secs(30), "the commit to be seen", || (site.visit(&[1]) == ["after"]).then_some(()));
    running.stop();
    running.join().expect("it ends in good order");
    writer.close(true);
}

#[test]
fn a_bounded_run_has_all_rows() {
    let Some(real) = RealBroker::start() else { return };
    let mut site = Site::new(&real);
    let names = fill(&site);
    let visits: Vec<[u8; 8]> = (0..USERS).map(u64::to_be_bytes).collect();
    site.write(&site.visits, (0..USERS).zip(visits.iter().map(|user| Some(&user[..]))));
    site.visited = USERS;
    site.start(&Metrics::new(), |config| config.until_end = true).join().expect("it reaches its end");
    assert_eq!(site.seen().into_values().collect::<Vec<String>>(), names);
}
