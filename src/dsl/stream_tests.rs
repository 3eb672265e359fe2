//! The operators that keep nothing, each through a whole task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::testing::{Driver, Message, text};
use super::{Builder, Stream, Topic};
use crate::codec::{NoKey, Text};
use crate::operators::source::BadInput;
use crate::operators::{DropReason, Reject};
use crate::record::Headers;
use crate::time::Timestamp;

const IN: Topic<String, String> = Topic::new("in");
const IN_NULLABLE: Topic<Option<String>, Option<String>> = Topic::new("in");
const OTHER: Topic<String, String> = Topic::new("other");
const OUT: Topic<String, String> = Topic::new("out");
const OUT2: Topic<String, String> = Topic::new("out2");

/// What comes out of a topology of one stream.
fn through(messages: &[Message], declare: impl FnOnce(Stream<String, String>)) -> Driver {
    let b = Builder::new("test");
    declare(b.source(IN).on_bad_input(BadInput::Skip).stream());
    let mut driver = Driver::new(&b.build().unwrap());
    driver.send_all("in", messages);
    driver.run();
    driver
}

fn abc() -> [Message; 3] {
    [text("a", "1", 10), text("b", "22", 30), text("c", "333", 20)]
}

#[test]
fn a_filter_keeps_records_as_they_are_with_time_and_headers() {
    let mut message = text("a", "1", 10);
    message.headers.push("trace", Some(vec![1]));
    let driver = through(&[message.clone(), text("b", "22", 30)], |stream| {
        stream.filter(|_, value| value.len() == 1).to(OUT);
        stream.filter_not(|_, value| value.len() == 1).to(OUT2);
    });
    assert_eq!(driver.log("out"), [message]);
    assert_eq!(driver.texts("out2"), ["b=22@30"]);
}

#[test]
fn a_map_gives_new_keys_and_values_at_the_old_time() {
    let driver = through(&abc(), |stream| stream.map(|key, value| (value, key)).to(OUT));
    assert_eq!(driver.texts("out"), ["1=a@10", "22=b@30", "333=c@20"]);
}

#[test]
fn values_are_mapped_with_and_without_the_key() {
    let driver = through(&abc(), |stream| {
        stream.map_values(|value| value + "!").map_values_with_key(|key, value| format!("{key}{value}")).to(OUT);
    });
    assert_eq!(driver.texts("out"), ["a=a1!@10", "b=b22!@30", "c=c333!@20"]);
}

#[test]
fn a_rekey_sees_key_and_value() {
    let driver = through(&abc(), |stream| stream.rekey(|key, value| format!("{key}{}", value.len())).to(OUT));
    assert_eq!(driver.texts("out"), ["a1=1@10", "b2=22@30", "c3=333@20"]);
}

#[test]
fn a_flat_map_gives_records_in_order_and_none_for_none() {
    let driver = through(&[text("a", "x y", 5), text("b", "", 6)], |stream| {
        stream
            .flat_map(|key, value| value.split_whitespace().map(|w| (w.to_owned(), key.clone())).collect::<Vec<_>>())
            .to(OUT);
        stream.flat_map_values(|value| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).to(OUT2);
    });
    assert_eq!(driver.texts("out"), ["x=a@5", "y=a@5"]);
    assert_eq!(driver.texts("out2"), ["a=x@5", "a=y@5"]);
}

#[test]
fn peek_and_for_each_see_every_record() {
    let seen = Arc::new(AtomicU64::new(0));
    let (peeked, ended) = (Arc::clone(&seen), Arc::clone(&seen));
    let driver = through(&abc(), |stream| {
        stream.peek(move |_, _| _ = peeked.fetch_add(1, Ordering::SeqCst)).to(OUT);
        stream.for_each(move |_, _| _ = ended.fetch_add(100, Ordering::SeqCst));
    });
    assert_eq!(seen.load(Ordering::SeqCst), 303);
    assert_eq!(driver.texts("out").len(), 3);
}

#[test]
fn a_branch_sends_each_record_one_way_and_counts_those_without() {
    let driver = through(&abc(), |stream| {
        let [short, long] = stream.branch(|_, value| value.len() - 1);
        short.to(OUT);
        long.to(OUT2);
    });
    assert_eq!(driver.texts("out"), ["a=1@10"]);
    assert_eq!(driver.texts("out2"), ["b=22@30"]);
    assert_eq!(driver.drops.get(DropReason::NoBranch), 1);
}

