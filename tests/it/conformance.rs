//! The same inputs as Kafka Streams was given must give what it gave.
//!
//! `tests/conformance/cases/TOPOLOGY/SEED.json` are recorded runs of the original; `tests/conformance/generator` made
//! them and makes more. Fresh ones are tried with `CONFORMANCE_CASES=DIR cargo test conformance`.

mod topologies;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream::testing::Driver;
use millstream::{Emission, Result, Topology};
use serde::Deserialize;

/// The topologies in which ours gives more than the original on purpose: ours sends every window that closes, as the
/// tests of the window operators show against a naive reference.
///
/// The original writes a record first and looks for closed windows after that. Its store has then forgotten every window
/// that is older than the retention (here 15 s) before the newest one, so a record that moves time on far enough closes
/// windows that are never sent. The last record of each case closes all that are open in that way.
const GIVES_MORE: [&str; 4] =
    ["hopping-sum-on-close", "session-count-on-close", "sliding-count-on-close", "tumbling-count-on-close"];

/// The topologies in which ours gives less on purpose: a row that a table's filter never held for is not told downstream,
/// where the original sends a tombstone for each of its updates; nor is a left row deleted that a foreign key never joined.
const GIVES_LESS: [&str; 2] = ["foreign-key-inner", "table-filter"];

/// The outputs of the original without deletions of what had not been told before.
fn without_empty_deletions(outputs: &[Output]) -> Vec<Output> {
    let mut told = BTreeSet::new();
    let needed = outputs.iter().filter(|output| match output.value {
        Some(_) => {
            told.insert(&output.key);
            true
        }
        None => told.remove(&output.key),
    });
    needed.cloned().collect()
}

/// Whether the original forgets the window of this result before it could send it.
fn is_forgotten(case: &Case, output: &Output) -> bool {
    const RETENTION: i64 = 15_000;
    const SEGMENT: i64 = 60_000;
    const CLOSED_BEHIND: i64 = 10_000;
    let last = case.inputs.len() - 1;
    let advance = match case.topology.as_str() {
        "tumbling-count-on-close" => 10_000,
        "hopping-sum-on-close" => 5_000,
        // These stores forget by segments of a minute: a step has to pass the end of one, as the last one does.
        _ => {
            let time =
                output.key.as_deref().and_then(|key| key.split_once('@')?.1.split_once('/')?.1.parse::<i64>().ok());
            let newest = case.inputs[output.after_input].ts.unwrap_or_default();
            let passed = time.is_some_and(|time| time / SEGMENT < (newest - CLOSED_BEHIND) / SEGMENT);
            let sent = case.outputs.iter().any(|other| other.key == output.key);
            return !sent && (passed || output.after_input == last);
        }
    };
    let newest = case.inputs[output.after_input].ts.unwrap_or_default() / advance * advance;
    let start = output.key.as_deref().and_then(|key| key.split_once('@')?.1.split_once('/')?.0.parse::<i64>().ok());
    start.is_some_and(|start| start < newest - RETENTION)
}

/// The topic that every reference topology writes.
const OUT: &str = "out";

/// A recorded run.
#[derive(Clone, Debug, Deserialize)]
struct Case {
    topology: String,
    seed: u64,
    compare: Compare,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
}

/// What must be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Compare {
    /// The outputs, their order, and the input that each follows.
    Exact,
    /// After each input the same outputs, in any order.
    PerStep,
    /// The same outputs over the whole case, in any order and after any input.
    Multiset,
    /// The last value of each key.
    FinalPerKey,
}

/// A record, or a step of the wall clock where `advance_wall_clock_ms` is there.
#[derive(Clone, Debug, Deserialize)]
struct Input {
    topic: Option<String>,
    key: Option<String>,
    value: Option<String>,
    ts: Option<i64>,
    advance_wall_clock_ms: Option<u64>,
}

/// A record of the topic `out`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Output {
    after_input: usize,
    key: Option<String>,
    value: Option<String>,
    ts: i64,
}

/// An output as the runner has it: key, value and timestamp.
type Row = (Option<String>, Option<String>, i64);

/// What a case is played to.
trait Runner {
    /// Hands in a record and works until nothing is left to do.
    fn input(&mut self, topic: &str, key: Option<&str>, value: Option<&str>, ts: i64) -> Result<()>;
    /// Moves the wall clock on and works until nothing is left to do.
    fn advance_wall_clock(&mut self, ms: u64) -> Result<()>;
    /// The records that have come out since the last look.
    fn outputs(&mut self) -> Vec<Row>;
}

