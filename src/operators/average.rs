//! `average`: of decimals, without rounding before the last step.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::Reject;
use super::aggregate::Fold;
use crate::codec::{Data, Json};

/// A sum and how many went into it: an average that others can be added to.
///
/// ```
/// use millstream::operators::average::Average;
/// use rust_decimal::{Decimal, RoundingStrategy};
/// let mut average = Average::default();
/// for price in ["0.10", "0.20", "0.60"] {
///     average.add(price.parse()?).unwrap();
/// }
/// assert_eq!(average.value(), Some("0.30".parse()?));
/// # Ok::<(), rust_decimal::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Average {
    /// The exact sum.
    pub sum: Decimal,
    /// How many numbers went into it.
    pub count: u64,
}

impl Average {
    /// Adds a number.
    ///
    /// # Errors
    /// When the sum does not fit into a decimal of 28 digits, or only without its last ones.
    pub fn add(&mut self, number: Decimal) -> Result<(), Reject> {
        self.merge(Self { sum: number, count: 1 })
    }

    /// Adds the numbers of another average.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn merge(&mut self, other: Self) -> Result<(), Reject> {
        let sum = add_exactly(self.sum, other.sum);
        self.sum = sum.ok_or_else(|| Reject::overflow("the sum of an average has become too large to be exact"))?;
        self.count += other.count;
        Ok(())
    }

    /// The average, rounded to 28 digits at most; `None` of nothing.
    #[must_use]
    pub fn value(&self) -> Option<Decimal> {
        self.sum.checked_div(Decimal::from(self.count))
    }

    /// The average with just so many decimal places, a half rounded away from zero: what SQL engines give for a column
    /// `DECIMAL(p, places)`. `None` of nothing, and where it has no room for so many places.
    ///
    /// ```
    /// use millstream::operators::average::Average;
    /// let mut average = Average::default();
    /// for degrees in ["-0.01", "-0.02"] {
    ///     average.add(degrees.parse()?).unwrap();
    /// }
    /// assert_eq!(average.rounded(2), Some("-0.02".parse()?));
    /// # Ok::<(), rust_decimal::Error>(())
    /// ```
    #[must_use]
    pub fn rounded(&self, places: u32) -> Option<Decimal> {
        // Rounded a second time, after the 28 digits of the quotient: that takes something else for a half only where the
        // numbers have more than some twenty decimal places.
        let mut average = self.value()?.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
        average.rescale(places);
        (average.scale() == places).then_some(average)
    }
}

/// The sum, or `None` where it does not fit. A decimal has 96 bits: where the sum needs more digits than that, the plain
/// addition would round the last ones away in silence. The sum has as many decimal places as the longer of the two, in
/// whichever order they are added (the plain addition forgets those of a zero).
///
/// ```
/// use millstream::operators::average::add_exactly;
/// assert_eq!(add_exactly("0.00".parse()?, "5.1".parse()?), Some("5.10".parse()?));
/// assert_eq!(add_exactly("7922816251426433759354395033".parse()?, "0.001".parse()?), None);
/// # Ok::<(), rust_decimal::Error>(())
/// ```
#[must_use]
pub fn add_exactly(left: Decimal, right: Decimal) -> Option<Decimal> {
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

impl Data for Average {
    type Codec = Json;
}

/// Averages what a function finds in each record.
pub struct AverageOf<F>(pub F);

impl<K, V, F: Fn(&V) -> Decimal + Send + Sync + 'static> Fold<K, V, Average> for AverageOf<F> {
    fn first(&self, key: &K, value: V) -> Result<Average, Reject> {
        let mut average = Average::default();
        self.next(key, &mut average, value).map(|()| average)
    }

    fn next(&self, _: &K, so_far: &mut Average, value: V) -> Result<(), Reject> {
        so_far.add((self.0)(&value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_does_not_fit_is_refused_and_nothing_has_no_average() {
        let mut average = Average { sum: Decimal::MAX, count: 1 };
        assert!(average.add(Decimal::MAX).is_err());
        assert_eq!(Average::default().value(), None);
        assert_eq!(Average::default().rounded(2), None);
    }

    fn average(numbers: &[&str]) -> Average {
        let mut average = Average::default();
        for number in numbers {
            average.add(number.parse().unwrap()).unwrap();
        }
        average
    }

    #[test]
    fn a_sum_that_would_lose_its_last_digits_is_refused() {
        let mut large = average(&["7922816251426433759354395033"]);
        assert!(large.add("0.001".parse().unwrap()).is_err());
        assert_eq!(large, average(&["7922816251426433759354395033"]));
    }

    #[test]
    fn a_half_is_rounded_away_from_zero() {
        let rounded = |numbers: &[&str]| average(numbers).rounded(2).unwrap().to_string();
        assert_eq!(rounded(&["0.01", "0.02"]), "0.02");
        assert_eq!(rounded(&["-0.01", "-0.02"]), "-0.02");
        assert_eq!(rounded(&["0.02", "0.03"]), "0.03");
        assert_eq!(rounded(&["0.01", "0.01", "0.02"]), "0.01");
        assert_eq!(rounded(&["20", "21"]), "20.50");
        assert_eq!(rounded(&["-0.001"]), "0.00");
        assert_eq!(average(&["79228162514264337593543950335"]).rounded(2), None);
    }
}
