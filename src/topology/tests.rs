//! Names, plans, layouts and mistakes of whole topologies.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{InternalKind, Layout, Renames, Topology};
use crate::codec::NoKey;
use crate::dsl::{Builder, Stream, Topic};
use crate::operators::source::BadInput;
use crate::window::{HoppingWindows, SessionWindows, TumblingWindows};

const IN: Topic<String, String> = Topic::new("in");
const OTHER: Topic<String, String> = Topic::new("other");
const OUT: Topic<String, String> = Topic::new("out");

fn built(declare: impl FnOnce(&Builder, Stream<String, String>)) -> Topology {
    let b = Builder::new("test");
    let stream = b.source(IN).stream();
    declare(&b, stream);
    b.build().unwrap()
}

fn mistakes(declare: impl FnOnce(&Builder)) -> Vec<String> {
    let b = Builder::new("test");
    declare(&b);
    b.build().err().expect("a mistake").iter().map(|mistake| mistake.message.clone()).collect()
}

fn layout(topology: &Topology, counts: &[(&str, u32)]) -> Result<Layout, String> {
    let counts: BTreeMap<String, u32> = counts.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect();
    topology.layout("app", &Renames::default(), &counts).map_err(|error| error.to_string())
}

fn stores(topology: &Topology) -> Vec<&str> {
    topology.plan().subs.iter().flat_map(|sub| &sub.stores).map(|name| &**name).collect()
}

fn repartitions(topology: &Topology) -> Vec<&str> {
    topology.plan().repartitions.iter().map(|topic| &*topic.name).collect()
}

#[test]
fn stateless_operators_leave_no_trace_in_names() {
    let plain = built(|_, stream| _ = stream.rekey(|_, value| value.clone()).group_by_key().count());
    let more = built(|_, stream| {
        let stream = stream.filter(|_, _| true).map_values(|value| value).peek(|_, _| ());
        stream.rekey(|_, value| value.clone()).filter(|_, _| true).group_by_key().combine().count();
    });
    for topology in [plain, more] {
        assert_eq!(stores(&topology), ["in-count"]);
        assert_eq!(repartitions(&topology), ["in-by-count"]);
    }
}

#[test]
fn a_given_name_wins_and_what_lies_below_begins_with_it() {
    let topology = built(|_, stream| {
        let by_value = stream.group_by(|_, value| value.clone()).named("by-value");
        by_value.count();
        let firsts = by_value.reduce(|_, _| ()).named("firsts");
        firsts.to_stream().map_values(Option::unwrap_or_default).group_by(|_, value| value.clone()).count();
    });
    assert_eq!(stores(&topology), ["by-value-count", "firsts", "firsts-count"]);
    assert_eq!(repartitions(&topology), ["by-value", "firsts-by-count"]);
    let names: Vec<&str> = topology.plan().subs.iter().map(|sub| &*sub.name).collect();
    assert_eq!(names, ["in", "by-value", "firsts-by-count"]);
}

#[test]
fn each_way_of_a_branch_can_have_its_own_name() {
    let topology = built(|_, stream| {
        let [even, odd] = stream.branch(|_, value| value.len() % 2);
        even.named("even").group_by_key().count();
        odd.named("odd").group_by_key().count();
    });
    assert_eq!(stores(&topology), ["even-count", "odd-count"]);
}

#[test]
fn the_far_side_of_a_repartition_is_named_with_its_topic_and_named_once() {
    let topology = built(|_, stream| stream.repartition().stream().named("far").to(OUT));
    assert_eq!(repartitions(&topology), ["far"]);
    let found = mistakes(|b| b.source(IN).stream().repartition().named("far").stream().named("away").to(OUT));
    assert!(found[0].contains("named \"away\", and \"far\" before"), "{found:?}");
}

#[test]
fn below_a_merge_names_begin_with_all_that_comes_together() {
    let topology = built(|b, stream| _ = b.source(OTHER).stream().merge(&stream).group_by_key().count());
    assert_eq!(stores(&topology), ["in-other-count"]);
}

