//! Reads a user's topic: one record a message, by the topic's codecs, with event time from where the source says.

use std::sync::Arc;
use std::time::Duration;

use super::queue::{Decode, Now, Queue, bad_message};
use super::source::Verdict;
use super::{DropReason, Reject};
use crate::broker::RawRecord;
use crate::codec::{Codec, Data};
use crate::time::Timestamp;

/// Where a source takes event time from.
pub trait EventTime<K, V>: Send + Sync + 'static {
    /// The event time of a record. `stamped` is Kafka's timestamp of it, `wall` the time of day.
    ///
    /// # Errors
    /// When it has none.
    fn of(&self, key: &K, value: &V, stamped: Option<Timestamp>, wall: Timestamp) -> Result<Timestamp, Reject>;

    /// What it is held against, to see whether it lies too far ahead: what the log says where it says anything, so that a
    /// replay judges as the first run did.
    fn measure(&self, stamped: Option<Timestamp>, wall: Timestamp) -> Timestamp {
        stamped.unwrap_or(wall)
    }
}

/// Event time is Kafka's timestamp of the record: what a source does unless it is told otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromRecord;

/// Event time is the time of day when the record is decoded. A replay gives other times.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromClock;

/// Event time is what a function finds in the record.
#[derive(Clone, Copy, Debug)]
pub struct FromField<F>(pub F);

/// What a function for event time may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event time",
    note = "return a `Timestamp`, an `Option<Timestamp>` or a `Result<Timestamp, Reject>`"
)]
pub trait IntoEventTime {
    /// The event time.
    ///
    /// # Errors
    /// When there is none.
    fn into_event_time(self) -> Result<Timestamp, Reject>;
}

impl IntoEventTime for Timestamp {
    fn into_event_time(self) -> Result<Timestamp, Reject> {
        Ok(self)
    }
}

impl IntoEventTime for Option<Timestamp> {
    fn into_event_time(self) -> Result<Timestamp, Reject> {
        self.ok_or_else(|| no_time("the record has no event time"))
    }
}

impl IntoEventTime for Result<Timestamp, Reject> {
    fn into_event_time(self) -> Result<Timestamp, Reject> {
        self
    }
}

fn no_time(message: &str) -> Reject {
    Reject { reason: DropReason::NegativeTimestamp, message: message.to_owned() }
}

impl<K, V> EventTime<K, V> for FromRecord {
    fn of(&self, _: &K, _: &V, stamped: Option<Timestamp>, _: Timestamp) -> Result<Timestamp, Reject> {
        stamped.ok_or_else(|| no_time("the message has no timestamp"))
    }

    /// The log says nothing else about it: only the clock is left.
    fn measure(&self, _: Option<Timestamp>, wall: Timestamp) -> Timestamp {
        wall
    }
}

impl<K, V> EventTime<K, V> for FromClock {
    fn of(&self, _: &K, _: &V, _: Option<Timestamp>, wall: Timestamp) -> Result<Timestamp, Reject> {
        Ok(wall)
    }

    fn measure(&self, _: Option<Timestamp>, wall: Timestamp) -> Timestamp {
        wall
    }
}

impl<K, V, F, T> EventTime<K, V> for FromField<F>
where
    F: Fn(&K, &V) -> T + Send + Sync + 'static,
    T: IntoEventTime,
{
    fn of(&self, key: &K, value: &V, _: Option<Timestamp>, _: Timestamp) -> Result<Timestamp, Reject> {
        (self.0)(key, value).into_event_time()
    }
}

/// Event time as another has it; a null value, which has none, has Kafka's timestamp of the record.
#[derive(Clone, Copy, Debug)]
pub struct OrStamped<E>(pub E);

impl<K, V, E: EventTime<K, V>> EventTime<K, Option<V>> for OrStamped<E> {
    fn of(&self, key: &K, value: &Option<V>, stamped: Option<Timestamp>, wall: Timestamp) -> Result<Timestamp, Reject> {
        match value {
            Some(value) => self.0.of(key, value, stamped, wall),
            None => FromRecord.of(key, &(), stamped, wall),
        }
    }

    fn measure(&self, stamped: Option<Timestamp>, wall: Timestamp) -> Timestamp {
        self.0.measure(stamped, wall)
    }
}

/// Decodes the messages of a user's topic.
pub struct TopicDecoder<KC, VC, E> {
    key: KC,
    value: VC,
    event_time: Arc<E>,
    ahead: Option<Duration>,
}

impl<KC, VC, E> TopicDecoder<KC, VC, E> {
    /// Reads keys with `key` and values with `value`.
    pub const fn new(key: KC, value: VC, event_time: Arc<E>) -> Self {
        Self { key, value, event_time, ahead: None }
    }

    /// Refuses records whose event time is further ahead than this of what it is held against.
    #[must_use]
    pub fn ahead_by_at_most(mut self, ahead: Option<Duration>) -> Self {
        self.ahead = ahead;
        self
    }

    fn read<K, V>(&self, message: &RawRecord<'_>, now: &Now<'_>) -> Result<(K, V, Timestamp), Verdict>
    where
        K: Data,
        V: Data,
        KC: Codec<K>,
        VC: Codec<V>,
        E: EventTime<K, V>,
    {
        if let Some(verdict) = (now.poisoned)(message.offset, 0) {
            return Err(verdict);
        }
        let key = field(message.key, &self.key, "key", DropReason::NullKey)?;
        let value = field(message.value, &self.value, "value", DropReason::NullValue)?;
        let time = self.event_time.of(&key, &value, message.timestamp, now.wall);
        let time = time.map_err(|Reject { reason, message }| (reason, message))?;
        if time < Timestamp::from_millis(0) {
            return Err((DropReason::NegativeTimestamp, format!("the event time, {time}, lies before 1970")));
        }
        if let Some(ahead) = self.ahead {
            let measure = EventTime::<K, V>::measure(&*self.event_time, message.timestamp, now.wall);
            if time > measure.plus(ahead) {
                let text = format!("the event time, {time}, lies more than {ahead:?} ahead of {measure}");
                return Err((DropReason::TooFarAhead, text));
            }
        }
        Ok((key, value, time))
    }
}

pub(super) fn field<T: Data>(
    bytes: Option<&[u8]>,
    codec: &impl Codec<T>,
    what: &str,
    null: DropReason,
) -> Result<T, Verdict> {
    match bytes {
        Some(bytes) => {
            codec.decode(bytes).map_err(|error| (DropReason::Unreadable, format!("the {what} cannot be read: {error}")))
        }
        None => T::null().ok_or_else(|| (null, format!("the {what} is null, and its type has no null"))),
    }
}

impl<K, V, KC, VC, E> Decode<K, V> for TopicDecoder<KC, VC, E>
where
    K: Data,
    V: Data,
    KC: Codec<K>,
    VC: Codec<V>,
    E: EventTime<K, V>,
{
    fn decode(&self, message: &RawRecord<'_>, _: u32, now: &Now<'_>, queue: &mut Queue<K, V>) {
        match self.read(message, now) {
            Ok((key, value, time)) => queue.timed(message, key, value, time),
            Err(verdict) => queue.bad(bad_message(message, verdict), true),
        }
    }
}
