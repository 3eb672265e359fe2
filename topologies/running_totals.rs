//! What each product has sold so far: purchases by product, added up.

use millstream::{BadInput, Builder, Data, Json, NoKey, Reject, Topic, Topology};
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

use crate::topologies::sales::exact::{add_count, add_money};
use crate::topologies::sales::{CivilTime, PURCHASES_TOPIC, Sale};

/// The name it is run by.
pub const NAME: &str = "running-totals";
/// Where the totals go, by product.
pub const TOTALS_TOPIC: &str = "demo.running.totals";

/// The name of the same topology without combining before the shuffle.
pub const UNCOMBINED_NAME: &str = "running-totals-uncombined";

const PURCHASES: Topic<NoKey, Sale> = Topic::new(PURCHASES_TOPIC);
const TOTALS: Topic<String, Totals> = Topic::new(TOTALS_TOPIC);

/// Purchases by product, added up. Each task adds up what it has read before it sends it on to the product's task, so
/// that a few records travel a commit instead of every purchase.
///
/// # Errors
/// When the declaration has a mistake.
pub fn topology(bad_input: BadInput) -> millstream::Result<Topology> {
    declare(NAME, bad_input, true)
}

/// The same, with every purchase sent on by itself: for measuring what combining saves.
///
/// # Errors
/// When the declaration has a mistake.
pub fn uncombined(bad_input: BadInput) -> millstream::Result<Topology> {
    declare(UNCOMBINED_NAME, bad_input, false)
}

fn declare(name: &str, bad_input: BadInput, combine: bool) -> millstream::Result<Topology> {
    let b = Builder::new(name);
    let by_product = b
        .source(PURCHASES)
        // A purchase without a product is refused as it is read, which costs nothing: further down, what has been done of
        // its batch would have to be done again.
        .event_time(|_, sale| {
            sale.product_id.as_ref().map(|_| sale.transaction_time.timestamp()).ok_or_else(Reject::null_key)
        })
        .on_bad_input(bad_input)
        .stream()
        .try_rekey(|_, purchase| purchase.product_id.clone().ok_or_else(Reject::null_key))
        .try_map_values(Totals::of)
        .group_by_key()
        .named("by-product");
    let by_product = if combine { by_product.combine() } else { by_product };
    by_product.try_reduce(Totals::add).named("totals").to(TOTALS);
    Ok(b.build()?)
}

/// What a product has sold so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The newest of its purchases: the largest time, so that it does not depend on how partitions interleave.
    pub event_time: CivilTime,
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

impl Data for Totals {
    type Codec = Json;
}

impl Totals {
    /// The totals of one purchase.
    ///
    /// # Errors
    /// When the purchase names no product.
    pub fn of(purchase: Sale) -> Result<Self, Reject> {
        Ok(Self {
            event_time: purchase.transaction_time,
            product_id: purchase.product_id.ok_or_else(Reject::null_key)?,
            transactions: 1,
            quantities: purchase.quantity,
            sales: purchase.total_purchase,
        })
    }

    /// Adds `more`; in whichever order and grouping totals are added, the result is the same.
    ///
    /// # Errors
    /// When a number grows beyond what its type holds exactly.
    #[expect(clippy::needless_pass_by_value, reason = "the shape of a reduce")]
    pub fn add(&mut self, more: Self) -> Result<(), Reject> {
        self.event_time = self.event_time.max(more.event_time);
        add_count(&mut self.transactions, more.transactions, "transactions", &more.product_id)?;
        add_count(&mut self.quantities, more.quantities, "quantities", &more.product_id)?;
        add_money(&mut self.sales, more.sales, "sales", &more.product_id)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream::operators::DropReason;

    fn purchase(time: &str, product_id: Option<&str>, total: &str) -> Sale {
        let json = serde_json::json!({"transaction_time": time, "product_id": product_id, "quantity": 2});
        let text = json.to_string().replacen('{', &format!("{{\"total_purchase\":{total},"), 1);
        serde_json::from_str(&text).unwrap()
    }

    fn totals(time: &str, total: &str) -> Totals {
        Totals::of(purchase(time, Some("CS01"), total)).unwrap()
    }

    fn sum(mut left: Totals, right: Totals) -> Result<Totals, Reject> {
        left.add(right).map(|()| left)
    }

    #[test]
    fn totals_are_added_exactly_and_keep_the_newest_time() {
        let newer = totals("2022-08-31 08:00:34.721802", "204.61");
        let older = totals("2022-08-31 08:00:33", "0.1");
        let both = sum(newer.clone(), older.clone()).unwrap();
        assert_eq!(both, sum(older, newer).unwrap());
        assert_eq!(
            serde_json::to_string(&both).unwrap(),
            r#"{"event_time":"2022-08-31 08:00:34.721802","product_id":"CS01","transactions":2,"quantities":4,"sales":204.71}"#
        );
    }

    #[test]
    fn a_purchase_without_a_product_has_no_key() {
        let reject = Totals::of(purchase("2022-08-31 08:00:33", None, "1")).unwrap_err();
        assert_eq!(reject.reason, DropReason::NullKey);
    }

    #[test]
    fn a_total_that_does_not_fit_is_refused() {
        let largest = totals("2022-08-31 08:00:33", "79228162514264337593543950335");
        let reject = sum(largest.clone(), largest).unwrap_err();
        assert_eq!(reject.reason, DropReason::Overflow);
        assert_eq!(reject.message, "the sales of CS01 grew too large");
    }
}