#[test]
fn a_merge_of_two_topics_goes_in_order_of_time() {
    let b = Builder::new("test");
    let (one, two) = (b.source(IN).stream(), b.source(OTHER).stream());
    one.merge(&two).to(OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    for time in [1, 4, 5] {
        driver.send("in", text("in", "x", time));
    }
    for time in [2, 3, 6] {
        driver.send("other", text("other", "y", time));
    }
    let times: Vec<i64> = driver.run().log("out").iter().map(|message| message.timestamp).collect();
    assert_eq!(times, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn where_two_ways_meet_again_records_keep_their_order_whatever_the_batch() {
    let b = Builder::new("test");
    let stream = b.source(IN).stream();
    let odd = stream.filter(|_, value| value.len() % 2 == 1);
    odd.merge(&stream.map_values(|value| value + "-")).to(OUT);
    let topology = b.build().unwrap();
    assert!(topology.plan().subs[0].inputs[0].one_by_one);
    let outputs = [1, 2, usize::MAX].map(|batch| {
        let mut driver = Driver::new(&topology);
        driver.batch = batch;
        driver.send_all("in", &abc());
        driver.run().texts("out")
    });
    assert_eq!(outputs[0], ["a=1@10", "a=1-@10", "b=22-@30", "c=333@20", "c=333-@20"]);
    assert!(outputs.iter().all(|output| *output == outputs[0]));
}

#[test]
fn two_sinks_of_one_topic_are_a_meeting_and_of_two_topics_are_none() {
    let one_by_one = |declare: fn(&Stream<String, String>)| {
        let b = Builder::new("test");
        declare(&b.source(IN).stream());
        b.build().unwrap().plan().subs[0].inputs[0].one_by_one
    };
    assert!(one_by_one(|stream| [stream, stream].into_iter().for_each(|stream| stream.to(OUT))));
    assert!(!one_by_one(|stream| {
        stream.to(OUT);
        stream.to(OUT2);
    }));
    assert!(one_by_one(|stream| {
        stream.to(OUT);
        stream.to_each(|key, _| key.clone());
    }));
}

#[test]
fn each_record_may_choose_its_topic() {
    let driver = through(&abc(), |stream| stream.to_each(|key, _| format!("out.{key}")));
    assert_eq!(driver.texts("out.a"), ["a=1@10"]);
    assert_eq!(driver.texts("out.c"), ["c=333@20"]);
}

#[test]
fn nulls_are_passed_through_as_nulls() {
    const NULLABLE_OUT: Topic<Option<String>, Option<String>> = Topic::new("out");
    let b = Builder::new("test");
    b.source(IN_NULLABLE).stream().filter(|key, value| key.is_none() && value.is_none()).to(NULLABLE_OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    driver.send("in", Message { timestamp: 7, ..Message::default() });
    driver.send("in", text("a", "1", 8));
    assert_eq!(driver.run().texts("out"), ["-=-@7"]);
}

#[test]
fn a_topic_without_keys_ignores_what_is_there_and_writes_null() {
    const KEYLESS: Topic<NoKey, String> = Topic::new("in");
    const KEYLESS_OUT: Topic<NoKey, String, crate::codec::null::Ignored, Text> = Topic::new("out");
    let b = Builder::new("test");
    b.source(KEYLESS).stream().to(KEYLESS_OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    driver.send("in", text("\u{fffd}", "1", 1));
    assert_eq!(driver.run().texts("out"), ["-=1@1"]);
}

#[test]
fn records_without_a_key_are_dropped_and_counted_where_one_is_required() {
    let b = Builder::new("test");
    b.source(IN_NULLABLE).stream().require_key().map_values(Option::unwrap_or_default).to(OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    driver.send("in", Message { timestamp: 7, ..Message::default() });
    driver.send("in", text("a", "1", 8));
    assert_eq!(driver.run().texts("out"), ["a=1@8"]);
    assert_eq!(driver.drops.get(DropReason::NullKey), 1);
}

#[test]
fn a_refused_record_fails_the_step_with_its_input_and_goes_by_policy_when_read_again() {
    let b = Builder::new("test");
    let stream = b.source(IN).on_bad_input(BadInput::Skip).stream();
    let refuse = |value: &String| if value == "22" { Err(Reject::because("no 22")) } else { Ok(()) };
    stream.try_map_values(move |value| refuse(&value).map(|()| value)).to(OUT);
    let topology = b.build().unwrap();

    let mut driver = Driver::new(&topology);
    driver.send_all("in", &abc());
    driver.step(true);
    let failure = driver.failures.pop().unwrap();
    assert_eq!((failure.reason, failure.message.as_str()), (DropReason::Rejected, "no 22"));
    assert_eq!(failure.operator, "in-map-values");
    assert_eq!(failure.input.unwrap().0, 1);

    let mut again = Driver::new(&topology);
    again.send_all("in", &abc());
    again.poison(1, 0, (failure.reason, failure.message));
    assert_eq!(again.run().texts("out"), ["a=1@10", "c=333@20"]);
    assert_eq!((again.bad[0].offset, again.bad[0].value.as_deref()), (1, Some(b"22".as_slice())));
}

#[test]
fn every_fallible_operator_refuses_with_its_own_name() {
    type Case = (&'static str, fn(&Stream<String, String>));
    fn no<T>() -> Result<T, Reject> {
        Err(Reject::because("no"))
    }
    let cases: [Case; 8] = [
        ("in-filter", |s| s.try_filter(|_, _| no()).to(OUT)),
        ("in-map", |s| s.try_map(|_, _| no::<(String, String)>()).to(OUT)),
        ("in-map-values", |s| s.try_map_values(|_| no::<String>()).to(OUT)),
        ("in-rekey", |s| s.try_rekey(|_, _| no::<String>()).to(OUT)),
        ("in-flat-map", |s| s.try_flat_map(|_, _| no::<Vec<(String, String)>>()).to(OUT)),
        ("in-flat-map-values", |s| s.try_flat_map_values(|_| no::<Vec<String>>()).to(OUT)),
        ("in-aggregate", |s| s.group_by_key().try_aggregate(String::new, |_, _, _| no()).to(OUT)),
        ("in-reduce", |s| s.group_by_key().try_reduce(|_, _| no()).to(OUT)),
    ];
    for (name, declare) in cases {
        let driver = through(&[text("a", "1", 1), text("a", "2", 2)], |stream| declare(&stream));
        assert_eq!(driver.failures[0].operator, name);
        assert!(driver.failures[0].input.is_some(), "{name}");
    }
}

#[test]
fn bad_input_stands_in_its_place_with_its_bytes_and_its_reason() {
    const NUMBERS: Topic<String, i64> = Topic::new("in");
    const NUMBERS_OUT: Topic<String, i64> = Topic::new("out");
    let b = Builder::new("test");
    b.source(NUMBERS).stream().to(NUMBERS_OUT);
    let mut driver = Driver::new(&b.build().unwrap());
    let number = |number: i64| Some(number.to_be_bytes().to_vec());
    driver.send("in", Message { key: None, value: number(1), timestamp: 1, headers: Headers::NONE });
    driver.send("in", text("a", "no number", 2));
    driver.send("in", Message { key: Some(b"a".to_vec()), value: None, timestamp: 3, headers: Headers::NONE });
    driver.send("in", Message { key: Some(b"a".to_vec()), value: number(4), timestamp: -4, headers: Headers::NONE });
    driver.send("in", Message { key: Some(b"a".to_vec()), value: number(5), timestamp: 5, headers: Headers::NONE });
    assert_eq!(driver.run().texts("out"), ["a=5@5"]);
    let reasons: Vec<DropReason> = driver.bad.iter().map(|bad| bad.reason).collect();
    let expected = [DropReason::NullKey, DropReason::Unreadable, DropReason::NullValue, DropReason::NegativeTimestamp];
    assert_eq!(reasons, expected);
    assert_eq!(driver.bad[1].message, "the value cannot be read: an i64 has 8 bytes, and these are 9");
    assert_eq!(driver.bad[1].value.as_deref(), Some(b"no number".as_slice()));
    assert_eq!(driver.positions(0), [((5, 0), Timestamp::from_millis(5))]);
}

#[test]
fn event_time_comes_from_where_the_source_says() {
    let b = Builder::new("test");
    let from_field = b.source(IN).event_time(|_, value| value.parse().ok().map(Timestamp::from_millis));
    from_field.on_bad_input(BadInput::Skip).stream().to(OUT);
    b.source(OTHER).event_time_from_clock().stream().to(OUT2);
    let mut driver = Driver::new(&b.build().unwrap());
    driver.send("in", text("a", "77", 1));
    driver.send("in", text("a", "no time", 1));
    driver.send("other", text("a", "x", 1));
    driver.run();
    assert_eq!(driver.texts("out"), ["a=77@77"]);
    assert_eq!(driver.bad[0].reason, DropReason::NegativeTimestamp);
    assert_eq!(driver.texts("out2"), ["a=x@1000000"]);
}
