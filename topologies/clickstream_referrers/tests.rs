//! The whole topology, in milliseconds: against a naive computation, over any interleaving, in silence, over crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream::Timestamp;
use millstream::operators::DropReason;
use millstream::testing::Driver;
use millstream::testing::simulation::{Scenario, SimulatedInput, simulate};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::counters::Share;
use super::*;

const START: i64 = 1_700_000_000_000;

/// A click as it lies in its partition.
#[derive(Clone, Debug)]
struct Clicked {
    partition: u32,
    resource: &'static str,
    referrer: &'static str,
    time: i64,
}

/// What was told: by name, or by resource, and by time.
type Counted = BTreeMap<(String, i64), u64>;
type Ranked = BTreeMap<(String, i64), Vec<(String, u64)>>;

/// The settings of a test, and what the same is to the naive computation.
#[derive(Clone, Copy, Debug)]
struct Terms {
    window: i64,
    silent: i64,
    disorder: i64,
}

const TERMS: Terms = Terms { window: 10, silent: 25, disorder: 200 };

impl Terms {
    fn declare(self, more: &[(&str, &str)]) -> Topology {
        let mut given: BTreeMap<String, String> = BTreeMap::from([
            ("window".to_owned(), format!("{}s", self.window)),
            ("silent-for".to_owned(), format!("{}s", self.silent)),
            ("disorder".to_owned(), format!("{}ms", self.disorder)),
            ("clock-after".to_owned(), "0s".to_owned()),
        ]);
        given.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        topology(BadInput::dead_letter("dead"), &Settings::of(SETTINGS, &given).unwrap()).unwrap()
    }
}

/// All that is to be told of `clicks` up to the watermark, click by click and second by second, without any state: and how
/// many windows clicks have missed.
fn expected(clicks: &[Clicked], terms: Terms) -> (Counted, Ranked, u64) {
    let mut watermarks: BTreeMap<u32, i64> = BTreeMap::new();
    // Each click with the first time at which it is counted.
    let mut read: Vec<(&Clicked, i64)> = Vec::new();
    let mut missed = 0;
    for click in clicks {
        let watermark = watermarks.entry(click.partition).or_insert(i64::MIN);
        let ends = || (1..=terms.window).map(|n| click.time.div_euclid(1_000) + n);
        missed += ends().filter(|end| end * 1_000 <= *watermark).count() as u64;
        if let Some(first) = ends().find(|end| end * 1_000 > *watermark) {
            read.push((click, first));
        }
        *watermark = (*watermark).max(click.time - terms.disorder);
    }
    let end = watermarks.values().min().copied().unwrap_or(0).div_euclid(1_000);
    let begin = read.iter().map(|(_, first)| *first).min().unwrap_or(end);
    let (mut counted, mut ranked) = (Counted::new(), Ranked::new());
    for time in begin..=end {
        for (click, _) in read.iter().filter(|(_, first)| *first <= time) {
            let in_window = (time - terms.window..time).contains(&click.time.div_euclid(1_000));
            let silence = time - click.time.div_euclid(1_000);
            if silence <= terms.silent.max(terms.window + 1) {
                *counted.entry((click.referrer.to_owned(), time)).or_default() += u64::from(in_window);
            }
            if silence <= terms.window + 1 {
                let shares = ranked.entry((click.resource.to_owned(), time)).or_default();
                match shares.iter_mut().find(|(name, _)| name == click.referrer) {
                    Some((_, count)) => *count += u64::from(in_window),
                    None => shares.push((click.referrer.to_owned(), u64::from(in_window))),
                }
            }
        }
    }
    for shares in ranked.values_mut() {
        shares.retain(|(_, count)| *count > 0);
        shares.sort_by_key(|(name, count)| (u64::MAX - count, name.clone()));
    }
    (counted, ranked, missed)
}

const RESOURCES: [&str; 3] = ["/", "/a", "/b"];
const NAMES: [&str; 5] = ["amazon", "google", "bing", "reddit", "direct"];

/// The next click of a partition whose time has come to `now`: some late, some after a long silence.
fn random_click(random: &mut ChaCha8Rng, partition: u32, now: &mut i64) -> Clicked {
    *now += match random.random_range(0..40) {
        0 => random.random_range(0..60_000),
        1..=3 => random.random_range(0..5_000),
        _ => random.random_range(0..300),
    };
    let back = match random.random_range(0..10) {
        0 => random.random_range(0..15_000),
        1..=3 => random.random_range(0..400),
        _ => 0,
    };
    Clicked {
        partition,
        resource: RESOURCES[random.random_range(0..RESOURCES.len())],
        referrer: NAMES[random.random_range(0..NAMES.len())],
        time: *now - back,
    }
}

