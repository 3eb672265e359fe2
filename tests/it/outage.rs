//! The broker dies and comes back while the application works: it waits, and goes on exactly where it was.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::time::Duration;

use millstream::broker::kafka::KafkaBroker;
use millstream::broker::{Broker, Isolation};
use millstream::{Clock, SystemClock};

use crate::broker::{OwnBroker, topic};
use crate::process::{Process, within};
use crate::sums;

#[test]
fn an_application_outlives_its_broker_and_its_totals_stay_exact() {
    let Some(mut real) = OwnBroker::start() else { return };
    let bootstrap = real.bootstrap.clone();
    let broker = KafkaBroker::new(&bootstrap, &BTreeMap::new()).expect("valid properties");
    let totals = topic(&broker, "totals", 4);
    let directory = tempfile::tempdir().expect("a directory");
    let (state, rename) = (directory.path().to_str().expect("a text"), format!("demo.running.totals={totals}"));
    let generate = ["generate", "sales", "--bootstrap-servers", &bootstrap, "--rate", "500"];
    let mut generator = Process::start("generator", &generate);
    let run = [
        "run",
        "running-totals",
        "--bootstrap-servers",
        &bootstrap,
        "--threads",
        "2",
        "--state-dir",
        state,
        "--topic",
        &rename,
    ];
    within(Duration::from_secs(30), "the generator's topic", || {
        let known = broker.describe_topics(&["demo.purchases"]).expect("described");
        (!known.is_empty()).then_some(())
    });
    let mut application = Process::start("application", &run);
    application.logged("partitions assigned");
    grown(&broker, &totals, &mut application);

    let clock = SystemClock::new();
    real.kill();
    assert!(!application.ended() && !generator.ended(), "{}", application.log());
    real.restart();
    let away = clock.elapsed();

    grown(&broker, &totals, &mut application);
    generator.terminate();
    generator.succeeds(Duration::from_mins(1));
    let purchases = sums::committed(&broker, "demo.purchases");
    let expected = sums::of_purchases(purchases.iter().map(sums::Stored::value));
    let counted = |sums: &sums::Sums| sums.values().map(|sum| sum.transactions).sum::<i128>();
    within(Duration::from_mins(4), "the last totals", || {
        assert!(!application.ended(), "{}", application.log());
        let found = sums::newest(&sums::committed(&broker, &totals));
        (counted(&found) >= counted(&expected)).then_some(())
    });
    println!("{} purchases, the broker was away for {away:?}", purchases.len());
    assert_eq!(sums::newest(&sums::committed(&broker, &totals)), expected);
    application.terminate();
    application.succeeds(Duration::from_secs(30));
}

/// Waits until the application has written more totals.
fn grown(broker: &dyn Broker, totals: &str, application: &mut Process) {
    let outputs = sums::partitions(broker, totals);
    let written = || -> i64 { broker.end_offsets(&outputs, Isolation::ReadCommitted).expect("asked").iter().sum() };
    let before = written();
    within(Duration::from_mins(4), "more totals", || {
        assert!(!application.ended(), "{}", application.log());
        (written() > before).then_some(())
    });
}
