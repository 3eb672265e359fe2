//! What a process keeps on disk outlives it; where it is lost, the changelog has it.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::broker::RealBroker;
use crate::process::Process;
use crate::shop::{Shop, purchase, sums_of};

const PRODUCTS: usize = 3_000;

struct Kept<'a> {
    shop: Shop<'a>,
    directory: tempfile::TempDir,
    purchases: Vec<String>,
}

impl<'a> Kept<'a> {
    /// A shop of which every product was sold once, with its process stopped in good order.
    fn new(real: &'a RealBroker) -> Self {
        let mut shop = Shop::new(real, 2);
        let purchases: Vec<String> = (0..PRODUCTS).map(|n| purchase(&format!("P{n}"), 1, "1.01")).collect();
        shop.write(&purchases);
        let mut kept = Self { shop, directory: tempfile::tempdir().expect("a directory"), purchases };
        let mut process = kept.start();
        kept.shop.await_totals(&sums_of(&kept.purchases));
        let restored = process.metric("millstream_restored_records_total", &[]);
        assert_eq!(restored, 0, "there was nothing to restore");
        process.terminate();
        process.succeeds(Duration::from_secs(20));
        kept.sell(50);
        kept
    }

    fn start(&self) -> Process {
        let state = self.directory.path().to_str().expect("a text");
        let flags = ["--instance", "a", "--state-dir", state, "--http", "127.0.0.1:0"];
        self.shop.start("a", &flags)
    }

    /// Sells some products again.
    fn sell(&mut self, count: usize) {
        let more: Vec<String> = (0..count).map(|n| purchase(&format!("P{}", n * 7), 2, "3.5")).collect();
        self.shop.write(&more);
        self.purchases.extend(more);
    }

    fn await_totals(&self) {
        self.shop.await_totals(&sums_of(&self.purchases));
    }

    /// Starts again, sells more, and gives how many records were restored.
    fn goes_on(&mut self) -> (u64, Process) {
        let mut process = self.start();
        self.sell(30);
        self.await_totals();
        let restored = process.metric("millstream_restored_records_total", &[]);
        println!("{restored} records restored, of {PRODUCTS} products");
        (restored, process)
    }

    fn moved_aside(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(self.directory.path(), &mut |path| {
            found.extend(path.is_dir().then(|| path.to_owned()).filter(|path| path.ends_with("lost")));
        });
        found
    }
}

fn walk(directory: &Path, see: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        see(&path);
        if path.is_dir() {
            walk(&path, see);
        }
    }
}

#[test]
fn a_kill_does_not_wipe_the_state() {
    let Some(real) = RealBroker::start() else { return };
    let mut kept = Kept::new(&real);
    let mut process = kept.start();
    kept.await_totals();
    let restored = process.metric("millstream_restored_records_total", &[]);
    assert_eq!(restored, 0, "it had been stopped in good order");
    process.kill();
    let (restored, process) = kept.goes_on();
    // What was committed since the start, and the markers of its transactions.
    assert!(restored <= 100, "{restored} records were restored");
    assert_eq!(process.count("moved aside"), 0);
    assert_eq!(kept.moved_aside(), Vec::<PathBuf>::new());
}

#[test]
fn a_lost_state_directory_is_restored_from_the_changelog() {
    let Some(real) = RealBroker::start() else { return };
    let mut kept = Kept::new(&real);
    std::fs::remove_dir_all(kept.directory.path()).expect("deleted");
    let (restored, process) = kept.goes_on();
    assert!(restored >= PRODUCTS as u64, "{restored} records were restored");
    assert_eq!(process.count("moved aside"), 0);
}

#[test]
fn damaged_state_is_moved_aside_and_restored_from_the_changelog() {
    let Some(real) = RealBroker::start() else { return };
    let mut kept = Kept::new(&real);
    let mut damaged = 0;
    walk(kept.directory.path(), &mut |path| {
        let inside = path.components().any(|part| part.as_os_str() == "tasks");
        if inside && path.is_file() && path.metadata().expect("there").len() > 0 {
            let length = usize::try_from(path.metadata().expect("there").len()).expect("small");
            std::fs::write(path, vec![0x5a; length]).expect("written");
            damaged += 1;
        }
    });
    println!("{damaged} files damaged");
    assert!(damaged > 0);
    let (restored, process) = kept.goes_on();
    assert!(restored >= PRODUCTS as u64, "{restored} records were restored");
    assert!(process.count("moved aside") >= 1, "{}", process.log());
    assert_eq!(kept.moved_aside().len(), 1);
}
