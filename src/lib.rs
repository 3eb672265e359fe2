//! millstream: keyed stream processors over Kafka topics, exactly once.

pub mod broker;
#[cfg(feature = "cli")]
pub mod cli;
pub mod codec;
pub mod dsl;
pub mod error;
pub mod generate;
#[cfg(all(doctest, feature = "cli"))]
mod guide;
#[cfg(feature = "cli")]
pub mod http;
pub mod metrics;
pub mod operators;
pub mod record;
#[cfg(feature = "redis")]
pub mod redis;
pub mod runtime;
pub mod state;
pub mod testing;
pub mod time;
pub mod topology;
pub mod watch;
pub mod window;

pub use broker::kafka::KafkaBroker;
pub use broker::memory::MemoryBroker;
pub use broker::{Broker, Guarantee};
pub use codec::{Codec, CodecError, Data, Json, Key, NoKey};
pub use dsl::{Builder, GlobalTable, Grouped, GroupedTable, Stream, Table, Topic, VersionedTable};
pub use error::{Error, ErrorKind, Place, Result};
pub use operators::source::BadInput;
pub use operators::{Emission, Reject};
pub use record::{Header, Headers, Offset, Record, TopicPartition};
pub use runtime::{App, AppState, Config, Running, Status};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
pub use topology::{Mistakes, Topology};
