//! What each product sells in every ten minutes, the ten best of them, and the purchases that came too late to count.
//!
//! A window's results go out once, when it closes, and never change afterwards. It closes when the time of every
//! partition has come to its end and the lateness that is allowed; what counts in it does not depend on how the
//! partitions interleave, so a replay gives the same.

use std::cmp::Reverse;
use std::time::Duration;

use millstream::operators::top::Top;
use millstream::operators::window::Late;
use millstream::window::{GivenWindows, HoppingWindows, Windowed};
use millstream::{BadInput, Builder, Data, Json, NoKey, Reject, Timestamp, Topic, Topology};
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

use crate::topologies::sales::exact::{add_count, add_money};
use crate::topologies::sales::fields::Fields;
use crate::topologies::sales::{CivilTime, PURCHASES_TOPIC, Receipt, Sale};

/// The name it is run by.
pub const NAME: &str = "sales-windows";
/// What each product has sold in each window, by product.
pub const WINDOWS_TOPIC: &str = "demo.sales.windows";
/// The products that sold best in each window, by the window's start.
pub const TOP_TOPIC: &str = "demo.sales.windows.top";
/// The purchases that came too late for a window, by product.
pub const LATE_TOPIC: &str = "demo.sales.windows.late";

const SIZE: Duration = Duration::from_mins(10);
const ADVANCE: Duration = Duration::from_mins(5);
/// How late a purchase may be: a window stays open for so long after its end.
const GRACE: Duration = Duration::from_mins(10);
const BEST: usize = 10;

const PURCHASES: Topic<NoKey, Receipt> = Topic::new(PURCHASES_TOPIC);
const WINDOWS: Topic<String, WindowSales> = Topic::new(WINDOWS_TOPIC);
const TOP: Topic<String, Ranked> = Topic::new(TOP_TOPIC);
const LATE: Topic<String, LatePurchase> = Topic::new(LATE_TOPIC);

/// Purchases by product in windows of ten minutes every five, by their own time; ten minutes of lateness are allowed.
///
/// # Errors
/// When the declaration has a mistake.
pub fn topology(bad_input: BadInput) -> millstream::Result<Topology> {
    let b = Builder::new(NAME);
    let windows = b
        .source(PURCHASES)
        .event_time(|_, purchase| event_time(&purchase.sale))
        .on_bad_input(bad_input)
        .stream()
        .try_rekey(|_, purchase| purchase.sale.product_id.clone().ok_or_else(Reject::null_key))
        .group_by_key()
        .named("by-product")
        .windowed(HoppingWindows::of(SIZE, ADVANCE).grace(GRACE))
        .on_close()
        .try_aggregate(Sums::default, |product_id, sums, purchase| sums.add(product_id, &purchase))
        .named("windows");
    windows.late().try_map_values(|late| LatePurchase::of(&late)).to(LATE);
    let closed = windows.to_stream().flat_map(|key, sums| sums.map(|sums| (key.clone(), WindowSales::of(key, sums))));
    closed.rekey(|key, _| key.key.clone()).to(WINDOWS);
    closed
        .rekey(|key, sales| Windowed::new(sales.window_start.to_string(), key.window))
        .group_by_key()
        .named("by-window")
        .windowed(GivenWindows::closed(SIZE))
        .on_close()
        .top(BEST, |sales| (sales.sales, Reverse(sales.product_id.clone())))
        .named("top")
        .to_stream()
        .flat_map(|key, best| best.into_iter().flat_map(ranks).map(move |ranked| (key.key.clone(), ranked)))
        .to(TOP);
    Ok(b.build()?)
}

/// When a purchase was made, of a product, in windows that can be written. One that cannot be placed is refused as it is
/// read, which costs nothing: further down, what has been done of its batch would have to be done again. It moves no time.
fn event_time(sale: &Sale) -> Result<Timestamp, Reject> {
    let time = sale.transaction_time.timestamp();
    if sale.product_id.is_none() {
        return Err(Reject::null_key());
    }
    if time.plus(SIZE) > CivilTime::MAX.timestamp() {
        let message = format!("the windows of a purchase at {} end after the year 9999", sale.transaction_time);
        return Err(Reject::overflow(message));
    }
    Ok(time)
}

/// What was sold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    transactions: i64,
    quantities: i64,
    #[serde(with = "arbitrary_precision")]
    sales: Decimal,
}

impl Data for Sums {
    type Codec = Json;
}

