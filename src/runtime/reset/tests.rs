//! Resets on the embedded broker, with the engine before and after them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Reset, ResetOptions, Start, Step};
use crate::broker::memory::{Fault, MemoryBroker, Operation};
use crate::broker::{Broker, Guarantee, Isolation, MemberOptions, NewTopic, Outgoing, OutgoingRecord, Partitioning};
use crate::dsl::{Builder, Topic};
use crate::error::{ErrorKind, Result};
use crate::record::{Headers, InputNumber, Offset, TopicPartition};
use crate::runtime::survey::{Whose, survey};
use crate::runtime::{App, Config};
use crate::state::StateOptions;
use crate::time::{SystemClock, Timestamp};
use crate::topology::{InternalKind, Topology};

const IN: Topic<String, String> = Topic::new("in");
const OUT: Topic<String, u64> = Topic::new("out");
const GROUP: &str = "app-counts";
const PARTITIONS: u32 = 2;

type Counts = BTreeMap<String, u64>;

/// Counts equal values, behind a shuffle.
fn counts() -> Topology {
    let b = Builder::new("counts");
    b.source(IN).stream().group_by(|_, value| value.clone()).named("by-value").count().named("counts").to(OUT);
    b.build().unwrap()
}

fn broker() -> MemoryBroker {
    filled(MemoryBroker::new(Arc::new(SystemClock::new())))
}

fn filled(broker: MemoryBroker) -> MemoryBroker {
    let topic = |name: &str| NewTopic { name: name.into(), partitions: PARTITIONS, settings: BTreeMap::new() };
    broker.create_topics(&[topic("in"), topic("out")]).unwrap();
    write(&broker, 0..60);
    broker
}

/// Values from `a` to `g` in turn, the n-th with the timestamp n, to the partitions in turn.
fn write(broker: &MemoryBroker, numbers: impl IntoIterator<Item = u32>) {
    let mut out = Outgoing::default();
    let topic = out.topic("in");
    for number in numbers {
        out.push(&OutgoingRecord {
            topic,
            partitioning: Partitioning::Fixed(number % PARTITIONS),
            key: Some(b"key"),
            value: Some(&[b'a' + u8::try_from(number % 7).unwrap()]),
            timestamp: Timestamp::from_millis(i64::from(number)),
            headers: &Headers::NONE,
            input: InputNumber(0),
        });
    }
    let mut writer = broker.writer().unwrap();
    writer.send(&out).unwrap();
    writer.flush().unwrap();
}

/// What these records count to.
fn expected(numbers: impl IntoIterator<Item = u32>) -> Counts {
    let mut counts = Counts::new();
    for number in numbers {
        *counts.entry(char::from(b'a' + u8::try_from(number % 7).unwrap()).to_string()).or_default() += 1;
    }
    counts
}

/// Runs until the end of what is there, with state in a directory.
fn run(broker: &MemoryBroker, state: &Path) -> Result<()> {
    let mut config = Config::new("app");
    config.until_end = true;
    config.leave_on_stop = true;
    config.state = StateOptions::Directory(state.to_owned());
    App::new(counts(), Arc::new(broker.clone()), config).start()?.join()
}

/// The newest count of each value among what was written at these ends or after them.
fn totals(broker: &MemoryBroker, since: &[Offset]) -> Counts {
    let records = broker.records("out").unwrap().into_iter();
    let new = records.filter(|record| record.offset >= since[record.partition as usize]);
    let text = |key: Option<Vec<u8>>| String::from_utf8(key.unwrap()).unwrap();
    let number = |value: Option<Vec<u8>>| u64::from_be_bytes(value.unwrap().try_into().unwrap());
    new.map(|record| (text(record.key), number(record.value))).collect()
}

fn ends(broker: &MemoryBroker, topic: &str) -> Vec<Offset> {
    let partitions: Vec<_> = (0..PARTITIONS).map(|number| TopicPartition::new(topic, number)).collect();
    broker.end_offsets(&partitions, Isolation::ReadUncommitted).unwrap()
}

fn options() -> ResetOptions {
    let whose = Whose { application: "app".into(), ..Whose::default() };
    ResetOptions { whose, ..ResetOptions::default() }
}

