//! Operators that leave the key alone: what is grouped below them needs no shuffle.

use super::stream::{Item, Stream};
use crate::operators::Reject;

impl<K: Item, V: Item> Stream<K, V> {
    /// Gives each record another value.
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const SIZES: Topic<NoKey, u64> = Topic::new("sizes");
    /// let b = Builder::new("sizes");
    /// b.source(LINES).stream().map_values(|line| line.len() as u64).to(SIZES);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn map_values<V2: Item>(&self, f: impl Fn(V) -> V2 + Send + Sync + 'static) -> Stream<K, V2> {
        self.add_map("map-values", false, move |key, value| Ok((key, f(value))))
    }

    /// As [`map_values`](Self::map_values), with a look at the key.
    #[track_caller]
    pub fn map_values_with_key<V2: Item>(&self, f: impl Fn(&K, V) -> V2 + Send + Sync + 'static) -> Stream<K, V2> {
        self.add_map("map-values", false, move |key, value| {
            let value = f(&key, value);
            Ok((key, value))
        })
    }

    /// As [`map_values`](Self::map_values); a record that `f` refuses goes by its source's policy.
    #[track_caller]
    pub fn try_map_values<V2: Item>(
        &self,
        f: impl Fn(V) -> Result<V2, Reject> + Send + Sync + 'static,
    ) -> Stream<K, V2> {
        self.add_map("map-values", false, move |key, value| f(value).map(|value| (key, value)))
    }

    /// Gives any number of values for each record, in order, with its key and at its time.
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const WORDS: Topic<NoKey, String> = Topic::new("words");
    /// let b = Builder::new("words");
    /// b.source(LINES)
    ///     .stream()
    ///     .flat_map_values(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    ///     .to(WORDS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn flat_map_values<V2: Item, I>(&self, f: impl Fn(V) -> I + Send + Sync + 'static) -> Stream<K, V2>
    where
        I: IntoIterator<Item = V2> + 'static,
    {
        self.try_flat_map_values(move |value| Ok(f(value)))
    }

    /// As [`flat_map_values`](Self::flat_map_values); a record that `f` refuses goes by its source's policy.
    #[track_caller]
    pub fn try_flat_map_values<V2: Item, I>(
        &self,
        f: impl Fn(V) -> Result<I, Reject> + Send + Sync + 'static,
    ) -> Stream<K, V2>
    where
        I: IntoIterator<Item = V2> + 'static,
    {
        self.add_flat_map("flat-map-values", false, move |key: K, value| {
            f(value).map(|values| values.into_iter().map(move |value| (key.clone(), value)))
        })
    }
}
