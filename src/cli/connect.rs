//! The two brokers, as commands ask for them.

use std::sync::Arc;

use super::security;
use super::settings::Layer;
use crate::broker::Broker;
use crate::broker::kafka::KafkaBroker;
use crate::broker::memory::MemoryBroker;
use crate::error::Result;
use crate::time::Clock;

/// A broker in this process, for as long as it lives.
pub(super) fn memory(clock: Arc<dyn Clock>) -> Arc<dyn Broker> {
    Arc::new(MemoryBroker::new(clock))
}

/// Kafka at these addresses, with the settings' security and properties.
///
/// # Errors
/// When one of them is not valid, or the password cannot be read.
pub(super) fn kafka(bootstrap_servers: &str, settings: &Layer) -> Result<Arc<dyn Broker>> {
    let security = security::find(settings)?;
    Ok(Arc::new(KafkaBroker::with_security(bootstrap_servers, &security, settings.property.as_map())?))
}
