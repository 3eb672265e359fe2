//! millstream: keyed stream processors over Kafka topics, exactly once.

pub mod broker;
#[cfg(feature = "cli")]
pub mod cli;
pub mod codec;
pub mod error;
pub mod generate;
#[cfg(feature = "cli")]
pub mod http;
pub mod metrics;
pub mod operators;
pub mod record;
pub mod runtime;
pub mod state;
pub mod testing;
pub mod time;
pub mod topology;

pub use codec::{Codec, CodecError, Data, Json, Key, NoKey};
pub use error::{Error, ErrorKind, Place, Result};
pub use record::{Header, Headers, Offset, Record, TopicPartition};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