fn reset(broker: &MemoryBroker, options: &ResetOptions) -> Result<()> {
    Reset::plan(&counts(), broker, options)?.execute(broker, &mut |_| ())
}

/// All that a reset could touch, as text.
fn everything(broker: &MemoryBroker, state: &Path) -> Vec<String> {
    let offsets = broker.group_offsets(GROUP).into_iter().map(|offset| format!("{offset:?}"));
    let topics = broker.list_topics().unwrap();
    let ends = topics.keys().map(|topic| format!("{topic}: {:?}", ends(broker, topic)));
    let files = std::fs::read_dir(state.join(GROUP).join("tasks")).unwrap();
    let mut files: Vec<String> = files.map(|file| file.unwrap().path().display().to_string()).collect();
    files.sort();
    offsets.chain(ends).chain(files).collect()
}

#[test]
fn a_plan_changes_nothing() {
    let (broker, state) = (broker(), tempfile::tempdir().unwrap());
    run(&broker, state.path()).unwrap();
    let before = everything(&broker, state.path());
    let options = ResetOptions { state: Some(state.path().into()), orphans: true, ..options() };
    let reset = Reset::plan(&counts(), &broker, &options).unwrap();
    let steps: Vec<String> = reset.steps().iter().map(ToString::to_string).collect();
    println!("{}", steps.join("\n"));
    assert_eq!(steps.len(), 6);
    assert!(
        steps[1].starts_with("delete repartition topic app-counts-by-value-repartition (2 partitions, "),
        "{}",
        steps[1]
    );
    assert!(steps[5].contains("\n    in-0: 30 → 0 of 30"), "{}", steps[5]);
    assert_eq!(everything(&broker, state.path()), before);
}

#[test]
fn an_application_that_was_reset_gives_the_same_again_and_keeps_what_it_has_written() {
    let (broker, state) = (broker(), tempfile::tempdir().unwrap());
    run(&broker, state.path()).unwrap();
    assert_eq!(totals(&broker, &[0, 0]), expected(0..60));
    let written = ends(&broker, "out");
    let options = ResetOptions { state: Some(state.path().into()), ..options() };
    reset(&broker, &options).unwrap();
    assert!(!state.path().join(GROUP).join("tasks").exists());
    assert_eq!(ends(&broker, "out"), written);
    assert!(!broker.list_topics().unwrap().contains_key("app-counts-counts-changelog"));
    run(&broker, state.path()).unwrap();
    assert_eq!(totals(&broker, &written), expected(0..60));
}

#[test]
fn a_group_with_a_member_is_not_reset_and_the_member_is_named() {
    let (broker, state) = (broker(), tempfile::tempdir().unwrap());
    run(&broker, state.path()).unwrap();
    let mut member = broker
        .connect(&MemberOptions {
            group: GROUP.into(),
            instance: "busy".into(),
            transactional_id: "busy".into(),
            client_id: "busy".into(),
            guarantee: Guarantee::ExactlyOnce,
            session_timeout: Duration::from_mins(1),
            transaction_timeout: Duration::from_mins(1),
        })
        .unwrap();
    member.subscribe(&["in"]).unwrap();
    let before = everything(&broker, state.path());
    let error = reset(&broker, &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().starts_with("group app-counts has 1 member: busy-"), "{error}");
    assert_eq!(everything(&broker, state.path()), before);
    // Had it joined a moment later, the first step would have been refused.
    let mark = Reset::plan(&counts(), &broker, &options()).unwrap().steps()[0].clone();
    assert_eq!(mark.take(&broker, GROUP, None).unwrap_err().kind(), ErrorKind::Fenced);
    member.close(true);
    reset(&broker, &options()).unwrap();
}