fn address(name: &str) -> String {
    if name == "direct" { String::new() } else { format!("http://www.{name}.com/x") }
}

fn value(click: &Clicked) -> Vec<u8> {
    serde_json::json!({"resource": click.resource, "referrer": address(click.referrer)}).to_string().into_bytes()
}

fn send(driver: &mut Driver, click: &Clicked) {
    driver.send_bytes(CLICKSTREAM_TOPIC, click.partition, None, Some(&value(click)), click.time).unwrap();
}

/// What a driver has told so far. Nothing is told twice, and of each key in order of time.
fn told(driver: &mut Driver) -> (Counted, Ranked) {
    let (mut counted, mut ranked) = (Counted::new(), Ranked::new());
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    for (key, ReferrerCount { name, time, count }) in driver.take_values(&REFERRERS).unwrap() {
        assert_eq!(key, name);
        assert!(newest.insert(name, time).is_none_or(|before| before < time), "{key} goes back to {time}");
        counted.insert((key, time), count);
    }
    newest.clear();
    for (key, ranking) in driver.take_values(&TOP).unwrap() {
        assert_eq!((&key, ranking.host.as_str()), (&ranking.resource, NAME));
        assert!(newest.insert(key.clone(), ranking.time).is_none_or(|before| before < ranking.time), "{key} goes back");
        let shares = ranking.referrers.into_iter().map(|Share { referrer, count }| (referrer, count)).collect();
        ranked.insert((key, ranking.time), shares);
    }
    (counted, ranked)
}

#[test]
fn counts_are_those_of_a_naive_computation_however_partitions_and_commits_interleave() {
    let (mut late, mut zeros) = (0, 0);
    for seed in 0..60_u64 {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let partitions = random.random_range(1..=3);
        let mut clicks = Vec::new();
        for partition in 0..partitions {
            let mut now = START + random.random_range(0..2_000);
            clicks.extend((0..random.random_range(1..200)).map(|_| random_click(random, partition, &mut now)));
        }
        let (counted, ranked, missed) = expected(&clicks, TERMS);
        for threads in [1, 2] {
            let mut driver =
                Driver::builder(TERMS.declare(&[])).partitions(partitions).threads(threads).start().unwrap();
            // Each partition in its own order, and otherwise as it comes; a commit now and then.
            let mut rest: Vec<Vec<&Clicked>> = (0..partitions)
                .map(|partition| clicks.iter().rev().filter(|c| c.partition == partition).collect())
                .collect();
            let often = if threads == 1 { 0.0 } else { 0.1 };
            while rest.iter().any(|rest| !rest.is_empty()) {
                let partition = random.random_range(0..rest.len());
                let portion = random.random_range(1..20);
                for click in (0..portion).map_while(|_| rest[partition].pop()) {
                    send(&mut driver, click);
                }
                if random.random_bool(often) {
                    driver.settle().unwrap();
                }
            }
            driver.settle().unwrap();
            let (found, rankings) = told(&mut driver);
            assert_eq!(found, counted, "seed {seed}, {threads} threads");
            assert_eq!(rankings, ranked, "seed {seed}, {threads} threads");
            assert_eq!(driver.metrics().totals().dropped, missed, "seed {seed}, {threads} threads");
        }
        late += missed;
        zeros += counted.values().filter(|count| **count == 0).count();
    }
    println!("{late} windows missed, {zeros} zeros");
    assert!(late > 1_000 && zeros > 1_000, "the cases are too tame: {late} windows missed, {zeros} zeros");
}

