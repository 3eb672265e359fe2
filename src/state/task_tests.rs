//! The layers of a task together, the registry, and disks that fail.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::Rng;

use super::applier::Applier;
use super::handover::{Limits, Shared};
use super::testing::{Faulty, seeded};
use super::{Disk, SledDisk, Stand, StateOptions, States, StoreId, TaskState};

fn stand(sequence: u64) -> Stand {
    Stand { sequence, changelogs: [("totals".to_owned(), sequence.cast_signed() * 2)].into() }
}

fn key(key: &str) -> Vec<u8> {
    StoreId::of("totals").key(key.as_bytes())
}

fn put(state: &TaskState, name: &str, row: Option<&str>) {
    state.put_pending([(key(name).into(), row.map(|row| row.as_bytes().into()))].into_iter());
}

fn get(state: &TaskState, name: &str) -> Option<String> {
    state.get(&key(name)).unwrap().map(|row| String::from_utf8(row).unwrap())
}

fn faulty() -> &'static Faulty {
    Box::leak(Box::default())
}

fn over(disk: &'static Faulty, limits: Limits, applier: Option<&Applier>) -> TaskState {
    let sender = applier.map(|applier| applier.sender.clone());
    TaskState::over(Arc::new(Shared::new("0_0", Box::new(disk), Stand::default(), limits, sender)))
}

#[test]
fn what_is_pending_is_seen_by_the_task_only_until_it_is_committed() {
    let state = TaskState::in_memory("0_0");
    let reader = state.reader();
    let committed = || reader.get(StoreId::of("totals"), b"a").unwrap();
    put(&state, "a", Some("1"));
    assert_eq!((get(&state, "a").as_deref(), committed()), (Some("1"), (None, 0)));
    state.commit(stand(1));
    assert_eq!(committed(), (Some(b"1".to_vec()), 1));
    put(&state, "a", None);
    assert_eq!((get(&state, "a"), committed()), (None, (Some(b"1".to_vec()), 1)));
    state.abort();
    assert_eq!(get(&state, "a").as_deref(), Some("1"));
    assert_eq!(state.stand(), stand(1));
}

#[test]
fn a_read_is_of_one_commit_while_commits_go_on_and_rows_go_to_disk() {
    const COMMITS: u64 = 3_000;
    let state = TaskState::in_memory("0_0");
    let (reader, store) = (state.reader(), StoreId::of("totals"));
    let names: Vec<String> = (0..8).map(|name| name.to_string()).collect();
    let reading = std::thread::spawn(move || {
        let (mut last, mut reads) = (0, 0_u64);
        while last < COMMITS {
            let page = reader.scan(store, b"", None, 100).unwrap();
            assert!(page.sequence >= last, "it went back");
            last = page.sequence;
            let expected = last.to_string().into_bytes();
            assert_eq!(page.rows.len(), if last == 0 { 0 } else { 8 }, "at {last}");
            assert!(page.rows.iter().all(|(_, row)| *row == expected), "{last}: {:?}", page.rows);
            let (row, sequence) = reader.get(store, b"5").unwrap();
            assert_eq!(row, (sequence > 0).then(|| sequence.to_string().into_bytes()));
            reads += 1;
        }
        reads
    });
    for sequence in 1..=COMMITS {
        for name in &names {
            put(&state, name, Some(&sequence.to_string()));
        }
        state.commit(stand(sequence));
    }
    println!("{} reads", reading.join().unwrap());
}

#[test]
fn a_page_holds_one_stores_rows_without_its_prefix() {
    let state = TaskState::in_memory("0_0");
    for (name, row) in [("a", "1"), ("b", "2"), ("c", "3")] {
        put(&state, name, Some(row));
    }
    state.put_pending([(StoreId::of("other").key(b"b").into(), Some(Box::from(&b"9"[..])))].into_iter());
    state.commit(stand(1));
    let page = state.reader().scan(StoreId::of("totals"), b"", None, 2).unwrap();
    assert_eq!(page.rows, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]);
    let page = state.reader().scan(StoreId::of("totals"), &page.next.unwrap(), None, 2).unwrap();
    assert_eq!((page.rows, page.next, page.sequence), (vec![(b"c".to_vec(), b"3".to_vec())], None, 1));
}

