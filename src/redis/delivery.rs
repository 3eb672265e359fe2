//! The way to Redis: a connection that comes and goes, and what is sent over it until it is answered.

use std::sync::Arc;
use std::time::Duration;

use super::failure::{Failure, FailureKind};
use super::outbox::{Outbox, Progress};
use super::server::{Answer, Connect, Link};
use crate::metrics::RedisMetrics;
use crate::record::Offset;

/// The pause after the first failure; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A connection over which nothing went for so long is tried, so that the metric stays true and no firewall forgets it.
const QUIET: Duration = Duration::from_secs(5);
/// While failures go on, they are told so often.
const TELL_EVERY: Duration = Duration::from_mins(1);
/// `PING`, as it is sent.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

pub(super) struct Delivery {
    redis: Arc<dyn Connect>,
    link: Option<Box<dyn Link>>,
    pub(super) outbox: Outbox,
    metrics: RedisMetrics,
    pause: Duration,
    /// Not before this time is anything tried.
    due: Duration,
    /// When Redis last answered.
    heard: Duration,
    /// The last failure since then, and when it was told.
    failing: Option<(Failure, Duration)>,
}

impl Delivery {
    pub(super) fn new(redis: Arc<dyn Connect>, metrics: RedisMetrics) -> Self {
        Self {
            redis,
            link: None,
            outbox: Outbox::default(),
            metrics,
            pause: FIRST_PAUSE,
            due: Duration::ZERO,
            heard: Duration::ZERO,
            failing: None,
        }
    }

    /// How long nothing is tried, after a failure.
    pub(super) fn pausing(&self, now: Duration) -> Option<Duration> {
        Some(self.due.saturating_sub(now)).filter(|pause| !pause.is_zero())
    }

    /// The last failure, while Redis has not answered since.
    pub(super) fn failing(&self) -> Option<&Failure> {
        self.failing.as_ref().map(|(failure, _)| failure)
    }

    /// Sends what waits. Gives the partitions of which records were answered, and the offsets after them.
    pub(super) fn turn(&mut self, now: Duration) -> Vec<(usize, Offset)> {
        if self.pausing(now).is_some() {
            return Vec::new();
        }
        let Progress { to, unheard } = match self.attempt(now) {
            (progress, None) => progress,
            (progress, Some(failure)) => {
                self.failed(failure, now);
                progress
            }
        };
        self.metrics.delivered.inc_by(to.len() as u64);
        self.metrics.unheard.inc_by(unheard);
        to
    }

    fn attempt(&mut self, now: Duration) -> (Progress, Option<Failure>) {
        let quiet = now.saturating_sub(self.heard) >= QUIET;
        let link = match &mut self.link {
            Some(link) => link,
            none => match self.redis.connect() {
                Ok(link) => none.insert(link),
                Err(failure) => return (Progress::default(), Some(failure)),
            },
        };
        let (packed, count) = self.outbox.rest();
        let (answers, failure) = match count {
            0 if self.failing.is_some() || quiet || self.heard.is_zero() => link.send(PING, 1),
            // Records may lead to no commands at all.
            0 => (Vec::new(), None),
            count => link.send(packed, count),
        };
        let refused = answers.iter().find_map(|answer| match answer {
            Answer::Refused(failure) => Some(failure.clone()),
            Answer::Number(_) | Answer::Done => None,
        });
        let failure = failure.or(refused);
        // The answer to a ping belongs to no record.
        let progress = self.outbox.answer(if count == 0 { &[] } else { &answers });
        if !answers.is_empty() && failure.is_none() {
            self.works(now);
        }
        (progress, failure)
    }

    fn works(&mut self, now: Duration) {
        if self.heard.is_zero() || self.failing.is_some() {
            tracing::info!(redis = self.redis.address(), "Redis answers");
        }
        self.metrics.connections.set(1);
        self.heard = now.max(Duration::from_nanos(1));
        self.failing = None;
        self.pause = FIRST_PAUSE;
    }

    fn failed(&mut self, failure: Failure, now: Duration) {
        self.metrics.failed(failure.kind.label());
        self.metrics.connections.set(0);
        // Also after a refusal: the address may lead to another server by now, and a user's rights may have changed.
        self.link = None;
        let told = self.failing.as_ref().filter(|(known, _)| known.kind == failure.kind).map(|(_, told)| *told);
        let told = told.filter(|told| now.saturating_sub(*told) < TELL_EVERY);
        if told.is_none() {
            let (redis, waiting) = (self.redis.address(), self.outbox.waiting());
            tracing::warn!(redis, waiting, "nothing is delivered to Redis, and is tried again: {failure}");
        }
        // A connection that has stood for long may just have ended: the next one need not wait.
        let fresh = failure.kind == FailureKind::Disconnected && self.failing.is_none();
        self.failing = Some((failure, told.unwrap_or(now)));
        if !fresh {
            self.due = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }
}
