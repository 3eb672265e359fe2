//! The reference topologies, built with this library's DSL under the names they have in
//! `tests/conformance/generator/src/main/java/conformance/Topologies.java`. Keys and values are text; a number is its
//! decimal digits.

use std::fmt::Display;
use std::time::Duration;

use millstream::dsl::{Cogrouped, Setup, WindowedBy, Windowing};
use millstream::operators::Reject;
use millstream::operators::processor::{Context, Processor, Stored, Timer};
use millstream::window::{HoppingWindows, JoinWindow, SessionWindows, SlidingWindows, TumblingWindows, Windowed};
use millstream::{
    BadInput, Builder, Data, GlobalTable, Grouped, GroupedTable, Record, Stream, Table, Timestamp, Topic, Topology,
};

/// The stateless topologies get no nulls.
const IN: Topic<String, String> = Topic::new("in");
/// The aggregations get nulls, which they must leave out.
const NULLABLE_IN: Topic<String, Option<String>> = Topic::new("in");
const OUT: Topic<String, String> = Topic::new("out");
/// What a table gives: a deleted row is a null.
const UPDATES_OUT: Topic<String, Option<String>> = Topic::new("out");

type Declare = fn(&Builder);

/// The topologies that are built, by name.
pub(super) const ALL: &[(&str, Declare)] = &[
    ("aggregate-concat", aggregate_concat),
    ("cogroup", |b| cogrouped(b).aggregate(String::new).to(OUT)),
    ("cogroup-tumbling", |b| write_windows(&cogrouped(b).windowed(TUMBLING_FOR_AN_HOUR).aggregate(String::new))),
    ("count", count),
    ("filter-map-flatmap", filter_map_flatmap),
    ("filter-not-select-key", filter_not_select_key),
    ("foreign-key-inner", |b| {
        left_table(b).join_by(&right(b), |_, v| first_letter(v), |_, l, r| pair(Some(l), Some(r))).to(OUT);
    }),
    ("foreign-key-left", |b| {
        left_table(b).left_join_by(&right(b), |_, v| first_letter(v), |_, l, r| pair(Some(l), r)).to(OUT);
    }),
    ("group-by-new-key-count", group_by_new_key_count),
    ("hopping-sum-grace", |b| sums(&grouped(b).windowed(HOPPING))),
    ("hopping-sum-on-close", |b| sums(&grouped(b).windowed(HOPPING).on_close())),
    ("punctuate-event-time", |b| count_and_tell(b, false)),
    ("punctuate-wall-clock", |b| count_and_tell(b, true)),
    ("reduce-sum", reduce_sum),
    ("repartition-count", repartition_count),
    ("session-count", |b| counts(&grouped(b).windowed(SESSIONS))),
    ("session-count-on-close", |b| counts(&grouped(b).windowed(SESSIONS).on_close())),
    ("sliding-count", |b| counts(&grouped(b).windowed(SLIDING))),
    ("sliding-count-on-close", |b| counts(&grouped(b).windowed(SLIDING).on_close())),
    ("split-and-merge", split_and_merge),
    ("stream-stream-inner", |b| join_streams(b, WITHIN_TEN)),
    ("stream-stream-inner-asymmetric", |b| join_streams(b, WITHIN_TEN.before(Duration::from_secs(2)))),
    ("stream-stream-left", stream_stream_left),
    ("stream-stream-outer", stream_stream_outer),
    ("stream-global-table-inner", stream_global_table_inner),
    ("stream-global-table-left", stream_global_table_left),
    ("stream-table-inner", |b| left(b).join(&right(b), |_, left, right| joined(&left, Some(right))).to(OUT)),
    ("stream-table-left", |b| left(b).left_join(&right(b), |_, left, right| joined(&left, right)).to(OUT)),
    ("stream-to-table", |b| b.source(NULLABLE_IN).stream().to_table_with_tombstones().to(OUT)),
    ("stream-versioned-table-inner", |b| {
        let right = b.source(Topic::<String, String>::new("right")).versioned_table(Duration::from_mins(1));
        left(b).join_as_of(&right, |_, left, right| joined(&left, Some(right))).to(OUT);
    }),
    ("suppress-time-limit", |b| write_counts(&b.source(IN).stream().group_by_key().count().suppress_for(TEN))),
    ("table-filter", |b| b.table(IN).filter(|_, value| number(value) % 2 == 0).to(OUT)),
    ("table-group-by-count", |b| write_counts(&rows_by_third(b).count())),
    ("table-group-by-sum", table_group_by_sum),
    ("table-map-values", |b| b.table(IN).map_values(|_, value| format!("x{value}")).to(OUT)),
    ("table-table-inner", |b| left_table(b).join(&right(b), |_, l, r| pair(Some(l), Some(r))).to(OUT)),
    ("table-table-left", |b| left_table(b).left_join(&right(b), |_, l, r| pair(Some(l), r)).to(OUT)),
    ("table-table-outer", |b| left_table(b).outer_join(&right(b), |_, l, r| pair(l, r)).to(OUT)),
    ("tumbling-count", |b| counts(&grouped(b).windowed(TumblingWindows::of(TEN)))),
    ("tumbling-count-final", |b| write_windows(&grouped(b).windowed(TUMBLING).count().until_close())),
    ("tumbling-count-on-close", |b| counts(&grouped(b).windowed(TUMBLING).on_close())),
    ("tumbling-sum-grace", |b| sums(&grouped(b).windowed(TUMBLING))),
];

