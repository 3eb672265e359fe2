//! Streams that remember something of each key.

use std::sync::Arc;

use super::stateful::store;
use super::stream::{Item, Stream};
use crate::codec::{Data, Key};
use crate::operators::Reject;
use crate::operators::map_with_state::MapWithState;
use crate::topology::describe::short_type;
use crate::topology::graph::NodeKind;

impl<K: Key, V: Data> Stream<K, V> {
    /// Gives each record another value, made with what its key has kept so far: `f(key, state, value)` changes the state in
    /// place, which is `initial(key)` before the key's first record. With `Option` as the state's type, `None` deletes it,
    /// and the next record begins with the initial one again.
    ///
    /// Where the key may have changed since the records were placed by it, they are shuffled first. The state is kept in a
    /// store with a changelog, called as this step: give it a name with [`named`](Self::named). A null value is handed to
    /// `f` as any other. Records are taken in the order in which they come, also those that are late. For timers, several
    /// states or results of any number there is [`process_values`](Self::process_values).
    ///
    /// ```
    /// # use millstream::testing::Driver;
    /// # use millstream::{Builder, Topic};
    /// # const READINGS: Topic<String, i64> = Topic::new("readings");
    /// # const JUMPS: Topic<String, i64> = Topic::new("jumps");
    /// let b = Builder::new("jumps");
    /// b.source(READINGS)
    ///     .stream()
    ///     .map_with_state(|_| 0, |_, last, reading| reading - std::mem::replace(last, reading))
    ///     .named("last-reading")
    ///     .to(JUMPS);
    /// let mut driver = Driver::builder(b.build()?).start()?;
    /// for reading in [20, 21, 18] {
    ///     driver.send(&READINGS, &"s1".to_owned(), &reading, 0)?;
    /// }
    /// driver.settle()?;
    /// let jumps: Vec<i64> = driver.take_values(&JUMPS)?.into_iter().map(|(_, jump)| jump).collect();
    /// assert_eq!(jumps, [20, 1, -3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn map_with_state<S: Data, O: Item>(
        &self,
        initial: impl Fn(&K) -> S + Send + Sync + 'static,
        f: impl Fn(&K, &mut S, V) -> O + Send + Sync + 'static,
    ) -> Stream<K, O> {
        self.try_map_with_state(initial, move |key, state, value| Ok(f(key, state, value)))
    }

    /// As [`map_with_state`](Self::map_with_state); a record that `f` refuses goes by its source's policy, and leaves no
    /// trace in the state.
    ///
    /// ```
    /// # use millstream::{Builder, Topic, operators::Reject};
    /// # const READINGS: Topic<String, i64> = Topic::new("readings");
    /// # const SUMS: Topic<String, i64> = Topic::new("sums");
    /// let b = Builder::new("sums");
    /// let sum = |_: &String, sum: &mut i64, reading: i64| {
    ///     *sum = sum.checked_add(reading).ok_or_else(|| Reject::overflow("the sum has become too large"))?;
    ///     Ok(*sum)
    /// };
    /// b.source(READINGS).stream().try_map_with_state(|_| 0, sum).named("sums").to(SUMS);
    /// # b.build().unwrap();
    /// ```
    #[track_caller]
    pub fn try_map_with_state<S: Data, O: Item>(
        &self,
        initial: impl Fn(&K) -> S + Send + Sync + 'static,
        f: impl Fn(&K, &mut S, V) -> Result<O, Reject> + Send + Sync + 'static,
    ) -> Stream<K, O> {
        let (stream, functions) = (self.placed("by-state"), (Arc::new(initial), Arc::new(f)));
        let kind = NodeKind::Stateful { emission: None, keeps_before: false };
        let (node, edge) = stream.add("map-with-state", kind, move |wiring, node, out| {
            let (states, name) = (store::<K, S>(wiring, node, false), wiring.name(node));
            MapWithState::new(name, states, functions.clone(), out)
        });
        stream.graph.borrow_mut().agree(Some(node), format!("keeps {}", short_type(std::any::type_name::<S>())));
        Stream::new(stream.graph, node, edge, false)
    }
}
