//! What a change of a topology does to what is there, and the lock file's bytes.

use std::time::Duration;

use super::{Lock, Verdict};
use crate::dsl::{Builder, Stream, Topic};
use crate::topology::Topology;
use crate::window::TumblingWindows;

const IN: Topic<String, String> = Topic::new("in");
const OUT: Topic<String, u64> = Topic::new("out");

fn built(declare: impl FnOnce(Stream<String, String>)) -> Topology {
    let b = Builder::new("test");
    declare(b.source(IN).stream());
    b.build().unwrap()
}

fn locked(topology: &Topology) -> Lock {
    let mut lock = Lock::default();
    lock.set(topology);
    lock
}

/// What is not kept, a sign and a name each.
fn moved(lock: &Lock, topology: &Topology) -> Vec<String> {
    let comparison = lock.compare(topology);
    let moved = comparison.differences.iter().filter(|difference| difference.verdict != Verdict::Keep);
    moved.map(|difference| format!("{:?} {:?} {}", difference.verdict, difference.kind, difference.name)).collect()
}

fn shop(stream: &Stream<String, String>) {
    stream.group_by(|_, value| value.clone()).named("by-value").count().to(OUT);
    stream.group_by_key().reduce(|_, _| ()).named("firsts");
}

#[test]
fn one_operator_and_one_store_more_and_one_store_less_move_no_other_name() {
    let before = built(|stream| {
        shop(&stream);
        stream.group_by_key().count();
    });
    let after = built(|stream| {
        let _ = stream.filter(|_, value| value.len() < 3).group_by_key().aggregate(String::new, |_, _, _| ());
        shop(&stream.filter(|_, value| !value.is_empty()));
    });
    let lock = locked(&before);
    assert_eq!(moved(&lock, &after), ["Create Store in-aggregate", "Orphan Store in-count"]);
    let comparison = lock.compare(&after);
    let kept: Vec<&str> = comparison
        .differences
        .iter()
        .filter(|difference| difference.verdict == Verdict::Keep)
        .map(|difference| &*difference.name)
        .collect();
    assert_eq!(kept, ["in", "by-value", "by-value-count", "firsts", "out"]);
    assert!(comparison.is_risky() && !comparison.is_same());
    // The names on the broker are the same as well.
    let topics = |topology: &Topology| topology.topics("app", &crate::topology::Renames::default());
    let (old, new) = (topics(&before), topics(&after));
    let gone: Vec<_> = old.iter().filter(|topic| !new.contains(topic)).map(String::as_str).collect();
    let fresh: Vec<_> = new.iter().filter(|topic| !old.contains(topic)).map(String::as_str).collect();
    assert_eq!((gone, fresh), (vec!["app-in-count-changelog"], vec!["app-in-aggregate-changelog"]));
}

#[test]
fn a_stateless_operator_more_changes_nothing() {
    let before = built(|stream| shop(&stream));
    let after = built(|stream| shop(&stream.filter(|_, _| true).peek(|_, _| ())));
    let lock = locked(&before);
    assert!(lock.compare(&after).is_same());
    lock.check(&after).unwrap();
}

#[test]
fn a_value_of_another_type_is_told_with_what_follows() {
    let before = built(|stream| _ = stream.group_by_key().aggregate(|| 0_u64, |_, _, _| ()).named("sums"));
    let after = built(|stream| _ = stream.group_by_key().aggregate(|| 0_i64, |_, _, _| ()).named("sums"));
    let comparison = locked(&before).compare(&after);
    let text = comparison.to_string();
    assert!(text.contains("  ~ store        sums  String → i64, aggregate in in\n      value: u64 → i64: rows of its changelog may not be readable"), "{text}");
    assert!(comparison.is_risky());
}

#[test]
fn a_window_of_another_size_is_told_with_what_follows() {
    let windowed = |seconds| {
        built(|stream| {
            let windows = TumblingWindows::of(Duration::from_secs(seconds));
            let _ = stream.group_by_key().windowed(windows).count();
        })
    };
    let text = locked(&windowed(10)).compare(&windowed(20)).to_string();
    assert!(text.contains("  ~ store"), "{text}");
    assert!(text.contains("10s") && text.contains("20s"), "{text}");
    assert!(text.contains("members of the old version refuse to run beside it"), "{text}");
}

#[test]
fn a_store_that_only_lost_its_name_is_suspected() {
    let before = built(|stream| _ = stream.group_by_key().count());
    let after = built(|stream| _ = stream.group_by_key().count().named("counts"));
    let text = locked(&before).compare(&after).to_string();
    assert!(
        text.contains("if counts is the same under another name, keep what it holds with .named(\"in-count\")"),
        "{text}"
    );
}

#[test]
fn what_is_not_locked_is_new_and_no_risk_and_does_not_pass_the_check() {
    let topology = built(|stream| shop(&stream));
    let comparison = Lock::default().compare(&topology);
    assert!(!comparison.is_risky() && !comparison.is_same());
    assert!(comparison.differences.iter().all(|difference| difference.verdict == Verdict::Create));
    let error = Lock::default().check(&topology).unwrap_err().to_string();
    assert_eq!(error, "topology test is not in the lock file");
}

#[test]
fn the_check_names_the_differences() {
    let before = built(|stream| _ = stream.group_by_key().count());
    let after = built(|stream| _ = stream.group_by_key().count().named("counts"));
    let error = locked(&before).check(&after).unwrap_err().to_string();
    assert_eq!(error, "topology test is not what the lock file says: store counts is new; store in-count is gone");
}

#[test]
fn the_file_is_what_it_was() {
    let topology = built(|stream| _ = stream.group_by(|_, value| value.clone()).named("by-value").count());
    let expected = r#"{
  "version": 1,
  "topologies": {
    "test": {
      "fingerprint": "FINGERPRINT",
      "sources": {
        "in": {
          "operator": "source",
          "sub_topology": "in",
          "key": "String",
          "value": "String"
        }
      },
      "repartitions": {
        "by-value": {
          "operator": "by-count",
          "sub_topology": "in",
          "key": "String",
          "value": "String"
        }
      },
      "stores": {
        "by-value-count": {
          "operator": "count",
          "sub_topology": "by-value",
          "key": "String",
          "value": "u64"
        }
      },
      "sinks": {}
    }
  }
}
"#;
    let fingerprint = format!("{:016x}", topology.plan().fingerprint);
    assert_eq!(locked(&topology).text(), expected.replace("FINGERPRINT", &fingerprint));
}

#[test]
fn a_file_comes_back_as_it_was_written_and_a_foreign_one_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("millstream.lock");
    assert_eq!(Lock::read(&path).unwrap(), None);
    let lock = locked(&built(|stream| shop(&stream)));
    lock.write(&path).unwrap();
    assert_eq!(Lock::read(&path).unwrap(), Some(lock));
    for (text, part) in [
        ("", "is no lock file of millstream's"),
        ("{\"version\": 2, \"more\": 1}", "has layout 2, and layout 1 is read here"),
        ("{\"version\": 1, \"topologies\": {\"a\": {\"colour\": 1}}}", "unknown field `colour`"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Lock::read(&path).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}
