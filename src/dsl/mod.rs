//! What users write: typed handles that add nodes to a topology. No logic lives here.
//!
//! ```
//! use std::time::Duration;
//! use millstream::{BadInput, Builder, Data, Json, NoKey, Timestamp, Topic};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Purchase { time: i64, product: String, quantity: u64 }
//! impl Data for Purchase { type Codec = Json; }
//!
//! const PURCHASES: Topic<NoKey, Purchase> = Topic::new("demo.purchases");
//! const SOLD: Topic<String, u64> = Topic::new("demo.sold");
//!
//! let b = Builder::new("sold");
//! b.source(PURCHASES)
//!     .event_time(|_, purchase| Timestamp::from_millis(purchase.time))
//!     .out_of_order_by(Duration::from_secs(60))
//!     .on_bad_input(BadInput::dead_letter("demo.purchases.dead"))
//!     .stream()
//!     .map(|_, purchase| (purchase.product, purchase.quantity))
//!     .group_by_key()
//!     .combine()
//!     .reduce(|sold, more| *sold += more)
//!     .named("sold")
//!     .to(SOLD);
//! let topology = b.build().unwrap();
//! assert_eq!(topology.plan().subs.len(), 2); // before and after the shuffle
//! ```
//!
//! Functions are `Fn`, shared by all tasks, and may run again after an abort: what they remember belongs in a table. A
//! handle may be used any number of times; every use sees every record.

mod builder;
mod cogroup;
mod foreign_join;
#[cfg(test)]
mod foreign_join_tests;
mod global;
#[cfg(test)]
mod global_tests;
mod grouped;
mod grouped_table;
#[cfg(test)]
mod grouped_table_tests;
mod join;
mod process;
mod route;
mod state;
mod stateful;
mod stateless;
mod stream;
mod stream_join;
#[cfg(test)]
mod stream_join_tests;
#[cfg(test)]
mod stream_tests;
mod suppressed;
mod table;
mod table_join;
#[cfg(test)]
mod table_join_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod table_time_tests;
mod tables;
#[cfg(test)]
pub(crate) mod testing;
mod topic;
mod values;
mod versioned;
mod windowed;
#[cfg(test)]
mod windowed_tests;
mod windowing;

pub use builder::{Builder, Source};
pub use cogroup::{Cogrouped, CogroupedBy};
pub use global::GlobalTable;
pub use grouped::Grouped;
pub use grouped_table::GroupedTable;
pub use process::Setup;
pub use route::Repartition;
pub use stream::{Item, Stream};
pub use table::Table;
pub use topic::{IntoTopic, Topic};
pub use versioned::VersionedTable;
pub use windowed::{WindowedBy, WindowedTable};
pub use windowing::{Apart, Windowing};