#[test]
fn a_restore_stands_for_exactly_what_it_was_given() {
    let state = TaskState::in_memory("0_0");
    let rows: [(&[u8], Option<&[u8]>); 3] = [(b"a", Some(b"1")), (b"b", Some(b"2")), (b"a", None)];
    state.restore("totals", rows, 17);
    assert_eq!(state.stand(), Stand { sequence: 0, changelogs: [("totals".to_owned(), 17)].into() });
    assert_eq!((get(&state, "a"), get(&state, "b").as_deref()), (None, Some("2")));
    state.restored(5);
    assert_eq!(state.stand().sequence, 5);
    state.commit(Stand { sequence: 6, changelogs: [("other".to_owned(), 1)].into() });
    assert_eq!(state.stand().changelogs["totals"], 17);
}

#[test]
fn no_uncommitted_byte_reaches_the_disk() {
    for seed in 0..40 {
        let mut rng = seeded(seed);
        let disk = faulty();
        let limits = Limits { apply: rng.random_range(0..2_000), block: 1 << 20, flush: 500 };
        let applier = Applier::start(Vec::new).unwrap();
        let state = over(disk, limits, rng.random_bool(0.5).then_some(&applier));
        // After each commit, what committed state was.
        let mut history = vec![BTreeMap::new()];
        let mut running = BTreeMap::new();
        for _ in 0..400 {
            match rng.random_range(0..10) {
                0 => {
                    history.push(running.clone());
                    state.commit(stand(history.len() as u64 - 1));
                }
                1 => {
                    state.abort();
                    running.clone_from(&history[history.len() - 1]);
                }
                _ => {
                    let name = rng.random_range(0..30).to_string();
                    let row = rng.random_bool(0.7).then(|| rng.random_range(0..1_000).to_string());
                    put(&state, &name, row.as_deref());
                    match row {
                        Some(row) => drop(running.insert(key(&name), row.into_bytes())),
                        None => drop(running.remove(&key(&name))),
                    }
                }
            }
            let name = rng.random_range(0..30).to_string();
            assert_eq!(get(&state, &name).map(String::into_bytes).as_ref(), running.get(&key(&name)));
        }
        applier.stop();
        let on_disk = disk.stand().unwrap().unwrap_or_default();
        let mut rows = Vec::new();
        disk.scan(&[], &[0xff; 4], usize::MAX, &mut rows).unwrap();
        let expected = &history[usize::try_from(on_disk.sequence).unwrap()];
        assert_eq!(rows, expected.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(on_disk.changelogs.get("totals").copied().unwrap_or(0), on_disk.sequence.cast_signed() * 2);
    }
}

#[test]
fn a_disk_that_fails_loses_nothing_and_is_written_no_more() {
    let disk = faulty();
    let state = over(disk, Limits { apply: 0, block: 100, flush: 0 }, None);
    put(&state, "a", Some("1"));
    state.commit(stand(1));
    assert!(!state.degraded());
    disk.full.store(true, Ordering::SeqCst);
    for sequence in 2..100 {
        put(&state, "a", Some(&sequence.to_string()));
        put(&state, &format!("new{sequence}"), Some("row"));
        state.commit(stand(sequence));
    }
    assert!(state.degraded());
    disk.full.store(false, Ordering::SeqCst);
    state.commit(stand(100));
    assert_eq!((get(&state, "a").as_deref(), get(&state, "new2").as_deref()), (Some("99"), Some("row")));
    assert_eq!(state.stand(), stand(100));
    assert_eq!(disk.stand().unwrap(), Some(stand(1)));
    assert_eq!(disk.get(&key("a")).unwrap(), Some(b"1".to_vec()));
}

#[test]
fn commits_wait_while_the_disk_lags_and_go_on_when_it_fails() {
    let disk = faulty();
    let applier = Applier::start(Vec::new).unwrap();
    let state = over(disk, Limits { apply: 100, block: 300, flush: 1 << 20 }, Some(&applier));
    for sequence in 1..500 {
        disk.full.store(sequence > 400, Ordering::SeqCst);
        put(&state, &sequence.to_string(), Some("a row of some length"));
        state.commit(stand(sequence));
        assert!(state.degraded() || state.sizes().committed < 1_000);
    }
    applier.stop();
    assert!(state.degraded());
    assert_eq!(get(&state, "1").as_deref(), Some("a row of some length"));
}

#[test]
fn two_leases_of_a_task_exclude_each_other() {
    let states = States::open(StateOptions::Memory, "app").unwrap();
    let lease = |task: &str| states.lease(task, &["totals"]).unwrap();
    let first = lease("0_0").unwrap();
    let handle = first.clone();
    put(&first, "a", Some("1"));
    first.commit(stand(1));
    put(&first, "a", Some("2"));
    assert!(lease("0_0").is_none());
    assert!(lease("0_1").is_some());
    drop(first);
    assert!(lease("0_0").is_none(), "a clone still holds it");
    drop(handle);
    let second = lease("0_0").unwrap();
    assert_eq!(get(&second, "a").as_deref(), Some("1"), "what was pending is gone, what was committed is not");
}

#[test]
fn state_that_does_not_fit_can_be_discarded_when_nobody_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let states = States::open(StateOptions::Directory(directory.path().into()), "app").unwrap();
    let state = states.lease("0_0", &[]).unwrap().unwrap();
    put(&state, "a", Some("1"));
    state.commit(stand(1));
    assert!(states.discard("0_0", "a test").is_err());
    drop(state);
    states.discard("0_0", "a test").unwrap();
    let state = states.lease("0_0", &[]).unwrap().unwrap();
    assert!(state.is_empty().unwrap());
    assert_eq!(state.stand(), Stand::default());
}

