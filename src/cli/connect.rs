//! The two brokers, as commands ask for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::kafka::KafkaBroker;
use crate::broker::memory::MemoryBroker;
use crate::error::Result;
use crate::time::Clock;

/// A broker in this process, for as long as it lives.
pub(super) fn memory(clock: Arc<dyn Clock>) -> Arc<dyn Broker> {
    Arc::new(MemoryBroker::new(clock))
}

/// Kafka at these addresses.
///
/// # Errors
/// When a property is not valid.
pub(super) fn kafka(bootstrap_servers: &str, properties: &BTreeMap<String, String>) -> Result<Arc<dyn Broker>> {
    Ok(Arc::new(KafkaBroker::new(bootstrap_servers, properties)?))
}
