//! The disk under SIGKILL: a child process writes batches for as long as it lives, and whatever it leaves behind has to
//! be one of the states that it went through, with the stand of that state.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::Rng;

use super::testing::seeded;
use super::{Disk, SledDisk, Stand};

const DIRECTORY: &str = "MILLSTREAM_KILL_TEST_DIRECTORY";
const CHILD: &str = "state::kill_tests::the_child_that_writes_until_it_is_killed";
const KILLS: u64 = 20;

/// The changes of batch `sequence`: some rows set to it, some deleted.
fn batch(sequence: u64) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let mut random = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let rows = (0..200).map(|_| {
        let key = format!("rows{:04}", next() % 2_000).into_bytes();
        (key, (next() % 4 != 0).then(|| sequence.to_string().repeat(3).into_bytes()))
    });
    rows.collect()
}

fn stand(sequence: u64) -> Stand {
    Stand { sequence, changelogs: [("totals".to_owned(), sequence.cast_signed() * 7)].into() }
}

#[test]
fn the_child_that_writes_until_it_is_killed() {
    // Run on its own, by the test below.
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let disk = SledDisk::open(Path::new(&directory), "app", "0_0").unwrap();
    let mut sequence = disk.stand().unwrap().unwrap_or_default().sequence;
    loop {
        sequence += 1;
        let rows = batch(sequence);
        let mut rows = rows.iter().map(|(key, row)| (&key[..], row.as_deref()));
        disk.apply(&mut rows, &stand(sequence)).unwrap();
        if sequence.is_multiple_of(3) {
            disk.flush().unwrap();
        }
    }
}

#[test]
fn a_killed_process_leaves_one_of_its_states_and_the_stand_of_that() {
    let mut rng = seeded(1);
    let directory = tempfile::tempdir().unwrap();
    let (mut model, mut at) = (BTreeMap::new(), 0);
    let (mut grown, mut kill) = (0, 0);
    // On a busy machine a child may not come to write before it is killed.
    while kill < KILLS || grown < KILLS / 4 {
        assert!(kill < 20 * KILLS, "the kills come too early to prove anything: {grown}");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From within the opening to well into the writing.
        std::thread::sleep(Duration::from_millis(rng.random_range(5..500)));
        child.kill().unwrap();
        child.wait().unwrap();
        let disk = SledDisk::open(directory.path(), "app", "0_0").unwrap();
        let found = disk.stand().unwrap().unwrap_or_default();
        assert!(found.sequence >= at, "kill {kill}: what was there before is gone");
        grown += u64::from(found.sequence > at);
        for sequence in at + 1..=found.sequence {
            model.extend(batch(sequence));
        }
        at = found.sequence;
        assert_eq!(found, if at == 0 { Stand::default() } else { stand(at) });
        let mut rows = Vec::new();
        disk.scan(b"", &[0xff; 4], usize::MAX, &mut rows).unwrap();
        let expected = model.iter().filter_map(|(key, row)| Some((key.clone(), row.clone()?)));
        assert!(rows.into_iter().eq(expected), "kill {kill}: the rows are not those of commit {at}");
        kill += 1;
    }
    println!("{grown} of {kill} kills came after new batches, {at} batches in all");
}