#[test]
fn a_process_keeps_its_instance_id_and_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let open = || States::open(StateOptions::Directory(directory.path().into()), "app");
    let states = open().unwrap();
    let error = open().unwrap_err().to_string();
    assert!(error.contains("another process uses this state directory"), "{error}");
    let instance = states.instance().to_owned();
    states.close().unwrap();
    assert!(states.lease("0_0", &[]).is_err());
    drop(states);
    assert_eq!(open().unwrap().instance(), instance);
    let memory = || States::open(StateOptions::Memory, "app").unwrap();
    assert_ne!(memory().instance(), memory().instance());
}

#[test]
fn damaged_state_is_moved_aside_once_and_the_task_starts_with_none() {
    let directory = tempfile::tempdir().unwrap();
    let open = || States::open(StateOptions::Directory(directory.path().into()), "app").unwrap();
    let task = directory.path().join("app/tasks/0_0");
    let damages: [&dyn Fn(); 4] = [
        &|| garble(&task.join("slabs")),
        &|| {
            fs::remove_dir_all(&task).unwrap();
            fs::write(&task, b"not a directory").unwrap();
        },
        &|| garble(&task.join("metadata")),
        &|| {
            fs::remove_dir_all(&task).unwrap();
            fs::create_dir_all(task.join("metadata")).unwrap();
            fs::write(task.join("metadata/snapshot_0000000000000001"), b"garbage").unwrap();
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        let states = open();
        let state = states.lease("0_0", &[]).unwrap().unwrap();
        put(&state, "a", Some("1"));
        state.commit(stand(1));
        drop(state);
        states.close().unwrap();
        drop(states);
        damage();
        let states = open();
        let state = states.lease("0_0", &[]).unwrap().unwrap();
        // Either it was not really damaged, or it is empty: never something else.
        let intact = get(&state, "a").as_deref() == Some("1") && state.stand() == stand(1);
        let fresh = state.is_empty().unwrap() && state.stand() == Stand::default();
        println!("damage {number}: intact {intact}, fresh {fresh}, lost {}", states.lost());
        assert!(intact || (fresh && states.lost() == 1), "damage {number}");
        assert_eq!(directory.path().join("app/lost/0_0").exists(), states.lost() == 1 || number > 1);
        drop(state);
        states.close().unwrap();
    }
}

#[test]
fn state_that_cannot_be_read_is_replaced_at_the_next_lease() {
    let directory = tempfile::tempdir().unwrap();
    let open = || States::open(StateOptions::Directory(directory.path().into()), "app").unwrap();
    let states = open();
    let state = states.lease("0_0", &[]).unwrap().unwrap();
    for number in 0..5_000 {
        put(&state, &format!("{number:04}"), Some(&"x".repeat(50)));
    }
    state.commit(stand(1));
    drop(state);
    states.close().unwrap();
    drop(states);
    let states = open();
    let state = states.lease("0_0", &[]).unwrap().unwrap();
    garble(&directory.path().join("app/tasks/0_0/slabs"));
    let error = (0..5_000).find_map(|number| state.get(&key(&format!("{number:04}"))).err()).unwrap().to_string();
    assert!(error.contains("local state of task 0_0") && error.contains("start the task again"), "{error}");
    drop(state);
    let state = states.lease("0_0", &[]).unwrap().unwrap();
    assert!(state.is_empty().unwrap());
    assert_eq!((state.stand(), states.lost()), (Stand::default(), 1));
}

fn garble(directory: &std::path::Path) {
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes: Vec<u8> = fs::read(&path).unwrap().iter().map(|byte| byte ^ 0x5a).collect();
            fs::write(path, bytes).unwrap();
        }
    }
}