#[test]
fn a_crash_changes_nothing_that_is_told() {
    let mut checked = 0;
    for seed in 0..30 {
        let partitions = 1 + u32::try_from(seed % 2).unwrap();
        let scenario = Scenario {
            topology: Arc::new(|| TERMS.declare(&[])),
            sources: vec![(CLICKSTREAM_TOPIC.into(), partitions)],
            input: Arc::new(|n, random| {
                // In order of time but for what is late; the key says which partition.
                let mut now = START + i64::try_from(n).unwrap() * 150;
                let click = random_click(random, 0, &mut now);
                let key = Some(vec![random.random_range(0..8)]);
                SimulatedInput {
                    source: 0,
                    partition: None,
                    key,
                    value: Some(value(&click)),
                    timestamp: Timestamp::from_millis(click.time.min(START + i64::try_from(n).unwrap() * 150)),
                }
            }),
            steps: 1_000,
            inputs: 300,
            backlog: 0,
            // A refused record would cost a click its effect, by its policy.
            refusals: false,
            config: Arc::new(|_| ()),
        };
        let settled = simulate(seed, &scenario).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let records = settled.broker.records(CLICKSTREAM_TOPIC).unwrap();
        let clicks: Vec<Clicked> = records
            .iter()
            .map(|record| {
                let click: serde_json::Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
                Clicked {
                    partition: record.partition,
                    resource: RESOURCES.iter().find(|name| click["resource"] == ***name).unwrap(),
                    referrer: NAMES.iter().find(|name| click["referrer"] == address(name)).unwrap(),
                    time: record.timestamp.millis(),
                }
            })
            .collect();
        let (counted, ..) = expected(&clicks, TERMS);
        let end = counted.keys().map(|(_, time)| *time).max().unwrap_or(0);
        let mut found = Counted::new();
        for record in settled.broker.records(REFERRERS_TOPIC).unwrap() {
            let ReferrerCount { name, time, count } = serde_json::from_slice(&record.value.unwrap()).unwrap();
            assert!(found.insert((name.clone(), time), count).is_none(), "seed {seed}: {name} at {time} is told twice");
        }
        // In the end the partitions are idle, and one goes on without the other.
        found.retain(|(_, time), _| *time <= end);
        assert_eq!(found, counted, "seed {seed}: {:?}", settled.report.happened);
        checked += usize::from(settled.report.aborted > 0 || settled.report.generations > 2);
    }
    println!("{checked} lives with something to recover from");
    assert!(checked >= 10, "only {checked} lives had something to recover from");
}

fn blank() -> Clicked {
    Clicked { partition: 0, resource: "/", referrer: "direct", time: 0 }
}

#[test]
fn a_site_that_falls_silent_is_told_with_zeros_until_it_is_forgotten() {
    let topology = TERMS.declare(&[("clock-after", "1s")]);
    let mut driver = Driver::builder(topology).start_at(Timestamp::from_millis(START)).start().unwrap();
    let click = Clicked { referrer: "bing", time: START + 300, ..blank() };
    send(&mut driver, &click);
    driver.settle().unwrap();
    let (mut counts, mut rankings, mut rested) = (Vec::new(), Vec::new(), 0);
    while rested < 40 {
        driver.advance(Duration::from_millis(100)).unwrap();
        let (counted, ranked) = told(&mut driver);
        rested = if counted.is_empty() { rested + 1 } else { 0 };
        counts.extend(counted);
        rankings.extend(ranked);
    }
    let second = START / 1_000;
    let expected: Vec<_> = (1..=25).map(|n| (("bing".to_owned(), second + n), u64::from(n <= 10))).collect();
    assert_eq!(counts, expected);
    let shares = |n| if n <= 10 { vec![("bing".to_owned(), 1)] } else { Vec::new() };
    let expected: Vec<_> = (1..=11).map(|n| (("/".to_owned(), second + n), shares(n))).collect();
    assert_eq!(rankings, expected);
    for store in ["referrers", "resources"] {
        let rows = rows_of(&driver, store);
        assert_eq!(rows, BTreeSet::new(), "what is silent for long is not kept in {store}");
    }
}

/// The keys that a changelog holds.
fn rows_of(driver: &Driver, store: &str) -> BTreeSet<Vec<u8>> {
    let mut rows = BTreeSet::new();
    for record in driver.broker().records(&format!("test-{NAME}-{store}-changelog")).unwrap() {
        let key = record.key.unwrap();
        if record.value.is_some() {
            rows.insert(key)
        } else {
            rows.remove(&key)
        };
    }
    rows
}

#[test]
fn a_click_of_a_partition_that_time_went_on_without_is_expired_where_it_is_too_late() {
    let mut driver = Driver::builder(TERMS.declare(&[])).partitions(2).start().unwrap();
    let click = |partition, after| Clicked { partition, referrer: "bing", time: START + after, ..blank() };
    send(&mut driver, &click(0, 0));
    send(&mut driver, &click(1, 0));
    driver.settle().unwrap();
    // The second partition is silent for so long that it is left out.
    for _ in 0..32 {
        driver.advance(Duration::from_secs(1)).unwrap();
    }
    send(&mut driver, &click(0, 5_300));
    driver.settle().unwrap();
    let second = START / 1_000;
    assert_eq!(told(&mut driver).0.last_key_value().unwrap(), (&("bing".to_owned(), second + 5), &2));
    // By its own partition it is in time. Once it is heard of, that partition counts again.
    send(&mut driver, &click(1, 2_000));
    driver.settle().unwrap();
    send(&mut driver, &click(1, 9_300));
    send(&mut driver, &click(0, 9_300));
    driver.settle().unwrap();
    let counts: Vec<u64> = told(&mut driver).0.into_values().collect();
    assert_eq!(counts, [4, 4, 4, 4], "from six to nine seconds");
    // Three windows, the ones that end at 3, 4 and 5, of each of the two counters.
    assert_eq!(driver.metrics().totals().dropped, 2 * 3);
}

