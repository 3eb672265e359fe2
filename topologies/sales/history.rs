//! What something was at any time: its versions, in order of the time from which each holds.

use std::time::Duration;

use millstream::{Data, Json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::CivilTime;

/// What holds from some time on.
pub trait Dated {
    /// Since when it holds.
    fn since(&self) -> CivilTime;
}

/// The versions of something, the oldest first. In whichever order they are put in, it is the same; of two from the same
/// moment on the one that was put in last holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History<V>(Vec<V>);

impl<V> Default for History<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Data for History<V>
where
    V: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Codec = Json;
}

impl<V: Dated> History<V> {
    /// Puts a version in, and forgets those that had been replaced for `keep` when the newest began to hold.
    pub fn insert(&mut self, version: V, keep: Duration) {
        let after = self.0.partition_point(|known| known.since() <= version.since());
        match after.checked_sub(1).and_then(|place| self.0.get_mut(place)) {
            Some(same) if same.since() == version.since() => *same = version,
            _ => self.0.insert(after, version),
        }
        let newest = self.0.last().map_or(0, |newest| newest.since().micros());
        let known_from = newest.saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX));
        let before = self.0.partition_point(|known| known.since().micros() <= known_from);
        self.0.drain(..before.saturating_sub(1));
    }

    /// What held at `time`: `None` where that is before everything that is known.
    #[must_use]
    pub fn at(&self, time: CivilTime) -> Option<&V> {
        let after = self.0.partition_point(|known| known.since() <= time);
        after.checked_sub(1).and_then(|place| self.0.get(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Price(i64, u32);

    impl Dated for Price {
        fn since(&self) -> CivilTime {
            CivilTime::from_micros(self.0)
        }
    }

    fn history(prices: &[Price], keep: u64) -> History<Price> {
        let mut history = History::default();
        for price in prices {
            history.insert(price.clone(), Duration::from_micros(keep));
        }
        history
    }

    fn at(history: &History<Price>, time: i64) -> Option<u32> {
        history.at(CivilTime::from_micros(time)).map(|price| price.1)
    }

    #[test]
    fn what_held_is_the_newest_that_is_not_newer_whatever_the_order() {
        let prices = [Price(10, 1), Price(20, 2), Price(30, 3)];
        let [a, b, c] = &prices;
        let orders = [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]];
        for order in orders {
            let history = history(&order.map(Clone::clone), 1_000);
            let found = [9, 10, 19, 20, 29, 30, 1_000].map(|time| at(&history, time));
            assert_eq!(found, [None, Some(1), Some(1), Some(2), Some(2), Some(3), Some(3)]);
        }
    }

    #[test]
    fn of_two_from_the_same_moment_on_the_last_holds() {
        let history = history(&[Price(10, 1), Price(20, 2), Price(10, 7)], 1_000);
        assert_eq!([at(&history, 10), at(&history, 20)], [Some(7), Some(2)]);
        assert_eq!(history.0.len(), 2);
    }

    #[test]
    fn what_was_replaced_long_ago_is_forgotten_and_no_sooner() {
        let prices = [Price(10, 1), Price(20, 2), Price(30, 3)];
        assert_eq!(history(&prices, 10).0, prices[1..], "at 20, ten before the newest, the second held");
        assert_eq!(history(&prices, 11).0, prices, "at 19 the first held");
        assert_eq!(history(&prices, 0).0, prices[2..]);
    }
}