#[test]
fn equal_names_are_a_mistake_that_shows_both_lines() {
    let b = Builder::new("test");
    let groups = b.source(IN).stream().group_by_key();
    groups.count();
    groups.count();
    let text = b.build().err().expect("a mistake").to_string();
    assert!(text.starts_with("topology \"test\" has 1 mistake:\n  src/topology/tests.rs:"), "{text}");
    assert!(text.contains("two stores would be called \"in-count\": tell them apart with .named()"), "{text}");
    assert!(text.contains("(the other is at src/topology/tests.rs:"), "{text}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let found = mistakes(|b| {
        let stream = b.source(Topic::<String, String>::new("a b")).stream();
        let again = b.source(IN).on_bad_input(BadInput::dead_letter("")).stream();
        b.source(IN).stream().to(IN);
        again.group_by_key().combine().aggregate(|| 0_u64, |_, _, _| ()).named("..");
        stream.repartition().partitions(0).named("x").stream().to(OUT);
        stream.named("y").merge(&again.named("y")).to(OUT);
    });
    let parts = [
        "\"a b\" cannot be a topic's name: it contains ' '",
        "two operators are called \"y\"",
        "\"\" cannot be a topic's name: it is empty",
        "topic in is read twice",
        "topic in is both written and read",
        "combine() goes with reduce() and count()",
        "\"..\" cannot be a name",
        "repartition topic x cannot have 0 partitions",
    ];
    assert_eq!(found.len(), parts.len(), "{found:#?}");
    for (mistake, part) in found.iter().zip(parts) {
        assert!(mistake.contains(part), "{mistake:?} should contain {part:?}");
    }
}

#[test]
fn a_repartition_cannot_be_called_as_a_topic_that_is_read() {
    let found = mistakes(|b| _ = b.source(IN).stream().group_by(|_, value| value.clone()).named("in").count());
    assert!(found[0].contains("a repartition topic and the topic in have one name"), "{found:?}");
}

#[test]
fn streams_of_two_builders_do_not_merge_and_an_empty_topology_is_none() {
    let other = Builder::new("other");
    let found = mistakes(|b| b.source(IN).stream().merge(&other.source(OTHER).stream()).to(OUT));
    assert!(found[0].contains("two builders"), "{found:?}");
    assert!(mistakes(|_| ())[0].contains("begin with source()"));
}

#[test]
fn a_topology_falls_apart_at_its_shuffles() {
    let topology = built(|b, stream| {
        b.source(OTHER).stream().to(OUT);
        stream.group_by(|_, value| value.clone()).count();
    });
    assert_eq!(topology.plan().subs.len(), 3);
    let layout = layout(&topology, &[("in", 6), ("other", 2)]).unwrap();
    let partitions: Vec<(&str, u32)> = layout.subs.iter().map(|sub| (&*sub.name, sub.partitions)).collect();
    assert_eq!(partitions, [("in", 6), ("other", 2), ("in-by-count", 6)]);
    let internal: Vec<_> = layout.internal.iter().map(|topic| (&*topic.name, topic.kind, topic.partitions)).collect();
    assert_eq!(
        internal,
        [
            ("app-in-by-count-repartition", InternalKind::Repartition, 6),
            ("app-in-count-changelog", InternalKind::Changelog, 6)
        ]
    );
    assert_eq!(layout.subs[2].inputs[0].upstream, Some(0));
    let last = layout.tasks().last().unwrap();
    assert_eq!((layout.tasks().count(), layout.task_name(last).as_str()), (14, "in-by-count-5"));
    assert_eq!(layout.inputs_of(last)[0].to_string(), "app-in-by-count-repartition-5");
    assert_eq!(layout.changelogs_of(last)[0].to_string(), "app-in-count-changelog-5");
    assert_eq!(layout.subscriptions(), ["in", "other", "app-in-by-count-repartition"]);
}