/// The topology on the in-memory broker, with one partition and every update coming out.
struct OnDriver(Driver);

impl OnDriver {
    fn start(topology: Topology) -> Result<Self> {
        // The clock is the case's: it neither moves for a commit nor puts the member out of its group.
        let at_once = |config: &mut millstream::Config| {
            config.commit_interval = Duration::ZERO;
            config.session_timeout = Duration::from_hours(24);
        };
        Driver::builder(topology).partitions(1).emission(Emission::EachUpdate).config(at_once).start().map(Self)
    }
}

impl Runner for OnDriver {
    fn input(&mut self, topic: &str, key: Option<&str>, value: Option<&str>, ts: i64) -> Result<()> {
        self.0.send_bytes(topic, 0, key.map(str::as_bytes), value.map(str::as_bytes), ts)?;
        self.0.settle()
    }

    fn advance_wall_clock(&mut self, ms: u64) -> Result<()> {
        self.0.jump(Duration::from_millis(ms))
    }

    fn outputs(&mut self) -> Vec<Row> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the reference topologies write text");
        let records = self.0.take(OUT).into_iter();
        records.map(|record| (record.key.map(text), record.value.map(text), record.timestamp.millis())).collect()
    }
}

/// Plays a case; what comes out, by the input that it follows.
fn play(case: &Case, runner: &mut dyn Runner) -> Result<Vec<Output>> {
    let mut outputs = Vec::new();
    for (after_input, input) in case.inputs.iter().enumerate() {
        match (&input.topic, input.ts, input.advance_wall_clock_ms) {
            (None, None, Some(ms)) => runner.advance_wall_clock(ms)?,
            (Some(topic), Some(ts), None) => runner.input(topic, input.key.as_deref(), input.value.as_deref(), ts)?,
            _ => panic!("input {after_input} of {}/{} is neither a record nor a step", case.topology, case.seed),
        }
        let rows = runner.outputs().into_iter();
        outputs.extend(rows.map(|(key, value, ts)| Output { after_input, key, value, ts }));
    }
    if case.compare == Compare::FinalPerKey {
        // Tasks behind a shuffle hear only with the clock that nothing more is to be waited for.
        runner.advance_wall_clock(1_000)?;
        let (rows, after_input) = (runner.outputs().into_iter(), case.inputs.len() - 1);
        outputs.extend(rows.map(|(key, value, ts)| Output { after_input, key, value, ts }));
    }
    Ok(outputs)
}

/// Why a case does not pass, or `None` where it does.
fn verdict(case: &Case, topology: Topology) -> Option<String> {
    match OnDriver::start(topology).and_then(|mut runner| play(case, &mut runner)) {
        Ok(mut got) => {
            if GIVES_MORE.contains(&case.topology.as_str()) {
                got.retain(|output| !is_forgotten(case, output));
            }
            if GIVES_LESS.contains(&case.topology.as_str()) {
                let outputs = without_empty_deletions(&case.outputs);
                return difference(&Case { outputs, ..case.clone() }, &got);
            }
            difference(case, &got)
        }
        Err(error) => Some(format!("{}/{}.json: the topology stopped: {error}\n", case.topology, case.seed)),
    }
}

/// An output with only those fields that are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    after_input: Option<usize>,
    key: Option<String>,
    value: Option<String>,
    ts: Option<i64>,
}

impl Compare {
    /// The outputs so that two runs that count as equal give equal lines.
    fn lines(self, outputs: &[Output]) -> Vec<Line> {
        let line = |output: &Output| Line {
            after_input: matches!(self, Self::Exact | Self::PerStep).then_some(output.after_input),
            key: output.key.clone(),
            value: output.value.clone(),
            ts: (self != Self::FinalPerKey).then_some(output.ts),
        };
        let mut lines: Vec<Line> = if self == Self::FinalPerKey {
            let last: BTreeMap<_, _> = outputs.iter().map(|output| (&output.key, output)).collect();
            last.into_values().map(line).collect()
        } else {
            outputs.iter().map(line).collect()
        };
        if self != Self::Exact {
            lines.sort();
        }
        lines
    }
}