#[test]
fn stores_that_would_share_a_prefix_are_refused() {
    let states = States::open(StateOptions::Memory, "app").unwrap();
    let error = states.lease("0_0", &["totals", "totals"]).unwrap_err().to_string();
    assert!(error.contains("cannot be told apart"), "{error}");
}

#[test]
fn what_was_flushed_is_there_after_a_process_that_never_closed() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    let disk = SledDisk::open(&one, "app", "0_0").unwrap();
    for sequence in 1..=20_u64 {
        let row = sequence.to_string();
        let rows: [(&[u8], Option<&[u8]>); 1] = [(b"aaaa1", Some(row.as_bytes()))];
        disk.apply(&mut rows.into_iter(), &stand(sequence)).unwrap();
        if sequence == 13 {
            disk.flush().unwrap();
        }
    }
    copy(&one, &two);
    let copied = SledDisk::open(&two, "app", "0_0").unwrap();
    assert_eq!(copied.stand().unwrap(), Some(stand(13)));
    assert_eq!(copied.get(b"aaaa1").unwrap(), Some(b"13".to_vec()));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &to);
        } else {
            fs::copy(file.path(), to).unwrap();
        }
    }
}

/// Needs a small file system, whose directory the environment names; does nothing without.
#[test]
fn a_full_disk_degrades_the_state_and_the_next_process_finds_the_last_good_one() {
    let Ok(directory) = std::env::var("MILLSTREAM_SMALL_DISK") else { return };
    let open = || States::open(StateOptions::Directory((&directory).into()), "app").unwrap();
    let states = open();
    let state = states.lease("0_0", &["totals"]).unwrap().unwrap();
    println!("found {:?}, lost {}", state.stand(), states.lost());
    let mut rng = seeded(7);
    let mut sequence = state.stand().sequence;
    assert_eq!(get(&state, "newest"), (sequence > 0).then(|| sequence.to_string()));
    while !state.degraded() {
        sequence += 1;
        for _ in 0..20_000 {
            let row: Vec<u8> = (0..100).map(|_| rng.random()).collect();
            state.put_pending([(key(&rng.random::<u64>().to_string()).into(), Some(row.into()))].into_iter());
        }
        put(&state, "newest", Some(&sequence.to_string()));
        state.commit(stand(sequence));
    }
    put(&state, "newest", Some("after"));
    state.commit(stand(sequence + 1));
    assert_eq!(get(&state, "newest").as_deref(), Some("after"));
    assert!(states.degraded());
    println!("full at commit {sequence}: {}", states.close().unwrap_err());
    drop((state, states));
}

#[test]
fn the_applier_writes_what_is_little_as_well_when_it_is_told_to_close() {
    let directory = tempfile::tempdir().unwrap();
    let open = || States::open(StateOptions::Directory(directory.path().into()), "app").unwrap();
    let states = open();
    let state = states.lease("0_0", &[]).unwrap().unwrap();
    put(&state, "a", Some("1"));
    state.commit(stand(1));
    assert!(state.sizes().committed > 0);
    states.close().unwrap();
    assert_eq!(state.sizes().committed, 0);
    put(&state, "a", Some("2"));
    state.commit(stand(2));
    assert_eq!(get(&state, "a").as_deref(), Some("2"));
    drop((state, states));
    let state = open().lease("0_0", &[]).unwrap().unwrap();
    assert_eq!((state.stand(), get(&state, "a").as_deref()), (stand(1), Some("1")));
}
