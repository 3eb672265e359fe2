//! Joins of streams through whole tasks.

use std::time::Duration;

use super::testing::{Driver, Message, text};
use super::{Builder, Stream, Topic};
use crate::codec::{Codec, CodecError, Data, Key, OrderedInt, Text};
use crate::operators::DropReason;
use crate::record::Headers;
use crate::topology::{TaskOptions, Topology};
use crate::window::JoinWindow;

/// A key that may be Kafka's null.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name(Option<String>);

#[derive(Default)]
struct NameCodec;

impl Codec<Name> for NameCodec {
    fn encode(&self, value: &Name, out: &mut Vec<u8>) -> Result<(), CodecError> {
        value.0.as_ref().map_or(Ok(()), |name| Text.encode(name, out))
    }

    fn decode(&self, bytes: &[u8]) -> Result<Name, CodecError> {
        Text.decode(bytes).map(Some).map(Name)
    }
}

impl Data for Name {
    type Codec = NameCodec;

    fn null() -> Option<Self> {
        Some(Self(None))
    }

    fn is_null(&self) -> bool {
        self.0.is_none()
    }
}

impl Key for Name {}

const LEFT: Topic<Name, Option<String>> = Topic::new("left");
const RIGHT: Topic<Name, Option<String>> = Topic::new("right");
const OUT: Topic<Name, String> = Topic::new("out");

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Inner,
    Left,
    Outer,
}

const KINDS: [Kind; 3] = [Kind::Inner, Kind::Left, Kind::Outer];

fn shown(value: Option<&Option<String>>) -> &str {
    value.and_then(Option::as_deref).unwrap_or("null")
}

type Nullable = Stream<Name, Option<String>>;

fn join(left: &Nullable, right: &Nullable, kind: Kind, window: JoinWindow) -> Stream<Name, String> {
    match kind {
        Kind::Inner => left.join_within(right, window, |_, l, r| format!("[{},{}]", shown(Some(l)), shown(Some(r)))),
        Kind::Left => left.left_join_within(right, window, |_, l, r| format!("[{},{}]", shown(Some(l)), shown(r))),
        Kind::Outer => left.outer_join_within(right, window, |_, l, r| format!("[{},{}]", shown(l), shown(r))),
    }
}

fn build(declare: impl Fn(&Builder)) -> Topology {
    let b = Builder::new("t");
    declare(&b);
    b.build().unwrap()
}

fn joined(kind: Kind, window: JoinWindow) -> Topology {
    build(|b| join(&b.source(LEFT).stream(), &b.source(RIGHT).stream(), kind, window).to(OUT))
}

