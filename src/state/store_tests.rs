//! The store against a plain map, and what it promises about flushes.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::testing::{Text, seeded, text};
use super::{Row, Stand, StateOptions, States, Store, StoreId, StoreOptions, TaskState};
use crate::error::Result;
use crate::time::Timestamp;

type Rows = BTreeMap<String, (String, i64)>;

fn store(state: &TaskState, cache_bytes: usize) -> Store<Text, Text> {
    Store::new(StoreOptions { name: "totals".into(), keep_before: true, cache_bytes }, state.clone())
}

fn row(value: &str, millis: i64) -> Row<Text> {
    Row { value: text(value), timestamp: Timestamp::from_millis(millis) }
}

fn put(store: &mut Store<Text, Text>, key: &str, value: Option<&str>, millis: i64) {
    let id = store.touch(&text(key)).unwrap();
    *store.row_mut(id) = value.map(|value| row(value, millis));
    store.origin_mut(id).timestamp = Timestamp::from_millis(millis);
}

fn flush(store: &mut Store<Text, Text>) -> Vec<(String, Option<String>, Option<String>)> {
    let mut told = Vec::new();
    let value = |row: Option<&Row<Text>>| row.map(|row| row.value.0.clone());
    store
        .flush(|flushed| {
            told.push((flushed.key.0.clone(), value(flushed.before), value(flushed.row)));
            Ok(())
        })
        .unwrap();
    told
}

fn all(store: &mut Store<Text, Text>) -> Vec<(String, String)> {
    let (mut rows, scan) = (Vec::new(), store.scan(b"", None));
    let each = |key: &Text, row: &Row<Text>| -> Result<ControlFlow<()>> {
        rows.push((key.0.clone(), row.value.0.clone()));
        Ok(ControlFlow::Continue(()))
    };
    store.for_each(scan, each).unwrap();
    rows
}

