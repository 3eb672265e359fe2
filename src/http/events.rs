//! Server-sent events, for many at once.
//!
//! An event is written once and shared by all who get it. Each watcher has room for one that it has not taken yet; while it
//! has not, it is passed over, and what it gets next says how much it has missed. So a slow one holds nothing and nobody.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::connections::Ticket;
use super::limits::STREAMS;
use super::state::answer::Problem;

/// After so long without an event a line goes out that says nothing, so that the connection is seen to live.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What that line is.
const NOTHING: &[u8] = b":\n\n";

/// An event's bytes: what differs from watcher to watcher, and what all share.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    pub(super) head: Bytes,
    pub(super) tail: Bytes,
}

impl Event {
    /// The event `name` with these data, which are JSON on one line.
    pub(super) fn new(name: &str, data: &str) -> Self {
        Self { head: Bytes::from(format!("event: {name}\ndata: {data}\n\n")), tail: Bytes::new() }
    }
}

/// The room for streams.
#[derive(Clone)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS)))
    }
}

impl Streams {
    /// Answers with the events of a feed, which `open` gives, if there is room. The connection counts as a stream from then
    /// on, and ends with it.
    pub(super) fn answer(
        &self,
        ticket: Option<&Arc<Ticket>>,
        open: impl FnOnce() -> Result<Feed, Problem>,
    ) -> Result<Response, Problem> {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else {
            return Err(Problem::later(format!("{STREAMS} streams of events are open, and no more are allowed")));
        };
        let mut feed = open()?;
        match ticket {
            Some(ticket) => ticket.becomes_stream(permit),
            None => feed.permit = Some(permit),
        }
        let head = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store"), (CONNECTION, "close")];
        Ok((head, Body::new(feed)).into_response())
    }
}

/// The events of one watcher, as the body of an answer.
pub(super) struct Feed {
    events: mpsc::Receiver<Event>,
    tail: Bytes,
    permit: Option<OwnedSemaphorePermit>,
}

impl hyper::body::Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.tail.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.tail)))));
        }
        match self.events.poll_recv(cx) {
            Poll::Ready(Some(Event { head, tail })) => {
                self.tail = tail;
                Poll::Ready(Some(Ok(Frame::data(head))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// All who watch one thing.
#[derive(Default)]
pub(super) struct Hub(Mutex<Watchers>);

#[derive(Default)]
struct Watchers {
    all: Vec<Watcher>,
    closed: bool,
}

struct Watcher {
    to: mpsc::Sender<Event>,
    /// Up to where it has seen; `None` before its first event.
    seen: Option<u64>,
    /// When it was last sent something.
    sent: Duration,
}

impl Hub {
    /// One more watches.
    pub(super) fn join(&self, now: Duration) -> Feed {
        let (to, events) = mpsc::channel(1);
        let mut watchers = self.watchers();
        if !watchers.closed {
            watchers.all.push(Watcher { to, seen: None, sent: now });
        }
        Feed { events, tail: Bytes::new(), permit: None }
    }

    /// How many watch, as far as known.
    pub(super) fn len(&self) -> usize {
        let mut watchers = self.watchers();
        watchers.all.retain(|watcher| !watcher.to.is_closed());
        watchers.all.len()
    }

    /// Gives each watcher who has room for it the event that `make` makes for it: it is told up to where the watcher has
    /// seen, and says up to where it will have seen with that.
    pub(super) fn publish(&self, now: Duration, mut make: impl FnMut(Option<u64>) -> Option<(Event, u64)>) {
        self.watchers().all.retain_mut(|watcher| {
            let room = match watcher.to.try_reserve() {
                Ok(room) => room,
                Err(TrySendError::Full(())) => return true,
                Err(TrySendError::Closed(())) => return false,
            };
            if let Some((event, seen)) = make(watcher.seen) {
                room.send(event);
                (watcher.seen, watcher.sent) = (Some(seen), now);
            } else if now.saturating_sub(watcher.sent) >= HEARTBEAT {
                room.send(Event { head: Bytes::from_static(NOTHING), tail: Bytes::new() });
                watcher.sent = now;
            }
            true
        });
    }

    /// True where nobody can watch any more.
    pub(super) fn is_closed(&self) -> bool {
        self.watchers().closed
    }

    /// Ends the streams of all who watch, and of who would.
    pub(super) fn close(&self) {
        let mut watchers = self.watchers();
        watchers.closed = true;
        watchers.all.clear();
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(feed: &mut Feed) -> Option<String> {
        let event = feed.events.try_recv().ok()?;
        Some(String::from_utf8([event.head, event.tail].concat()).unwrap())
    }

    #[test]
    fn a_watcher_that_has_not_taken_its_event_is_passed_over_and_told_from_where_it_saw() {
        let hub = Hub::default();
        let (mut fast, mut slow) = (hub.join(Duration::ZERO), hub.join(Duration::ZERO));
        for at in 1..=3 {
            hub.publish(Duration::ZERO, |seen| Some((Event::new("e", &format!("\"{seen:?} to {at}\"")), at)));
            let expected = if at == 1 { "None".to_owned() } else { format!("Some({})", at - 1) };
            assert_eq!(take(&mut fast), Some(format!("event: e\ndata: \"{expected} to {at}\"\n\n")));
        }
        assert_eq!(take(&mut slow), Some("event: e\ndata: \"None to 1\"\n\n".to_owned()));
        assert_eq!(take(&mut slow), None, "only the one waits for it");
        hub.publish(Duration::ZERO, |seen| Some((Event::new("e", &format!("\"{seen:?}\"")), 4)));
        assert_eq!(take(&mut slow), Some("event: e\ndata: \"Some(1)\"\n\n".to_owned()));
    }

    #[test]
    fn there_is_room_for_so_many_streams_and_one_that_ends_makes_room_again() {
        let (streams, hub) = (Streams(Arc::new(Semaphore::new(1))), Hub::default());
        let open = || streams.answer(None, || Ok(hub.join(Duration::ZERO)));
        let first = open().unwrap();
        let refused = open().unwrap_err();
        assert_eq!(refused.code, axum::http::StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.error.contains("no more are allowed"), "{}", refused.error);
        drop(first);
        assert!(open().is_ok());
    }

    #[test]
    fn a_quiet_stream_has_a_heartbeat() {
        let hub = Hub::default();
        let mut feed = hub.join(Duration::ZERO);
        hub.publish(Duration::from_secs(14), |_| None);
        assert_eq!(take(&mut feed), None);
        hub.publish(HEARTBEAT, |_| None);
        assert_eq!(take(&mut feed), Some(":\n\n".to_owned()));
        hub.publish(HEARTBEAT + Duration::from_secs(1), |_| None);
        assert_eq!(take(&mut feed), None);
    }

    #[test]
    fn who_has_gone_is_forgotten_and_a_closed_hub_ends_all() {
        let hub = Hub::default();
        let (mut stays, goes) = (hub.join(Duration::ZERO), hub.join(Duration::ZERO));
        assert_eq!(hub.len(), 2);
        drop(goes);
        assert_eq!(hub.len(), 1);
        hub.close();
        assert_eq!(hub.len(), 0);
        assert!(stays.events.try_recv().is_err_and(|error| error == mpsc::error::TryRecvError::Disconnected));
        let mut late = hub.join(Duration::ZERO);
        assert!(late.events.try_recv().is_err_and(|error| error == mpsc::error::TryRecvError::Disconnected));
    }
}
