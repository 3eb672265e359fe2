//! Operators that look at one record and may change its key.

use std::sync::Arc;

use super::stream::{Item, Stream};
use crate::operators::Reject;
use crate::operators::filter::Filter;
use crate::operators::flat_map::FlatMap;
use crate::operators::map::Map;
use crate::operators::peek::Peek;
use crate::operators::require_key::RequireKey;

impl<K: Item, V: Item> Stream<K, V> {
    /// Keeps the records of which `keep` says so.
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const LONG: Topic<NoKey, String> = Topic::new("long");
    /// let b = Builder::new("long-lines");
    /// b.source(LINES).stream().filter(|_, line| line.len() > 80).to(LONG);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn filter(&self, keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.add_filter("filter", move |key, value| Ok(keep(key, value)))
    }

    /// Keeps the records of which `drop` does not say so.
    #[track_caller]
    pub fn filter_not(&self, drop: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.add_filter("filter", move |key, value| Ok(!drop(key, value)))
    }

    /// As [`filter`](Self::filter); a record that `keep` refuses goes by its source's policy.
    #[track_caller]
    pub fn try_filter(&self, keep: impl Fn(&K, &V) -> Result<bool, Reject> + Send + Sync + 'static) -> Self {
        self.add_filter("filter", keep)
    }

    #[track_caller]
    fn add_filter<F>(&self, label: &'static str, keep: F) -> Self
    where
        F: Fn(&K, &V) -> Result<bool, Reject> + Send + Sync + 'static,
    {
        let keep = Arc::new(keep);
        self.step(label, false, move |name, out| Filter::new(name, Arc::clone(&keep), out))
    }

    /// Gives each record another key and value. What is grouped below is shuffled by the new key.
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const SIZES: Topic<String, u64> = Topic::new("sizes");
    /// let b = Builder::new("sizes");
    /// b.source(LINES).stream().map(|_, line| { let size = line.len() as u64; (line, size) }).to(SIZES);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn map<K2: Item, V2: Item>(&self, f: impl Fn(K, V) -> (K2, V2) + Send + Sync + 'static) -> Stream<K2, V2> {
        self.add_map("map", true, move |key, value| Ok(f(key, value)))
    }

    /// As [`map`](Self::map); a record that `f` refuses goes by its source's policy.
    ///
    /// ```
    /// # use millstream::{BadInput, Builder, NoKey, Topic, operators::Reject};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const NUMBERS: Topic<String, i64> = Topic::new("numbers");
    /// let b = Builder::new("numbers");
    /// b.source(LINES)
    ///     .on_bad_input(BadInput::Skip)
    ///     .stream()
    ///     .try_map(|_, line| match line.parse() {
    ///         Ok(number) => Ok((line, number)),
    ///         Err(_) => Err(Reject::because("the line is not a number")),
    ///     })
    ///     .to(NUMBERS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn try_map<K2: Item, V2: Item>(
        &self,
        f: impl Fn(K, V) -> Result<(K2, V2), Reject> + Send + Sync + 'static,
    ) -> Stream<K2, V2> {
        self.add_map("map", true, f)
    }

    /// Gives each record another key, made of key and value. What is grouped below is shuffled by it.
    #[track_caller]
    pub fn rekey<K2: Item>(&self, f: impl Fn(&K, &V) -> K2 + Send + Sync + 'static) -> Stream<K2, V> {
        self.add_map("rekey", true, move |key, value| Ok((f(&key, &value), value)))
    }

    /// As [`rekey`](Self::rekey); a record that `f` refuses goes by its source's policy.
    #[track_caller]
    pub fn try_rekey<K2: Item>(
        &self,
        f: impl Fn(&K, &V) -> Result<K2, Reject> + Send + Sync + 'static,
    ) -> Stream<K2, V> {
        self.add_map("rekey", true, move |key, value| f(&key, &value).map(|key| (key, value)))
    }

    #[track_caller]
    pub(super) fn add_map<K2: Item, V2: Item, F>(&self, label: &'static str, rekeyed: bool, f: F) -> Stream<K2, V2>
    where
        F: Fn(K, V) -> Result<(K2, V2), Reject> + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        self.step(label, rekeyed, move |name, out| Map::new(name, Arc::clone(&f), out))
    }

    /// Gives any number of records for each, in order, at its time.
    ///
    /// ```
    /// # use millstream::{Builder, NoKey, Topic};
    /// # const LINES: Topic<NoKey, String> = Topic::new("lines");
    /// # const COUNTS: Topic<String, u64> = Topic::new("counts");
    /// let b = Builder::new("word-count");
    /// b.source(LINES)
    ///     .stream()
    ///     .flat_map(|_, line| line.split_whitespace().map(|word| (word.to_owned(), ())).collect::<Vec<_>>())
    ///     .map_values(|()| 1_u64)
    ///     .group_by_key()
    ///     .reduce(|count, more| *count += more)
    ///     .to(COUNTS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn flat_map<K2: Item, V2: Item, I>(&self, f: impl Fn(K, V) -> I + Send + Sync + 'static) -> Stream<K2, V2>
    where
        I: IntoIterator<Item = (K2, V2)> + 'static,
    {
        self.add_flat_map("flat-map", true, move |key, value| Ok(f(key, value)))
    }

    /// As [`flat_map`](Self::flat_map); a record that `f` refuses goes by its source's policy.
    #[track_caller]
    pub fn try_flat_map<K2: Item, V2: Item, I>(
        &self,
        f: impl Fn(K, V) -> Result<I, Reject> + Send + Sync + 'static,
    ) -> Stream<K2, V2>
    where
        I: IntoIterator<Item = (K2, V2)> + 'static,
    {
        self.add_flat_map("flat-map", true, f)
    }

    #[track_caller]
    pub(super) fn add_flat_map<K2: Item, V2: Item, I, F>(
        &self,
        label: &'static str,
        rekeyed: bool,
        f: F,
    ) -> Stream<K2, V2>
    where
        F: Fn(K, V) -> Result<I, Reject> + Send + Sync + 'static,
        I: IntoIterator<Item = (K2, V2)> + 'static,
    {
        let f = Arc::new(f);
        self.step(label, rekeyed, move |name, out| FlatMap::new(name, Arc::clone(&f), out))
    }

    /// Shows every record to `f` and hands it on. After an abort `f` sees records again.
    #[track_caller]
    pub fn peek(&self, f: impl Fn(&K, &V) + Send + Sync + 'static) -> Self {
        let f = Arc::new(f);
        self.step("peek", false, move |_, out| Peek::new(Arc::clone(&f), out))
    }

    /// Shows every record to `f`, and ends there. What `f` does outside happens at least once, never exactly once.
    #[track_caller]
    pub fn for_each(&self, f: impl Fn(&K, &V) + Send + Sync + 'static) {
        let f = Arc::new(f);
        let _: Self = self.step("for-each", false, move |_, out| Peek::new(Arc::clone(&f), out));
    }
}

impl<K: Item, V: Item> Stream<Option<K>, V> {
    /// Drops records with a null key, counted as `null_key`, and takes the others' keys out of their `Option`. The keys
    /// stay what they are, so nothing needs to be shuffled for it.
    ///
    /// ```
    /// # use millstream::{Builder, Topic};
    /// const VISITS: Topic<Option<String>, String> = Topic::new("visits");
    /// const COUNTS: Topic<String, u64> = Topic::new("counts");
    /// let b = Builder::new("visits");
    /// b.source(VISITS).stream().require_key().group_by_key().count().to(COUNTS);
    /// assert_eq!(b.build().unwrap().plan().repartitions.len(), 0);
    /// ```
    #[track_caller]
    pub fn require_key(&self) -> Stream<K, V> {
        self.step("require-key", false, move |_, out| RequireKey::new(out))
    }
}