/// The first difference as a small table, or `None` where the case passes.
fn difference(case: &Case, got: &[Output]) -> Option<String> {
    const BEFORE: usize = 2;
    const AFTER: usize = 3;
    let (expected, got) = (case.compare.lines(&case.outputs), case.compare.lines(got));
    let longest = expected.len().max(got.len());
    let at = (0..longest).find(|&i| expected.get(i) != got.get(i))?;

    let mut text = format!(
        "{}/{}.json: line {at} differs (compared {:?}; {} lines expected, {} came)\n",
        case.topology,
        case.seed,
        case.compare,
        expected.len(),
        got.len()
    );
    let follows = [&expected, &got].into_iter().filter_map(|lines| lines.get(at)?.after_input).min();
    if let Some(input) = follows {
        let _ = writeln!(text, "  after input {input}: {}", shown_input(&case.inputs[input]));
    }
    let _ = writeln!(text, "    {:>5}  {:<44}  came", "line", "expected");
    for i in at.saturating_sub(BEFORE)..longest.min(at + AFTER) {
        let mark = if expected.get(i) == got.get(i) { ' ' } else { '>' };
        let _ = writeln!(text, "  {mark} {i:>5}  {:<44}  {}", shown(expected.get(i)), shown(got.get(i)));
    }
    Some(text)
}

fn shown(line: Option<&Line>) -> String {
    let Some(line) = line else { return "(nothing)".to_owned() };
    let mut text = format!("{} = {}", or_null(line.key.as_deref()), or_null(line.value.as_deref()));
    if let Some(ts) = line.ts {
        let _ = write!(text, " at {ts}");
    }
    if let Some(input) = line.after_input {
        let _ = write!(text, " (input {input})");
    }
    text
}

fn shown_input(input: &Input) -> String {
    match (input.advance_wall_clock_ms, &input.topic, input.ts) {
        (Some(ms), ..) => format!("the wall clock moves on by {ms} ms"),
        (None, Some(topic), Some(ts)) => {
            format!("{topic}: {} = {} at {ts}", or_null(input.key.as_deref()), or_null(input.value.as_deref()))
        }
        (None, ..) => "neither a record nor a step".to_owned(),
    }
}

fn or_null(text: Option<&str>) -> &str {
    text.unwrap_or("null")
}

fn own_cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases")
}

/// All cases below a directory, by topology and seed.
fn read_cases(dir: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for topology in entries(dir).into_iter().filter(|path| path.is_dir()) {
        for file in entries(&topology).into_iter().filter(|path| path.extension().is_some_and(|end| end == "json")) {
            let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let case: Case =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{} is no case: {error}", file.display()));
            cases.push(case);
        }
    }
    cases.sort_by(|a, b| (&a.topology, a.seed).cmp(&(&b.topology, b.seed)));
    cases
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    read.map(|entry| entry.expect("an entry of a directory that was just opened").path()).collect()
}

/// Writes past the capturing of the test harness: what was left out must be seen in a run that passes as well.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[test]
fn every_case_gives_what_kafka_streams_gave() {
    let chosen = std::env::var_os("CONFORMANCE_CASES").map(PathBuf::from);
    let dir = chosen.clone().unwrap_or_else(own_cases);
    let cases = read_cases(&dir);
    let mut passed = 0;
    let mut played: BTreeSet<&str> = BTreeSet::new();
    let mut unknown: BTreeSet<&str> = BTreeSet::new();
    let mut differences: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for case in &cases {
        let name = case.topology.as_str();
        let Some(topology) = topologies::build(name) else {
            unknown.insert(name);
            continue;
        };
        played.insert(name);
        match verdict(case, topology) {
            None => passed += 1,
            Some(text) => differences.entry(name).or_default().push(text),
        }
    }

    let failed: usize = differences.values().map(Vec::len).sum();
    // One table a topology: the others are mostly the same mistake again.
    for tables in differences.values() {
        tell(&tables[0]);
    }
    tell(&format!(
        "conformance: {passed} of {} cases passed, of {} topologies; {failed} differ ({})",
        passed + failed,
        played.len(),
        dir.display()
    ));

    assert!(unknown.is_empty(), "there are cases of topologies that this runner does not know: {unknown:?}");
    assert!(passed + failed > 0, "there are no cases below {}", dir.display());
    if chosen.is_none() {
        let built: BTreeSet<&str> = topologies::ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(played, built, "every topology that is built has cases");
    }
    assert_eq!(failed, 0, "the first difference of each topology is shown above");
}

/// The runner's own tests: a comparison that lets everything pass would look like a perfect score.
mod the_runner {
    use super::*;

    /// Gives recorded outputs back, whatever comes in.
    struct Scripted {
        outputs: Vec<Output>,
        step: usize,
    }