#[test]
fn a_reset_that_stops_anywhere_lets_nothing_start_and_can_be_run_again() {
    let mutating = [Operation::CommitFor, Operation::DeleteTopics, Operation::CreateTopics];
    for fault in [Fault::LostRequest, Fault::LostReply] {
        for failing in 0..5 {
            // Calls that change something are let through until none is left; `usize::MAX` never fails.
            let left = Arc::new(AtomicUsize::new(usize::MAX));
            let counter = Arc::clone(&left);
            let faults = Box::new(move |call: &crate::broker::memory::Call<'_>| {
                if !mutating.contains(&call.operation) || counter.load(Ordering::SeqCst) == usize::MAX {
                    return Fault::None;
                }
                let before = counter.fetch_sub(1, Ordering::SeqCst);
                if before == 0 { fault } else { Fault::None }
            });
            let broker = filled(MemoryBroker::with_faults(Arc::new(SystemClock::new()), faults));
            let state = tempfile::tempdir().unwrap();
            run(&broker, state.path()).unwrap();
            let written = ends(&broker, "out");
            let options = || ResetOptions { state: Some(state.path().into()), ..options() };
            left.store(failing, Ordering::SeqCst);
            let error = reset(&broker, &options()).unwrap_err().to_string();
            left.store(usize::MAX, Ordering::SeqCst);
            assert!(error.contains("of 6 steps; not done: "), "{error}");
            // Before the first step nothing has happened, and after the last one everything.
            let untouched = failing == 0 && fault == Fault::LostRequest;
            let done = failing == 4 && fault == Fault::LostReply;
            if !untouched && !done {
                let refused = run(&broker, state.path()).unwrap_err().to_string();
                assert!(refused.contains("a reset of the application has begun and not come to its end"), "{refused}");
            }
            reset(&broker, &options()).unwrap();
            run(&broker, state.path()).unwrap();
            assert_eq!(totals(&broker, &written), expected(0..60), "{fault:?} {failing}");
        }
    }
}

#[test]
fn state_that_another_machine_has_from_before_a_reset_is_not_believed() {
    let broker = broker();
    let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(&broker, elsewhere.path()).unwrap();
    let changelog = "app-counts-counts-changelog";
    let (old, written) = (ends(&broker, changelog), ends(&broker, "out"));
    reset(&broker, &ResetOptions { start: Start::Latest, ..options() }).unwrap();
    let mut numbers: Vec<u32> = (60..74).collect();
    write(&broker, numbers.clone());
    run(&broker, here.path()).unwrap();
    // Until the offsets that the old state knows lie within the new changelog, where three values are before them.
    while ends(&broker, changelog).iter().zip(&old).any(|(new, old)| new <= old) {
        assert!(numbers.len() < 1_000, "the changelog does not grow: {:?}", ends(&broker, changelog));
        let more: Vec<u32> = (70..84).filter(|number| number % 7 < 4).collect();
        write(&broker, more.clone());
        numbers.extend(more);
        run(&broker, here.path()).unwrap();
    }
    write(&broker, 84..98);
    numbers.extend(84..98);
    run(&broker, elsewhere.path()).unwrap();
    assert_eq!(totals(&broker, &written), expected(numbers));
    assert!(elsewhere.path().join(GROUP).join("lost").exists());
}

/// Where each partition of `in` is read from, and what is said about it.
fn begins(broker: &MemoryBroker, start: Start) -> (Vec<Offset>, Vec<String>) {
    let reset = Reset::plan(&counts(), broker, &ResetOptions { start, ..options() }).unwrap();
    let Some(Step::Commit { offsets }) = reset.steps().last() else { panic!("{:?}", reset.steps()) };
    let sources = offsets.iter().filter(|(seek, _)| &*seek.partition.topic == "in");
    let notes = reset.notes().iter().filter(|note| note.starts_with("in-")).cloned().collect();
    (sources.map(|(seek, _)| seek.to).collect(), notes)
}

