//! Sums without rounding: what does not fit is refused, never cut off.

use millstream::Reject;
use millstream::operators::average::add_exactly;
use rust_decimal::Decimal;

/// Adds `more` to a number of `what` of a product.
///
/// # Errors
/// When the sum does not fit; the number is then left alone.
pub fn add_count(sum: &mut i64, more: i64, what: &str, product_id: &str) -> Result<(), Reject> {
    *sum = sum.checked_add(more).ok_or_else(|| too_large(what, product_id))?;
    Ok(())
}

/// Adds `more` to the money that `what` of a product has brought in.
///
/// # Errors
/// When the sum has more digits than a decimal holds; it is then left alone.
pub fn add_money(sum: &mut Decimal, more: Decimal, what: &str, product_id: &str) -> Result<(), Reject> {
    *sum = add_exactly(*sum, more).ok_or_else(|| too_large(what, product_id))?;
    Ok(())
}

fn too_large(what: &str, product_id: &str) -> Reject {
    Reject::overflow(format!("the {what} of {product_id} grew too large"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream::operators::DropReason;

    fn sum(left: &str, right: &str) -> Result<String, Reject> {
        let mut sum: Decimal = left.parse().unwrap();
        add_money(&mut sum, right.parse().unwrap(), "sales", "CS01").map(|()| sum.to_string())
    }

    #[test]
    fn a_sum_that_does_not_fit_is_refused_and_so_is_one_that_would_be_rounded() {
        let refused = |left: &str, right: &str| sum(left, right).unwrap_err().reason;
        assert_eq!(refused("79228162514264337593543950335", "1"), DropReason::Overflow);
        assert_eq!(refused("7922816251426433759354395033", "0.001"), DropReason::Overflow);
        let mut count = i64::MAX;
        let reject = add_count(&mut count, 1, "quantities", "CS01").unwrap_err();
        assert_eq!((count, reject.reason), (i64::MAX, DropReason::Overflow));
        assert!(reject.message.contains("the quantities of CS01"), "{}", reject.message);
    }

    #[test]
    fn a_sum_has_the_decimal_places_of_the_longer_one_in_either_order() {
        assert_eq!(sum("0.00", "5.1").unwrap(), "5.10");
        assert_eq!(sum("5.1", "0.00").unwrap(), "5.10");
        assert_eq!(sum("0", "204.71").unwrap(), "204.71");
    }
}
