//! The products that have sold best so far: ranked by their sales over all that the topic holds.
//!
//! Three steps. The purchases are added up by product, in as many tasks as there are partitions; each task sends a
//! product's newest sum on, once a commit. All sums meet in a single task, which ranks them: it keeps the ranking beside
//! the sums, so that a sum costs a look at the ranking and no more. Only the ranks that have changed are written.
//!
//! Of equal sales the first product in alphabetical order comes first. So the ranking is a function of the sums, and the
//! same whatever the partitions, commits and runs were.

use std::cmp::Reverse;

use millstream::cli::{Declared, Report, Setting, Settings};
use millstream::operators::processor::{Context, Processor, Stored};
use millstream::{BadInput, Builder, Data, Error, ErrorKind, Json, NoKey, Record, Reject, Result, Topic, Topology};
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

use crate::topologies::running_totals::Totals;
use crate::topologies::sales::{PURCHASES_TOPIC, Sale};

/// The name it is run by.
pub const NAME: &str = "top-products";
/// Where the ranks go, by rank.
pub const TOP_TOPIC: &str = "demo.top.products";

const PURCHASES: Topic<NoKey, Sale> = Topic::new(PURCHASES_TOPIC);
const TOP: Topic<String, Option<Ranked>> = Topic::new(TOP_TOPIC);

const MOST: Setting<u64> = Setting::new("most", 25, "How many products are ranked, up to 10000");

/// The settings that it has.
pub const SETTINGS: &[&dyn Declared] = &[&MOST];

/// What is shown at the end of a run.
pub const REPORT: Report =
    Report { topic: TOP_TOPIC, order_by: "rank", columns: &["rank", "product_id", "quantities", "sales"] };

/// Purchases by product, added up, and the products ranked.
///
/// # Errors
/// When a setting makes no sense, or the declaration has a mistake.
pub fn topology(bad_input: BadInput, settings: &Settings) -> Result<Topology> {
    let most = most(settings.get(&MOST))?;
    let b = Builder::new(NAME);
    b.agree_on("most", most);
    b.source(PURCHASES)
        .event_time(|_, sale| {
            sale.product_id.as_ref().map(|_| sale.transaction_time.timestamp()).ok_or_else(Reject::null_key)
        })
        .on_bad_input(bad_input)
        .stream()
        .try_rekey(|_, sale| sale.product_id.clone().ok_or_else(Reject::null_key))
        .try_map_values(Totals::of)
        .group_by_key()
        .named("by-product")
        .combine()
        .try_reduce(Totals::add)
        .named("totals")
        .to_stream()
        .flat_map_values(|totals| totals.map(Sold::of))
        .repartition()
        .partitions(1)
        .named("to-be-ranked")
        .stream()
        .process(move |setup| Ranking {
            sold: setup.store("sold"),
            ranks: setup.store("ranks"),
            made_for: setup.store("made-for"),
            most,
        })
        .named("rank-products")
        .to_updates(TOP);
    Ok(b.build()?)
}

/// The ranking is looked through for every sum, and is meant for people.
fn most(asked: u64) -> Result<usize> {
    usize::try_from(asked).ok().filter(|most| (1..=10_000).contains(most)).ok_or_else(|| {
        let message = format!("a ranking of {asked} products is not possible");
        Error::new(ErrorKind::Config, message).remedy("give 1 to 10000, as in --set most=25")
    })
}

/// What a product has sold so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sold {
    product_id: String,
    quantities: i64,
    #[serde(with = "arbitrary_precision")]
    sales: Decimal,
}

impl Data for Sold {
    type Codec = Json;
}

impl Sold {
    fn of(totals: Totals) -> Self {
        Self { product_id: totals.product_id, quantities: totals.quantities, sales: totals.sales }
    }

    /// What comes first has the smallest.
    fn place(&self) -> (Reverse<Decimal>, &str) {
        (Reverse(self.sales), &self.product_id)
    }
}