    impl Runner for Scripted {
        fn input(&mut self, _: &str, _: Option<&str>, _: Option<&str>, _: i64) -> Result<()> {
            Ok(())
        }

        fn advance_wall_clock(&mut self, _: u64) -> Result<()> {
            Ok(())
        }

        fn outputs(&mut self) -> Vec<Row> {
            let step = self.step;
            self.step += 1;
            let now = self.outputs.iter().filter(|output| output.after_input == step);
            now.map(|output| (output.key.clone(), output.value.clone(), output.ts)).collect()
        }
    }

    fn output(after_input: usize, key: &str, value: &str, ts: i64) -> Output {
        Output { after_input, key: Some(key.into()), value: Some(value.into()), ts }
    }

    fn differs(compare: Compare, outputs: Vec<Output>) -> bool {
        let input = |ts| Input {
            topic: Some("in".into()),
            key: Some("a".into()),
            value: Some("1".into()),
            ts: Some(ts),
            advance_wall_clock_ms: None,
        };
        let expected = vec![output(0, "a", "1", 10), output(1, "b", "2", 20), output(1, "a", "3", 20)];
        let inputs = vec![input(10), input(20), input(30)];
        let case = Case { topology: "scripted".into(), seed: 1, compare, inputs, outputs: expected };
        let got = play(&case, &mut Scripted { outputs, step: 0 }).expect("a script does not fail");
        difference(&case, &got).is_some()
    }

    const ALL: [Compare; 4] = [Compare::Exact, Compare::PerStep, Compare::Multiset, Compare::FinalPerKey];

    fn which_differ(outputs: &[Output]) -> Vec<Compare> {
        ALL.into_iter().filter(|compare| differs(*compare, outputs.to_vec())).collect()
    }

    #[test]
    fn equal_outputs_pass_in_every_mode() {
        assert_eq!(which_differ(&[output(0, "a", "1", 10), output(1, "b", "2", 20), output(1, "a", "3", 20)]), []);
    }

    #[test]
    fn another_order_within_a_step_fails_the_exact_mode_alone() {
        let swapped = [output(0, "a", "1", 10), output(1, "a", "3", 20), output(1, "b", "2", 20)];
        assert_eq!(which_differ(&swapped), [Compare::Exact]);
    }

    #[test]
    fn another_step_passes_only_where_steps_do_not_count() {
        let late = [output(0, "a", "1", 10), output(1, "b", "2", 20), output(2, "a", "3", 20)];
        assert_eq!(which_differ(&late), [Compare::Exact, Compare::PerStep]);
    }

    #[test]
    fn a_missing_update_in_between_passes_only_where_the_last_value_counts() {
        let fewer = [output(1, "b", "2", 20), output(1, "a", "3", 20)];
        assert_eq!(which_differ(&fewer), [Compare::Exact, Compare::PerStep, Compare::Multiset]);
    }

    #[test]
    fn an_output_twice_another_time_or_another_value_is_found() {
        let twice =
            [output(0, "a", "1", 10), output(1, "b", "2", 20), output(1, "a", "3", 20), output(1, "a", "3", 20)];
        assert_eq!(which_differ(&twice), [Compare::Exact, Compare::PerStep, Compare::Multiset]);
        let time = [output(0, "a", "1", 10), output(1, "b", "2", 21), output(1, "a", "3", 20)];
        assert_eq!(which_differ(&time), [Compare::Exact, Compare::PerStep, Compare::Multiset]);
        let value = [output(0, "a", "1", 10), output(1, "b", "2", 20), output(1, "a", "4", 20)];
        assert_eq!(which_differ(&value), ALL);
    }

    #[test]
    fn the_difference_is_shown_beside_what_was_expected() {
        let case = Case {
            topology: "count".into(),
            seed: 3,
            compare: Compare::Exact,
            inputs: vec![Input {
                topic: Some("in".into()),
                key: Some("a".into()),
                value: None,
                ts: Some(7),
                advance_wall_clock_ms: None,
            }],
            outputs: vec![output(0, "a", "1", 7)],
        };
        let text = difference(&case, &[]).expect("an output is missing");
        assert!(text.contains("count/3.json: line 0 differs"), "{text}");
        assert!(text.contains("after input 0: in: a = null at 7"), "{text}");
        assert!(text.contains("a = 1 at 7 (input 0)"), "{text}");
        assert!(text.contains("(nothing)"), "{text}");
    }
}