/// The topology of a name; `None` where none has it.
pub(super) fn build(name: &str) -> Option<Topology> {
    let (name, declare) = ALL.iter().find(|(known, _)| *known == name)?;
    let b = Builder::new(*name);
    declare(&b);
    Some(b.build().unwrap_or_else(|mistakes| panic!("{mistakes}")))
}

fn number(value: &str) -> i64 {
    value.parse().expect("the values are digits")
}

/// Aggregations leave records without a value out before they ask the user's function.
fn present(value: Option<String>) -> String {
    value.expect("a record without a value does not get here")
}

fn write_counts(counts: &Table<String, u64>) {
    counts.to_stream().map_values(|count| count.map(|count| count.to_string())).to(UPDATES_OUT);
}

/// The stream of a join, whose nulls it must leave out.
fn left(b: &Builder) -> Stream<String, Option<String>> {
    b.source(Topic::<String, Option<String>>::new("left")).stream()
}

/// The left table of a join.
fn left_table(b: &Builder) -> Table<String, String> {
    b.table(Topic::<String, String>::new("left"))
}

fn first_letter(value: &str) -> Option<String> {
    value.chars().next().map(String::from)
}

fn pair(left: Option<&String>, right: Option<&String>) -> String {
    let shown = |side: Option<&String>| side.map_or("null", String::as_str).to_owned();
    format!("{}+{}", shown(left), shown(right))
}

/// The table of a join.
fn right(b: &Builder) -> Table<String, String> {
    b.table(Topic::<String, String>::new("right"))
}

#[expect(clippy::ref_option, reason = "it is the value of a record")]
fn joined(left: &Option<String>, right: Option<&String>) -> String {
    format!("{}+{}", left.as_deref().unwrap_or("null"), right.map_or("null", String::as_str))
}

fn filter_map_flatmap(b: &Builder) {
    b.source(IN)
        .stream()
        .filter(|_, value| number(value) % 2 == 0)
        .map_values(|value| format!("x{value}"))
        .flat_map_values(|value| [value.clone(), format!("{value}!")])
        .to(OUT);
}

fn filter_not_select_key(b: &Builder) {
    b.source(IN)
        .stream()
        .filter_not(|_, value| number(value) > 50)
        .rekey(|_, value| format!("n{}", number(value) % 3))
        .to(OUT);
}