#[test]
fn a_repartition_topic_has_the_largest_count_upstream_or_what_it_meets() {
    let by_value = |_: &String, value: &String| value.clone();
    let merged = built(|b, stream| {
        let one = stream.rekey(by_value).repartition().named("one").stream();
        let two = b.source(OTHER).stream().rekey(by_value).repartition().named("two").stream();
        one.merge(&two).to(OUT);
    });
    let counts = |topology: &Topology, given: &[(&str, u32)]| {
        layout(topology, given).map(|layout| layout.internal.iter().map(|topic| topic.partitions).collect::<Vec<_>>())
    };
    assert_eq!(counts(&merged, &[("in", 3), ("other", 5)]), Ok(vec![5, 5]));
    let existing = [("in", 3), ("other", 5), ("app-one-repartition", 4)];
    assert_eq!(counts(&merged, &existing), Ok(vec![4, 4]), "what exists keeps its count");

    let meets =
        built(|b, stream| stream.rekey(by_value).repartition().stream().merge(&b.source(OTHER).stream()).to(OUT));
    assert_eq!(counts(&meets, &[("in", 3), ("other", 5)]), Ok(vec![5]));

    let asked = built(|_, stream| stream.repartition().partitions(7).stream().to(OUT));
    assert_eq!(counts(&asked, &[("in", 3)]), Ok(vec![7]));
    let error = counts(&asked, &[("in", 3), ("app-in-repartition-repartition", 4)]).unwrap_err();
    assert!(error.contains("has 4 partitions, and the topology asks for 7"), "{error}");
}

#[test]
fn topics_that_meet_must_have_equally_many_partitions() {
    let topology = built(|b, stream| stream.merge(&b.source(OTHER).stream()).to(OUT));
    let error = layout(&topology, &[("in", 3), ("other", 5)]).unwrap_err();
    assert!(error.contains("topic in has 3, topic other has 5"), "{error}");
    let error = layout(&topology, &[("in", 3)]).unwrap_err();
    assert!(error.contains("topic other does not exist") && error.contains("--topic other=NAME"), "{error}");
}

#[test]
fn a_changelog_of_another_count_is_refused() {
    let topology = built(|_, stream| _ = stream.group_by_key().count());
    let error = layout(&topology, &[("in", 3), ("app-in-count-changelog", 2)]).unwrap_err();
    assert!(error.contains("changelog app-in-count-changelog has 2 partitions"), "{error}");
}

#[test]
fn topics_go_by_their_actual_names() {
    let b = Builder::new("test");
    b.source(IN).on_bad_input(BadInput::dead_letter("dead")).stream().group_by(|_, v| v.clone()).count();
    let topology = b.build().unwrap();
    let renames: Renames = [("in", "prod.in"), ("dead", "prod.dead")].into_iter().collect();
    let counts = BTreeMap::from([("prod.in".to_owned(), 2)]);
    let layout = topology.layout("app", &renames, &counts).unwrap();
    assert_eq!(&*layout.subs[0].inputs[0].topic, "prod.in");
    let policies: Vec<&BadInput> = layout.subs.iter().map(|sub| &sub.inputs[0].policy).collect();
    assert_eq!(policies, [&BadInput::dead_letter("prod.dead"); 2], "the policy goes through the shuffle");
    assert_eq!(layout.outputs.iter().map(|topic| &**topic).collect::<Vec<_>>(), ["prod.dead"]);
    let all = ["prod.in", "prod.dead", "app-in-by-count-repartition", "app-in-count-changelog"];
    assert_eq!(topology.topics("app", &renames), all);
    let unknown = [("inn", "x")].into_iter().collect();
    let error = topology.layout("app", &unknown, &counts).unwrap_err().to_string();
    assert!(error.contains("has no topic inn") && error.contains("its topics are in, dead"), "{error}");
    let plain = topology.layout("app", &Renames::default(), &BTreeMap::from([("in".to_owned(), 2)])).unwrap();
    assert_ne!(plain.fingerprint, layout.fingerprint);
}

#[test]
fn behind_a_shuffle_of_sources_that_disagree_bad_input_stops() {
    let policy = |one: BadInput, other: BadInput| {
        let b = Builder::new("test");
        let one = b.source(IN).on_bad_input(one).stream();
        let both = one.merge(&b.source(OTHER).on_bad_input(other).stream());
        both.group_by(|_, value| value.clone()).count();
        b.build().unwrap().plan().subs[1].inputs[0].policy.clone()
    };
    assert_eq!(policy(BadInput::Skip, BadInput::Skip), BadInput::Skip);
    assert_eq!(policy(BadInput::Skip, BadInput::dead_letter("dead")), BadInput::Fail);
}

