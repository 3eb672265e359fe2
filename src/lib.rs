//! millstream: keyed stream processors over Kafka topics, exactly once.

pub mod broker;
pub mod codec;
pub mod dsl;
pub mod error;
pub mod operators;
pub mod record;
pub mod state;
pub mod time;
pub mod topology;

pub use codec::{Codec, CodecError, Data, Json, Key, NoKey};
pub use dsl::{Builder, Grouped, Stream, Table, Topic};
pub use error::{Error, ErrorKind, Place, Result};
pub use operators::source::BadInput;
pub use operators::{Emission, Reject};
pub use record::{Header, Headers, Offset, Record, TopicPartition};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
pub use topology::{Mistakes, Topology};