/// A product among the best.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranked {
    /// 1 is the product with the largest sales. Of equal sales the first product in alphabetical order comes first.
    pub rank: u32,
    /// The product.
    pub product_id: String,
    /// How many were sold.
    pub quantities: i64,
    /// What was paid for them.
    #[serde(with = "arbitrary_precision")]
    pub sales: Decimal,
}

impl Data for Ranked {
    type Codec = Json;
}

impl Ranked {
    fn of(rank: u32, sold: Sold) -> Self {
        let Sold { product_id, quantities, sales } = sold;
        Self { rank, product_id, quantities, sales }
    }
}

/// Ranks the products.
struct Ranking {
    /// What each product has sold, whether it is ranked or not.
    sold: Stored<String, Sold>,
    /// Who has which rank, from 0 on.
    ranks: Stored<u32, Sold>,
    /// How many ranks there were to be when the ranking was made: another run may have been asked for others.
    made_for: Stored<u32, u64>,
    most: usize,
}

impl Processor<String, Sold> for Ranking {
    type Key = String;
    type Value = Option<Ranked>;

    fn process(
        &self,
        record: Record<String, Sold>,
        cx: &mut Context<'_, String, Option<Ranked>>,
    ) -> std::result::Result<(), Reject> {
        let Record { key, value: sold, .. } = record;
        cx.put(&self.sold, &key, sold.clone());
        let before: Vec<Sold> = cx.rows(&self.ranks).into_iter().map(|(_, sold)| sold).collect();
        let known = before.iter().position(|other| other.product_id == sold.product_id);
        let last = before.last().filter(|_| before.len() == self.most);
        let now = match known {
            // Goods that were taken back, from a product that was ranked: one that is not may be better now.
            Some(_) if last.is_some_and(|last| sold.place() > last.place()) => self.rank_all(cx),
            _ if self.is_new(cx) => self.rank_all(cx),
            _ => self.moved(before.clone(), known, sold),
        };
        self.tell(&before, now, cx);
        Ok(())
    }
}

impl Ranking {
    /// The ranking once a product, which was `known` at a rank or at none, has got better.
    fn moved(&self, mut ranking: Vec<Sold>, known: Option<usize>, sold: Sold) -> Vec<Sold> {
        if let Some(known) = known {
            ranking.remove(known);
        }
        let place = ranking.partition_point(|other| other.place() < sold.place());
        ranking.insert(place, sold);
        ranking.truncate(self.most);
        ranking
    }

    /// Whether the ranking was made for another number of ranks, or not at all yet.
    fn is_new(&self, cx: &mut Context<'_, String, Option<Ranked>>) -> bool {
        let most = u64::try_from(self.most).unwrap_or(u64::MAX);
        let new = cx.get(&self.made_for, &0) != Some(most);
        if new {
            cx.put(&self.made_for, &0, most);
        }
        new
    }

    fn rank_all(&self, cx: &mut Context<'_, String, Option<Ranked>>) -> Vec<Sold> {
        let mut all: Vec<Sold> = cx.rows(&self.sold).into_iter().map(|(_, sold)| sold).collect();
        all.sort_by(|one, other| one.place().cmp(&other.place()));
        all.truncate(self.most);
        all
    }

    /// Writes the ranks that have changed, and deletes those that a run with fewer ranks no longer has.
    fn tell(&self, before: &[Sold], now: Vec<Sold>, cx: &mut Context<'_, String, Option<Ranked>>) {
        let kept = now.len();
        for (place, sold) in (0..).zip(now) {
            if before.get(place as usize) != Some(&sold) {
                cx.put(&self.ranks, &place, sold.clone());
                let rank = place + 1;
                cx.forward(rank.to_string(), Some(Ranked::of(rank, sold)));
            }
        }
        for place in (0..).zip(before).skip(kept).map(|(place, _): (u32, _)| place) {
            cx.remove(&self.ranks, &place);
            cx.forward((place + 1).to_string(), None);
        }
    }
}

#[cfg(test)]
#[path = "top_products_tests.rs"]
mod tests;