#[test]
fn the_fingerprint_tells_plans_apart_and_not_lines() {
    let counting = || built(|_, stream| stream.group_by_key().count().to(Topic::<String, u64>::new("out")));
    let one = counting();
    let same = built(|_, s| s.group_by_key().count().to(Topic::<String, u64>::new("out")));
    let filtered = built(|_, s| s.filter(|_, _| true).group_by_key().count().to(Topic::<String, u64>::new("out")));
    let named = built(|_, s| s.group_by_key().count().named("x").to(Topic::<String, u64>::new("out")));
    let summed =
        built(|_, s| s.map_values(|_| 1).group_by_key().reduce(|_, _| ()).to(Topic::<String, u64>::new("out")));
    let elsewhere = built(|_, s| s.group_by_key().count().to(Topic::<String, u64>::new("elsewhere")));
    let of = |topology: &Topology| topology.plan().fingerprint;
    assert_eq!([of(&same), of(&filtered)], [of(&one); 2]);
    for other in [named, summed, elsewhere] {
        assert_ne!(of(&other), of(&one));
    }
}

#[test]
fn the_fingerprint_tells_apart_what_a_result_depends_on() {
    let (ten, twenty) = (Duration::from_secs(10), Duration::from_secs(20));
    let zero = Duration::ZERO;
    let windowed = |window: Duration, every: Duration, grace: Duration, on_close: bool| {
        built(|_, stream| {
            let windows = stream.group_by_key().windowed(HoppingWindows::of(window, every).grace(grace));
            if on_close {
                windows.on_close().count()
            } else {
                windows.count()
            };
        })
    };
    let sessions = |gap| built(|_, s| _ = s.group_by_key().windowed(SessionWindows::of(gap)).count());
    let cogrouped = |gap| {
        built(|_, s| {
            let clicks = s.group_by_key().cogroup(|_, seen: &mut u64, _| *seen += 1);
            clicks.windowed(TumblingWindows::of(gap)).aggregate(|| 0);
        })
    };
    let best = |most| {
        built(|_, s| _ = s.group_by_key().windowed(TumblingWindows::of(ten)).top(most, |value: &String| value.clone()))
    };
    let once = |within| built(|_, s| s.dedup(within, |_, value| value.clone()).to(Topic::<String, String>::new("out")));
    let calm = |limit| built(|_, s| _ = s.group_by_key().count().suppress_for(limit));
    let paced = |bound, after: Option<Duration>| {
        let b = Builder::new("test");
        let source = b.source(IN).out_of_order_by(bound);
        let source = if let Some(after) = after { source.advance_by_clock_after(after) } else { source };
        source.stream().group_by_key().count();
        b.build().unwrap()
    };
    let told = |least: u32| {
        built(|b, s| {
            b.agree_on("least", least);
            s.group_by_key().count();
        })
    };
    let plans = [
        ("a window", windowed(ten, ten, zero, false)),
        ("its size", windowed(twenty, ten, zero, false)),
        ("its advance", windowed(twenty, twenty, zero, false)),
        ("its grace", windowed(ten, ten, ten, false)),
        ("when it goes out", windowed(ten, ten, zero, true)),
        ("sessions", sessions(ten)),
        ("their gap", sessions(twenty)),
        ("a cogroup's window", cogrouped(ten)),
        ("its size", cogrouped(twenty)),
        ("the best", best(3)),
        ("how many", best(4)),
        ("duplicates", once(ten)),
        ("within", once(twenty)),
        ("suppression", calm(ten)),
        ("for how long", calm(twenty)),
        ("a source", paced(zero, None)),
        ("its disorder", paced(ten, None)),
        ("its clock", paced(zero, Some(ten))),
        ("a setting", told(1)),
        ("its value", told(2)),
    ];
    let mut seen = BTreeMap::new();
    for (what, topology) in plans {
        assert_eq!(seen.insert(topology.plan().fingerprint, what), None, "{what} is like another");
    }
    assert_eq!(told(1).plan().fingerprint, told(1).plan().fingerprint);
    assert_eq!(windowed(ten, ten, ten, true).plan().fingerprint, windowed(ten, ten, ten, true).plan().fingerprint);
}

