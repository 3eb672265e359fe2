//! The reference topologies, built with this library's DSL under the names they have in
//! `tests/conformance/generator/src/main/java/conformance/Topologies.java`. Keys and values are text; a number is its
//! decimal digits.

use millstream::{Builder, Stream, Table, Topic, Topology};

/// Kafka Streams' aggregations leave records without a value out; with `Option` the stream has them, and says so.
const IN: Topic<String, Option<String>> = Topic::new("in");
const OUT: Topic<String, String> = Topic::new("out");

type Declare = fn(&Builder);

/// The topologies that are built, by name.
pub(super) const ALL: [(&str, Declare); 8] = [
    ("aggregate-concat", aggregate_concat),
    ("count", count),
    ("filter-map-flatmap", filter_map_flatmap),
    ("filter-not-select-key", filter_not_select_key),
    ("group-by-new-key-count", group_by_new_key_count),
    ("reduce-sum", reduce_sum),
    ("repartition-count", repartition_count),
    ("split-and-merge", split_and_merge),
];

/// The topology of a name; `None` where none has it.
pub(super) fn build(name: &str) -> Option<Topology> {
    let (name, declare) = ALL.into_iter().find(|(known, _)| *known == name)?;
    let b = Builder::new(name);
    declare(&b);
    Some(b.build().unwrap_or_else(|mistakes| panic!("{mistakes}")))
}

/// The records that have a value.
fn values(b: &Builder) -> Stream<String, String> {
    b.source(IN).stream().flat_map_values(|value: Option<String>| value)
}

fn number(value: &str) -> i64 {
    value.parse().expect("the values are digits")
}

fn write_counts(counts: &Table<String, u64>) {
    counts.to_stream().map_values(|count| count.to_string()).to(OUT);
}

fn filter_map_flatmap(b: &Builder) {
    values(b)
        .filter(|_, value| number(value) % 2 == 0)
        .map_values(|value| format!("x{value}"))
        .flat_map_values(|value| [value.clone(), format!("{value}!")])
        .to(OUT);
}

fn filter_not_select_key(b: &Builder) {
    values(b).filter(|_, value| number(value) <= 50).rekey(|_, value| format!("n{}", number(value) % 3)).to(OUT);
}

fn split_and_merge(b: &Builder) {
    let [low, _middle, high] = values(b).branch(|_, value| match number(value) {
        ..20 => 0,
        20..60 => 1,
        60.. => 2,
    });
    let low = low.map_values(|value| format!("low{value}"));
    let high = high.map_values(|value| format!("high{value}"));
    low.merge(&high).to(OUT);
}

fn count(b: &Builder) {
    write_counts(&values(b).group_by_key().count());
}

fn reduce_sum(b: &Builder) {
    let sums = values(b).group_by_key().reduce(|sum, more| *sum = (number(sum) + number(&more)).to_string());
    sums.to_stream().to(OUT);
}

fn aggregate_concat(b: &Builder) {
    let joined = values(b).group_by_key().aggregate(String::new, |_, joined: &mut String, value| {
        joined.push('|');
        joined.push_str(&value);
    });
    joined.to_stream().to(OUT);
}

fn group_by_new_key_count(b: &Builder) {
    write_counts(&values(b).group_by(|_, value| format!("g{}", number(value) % 3)).count());
}

fn repartition_count(b: &Builder) {
    let by_group = values(b).rekey(|_, value| format!("g{}", number(value) % 4)).repartition("by-group", Some(1));
    write_counts(&by_group.group_by_key().count());
}