#[test]
fn what_cannot_be_used_goes_by_its_policy_and_nothing_else_is_left_out() {
    let mut driver = Driver::builder(TERMS.declare(&[])).start().unwrap();
    let values: [&[u8]; 6] = [
        br#"{"resource":"/","referrer":null}"#,
        br#"{"resource":"/"}"#,
        br#"{"resource":"/","referrer":"about:blank","user":7}"#,
        br#"{"resource":null,"referrer":"http://www.bing.com"}"#,
        br#"{"resource":"/","refer"#,
        br#"{"resource":"/","referrer":"http://www.bing.com"}"#,
    ];
    for (value, time) in values.into_iter().zip(START..) {
        driver.send_bytes(CLICKSTREAM_TOPIC, 0, None, Some(value), time).unwrap();
    }
    driver.send_bytes(CLICKSTREAM_TOPIC, 0, None, Some(values[5]), START + 1_200).unwrap();
    driver.settle().unwrap();
    let counted: Vec<(String, u64)> = told(&mut driver).0.into_iter().map(|((name, _), count)| (name, count)).collect();
    assert_eq!(counted, [("bing".to_owned(), 1), ("direct".to_owned(), 2), ("unknown".to_owned(), 1)]);
    let reasons: Vec<Vec<u8>> = driver
        .take("dead")
        .into_iter()
        .map(|record| record.headers.last("millstream.error.reason").unwrap().to_vec())
        .collect();
    let expected = [DropReason::NullKey, DropReason::Unreadable].map(|reason| reason.label().as_bytes().to_vec());
    assert_eq!(reasons.into_iter().collect::<BTreeSet<_>>(), expected.into_iter().collect());
}

#[test]
fn equal_referrers_are_told_by_name_and_no_more_than_asked_for() {
    let mut driver = Driver::builder(TERMS.declare(&[("most", "2")])).start().unwrap();
    for (referrer, time) in ["google", "bing", "amazon", "google", "bing", "reddit"].into_iter().zip(START..) {
        send(&mut driver, &Clicked { referrer, time, ..blank() });
    }
    send(&mut driver, &Clicked { time: START + 1_200, ..blank() });
    driver.settle().unwrap();
    let ranked: Vec<_> = told(&mut driver).1.into_values().collect();
    assert_eq!(ranked, [vec![("bing".to_owned(), 2), ("google".to_owned(), 2)]]);
}

#[test]
fn very_many_referrers_over_a_long_gap_are_told_in_portions_and_completely() {
    let mut driver = Driver::builder(TERMS.declare(&[])).start().unwrap();
    for n in 0..1_500 {
        let value = format!(r#"{{"resource":"/","referrer":"http://www.site{n}.com"}}"#);
        driver.send_bytes(CLICKSTREAM_TOPIC, 0, None, Some(value.as_bytes()), START).unwrap();
    }
    send(&mut driver, &Clicked { time: START + 3_600_200, ..blank() });
    driver.settle().unwrap();
    let (counted, ranked) = told(&mut driver);
    assert_eq!(counted.len(), 1_500 * 25);
    assert_eq!(counted.values().sum::<u64>(), 1_500 * 10);
    assert_eq!((ranked.len(), ranked.values().map(Vec::len).max()), (11, Some(100)));
}

#[test]
fn settings_decide_the_plan_and_impossible_ones_are_refused() {
    let of = |name: &str, value: &str| TERMS.declare(&[(name, value)]).plan().fingerprint;
    let plans = [
        ("window", "10s"),
        ("window", "30s"),
        ("silent-for", "1m"),
        ("disorder", "1s"),
        ("clock-after", "1s"),
        ("most", "7"),
    ];
    let fingerprints: BTreeSet<u64> = plans.into_iter().map(|(name, value)| of(name, value)).collect();
    assert_eq!(fingerprints.len(), plans.len());
    for window in ["0s", "1500ms", "2h"] {
        let settings = Settings::of(SETTINGS, &BTreeMap::from([("window".to_owned(), window.to_owned())])).unwrap();
        let error = topology(BadInput::Fail, &settings).err().unwrap().to_string();
        assert!(error.contains("a window of") && error.contains("--set window=30s"), "{error}");
    }
}