fn split_and_merge(b: &Builder) {
    let [low, _middle, high] = b.source(IN).stream().branch(|_, value| match number(value) {
        ..20 => 0,
        20..60 => 1,
        60.. => 2,
    });
    let low = low.map_values(|value| format!("low{value}"));
    let high = high.map_values(|value| format!("high{value}"));
    low.merge(&high).to(OUT);
}

fn count(b: &Builder) {
    write_counts(&b.source(NULLABLE_IN).stream().group_by_key().count());
}

fn reduce_sum(b: &Builder) {
    let sum = |sum: &mut Option<String>, more: Option<String>| {
        let so_far = sum.as_deref().expect("a sum is never null");
        *sum = Some((number(so_far) + number(&present(more))).to_string());
    };
    b.source(NULLABLE_IN).stream().group_by_key().reduce(sum).to(UPDATES_OUT);
}

fn aggregate_concat(b: &Builder) {
    let append = |_: &String, joined: &mut String, value: Option<String>| {
        joined.push('|');
        joined.push_str(&present(value));
    };
    b.source(NULLABLE_IN).stream().group_by_key().aggregate(String::new, append).to(OUT);
}

fn group_by_new_key_count(b: &Builder) {
    write_counts(&b.source(IN).stream().group_by(|_, value| format!("g{}", number(value) % 3)).count());
}

fn rows_by_third(b: &Builder) -> GroupedTable<String, String> {
    b.table(IN).group_by(|_, value| format!("g{}", number(value) % 3))
}

fn table_group_by_sum(b: &Builder) {
    let sums = rows_by_third(b).aggregate(
        || 0,
        |_, sum: &mut i64, value| *sum += number(&value),
        |_, sum, value| *sum -= number(&value),
    );
    sums.map_values(|_, sum| sum.to_string()).to(OUT);
}

fn repartition_count(b: &Builder) {
    let grouped = b.source(IN).stream().rekey(|_, value| format!("g{}", number(value) % 4));
    write_counts(&grouped.repartition().partitions(1).named("by-group").stream().group_by_key().count());
}

const FIVE: Duration = Duration::from_secs(5);
const TEN: Duration = Duration::from_secs(10);
const TUMBLING: TumblingWindows = TumblingWindows::of(TEN).grace(FIVE);
const TUMBLING_FOR_AN_HOUR: TumblingWindows = TumblingWindows::of(TEN).grace(Duration::from_hours(1));
const HOPPING: HoppingWindows = HoppingWindows::of(TEN, FIVE).grace(FIVE);
const SLIDING: SlidingWindows = SlidingWindows::of(TEN).grace(FIVE);
const SESSIONS: SessionWindows = SessionWindows::of(FIVE).grace(FIVE);

fn grouped(b: &Builder) -> Grouped<String, String> {
    b.source(IN).stream().group_by_key()
}

/// Windowed keys leave as `key@start/end`.
fn write_windows<A: Data + Display>(table: &Table<Windowed<String>, A>) {
    let text = |key: &Windowed<String>, _: &Option<A>| format!("{}@{}", key.key, key.window);
    table.to_stream().rekey(text).map_values(|value| value.map(|value| value.to_string())).to(UPDATES_OUT);
}

fn counts<W: Windowing<String, Out = Windowed<String>>>(windows: &WindowedBy<String, String, W>) {
    write_windows(&windows.count());
}

fn sums<W: Windowing<String, Out = Windowed<String>>>(windows: &WindowedBy<String, String, W>) {
    write_windows(&windows.reduce(|sum, more| *sum = (number(sum) + number(&more)).to_string()));
}

fn cogrouped(b: &Builder) -> Cogrouped<String, String> {
    const LEFT: Topic<String, Option<String>> = Topic::new("left");
    const RIGHT: Topic<String, Option<String>> = Topic::new("right");
    let append = |side: &'static str| {
        move |_: &String, so_far: &mut String, value: Option<String>| {
            so_far.push_str(side);
            so_far.push_str(&present(value));
        }
    };
    let left = b.source(LEFT).stream().group_by_key().cogroup(append("L"));
    left.and(&b.source(RIGHT).stream().group_by_key(), append("R"))
}

