//! What each product has sold so far: purchases by product, added up.

use millstream::operators::Reject;
use millstream::topology::Topology;
use rust_decimal::Decimal;
use rust_decimal::serde::arbitrary_precision;
use serde::{Deserialize, Serialize};

use crate::topologies::sales::{CivilTime, Purchase};

/// The name it is run by.
pub const NAME: &str = "running-totals";
/// Where the totals go, by product.
pub const TOTALS_TOPIC: &str = "demo.running.totals";

/// Purchases by product, added up.
///
/// # Errors
/// When the declaration has a mistake.
pub fn topology() -> millstream::Result<Topology> {
    // The declaration comes in here, with Totals::of and Totals::add.
    Ok(Topology::empty(NAME))
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

impl Totals {
    /// The totals of one purchase.
    ///
    /// # Errors
    /// When the purchase names no product.
    pub fn of(purchase: &Purchase) -> Result<Self, Reject> {
        Ok(Self {
            event_time: purchase.transaction_time,
            product_id: purchase.product_id.clone().ok_or_else(Reject::null_key)?,
            transactions: 1,
            quantities: purchase.quantity,
            sales: purchase.total_purchase,
        })
    }

    /// The totals of both; in whichever order and grouping they are added, the result is the same.
    ///
    /// # Errors
    /// When a number grows beyond what its type holds exactly.
    pub fn add(self, other: &Self) -> Result<Self, Reject> {
        let overflow = |what| Reject::overflow(format!("the {what} of {} grew too large", other.product_id));
        Ok(Self {
            event_time: self.event_time.max(other.event_time),
            product_id: self.product_id,
            transactions: self.transactions.checked_add(other.transactions).ok_or_else(|| overflow("transactions"))?,
            quantities: self.quantities.checked_add(other.quantities).ok_or_else(|| overflow("quantities"))?,
            sales: add_exactly(self.sales, other.sales).ok_or_else(|| overflow("sales"))?,
        })
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
        Totals::of(&purchase(time, Some("CS01"), total)).unwrap()
    }

    #[test]
    fn totals_are_added_exactly_and_keep_the_newest_time() {
        let newer = totals("2022-08-31 08:00:34.721802", "204.61");
        let older = totals("2022-08-31 08:00:33", "0.1");
        let sum = newer.clone().add(&older).unwrap();
        assert_eq!(sum, older.add(&newer).unwrap());
        assert_eq!(
            serde_json::to_string(&sum).unwrap(),
            r#"{"event_time":"2022-08-31 08:00:34.721802","product_id":"CS01","transactions":2,"quantities":4,"sales":204.71}"#
        );
    }

    #[test]
    fn a_purchase_without_a_product_has_no_key() {
        let reject = Totals::of(&purchase("2022-08-31 08:00:33", None, "1")).unwrap_err();
        assert_eq!(reject.reason, DropReason::NullKey);
    }

    #[test]
    fn a_sum_that_does_not_fit_is_refused_and_so_is_one_that_would_be_rounded() {
        let largest = "79228162514264337593543950335";
        let refused = |left: &str, right: &str| {
            let time = "2022-08-31 08:00:33";
            totals(time, left).add(&totals(time, right)).unwrap_err().reason
        };
        assert_eq!(refused(largest, "1"), DropReason::Overflow);
        assert_eq!(refused("7922816251426433759354395033", "0.001"), DropReason::Overflow);
        assert_eq!(add_exactly("0.00".parse().unwrap(), "5.1".parse().unwrap()).unwrap().to_string(), "5.10");
    }
}
