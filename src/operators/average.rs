//! `average`: of decimals, without rounding before the last step.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Reject;
use super::aggregate::Fold;
use crate::codec::{Data, Json};

/// A sum and how many went into it: an average that others can be added to.
///
/// ```
/// use millstream::operators::average::Average;
/// use rust_decimal::Decimal;
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
    /// When the sum becomes too large for a decimal of 28 digits.
    pub fn add(&mut self, number: Decimal) -> Result<(), Reject> {
        self.merge(Self { sum: number, count: 1 })
    }

    /// Adds the numbers of another average.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn merge(&mut self, other: Self) -> Result<(), Reject> {
        let sum = self.sum.checked_add(other.sum);
        self.sum = sum.ok_or_else(|| Reject::overflow("the sum of an average has become too large"))?;
        self.count += other.count;
        Ok(())
    }

    /// The average, rounded to 28 digits at most; `None` of nothing.
    #[must_use]
    pub fn value(&self) -> Option<Decimal> {
        self.sum.checked_div(Decimal::from(self.count))
    }
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
    }
}