#[test]
fn a_topology_is_described_as_kafka_streams_does() {
    let b = Builder::new("test");
    let lines = b.source(Topic::<NoKey, String>::new("lines")).stream();
    lines.filter(|_, line| !line.is_empty()).group_by(|_, line| line.clone()).named("by-line").count().named("counts");
    lines.to(Topic::<NoKey, String>::new("copy"));
    let topology = b.build().unwrap();
    assert_eq!(
        topology.describe(),
        "Topologies:
   Sub-topology: 0
    Source: lines (topics: [lines])
      --> lines-filter, to-copy
    Processor: lines-filter (stores: [])
      --> lines-rekey
      <-- lines
    Processor: lines-rekey (stores: [])
      --> by-line-sink
      <-- lines-filter
    Sink: by-line-sink (topic: by-line-repartition)
      <-- lines-rekey
    Sink: to-copy (topic: copy)
      <-- lines

  Sub-topology: 1
    Source: by-line-source (topics: [by-line-repartition])
      --> counts
    Processor: counts (stores: [counts])
      --> none
      <-- by-line-source

"
    );
    let chart = topology.mermaid();
    assert!(chart.contains("n3 -.-> n4") && chart.contains("n5[(\"counts\")]"), "{chart}");
    assert!(chart.starts_with("flowchart TD\n  subgraph s0["), "{chart}");
    let json = serde_json::to_value(topology.description()).unwrap();
    let node = &json["sub_topologies"][1]["nodes"][1];
    assert_eq!(
        (node["store"].as_str(), node["key"].as_str(), node["value"].as_str()),
        (Some("counts"), Some("String"), Some("u64"))
    );
    assert!(node["declared_at"].as_str().is_some_and(|at| at.starts_with("src/topology/tests.rs:")));
}

#[test]
fn a_topology_can_be_shared_by_threads_and_its_tasks_can_move() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    fn moved<T: Send>() {}
    shared(&built(|_, stream| stream.to(OUT)));
    moved::<super::WiredTask>();
}

#[test]
fn a_topic_holds_updates_where_all_that_is_written_to_it_are_a_tables_under_its_own_keys() {
    let written = |declare: fn(Stream<String, String>)| built(|_, stream| declare(stream)).writes_updates("out");
    assert!(written(|stream| stream.group_by_key().reduce(|_, _| ()).to(OUT)));
    assert!(written(|stream| {
        let table = stream.group_by_key().reduce(|_, _| ());
        table.to_stream().filter(|_, value| value.is_some()).map_values(Option::unwrap_or_default).to(OUT);
    }));
    assert!(!written(|stream| stream.filter(|_, _| true).to(OUT)));
    assert!(!written(|stream| {
        let table = stream.group_by_key().reduce(|_, _| ());
        table.to_stream().map(|key, _| (key.clone(), key)).to(OUT);
    }));
    assert!(!written(|stream| {
        stream.to(OUT);
        stream.group_by_key().reduce(|_, _| ()).to(OUT);
    }));
    assert!(!written(|_| ()), "nothing is written");
}

#[test]
fn several_topologies_are_one_chart_in_which_no_two_nodes_have_one_name() {
    let topologies = [built(|_, stream| stream.to(OUT)), built(|_, stream| stream.to(OUT))];
    let chart = Topology::mermaid_of_all(&topologies);
    assert_eq!(chart.matches("flowchart TD").count(), 1, "{chart}");
    let name = topologies[0].name();
    for part in [
        &format!("  subgraph t0[\"{name}\"]\n    subgraph t0s0[\"in\"]\n      t0n0([\"in\"])"),
        "    t0n0 --> t0n1\n  end\n",
        &format!("  subgraph t1[\"{name}\"]\n    subgraph t1s0["),
        "    t1n0 --> t1n1\n  end\n",
    ] {
        assert!(chart.contains(part), "{part} is missing in\n{chart}");
    }
}