/// A record of the golden tables: side, key, value (`-` is null) and time; then what each kind gives after it.
type Step = (&'static str, &'static str, &'static str, i64, [&'static [&'static str]; 3]);

fn play(kind: Kind, window: JoinWindow, steps: &[Step]) -> Driver {
    let mut driver = Driver::new(&joined(kind, window));
    let mut so_far = 0;
    for (side, key, value, time, expected) in steps {
        let bytes = |text: &str| (text != "-").then(|| text.as_bytes().to_vec());
        let (key, value) = (bytes(key), bytes(value));
        driver.send(side, Message { key, value, timestamp: *time, headers: Headers::NONE });
        driver.run();
        let texts: Vec<String> = driver.texts("out").split_off(so_far);
        so_far += texts.len();
        let values: Vec<&str> = texts.iter().filter_map(|text| text.split_once('=')).map(|(_, value)| value).collect();
        assert_eq!(values, expected[kind as usize], "{kind:?} after {side} at {time}");
    }
    driver
}

#[test]
fn the_golden_table_of_kafka_streams_comes_out_line_by_line() {
    const NONE: [&[&str]; 3] = [&[]; 3];
    let window = JoinWindow::of(Duration::from_secs(10)).grace(Duration::from_hours(24));
    let steps: [Step; 17] = [
        ("left", "k", "-", 1, NONE),
        ("right", "k", "-", 2, NONE),
        ("left", "k", "A", 3, NONE),
        ("right", "k", "a", 4, [&["[A,a]@4"]; 3]),
        ("left", "k", "B", 5, [&["[B,a]@5"]; 3]),
        ("right", "k", "b", 6, [&["[A,b]@6", "[B,b]@6"]; 3]),
        ("left", "k", "-", 7, NONE),
        ("right", "k", "-", 8, NONE),
        ("left", "k", "C", 9, [&["[C,a]@9", "[C,b]@9"]; 3]),
        ("right", "k", "c", 10, [&["[A,c]@10", "[B,c]@10", "[C,c]@10"]; 3]),
        ("right", "k", "-", 11, NONE),
        ("left", "k", "-", 12, NONE),
        ("right", "k", "-", 13, NONE),
        ("right", "k", "d", 14, [&["[A,d]@14", "[B,d]@14", "[C,d]@14"]; 3]),
        ("left", "k", "D", 15, [&["[D,a]@15", "[D,b]@15", "[D,c]@15", "[D,d]@15"]; 3]),
        ("left", "-", "E", 16, [&[], &["[E,null]@16"], &["[E,null]@16"]]),
        ("right", "-", "e", 17, [&[], &[], &["[null,e]@17"]]),
    ];
    for kind in KINDS {
        let driver = play(kind, window, &steps);
        let null_keys = [2, 1, 0][kind as usize];
        assert_eq!(driver.drops.get(DropReason::NullKey), null_keys, "{kind:?}");
        assert_eq!(driver.drops.get(DropReason::NullValue), 7, "{kind:?}");
    }
}

#[test]
fn padded_results_wait_for_the_slower_stream_where_kafka_streams_takes_the_faster() {
    let window = JoinWindow::of(Duration::from_millis(15)).grace(Duration::from_millis(5));
    // There E goes out with F, F with f and f with G: the same results, one record earlier.
    let steps: [Step; 6] = [
        ("left", "k", "E", 40, [&[]; 3]),
        ("left", "k", "F", 61, [&[]; 3]),
        ("right", "k", "f", 82, [&[], &["[E,null]@40"], &["[E,null]@40"]]),
        ("left", "k", "G", 103, [&[], &["[F,null]@61"], &["[F,null]@61"]]),
        ("right", "z", "z", 123, [&[], &[], &["[null,f]@82"]]),
        ("left", "z", "z", 124, [&["[z,z]@124"], &["[z,z]@124"], &["[z,z]@124"]]),
    ];
    for kind in KINDS {
        // Only G is left: its window is over at 124, and the right stream has come to 123.
        play(kind, window, &steps);
    }
}

const IN: Topic<String, String> = Topic::new("in");
const PAIRS: Topic<String, String> = Topic::new("out");
const TEN: JoinWindow = JoinWindow::of(Duration::from_millis(10));

#[test]
fn a_stream_joined_with_itself_gives_each_pair_once_in_any_batches() {
    for (batch, shuffled) in [(1, false), (usize::MAX, false), (1, true), (usize::MAX, true)] {
        let topology = build(|b| {
            let mut stream = b.source(IN).stream();
            if shuffled {
                stream = stream.rekey(|key, _| key.clone());
            }
            stream.join_within(&stream, TEN, |_, one, other| format!("{one}{other}")).to(PAIRS);
        });
        assert_eq!(topology.plan().repartitions.len(), usize::from(shuffled), "shuffled once");
        let mut driver = Driver::new(&topology);
        driver.batch = batch;
        driver.send_all("in", &[text("k", "a", 1), text("k", "b", 6), text("j", "x", 7), text("k", "c", 13)]);
        driver.run();
        let mut pairs = driver.texts("out");
        pairs.sort();
        let expected = ["j=xx@7", "k=aa@1", "k=ab@6", "k=ba@6", "k=bb@6", "k=bc@13", "k=cb@13", "k=cc@13"];
        assert_eq!(pairs, expected, "batches of {batch}, shuffled: {shuffled}");
    }
}

#[test]
fn streams_whose_keys_have_changed_are_shuffled_by_themselves_and_nobody_else() {
    const LINES: Topic<String, String> = Topic::new("lines");
    let topology = build(|b| {
        let rekeyed = b.source(LINES).stream().rekey(|_, line| line[..1].to_owned());
        let placed = b.source(IN).stream();
        rekeyed.join_within(&placed, TEN, |_, one, other| format!("{one}+{other}")).to(PAIRS);
    });
    let plan = topology.plan();
    assert_eq!(plan.repartitions.len(), 1);
    assert_eq!(&*plan.repartitions[0].name, "lines-by-join-left");
    let mut driver = Driver::with(&topology, 3, &TaskOptions::default());
    let lines: Vec<Message> = ["a1", "b2", "c3", "d4"].map(|line| text(line, line, 5)).into();
    driver.send_all("lines", &lines);
    driver.send_all("in", &["a", "b", "c", "e"].map(|key| text(key, "x", 6)));
    driver.run();
    let mut pairs = driver.texts("out");
    pairs.sort();
    assert_eq!(pairs, ["a=a1+x@6", "b=b2+x@6", "c=c3+x@6"]);
}

#[test]
fn a_null_key_is_still_null_behind_a_shuffle() {
    let topology = build(|b| {
        let left = b.source(LEFT).stream().rekey(|key, _| key.clone());
        join(&left, &b.source(RIGHT).stream(), Kind::Left, TEN).to(OUT);
    });
    let mut driver = Driver::new(&topology);
    driver.send("left", Message { key: None, value: Some(b"A".into()), timestamp: 5, headers: Headers::NONE });
    driver.send(
        "right",
        Message { key: Some(Vec::new()), value: Some(b"a".into()), timestamp: 5, headers: Headers::NONE },
    );
    driver.run();
    let log = driver.log("out");
    assert_eq!(log.len(), 1, "an empty key is not a null one");
    assert_eq!((log[0].key.as_deref(), log[0].value.as_deref()), (None, Some(&b"[A,null]"[..])));
}

#[test]
fn stores_are_called_by_the_streams_or_by_the_name_of_the_join_and_windows_are_agreed_on() {
    let of = |window: JoinWindow, name: Option<&'static str>| {
        build(|b| {
            let joined = join(&b.source(LEFT).stream(), &b.source(RIGHT).stream(), Kind::Left, window);
            if let Some(name) = name { joined.named(name).to(OUT) } else { joined.to(OUT) }
        })
    };
    let stores =
        |topology: &Topology| topology.plan().subs[0].stores.iter().map(ToString::to_string).collect::<Vec<_>>();
    let plain = of(TEN, None);
    assert_eq!(plain.plan().subs.len(), 1, "both streams meet in one task");
    assert_eq!(stores(&plain), ["left-right-left-join-left", "left-right-left-join-right"]);
    assert_eq!(stores(&of(TEN, Some("meet"))), ["meet-left-join-left", "meet-left-join-right"]);
    for other in [TEN.grace(Duration::from_millis(1)), TEN.before(Duration::ZERO), TEN.after(Duration::ZERO)] {
        assert_ne!(plain.plan().fingerprint, of(other, None).plan().fingerprint, "{other:?}");
    }
}

#[test]
fn two_joins_of_the_same_streams_need_names_and_streams_of_two_builders_do_not_meet() {
    let b = Builder::new("twice");
    let (left, right) = (b.source(LEFT).stream(), b.source(RIGHT).stream());
    join(&left, &right, Kind::Inner, TEN).to(OUT);
    join(&left, &right, Kind::Inner, TEN).to(OUT);
    let mistakes = b.build().err().unwrap();
    assert!(mistakes.to_string().contains(".named()"), "{mistakes}");

    let (one, other) = (Builder::new("one"), Builder::new("other"));
    join(&one.source(LEFT).stream(), &other.source(RIGHT).stream(), Kind::Inner, TEN).to(OUT);
    let mistakes = one.build().err().unwrap();
    assert!(mistakes.to_string().contains("two builders"), "{mistakes}");
}

#[test]
fn keys_written_by_different_codecs_do_not_meet() {
    const NUMBERS: Topic<u64, String> = Topic::new("numbers");
    const ORDERED: Topic<u64, String, OrderedInt> = Topic::new("ordered");
    const SUMS: Topic<u64, String> = Topic::new("out");
    let b = Builder::new("codecs");
    let (left, right) = (b.source(NUMBERS).stream(), b.source(ORDERED).stream());
    left.join_within(&right, TEN, |_, one, other| format!("{one}{other}")).to(SUMS);
    let mistakes = b.build().err().unwrap();
    assert!(mistakes.to_string().contains("different codecs"), "{mistakes}");
}
