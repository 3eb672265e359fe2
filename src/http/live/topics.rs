//! Which topics can be watched.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::Live;
use crate::http::state::answer::json;
use crate::topology::topics::TopicRole;

#[derive(Serialize)]
struct Listed<'a> {
    topology: &'a str,
    /// As it is called on the broker.
    topic: &'a str,
    role: TopicRole,
    key: &'a str,
    value: &'a str,
    windowed: bool,
    /// Whether the newest record of a key is all there is to know of it.
    updates: bool,
}

pub(super) async fn list(State(live): State<Live>) -> Response {
    let topics = live.taps.topics().iter().flat_map(|topics| {
        topics.all().iter().map(|topic| Listed {
            topology: topics.topology(),
            topic: &topic.name,
            role: topic.of.role,
            key: &topic.of.key,
            value: &topic.of.value,
            windowed: topic.of.windowed(),
            updates: topic.of.updates,
        })
    });
    json(&topics.collect::<Vec<_>>())
}