#[test]
fn reading_begins_where_it_was_asked_to() {
    let (broker, state) = (broker(), tempfile::tempdir().unwrap());
    run(&broker, state.path()).unwrap();
    write(&broker, 60..80);
    let at = |number| TopicPartition::new("in", number);
    broker.delete_records(&[(at(0), 5)]).unwrap();
    let to = |start| begins(&broker, start);
    assert_eq!(to(Start::Earliest), (vec![5, 0], vec![]));
    assert_eq!(to(Start::Latest), (vec![40, 40], vec![]));
    // The record with the timestamp 41 is the 21st of partition 1; of partition 0 it is the one with 42.
    assert_eq!(to(Start::Time(Timestamp::from_millis(41))), (vec![21, 20], vec![]));
    assert_eq!(to(Start::Time(Timestamp::from_millis(1_000))), (vec![40, 40], vec![]));
    assert_eq!(to(Start::Shift(-10)), (vec![20, 20], vec![]));
    let (offsets, notes) = to(Start::Shift(-28));
    assert_eq!((offsets, &*notes), (vec![5, 2], &["in-0 holds 5 to 40: 5 instead of 2".to_owned()][..]));
    let given = BTreeMap::from([(at(0), 7), (at(1), 99)]);
    let (offsets, notes) = to(Start::Offsets(given));
    assert_eq!((offsets, &*notes), (vec![7, 40], &["in-1 holds 0 to 40: 40 instead of 99".to_owned()][..]));
    let missing = Start::Offsets(BTreeMap::from([(at(0), 7)]));
    let error = reset(&broker, &ResetOptions { start: missing, ..options() }).unwrap_err().to_string();
    assert_eq!(error, "no offset is given for in-1; name every partition of every source");
    let foreign = Start::Offsets(BTreeMap::from([(TopicPartition::new("out", 0), 7)]));
    let error = reset(&broker, &ResetOptions { start: foreign, ..options() }).unwrap_err().to_string();
    assert!(error.starts_with("the topology does not read out-0"), "{error}");
}

#[test]
fn with_the_internal_topics_kept_only_the_sources_are_read_again() {
    let (broker, state) = (broker(), tempfile::tempdir().unwrap());
    run(&broker, state.path()).unwrap();
    let topics = broker.list_topics().unwrap();
    reset(&broker, &ResetOptions { keep_internal: true, ..options() }).unwrap();
    assert_eq!(broker.list_topics().unwrap(), topics);
    run(&broker, state.path()).unwrap();
    // What is read again counts again: the state has stayed.
    let twice: Counts = expected(0..60).into_iter().map(|(value, count)| (value, 2 * count)).collect();
    assert_eq!(totals(&broker, &[0, 0]), twice);
}

#[test]
fn topics_that_nobody_declares_any_more_go_only_when_asked_and_those_of_others_never() {
    let (broker, state) = (broker(), tempfile::tempdir().unwrap());
    run(&broker, state.path()).unwrap();
    let names =
        ["app-counts-old-changelog", "app-counts-daily-sums-changelog", "app-counts-notes", "app-other-a-changelog"];
    let topic = |name: &&str| NewTopic { name: (*name).into(), partitions: 1, settings: BTreeMap::new() };
    broker.create_topics(&names.iter().map(topic).collect::<Vec<_>>()).unwrap();
    let mut options = options();
    options.whose.others = ["counts", "counts-daily", "other"].map(str::to_owned).into();
    let found = survey(&counts(), &broker, &options.whose).unwrap();
    let orphans: Vec<&str> = found.orphans.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!((orphans, found.problem), (vec!["app-counts-old-changelog"], None));
    assert_eq!(found.internal.len(), 2);
    assert!(found.internal.iter().all(|topic| topic.partitions == Some(PARTITIONS)));
    assert_eq!(found.internal[0].kind, InternalKind::Repartition);

    reset(&broker, &options).unwrap();
    assert!(names.iter().all(|name| broker.list_topics().unwrap().contains_key(*name)));
    reset(&broker, &ResetOptions { orphans: true, ..options }).unwrap();
    let left: Vec<bool> = names.iter().map(|name| broker.list_topics().unwrap().contains_key(*name)).collect();
    assert_eq!(left, [false, true, true, true]);
}

#[test]
fn a_second_process_on_the_state_directory_stops_a_reset_before_its_first_step() {
    let (broker, state) = (broker(), tempfile::tempdir().unwrap());
    run(&broker, state.path()).unwrap();
    let before = everything(&broker, state.path());
    let held = crate::state::Home::take(state.path(), GROUP).unwrap();
    let error = reset(&broker, &ResetOptions { state: Some(state.path().into()), ..options() }).unwrap_err();
    assert!(error.to_string().contains("another process uses this state directory"), "{error}");
    drop(held);
    assert_eq!(everything(&broker, state.path()), before);
}
