//! The consumer of a member: its settings, and the queue on which it hears of its group.

use std::sync::Arc;

use super::errors::error;
use super::native::queue::Queue;
use super::native::{Client, Role};
use super::reading;
use super::settings::Properties;
use super::signal::Signal;
use crate::broker::MemberOptions;
use crate::error::{Error, ErrorKind, Result};

/// A consumer that belongs to the group.
pub(super) fn connect(properties: &Properties, options: &MemberOptions) -> Result<Arc<Client>> {
    let session = options.session_timeout.as_millis();
    let mut settings = reading::settings(|name| properties.sets(name));
    settings.extend([
        ("group.id", options.group.clone()),
        ("group.instance.id", options.instance.clone()),
        ("client.id", options.client_id.clone()),
        ("partition.assignment.strategy", "range".to_owned()),
        ("session.timeout.ms", session.to_string()),
    ]);
    // A member hears of a rebalance with its heartbeat's answer: a third of the session, as is usual, would make
    // every process that joins wait for seconds.
    if !properties.sets("heartbeat.interval.ms") {
        settings.push(("heartbeat.interval.ms", (session / 20).clamp(100, 1_000).to_string()));
    }
    let client = Arc::new(properties.client(Role::Consumer, &settings)?);
    client.join_queues().map_err(|failure| error("connecting", &failure))?;
    Ok(client)
}

/// The queue for all that is not a record. It is only listened to, never read directly.
pub(super) fn group_queue(client: &Arc<Client>, signal: &Arc<Signal>) -> Result<Queue> {
    Queue::of_group(client, signal)
        .ok_or_else(|| Error::new(ErrorKind::Internal, "librdkafka has no queue for the group"))
}