const WITHIN_TEN: JoinWindow = JoinWindow::of(TEN).grace(FIVE);

fn two_streams(b: &Builder) -> (Stream<String, String>, Stream<String, String>) {
    const LEFT: Topic<String, String> = Topic::new("left");
    const RIGHT: Topic<String, String> = Topic::new("right");
    (b.source(LEFT).stream(), b.source(RIGHT).stream())
}

fn join_streams(b: &Builder, window: JoinWindow) {
    let (left, right) = two_streams(b);
    left.join_within(&right, window, |_, left, right| format!("{left}+{right}")).to(OUT);
}

/// Java's text of nothing.
fn or_null(value: Option<&String>) -> &str {
    value.map_or("null", String::as_str)
}

fn stream_stream_left(b: &Builder) {
    let (left, right) = two_streams(b);
    left.left_join_within(&right, WITHIN_TEN, |_, left, right| format!("{left}+{}", or_null(right))).to(OUT);
}

fn stream_stream_outer(b: &Builder) {
    let (left, right) = two_streams(b);
    let both =
        |_: &String, left: Option<&String>, right: Option<&String>| format!("{}+{}", or_null(left), or_null(right));
    left.outer_join_within(&right, WITHIN_TEN, both).to(OUT);
}

/// The left stream, whose nulls are left out before a join, and the right topic as a global table.
fn stream_and_global(b: &Builder) -> (Stream<String, String>, GlobalTable<String, String>) {
    const LEFT: Topic<String, String> = Topic::new("left");
    const RIGHT: Topic<String, String> = Topic::new("right");
    (b.source(LEFT).on_bad_input(BadInput::Skip).stream(), b.global_table(RIGHT))
}

/// One of the table's four keys, by the stream's value.
#[expect(clippy::ptr_arg, clippy::unnecessary_wraps, reason = "the signature that the join asks for")]
fn one_of_four(_: &String, value: &String) -> Option<String> {
    Some(["a", "b", "c", "d"][usize::try_from(number(value) % 4).expect("of four")].to_owned())
}

fn stream_global_table_inner(b: &Builder) {
    let (left, right) = stream_and_global(b);
    left.join_global(&right, one_of_four, |_, left, right| format!("{left}+{right}")).to(OUT);
}

fn stream_global_table_left(b: &Builder) {
    let (left, right) = stream_and_global(b);
    let joined =
        |_: &String, left: String, right: Option<&String>| format!("{left}+{}", right.map_or("null", String::as_str));
    left.left_join_global(&right, one_of_four, joined).to(OUT);
}

/// Counts records and forwards ("tick", count) when its timer goes off, at the time it has come to.
struct Counting(Stored<u32, u64>);

impl Processor<String, String> for Counting {
    type Key = String;
    type Value = String;

    fn process(&self, _: Record<String, String>, cx: &mut Context<'_, String, String>) -> Result<(), Reject> {
        cx.update(&self.0, &0, |count| *count.get_or_insert(0) += 1);
        Ok(())
    }

    fn punctuate(&self, _: Timer, at: Timestamp, cx: &mut Context<'_, String, String>) -> Result<(), Reject> {
        let count = cx.get(&self.0, &0).unwrap_or(0);
        cx.forward_at("tick".into(), count.to_string(), at);
        Ok(())
    }
}

fn count_and_tell(b: &Builder, by_clock: bool) {
    let make = move |setup: &mut Setup<'_, '_>| {
        if by_clock {
            setup.every_by_clock(TEN)
        } else {
            setup.every(TEN)
        };
        Counting(setup.store("records"))
    };
    b.source(IN).stream().process(make).to(OUT);
}
