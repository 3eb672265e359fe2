//! What each product has sold so far: purchases by product, added up.

use millstream::{BadInput, Builder, Data, Json, NoKey, Reject, Topic, Topology};
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

use crate::topologies::sales::{CivilTime, PURCHASES_TOPIC};

/// The name it is run by.
pub const NAME: &str = "running-totals";
/// Where the totals go, by product.
pub const TOTALS_TOPIC: &str = "demo.running.totals";

/// The name of the same topology without combining before the shuffle.
pub const UNCOMBINED_NAME: &str = "running-totals-uncombined";

const PURCHASES: Topic<NoKey, Purchase> = Topic::new(PURCHASES_TOPIC);
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
        .event_time(|_, purchase| purchase.transaction_time.timestamp())
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

/// What the totals need of a purchase.
#[expect(clippy::struct_field_names, reason = "the fields of the topic")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    transaction_time: CivilTime,
    product_id: Option<String>,
    quantity: i64,
    #[serde(with = "arbitrary_precision")]
    total_purchase: Decimal,
}

impl Data for Purchase {
    type Codec = Json;
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
    pub fn of(purchase: Purchase) -> Result<Self, Reject> {
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
        let overflow = |what| Reject::overflow(format!("the {what} of {} grew too large", more.product_id));
        self.event_time = self.event_time.max(more.event_time);
        self.transactions = self.transactions.checked_add(more.transactions).ok_or_else(|| overflow("transactions"))?;
        self.quantities = self.quantities.checked_add(more.quantities).ok_or_else(|| overflow("quantities"))?;
        self.sales = add_exactly(self.sales, more.sales).ok_or_else(|| overflow("sales"))?;
        Ok(())
    }
}

/// The sum, or `None` where it does not fit. A decimal has 96 bits: where the sum needs more digits than that, the plain
/// addition would round the last ones away in silence. The sum has as many decimal places as the longer of the two, in
/// whichever order they are added (the plain addition forgets those of a zero).
fn add_exactly(left: Decimal, right: Decimal) -> Option<Decimal> {
    let mut sum = left.checked_add(right)?;
    let scale = left.scale().max(right.scale());
    if sum.scale() < scale {
        if sum.checked_sub(left) != Some(right) || sum.checked_sub(right) != Some(left) {
            return None;
        }
        sum.rescale(scale);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream::operators::DropReason;

    fn purchase(time: &str, product_id: Option<&str>, total: &str) -> Purchase {
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
    fn a_sum_that_does_not_fit_is_refused_and_so_is_one_that_would_be_rounded() {
        let largest = "79228162514264337593543950335";
        let refused = |left: &str, right: &str| {
            let time = "2022-08-31 08:00:33";
            sum(totals(time, left), totals(time, right)).unwrap_err().reason
        };
        assert_eq!(refused(largest, "1"), DropReason::Overflow);
        assert_eq!(refused("7922816251426433759354395033", "0.001"), DropReason::Overflow);
        assert_eq!(add_exactly("0.00".parse().unwrap(), "5.1".parse().unwrap()).unwrap().to_string(), "5.10");
    }
}