fn commit(state: &TaskState, sequence: u64) {
    state.commit(Stand { sequence, changelogs: [("totals".to_owned(), sequence.cast_signed())].into() });
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A store beside the plainest thing that could do the same.
struct Model {
    rows: Rows,
    flushed: Rows,
    committed: Rows,
    touched: Vec<String>,
    changelog: HashMap<String, Option<Vec<u8>>>,
    sequence: u64,
}

impl Model {
    fn touch(&mut self, key: &str, new: Option<(String, i64)>) {
        if !self.touched.iter().any(|touched| touched == key) {
            self.touched.push(key.to_owned());
        }
        match new {
            Some(new) => drop(self.rows.insert(key.to_owned(), new)),
            None => drop(self.rows.remove(key)),
        }
    }

    fn flush(&mut self, store: &mut Store<Text, Text>) {
        let mut told = std::mem::take(&mut self.touched).into_iter();
        let value = |row: Option<&Row<Text>>| row.map(|row| (row.value.0.clone(), row.timestamp.millis()));
        store
            .flush(|flushed| {
                let vanished = |key: &String| !self.flushed.contains_key(key) && !self.rows.contains_key(key);
                assert_eq!(told.by_ref().find(|key| !vanished(key)).as_ref(), Some(&flushed.key.0));
                assert_eq!(value(flushed.before).as_ref(), self.flushed.get(&flushed.key.0));
                assert_eq!(value(flushed.row).as_ref(), self.rows.get(&flushed.key.0));
                assert_eq!(flushed.existed, flushed.before.is_some());
                assert_eq!(flushed.key_bytes, flushed.key.0.as_bytes());
                self.changelog.insert(flushed.key.0.clone(), flushed.row_bytes.map(<[u8]>::to_vec));
                Ok(())
            })
            .unwrap();
        self.flushed = self.rows.clone();
        assert_eq!((store.dirty_bytes(), store.is_dirty()), (0, false));
    }

    fn abort(&mut self) {
        self.rows = self.committed.clone();
        self.flushed = self.committed.clone();
        self.touched.clear();
    }

    fn check(&self, store: &mut Store<Text, Text>, key: &str) {
        let found = store.get(&text(key)).unwrap().map(|row| (row.value.0.clone(), row.timestamp.millis()));
        assert_eq!(found.as_ref(), self.rows.get(key), "{key}");
    }
}

/// A random life of a store; `reopen` gives a new handle of the same state after a restart, where that is possible.
fn live(rng: &mut ChaCha8Rng, steps: usize, mut state: TaskState, mut reopen: impl FnMut(TaskState) -> TaskState) {
    let cache_bytes = [0, 1_000, 10_000][rng.random_range(0..3)];
    let mut store = self::store(&state, cache_bytes);
    let empty = Rows::new;
    let mut model = Model {
        rows: empty(),
        flushed: empty(),
        committed: empty(),
        touched: vec![],
        changelog: HashMap::new(),
        sequence: 0,
    };
    for step in 0..steps {
        let key = format!("key{}", rng.random_range(0..60));
        match rng.random_range(0..100) {
            0..35 => {
                let new = (format!("{step}").repeat(rng.random_range(1..20)), rng.random_range(-9..9));
                put(&mut store, &key, Some(&new.0), new.1);
                model.touch(&key, Some(new));
            }
            35..50 => {
                put(&mut store, &key, None, 0);
                model.touch(&key, None);
            }
            50..85 => model.check(&mut store, &key),
            85..92 => model.flush(&mut store),
            92..95 => {
                model.flush(&mut store);
                model.sequence += 1;
                commit(&state, model.sequence);
                model.committed = model.rows.clone();
            }
            95..96 => {
                let values = model.rows.iter().map(|(key, (value, _))| (key.clone(), value.clone()));
                assert_eq!(all(&mut store), values.collect::<Vec<_>>());
            }
            96..98 => {
                state.abort();
                store = self::store(&state, cache_bytes);
                model.abort();
            }
            _ => {
                drop(store);
                state = reopen(state);
                assert_eq!(state.stand().sequence, model.sequence);
                store = self::store(&state, cache_bytes);
                model.abort();
            }
        }
    }
    assert!(store.stats().cache_bytes <= cache_bytes + store.dirty_bytes() + 2_000);
}

#[test]
fn a_store_in_memory_behaves_as_a_map() {
    for seed in 0..60 {
        let mut rng = seeded(seed);
        let states = States::open(StateOptions::Memory, "app").unwrap();
        let lease = || states.lease("0_0", &["totals"]).unwrap().unwrap();
        let state = lease();
        live(&mut rng, 1_500, state, |state| {
            drop(state);
            lease()
        });
    }
}

#[test]
fn a_store_on_disk_behaves_as_a_map_over_restarts() {
    for seed in 100..104 {
        let mut rng = seeded(seed);
        let directory = tempfile::tempdir().unwrap();
        let open = || States::open(StateOptions::Directory(directory.path().into()), "app").unwrap();
        let mut states = open();
        let state = states.lease("0_0", &["totals"]).unwrap().unwrap();
        live(&mut rng, 1_000, state, |state| {
            drop(state);
            states.close().unwrap();
            states = States::open(StateOptions::Memory, "app").unwrap();
            states = open();
            states.lease("0_0", &["totals"]).unwrap().unwrap()
        });
    }
}

#[test]
fn rows_are_told_in_order_of_their_first_touch_with_what_they_were() {
    let state = TaskState::in_memory("0_0");
    let mut store = store(&state, 1_000);
    put(&mut store, "b", Some("1"), 5);
    put(&mut store, "a", Some("1"), 6);
    put(&mut store, "b", Some("2"), 7);
    let told = |key: &str, before: Option<&str>, now: Option<&str>| {
        (key.to_owned(), before.map(str::to_owned), now.map(str::to_owned))
    };
    assert_eq!(flush(&mut store), [told("b", None, Some("2")), told("a", None, Some("1"))]);
    put(&mut store, "a", None, 8);
    put(&mut store, "b", Some("3"), 9);
    put(&mut store, "b", Some("4"), 9);
    assert_eq!(flush(&mut store), [told("a", Some("1"), None), told("b", Some("2"), Some("4"))]);
    assert_eq!(flush(&mut store), []);
}

#[test]
fn a_row_that_came_and_went_between_two_flushes_is_not_told() {
    let state = TaskState::in_memory("0_0");
    let mut store = store(&state, 1_000);
    put(&mut store, "a", Some("1"), 1);
    put(&mut store, "a", None, 2);
    assert_eq!(flush(&mut store), []);
    assert!(state.is_empty().unwrap());
}

#[test]
fn the_bytes_of_a_flush_are_the_bytes_below() {
    let state = TaskState::in_memory("0_0");
    let mut store = store(&state, 1_000);
    put(&mut store, "a", Some("one"), -3);
    let mut told = None;
    store
        .flush(|flushed| {
            told = flushed.row_bytes.map(<[u8]>::to_vec);
            Ok(())
        })
        .unwrap();
    let below = state.get(&StoreId::of("totals").key(b"a")).unwrap();
    assert_eq!(below, told);
    assert_eq!(below.unwrap(), [&[1, 5][..], b"one"].concat());
}

#[test]
fn what_cannot_be_written_or_read_names_the_store() {
    let state = TaskState::in_memory("0_0");
    let mut written = store(&state, 1_000);
    put(&mut written, "a", Some("unwritable"), 1);
    let error = written.flush(|_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("store totals") && error.contains("\"a\""), "{error}");

    state.restore("totals", [(&b"b"[..], Some(&[7_u8, 0][..]))], 1);
    let mut read = store(&state, 1_000);
    let error = read.get(&text("b")).unwrap_err().to_string();
    assert!(error.contains("store totals") && error.contains("version 7"), "{error}");
}

#[test]
fn a_scan_sees_what_is_written_before_it_and_not_what_is_written_behind_it() {
    let state = TaskState::in_memory("0_0");
    let mut store = store(&state, 1_000);
    for key in ["b", "d", "f"] {
        put(&mut store, key, Some("old"), 1);
    }
    flush(&mut store);
    let mut scan = store.scan(b"b", Some(b"g"));
    assert_eq!(store.next_row(&mut scan).unwrap().unwrap().0, &text("b"));
    put(&mut store, "a", Some("new"), 2);
    put(&mut store, "b", Some("new"), 2);
    put(&mut store, "c", Some("new"), 2);
    put(&mut store, "d", None, 2);
    flush(&mut store);
    put(&mut store, "f", Some("newer"), 3);
    put(&mut store, "g", Some("new"), 3);
    let mut rest = Vec::new();
    while let Some((key, row)) = store.next_row(&mut scan).unwrap() {
        rest.push((key.0.clone(), row.value.0.clone()));
    }
    assert_eq!(rest, pairs(&[("c", "new"), ("f", "newer")]));
}

#[test]
fn a_scan_goes_over_many_chunks_and_layers() {
    let state = TaskState::in_memory("0_0");
    let mut store = store(&state, 0);
    for number in 0..2_000 {
        put(&mut store, &format!("{number:04}"), Some("committed"), 1);
    }
    flush(&mut store);
    commit(&state, 1);
    for number in 0..1_000 {
        put(&mut store, &format!("{number:04}"), (number % 500 == 0).then_some("pending"), 1);
    }
    flush(&mut store);
    put(&mut store, "0777", Some("dirty"), 1);
    let rows = all(&mut store);
    assert_eq!(rows.len(), 1_003);
    assert_eq!(rows[..3], pairs(&[("0000", "pending"), ("0500", "pending"), ("0777", "dirty")]));
    let scan = store.scan_prefix(b"199");
    let mut found = 0;
    let count = |_: &Text, _: &Row<Text>| {
        found += 1;
        Ok(if found == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    store.for_each(scan, count).unwrap();
    assert_eq!(found, 7);
}

#[test]
fn a_batch_read_ahead_is_answered_by_the_cache() {
    let state = TaskState::in_memory("0_0");
    state.restore("totals", [(&b"a"[..], Some(&b"\x01\x02one"[..]))], 1);
    let mut store = store(&state, 10_000);
    store.load([&text("b"), &text("a"), &text("b")]).unwrap();
    assert_eq!(store.get(&text("a")).unwrap(), Some(&row("one", 1)));
    assert_eq!(store.get(&text("b")).unwrap(), None);
    assert_eq!((store.stats().hits, store.stats().misses), (2, 2));
}

#[test]
fn changed_rows_stay_in_a_cache_that_is_too_small_and_clean_ones_go() {
    let state = TaskState::in_memory("0_0");
    let mut store = store(&state, 500);
    for number in 0..100 {
        put(&mut store, &format!("{number}"), Some("x"), 1);
    }
    assert_eq!(store.stats().dirty_rows, 100);
    assert!(store.dirty_bytes() > 500);
    flush(&mut store);
    assert!(store.stats().cache_bytes <= 500, "{:?}", store.stats());
    assert!(store.stats().cached_rows > 0);
}