impl Sums {
    /// Adds a purchase; in whichever order they come, the result is the same.
    fn add(&mut self, product_id: &str, purchase: &Receipt) -> Result<(), Reject> {
        add_count(&mut self.transactions, 1, "transactions", product_id)?;
        add_count(&mut self.quantities, purchase.sale.quantity, "quantities", product_id)?;
        add_money(&mut self.sales, purchase.sale.total_purchase, "sales", product_id)
    }
}

/// What a product has sold in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSales {
    /// The product.
    pub product_id: String,
    /// The first moment of the window.
    pub window_start: CivilTime,
    /// The first moment after it.
    pub window_end: CivilTime,
    /// How many purchases.
    pub transactions: i64,
    /// How many were sold.
    pub quantities: i64,
    /// What was paid for them.
    #[serde(with = "arbitrary_precision")]
    pub sales: Decimal,
}

impl Data for WindowSales {
    type Codec = Json;
}

impl WindowSales {
    fn of(key: Windowed<String>, sums: Sums) -> Self {
        let Sums { transactions, quantities, sales } = sums;
        Self {
            product_id: key.key,
            window_start: CivilTime::from_timestamp(key.window.start),
            window_end: CivilTime::from_timestamp(key.window.end),
            transactions,
            quantities,
            sales,
        }
    }
}

/// A product among the best of a window.
///
/// One flat record a rank: a row of a table, which column stores (Pinot) and charts (Superset) take as it is, without
/// unfolding a list. The key is the window's start, so that the ranks of a window lie in one partition, in their order,
/// and they are committed together. Window and rank name a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranked {
    /// The first moment of the window.
    pub window_start: CivilTime,
    /// The first moment after it.
    pub window_end: CivilTime,
    /// 1 is the product with the largest sales. Of equal sales the first product in alphabetical order comes first.
    pub rank: u32,
    /// The product.
    pub product_id: String,
    /// How many purchases.
    pub transactions: i64,
    /// How many were sold.
    pub quantities: i64,
    /// What was paid for them.
    #[serde(with = "arbitrary_precision")]
    pub sales: Decimal,
}

impl Data for Ranked {
    type Codec = Json;
}

fn ranks(best: Top<WindowSales>) -> impl Iterator<Item = Ranked> {
    (1..).zip(best.into_vec()).map(|(rank, of)| {
        let WindowSales { product_id, window_start, window_end, transactions, quantities, sales } = of;
        Ranked { window_start, window_end, rank, product_id, transactions, quantities, sales }
    })
}

/// A purchase that came too late for a window: one for each window that it missed. As JSON it has the purchase's own
/// fields, all of them and as they came, and behind them those below; a field that was called so already is replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct LatePurchase {
    /// The purchase's own.
    #[serde(flatten)]
    pub purchase: Fields,
    /// The time by which it was too late: what its own partition had come to before it or, where it has `expired`, what
    /// the others had.
    pub watermark: CivilTime,
    /// The first moment of the window.
    pub window_start: CivilTime,
    /// The first moment after it.
    pub window_end: CivilTime,
    /// True where it was in time by its own partition, and the others had gone on without that one: it had been silent.
    pub expired: bool,
}

impl Data for LatePurchase {
    type Codec = Json;
}

impl LatePurchase {
    fn of(late: &Late<Receipt>) -> Result<Self, Reject> {
        let broken = |error| Reject::because(format!("a late purchase is not the JSON expected: {error}"));
        let mut purchase: Fields = serde_json::from_str(late.value.text()).map_err(broken)?;
        for name in ["watermark", "window_start", "window_end", "expired"] {
            purchase.remove(name);
        }
        Ok(Self {
            purchase,
            watermark: CivilTime::from_timestamp(late.watermark),
            window_start: CivilTime::from_timestamp(late.window.start),
            window_end: CivilTime::from_timestamp(late.window.end),
            expired: late.expired,
        })
    }
}

impl TryFrom<Fields> for LatePurchase {
    type Error = String;

    fn try_from(mut purchase: Fields) -> Result<Self, String> {
        Ok(Self {
            watermark: take(&mut purchase, "watermark")?,
            window_start: take(&mut purchase, "window_start")?,
            window_end: take(&mut purchase, "window_end")?,
            expired: take(&mut purchase, "expired")?,
            purchase,
        })
    }
}

fn take<T: for<'de> Deserialize<'de>>(purchase: &mut Fields, name: &str) -> Result<T, String> {
    purchase.take(name).ok_or_else(|| format!("a late purchase without {name}"))
}

#[cfg(test)]
#[path = "sales_windows_tests.rs"]
mod tests;
