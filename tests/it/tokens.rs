//! Tokens that are good for seconds, at a real broker that ends every connection which does not show a new one in time.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millstream::broker::Broker;
use millstream::broker::kafka::{KafkaBroker, Security, Token, TokenSource};
use millstream::{App, Builder, Clock, Config, Data, Json, NoKey, SystemClock, Timestamp, Topic};
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

use crate::broker::{RealBroker, topic, unique};
use crate::process::within;
use crate::shop::purchase;
use crate::sums;
use crate::totals::write_values;

/// How long a token is good. The broker has every connection show one each five seconds, new or not; one is shared for half of
/// its time, and librdkafka looks once a second whether four fifths of what was left are over.
const LIFE: Duration = Duration::from_secs(16);
/// So many tokens mean that those of the first clients have run out long ago.
const TOKENS: usize = 4;

/// Tokens that nobody has signed, as the broker of the tests takes them.
#[derive(Default)]
struct Unsigned(AtomicUsize);

impl Unsigned {
    fn made(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The broker's administrator has no name, and whoever may do everything is `ANONYMOUS`.
fn unsigned(now: Timestamp, expires: Timestamp) -> Token {
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let seconds = |time: Timestamp| format!("{}.{:03}", time.millis() / 1_000, time.millis() % 1_000);
    let claims = format!(r#"{{"sub":"ANONYMOUS","iat":{},"exp":{}}}"#, seconds(now), seconds(expires));
    let value = format!("{}.{}.", part(r#"{"alg":"none"}"#.to_owned()), part(claims));
    Token { value, principal: "ANONYMOUS".to_owned(), expires }
}

impl TokenSource for Unsigned {
    fn token(&self) -> Result<Token, String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let now = SystemClock::new().wall();
        Ok(unsigned(now, now.plus(LIFE)))
    }
}

/// A source that has nothing to give.
struct Empty;

impl TokenSource for Empty {
    fn token(&self) -> Result<Token, String> {
        Err("there is no role; give this process one".to_owned())
    }
}

fn connect(address: &str, ca: &str, source: Arc<dyn TokenSource>) -> KafkaBroker {
    let properties = BTreeMap::from([("ssl.ca.location".to_owned(), ca.to_owned())]);
    KafkaBroker::with_security(address, &Security::Tokens(source), &properties).expect("valid properties")
}

#[derive(Clone, Serialize, Deserialize)]
struct Sale {
    transaction_time: String,
    product_id: String,
    quantity: i64,
    #[serde(with = "arbitrary_precision")]
    total_purchase: Decimal,
}

impl Data for Sale {
    type Codec = Json;
}

#[derive(Clone, Serialize, Deserialize)]
struct Totals {
    event_time: String,
    product_id: String,
    transactions: i64,
    quantities: i64,
    #[serde(with = "arbitrary_precision")]
    sales: Decimal,
}

impl Data for Totals {
    type Codec = Json;
}

impl Totals {
    fn of(purchase: Sale) -> Self {
        let Sale { transaction_time: event_time, product_id, quantity: quantities, total_purchase: sales } = purchase;
        Self { event_time, product_id, transactions: 1, quantities, sales }
    }

    fn add(&mut self, more: Self) {
        self.event_time = self.event_time.clone().max(more.event_time);
        self.transactions += more.transactions;
        self.quantities += more.quantities;
        self.sales += more.sales;
    }
}

const PURCHASES: Topic<NoKey, Sale> = Topic::new("demo.purchases");
const TOTALS: Topic<String, Totals> = Topic::new("demo.running.totals");

fn running_totals() -> millstream::Topology {
    let b = Builder::new("running-totals");
    b.source(PURCHASES)
        .stream()
        .map(|_, purchase| (purchase.product_id.clone(), Totals::of(purchase)))
        .group_by_key()
        .named("by-product")
        .combine()
        .reduce(Totals::add)
        .named("totals")
        .to(TOTALS);
    b.build().expect("sound")
}

#[test]
fn tokens_are_renewed_while_a_topology_runs_and_it_counts_everything_once() {
    let Some((real, doors)) = RealBroker::secured() else { return };
    let plain = real.connect();
    let (input, totals) = (topic(&plain, "purchases", 2), topic(&plain, "totals", 2));
    let source = Arc::new(Unsigned::default());
    let broker = Arc::new(connect(&doors.tokens, &doors.ca, Arc::clone(&source) as Arc<dyn TokenSource>));
    let mut config = Config::new(unique("tokens"));
    config.threads = 2;
    config.topics =
        [("demo.purchases".to_owned(), input.clone()), ("demo.running.totals".to_owned(), totals.clone())].into();
    let running =
        App::new(running_totals(), Arc::clone(&broker) as Arc<dyn Broker>, config).start().expect("it starts");

    // Each record goes through a consumer, a producer and a reader's view of what is committed.
    let mut purchases = Vec::new();
    while source.made() < TOKENS {
        let next: Vec<String> = (0..10).map(|n| purchase(["CS01", "SF07"][n % 2], 1, "0.25")).collect();
        write_values(&plain, &input, next.iter().map(String::as_bytes));
        purchases.extend(next);
        let expected = sums::of_purchases(purchases.iter().map(String::as_bytes));
        within(Duration::from_secs(30), "the totals", || {
            (sums::newest(&sums::committed(&plain, &totals)) == expected).then_some(())
        });
        assert!(!running.is_finished(), "it ended");
    }
    println!("{} purchases, {} tokens for all clients together", purchases.len(), source.made());
    // The administrator was not asked anything since the start, and the writer is new.
    assert_eq!(broker.describe_topics(&[&input]).expect("described").len(), 1);
    write_values(&*broker, &input, [&purchase("CS01", 1, "0.25").into_bytes()[..]]);
    running.stop();
    running.join().expect("a good end");
}

#[test]
fn a_source_without_tokens_is_told_at_once() {
    let Some((_real, doors)) = RealBroker::secured() else { return };
    let clock = SystemClock::new();
    let broker = connect(&doors.tokens, &doors.ca, Arc::new(Empty));
    let error = broker.describe_topics(&["any"]).expect_err("nobody is let in").to_string();
    println!("after {:?}: {error}", clock.elapsed());
    assert!(error.contains("do not let this process in") && error.contains("there is no role"), "{error}");
    assert!(clock.elapsed() < Duration::from_secs(9));
}

/// A source whose tokens are of the past.
struct Stale;

impl TokenSource for Stale {
    fn token(&self) -> Result<Token, String> {
        let now = SystemClock::new().wall();
        let past = unsigned(now.minus(LIFE * 3), now.minus(LIFE * 2));
        Ok(Token { expires: now.plus(LIFE), ..past })
    }
}

#[test]
fn a_token_that_the_broker_refuses_is_told_and_not_shown() {
    let Some((_real, doors)) = RealBroker::secured() else { return };
    let broker = connect(&doors.tokens, &doors.ca, Arc::new(Stale));
    let error = broker.describe_topics(&["any"]).expect_err("nobody is let in").to_string();
    println!("{error}");
    assert!(error.contains("do not let this process in"), "{error}");
    assert!(!error.contains("eyJ"), "{error}");
}
