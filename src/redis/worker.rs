//! The loop of an output to Redis: what the group wants, what is to be read, what Redis answers, what is to be committed.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::RedisSink;
use super::delivery::Delivery;
use super::mapping::Map;
use super::running::Shared;
use super::server::Connect;
use crate::broker::{
    Batch, Broker, CommitFailure, CommittedOffset, Fetched, GroupEvent, Guarantee, Isolation, Member, MemberOptions,
    Outgoing, RawRecord,
};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{Metrics, RedisMetrics, TopologyMetrics};
use crate::operators::source::{Bad, BadInput};
use crate::operators::{DropReason, Drops, Reject};
use crate::record::{InputNumber, Offset, TopicPartition};
use crate::runtime::Config;
use crate::runtime::bad::{dead_letter, unusable};
use crate::runtime::patience::patiently;
use crate::time::Clock;

/// How many records one fetch takes, and how many bytes of commands may wait before no more are made.
const FETCH: usize = 500;
const MOST_BYTES: usize = 1 << 20;
/// How often delivered offsets are committed: what a crash delivers again is at most this much.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// How often the broker is asked for the ends while nothing is read.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The longest sleep: the group wants to hear from its member.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);
/// How long nothing may get on before the end of a bounded run is given up.
const FINISH_WITHIN: Duration = Duration::from_secs(30);

/// What a worker is made of.
pub(super) struct Setup<'a> {
    pub(super) sink: &'a RedisSink,
    pub(super) redis: Arc<dyn Connect>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) config: &'a Config,
    pub(super) metrics: &'a Metrics,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shared: Arc<Shared>,
}

/// One assigned partition.
struct Slot {
    partition: TopicPartition,
    /// All before this offset is delivered.
    delivered: Offset,
    /// How far it has been read.
    fetched: Offset,
    /// What the group has committed.
    committed: Option<Offset>,
    /// Where the broker's log ended when that was last heard.
    end: Offset,
    /// Where a bounded run ends.
    bound: Option<Offset>,
}

pub(super) struct Worker {
    topology: String,
    name: String,
    topic: String,
    bad_input: BadInput,
    map: Arc<dyn Map>,
    broker: Arc<dyn Broker>,
    member: Box<dyn Member>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    metrics: RedisMetrics,
    dropped: TopologyMetrics,
    delivery: Delivery,
    /// In the order in which the member has them.
    slots: Vec<Slot>,
    assigned: bool,
    /// The slot that is read first, another one each turn.
    first: usize,
    batch: Batch,
    /// The record that stops it, once all before it is delivered.
    stopped_by: Option<Error>,
    committed: Duration,
    asked: Duration,
    /// When anything last got on.
    moved: Duration,
}

impl Worker {
    pub(super) fn new(setup: Setup<'_>) -> Result<Self> {
        let Setup { sink, redis, broker, config, metrics, clock, shared } = setup;
        let actual = |topic: &str| config.topics.get(topic).cloned().unwrap_or_else(|| topic.to_owned());
        let topic = actual(&sink.topic);
        let bad_input = match &sink.bad_input {
            BadInput::DeadLetter(dead) => BadInput::DeadLetter(actual(dead)),
            other => other.clone(),
        };
        let needed: Vec<&str> = std::iter::once(topic.as_str()).chain(bad_input.dead_letters()).collect();
        let described = broker.describe_topics(&needed)?;
        if let Some(missing) = needed.iter().find(|topic| !described.contains_key(**topic)) {
            let message = format!("topic {missing}, which the output {} to Redis needs, does not exist", sink.name);
            return Err(Error::new(ErrorKind::Topic, message).remedy("create it"));
        }
        let group = format!("{}-{}-redis-{}", config.application, sink.topology, sink.name);
        let mut member = broker.connect(&options(config, group))?;
        member.subscribe(&[&topic])?;
        let own = metrics.redis(&sink.topology, &sink.name);
        let now = clock.elapsed();
        Ok(Self {
            topology: sink.topology.clone(),
            name: sink.name.clone(),
            topic,
            bad_input,
            map: Arc::clone(&sink.map),
            broker,
            member,
            shared,
            delivery: Delivery::new(redis, own.clone()),
            metrics: own,
            dropped: metrics.topology(&sink.topology),
            slots: Vec::new(),
            assigned: false,
            first: 0,
            batch: Batch::default(),
            stopped_by: None,
            committed: now,
            asked: now,
            moved: now,
            clock,
        })
    }

    /// The loop, until it is told to stop, has come to its end or fails.
    pub(super) fn run(mut self) {
        let span = tracing::info_span!("output to Redis", topology = self.topology, sink = self.name);
        let _entered = span.enter();
        while !self.shared.stopping() {
            match self.turn() {
                Ok(Some(sleep)) => self.sleep(sleep),
                Ok(None) if self.is_done() => break,
                Ok(None) => {}
                Err(error) => {
                    tracing::error!("the output to Redis stops: {error}");
                    self.shared.fail(error);
                    break;
                }
            }
        }
        if let Err(error) = self.commit() {
            tracing::warn!("the last commit failed; what it stood for is delivered again: {error}");
        }
        self.member.close(true);
    }

    /// One round. Gives how long there is nothing to do; `None` where there may be more at once.
    fn turn(&mut self) -> Result<Option<Duration>> {
        self.follow_group()?;
        let mut worked = false;
        if self.delivery.outbox.is_empty() && self.stopped_by.is_none() {
            worked = self.fill()?;
        }
        let now = self.clock.elapsed();
        for (slot, next) in self.delivery.turn(now) {
            self.slots[slot].delivered = next;
            worked = true;
        }
        if self.delivery.outbox.is_empty() {
            self.all_delivered()?;
        }
        let now = self.clock.elapsed();
        if now.saturating_sub(self.committed) >= COMMIT_EVERY {
            self.commit()?;
        }
        self.measure(now);
        if worked {
            self.moved = now;
        }
        self.look_at_end(now)?;
        Ok((!worked && !self.is_done()).then(|| self.delivery.pausing(now).unwrap_or(LONGEST_SLEEP)))
    }

    fn sleep(&mut self, timeout: Duration) {
        let timeout = timeout.min(LONGEST_SLEEP);
        if self.delivery.outbox.is_empty() {
            self.member.wait(timeout);
        } else {
            // What arrives meanwhile changes nothing.
            self.shared.wait(timeout);
        }
    }

    fn follow_group(&mut self) -> Result<()> {
        let Some(event) = self.member.poll()? else { return Ok(()) };
        match event {
            GroupEvent::Assigned(partitions) => return self.take(&partitions),
            GroupEvent::Revoked => self.commit()?,
            GroupEvent::Lost => tracing::warn!("the partitions are lost: their next owner delivers some records again"),
        }
        self.drop_slots();
        patiently("giving the partitions up", || self.member.unassign())
    }

    /// Forgets what is not delivered: whoever has the partitions next reads it again.
    fn drop_slots(&mut self) {
        self.delivery.outbox.clear();
        self.slots.clear();
        self.stopped_by = None;
        self.assigned = false;
    }

    /// Takes partitions over, from what is committed or from the start of the log.
    fn take(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.drop_slots();
        let committed = match patiently("looking up committed offsets", || self.member.committed(partitions)) {
            Err(error) if error.is_fenced() => return self.member.unassign(),
            committed => committed?,
        };
        let starts = patiently("looking up the starts of partitions", || self.broker.start_offsets(partitions))?;
        for ((partition, start), committed) in partitions.iter().zip(starts).zip(committed) {
            let committed = committed.map(|committed| committed.offset);
            if let Some(committed) = committed.filter(|committed| *committed < start) {
                self.lost(partition, committed, start);
            }
            let from = committed.map_or(start, |committed| committed.max(start));
            let partition = partition.clone();
            self.slots.push(Slot { partition, delivered: from, fetched: from, committed, end: from, bound: None });
        }
        let from: Vec<_> = self.slots.iter().map(|slot| (slot.partition.clone(), slot.fetched)).collect();
        match patiently("taking the partitions", || self.member.assign(&from)) {
            // The group's next word says what to do.
            Err(error) if error.is_fenced() => {
                self.slots.clear();
                return Ok(());
            }
            taken => taken?,
        }
        self.assigned = true;
        self.moved = self.clock.elapsed();
        Ok(())
    }

    /// Records that the topic does not hold any more are told and counted, and the rest goes on.
    fn lost(&self, partition: &TopicPartition, from: Offset, to: Offset) {
        tracing::error!(%partition, from, to, "records were deleted from the topic before they were delivered to Redis: \
            keep them for longer than Redis may be away (retention.ms)");
        self.metrics.lost.inc_by(to.abs_diff(from));
    }

    /// Reads on, up to so many commands. True where anything came.
    fn fill(&mut self) -> Result<bool> {
        let mut any = false;
        for place in 0..self.slots.len() {
            let slot = (self.first + place) % self.slots.len();
            if self.delivery.outbox.bytes() >= MOST_BYTES || self.stopped_by.is_some() {
                break;
            }
            any |= self.fetch(slot)?;
        }
        self.first = (self.first + 1) % self.slots.len().max(1);
        Ok(any)
    }

    fn fetch(&mut self, number: usize) -> Result<bool> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let fetched = match self.member.fetch(number, FETCH, &mut batch) {
            Ok(fetched) => fetched,
            Err(error) => return self.skip_deleted(number, error),
        };
        let slot = &mut self.slots[number];
        if let Some(bound) = slot.bound {
            batch.cut_at(bound);
        }
        let Fetched { position, stable_end, high_watermark, .. } = fetched;
        slot.end = slot.end.max(position).max(stable_end).max(high_watermark);
        slot.fetched = position;
        let mut drops = Drops::default();
        for record in batch.iter() {
            let map = &self.map;
            let added = self.delivery.outbox.add(number, record.offset + 1, |commands| map.map(&record, commands));
            match added {
                Ok(left_out) => left_out.into_iter().for_each(|reason: DropReason| drops.count(reason)),
                Err(reject) => {
                    drops.count(reject.reason);
                    if !self.treat(number, &record, reject)? {
                        break;
                    }
                }
            }
        }
        self.dropped.drops(&self.topic).add(&drops);
        let any = !batch.is_empty();
        self.batch = batch;
        Ok(any)
    }

    /// The next record to read may have been deleted: goes on with the first that is there. Any other error stays one.
    fn skip_deleted(&mut self, number: usize, error: Error) -> Result<bool> {
        let Slot { partition, fetched, .. } = &self.slots[number];
        let starts = self.broker.start_offsets(std::slice::from_ref(partition)).unwrap_or_default();
        let Some(start) = starts.first().copied().filter(|start| start > fetched) else { return Err(error) };
        self.lost(partition, *fetched, start);
        let to = [(partition.clone(), start)];
        patiently("going on behind deleted records", || self.member.seek(&to))?;
        let slot = &mut self.slots[number];
        (slot.fetched, slot.end) = (start, slot.end.max(start));
        Ok(true)
    }

    /// Treats a record that cannot be used by the policy. False where nothing may go on behind it.
    fn treat(&mut self, number: usize, record: &RawRecord<'_>, reject: Reject) -> Result<bool> {
        let partition = &self.slots[number].partition;
        let bad = Bad {
            reason: reject.reason,
            message: reject.message,
            offset: record.offset,
            index: 0,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.clone(),
            timestamp: record.timestamp,
            fatal: false,
        };
        match &self.bad_input {
            BadInput::Fail => {
                self.stopped_by = Some(unusable(partition, &bad));
                return Ok(false);
            }
            BadInput::Skip => {}
            BadInput::DeadLetter(topic) => {
                let mut out = Outgoing::default();
                dead_letter(&mut out, topic, partition, &bad, InputNumber(0));
                // Seldom enough that each gets a writer of its own.
                let mut writer = self.broker.writer()?;
                writer.send(&out)?;
                writer.flush()?;
                self.dropped.dead_letters(&self.topic).inc();
            }
        }
        tracing::debug!(%partition, offset = bad.offset, reason = bad.reason.label(), "not delivered: {}", bad.message);
        Ok(true)
    }

    /// Nothing waits: what was read besides records, as marks of transactions, is done as well.
    fn all_delivered(&mut self) -> Result<()> {
        if let Some(error) = self.stopped_by.take() {
            // What came before the record is delivered: a restart stops here at once.
            self.commit()?;
            return Err(error);
        }
        for slot in &mut self.slots {
            slot.delivered = slot.bound.map_or(slot.fetched, |bound| bound.min(slot.fetched)).max(slot.delivered);
        }
        Ok(())
    }

    /// Commits what is delivered, if that is news. What the broker cannot take now is committed later.
    fn commit(&mut self) -> Result<()> {
        self.committed = self.clock.elapsed();
        let news = self.slots.iter().filter(|slot| slot.committed.is_none_or(|committed| committed < slot.delivered));
        let offsets: Vec<CommittedOffset> = news
            .map(|Slot { partition, delivered, .. }| CommittedOffset {
                partition: partition.clone(),
                offset: *delivered,
                metadata: String::new(),
            })
            .collect();
        if offsets.is_empty() {
            return Ok(());
        }
        match self.member.commit(&offsets) {
            Ok(_) => self.slots.iter_mut().for_each(|slot| slot.committed = Some(slot.delivered)),
            Err(CommitFailure::Lost(error)) => tracing::warn!("the group went on without this member: {error}"),
            Err(CommitFailure::Abort(error, _) | CommitFailure::Unknown(error)) => {
                tracing::warn!("offsets were not committed, and are later: {error}");
                if let Err(error) = self.member.recycle() {
                    tracing::warn!("{error}");
                }
            }
            Err(CommitFailure::Fatal(error)) => return Err(error),
        }
        Ok(())
    }

    /// Tells how much waits. While nothing is read, the broker is asked where the log ends by now.
    fn measure(&mut self, now: Duration) {
        let blocked = !self.delivery.outbox.is_empty();
        if blocked && !self.slots.is_empty() && now.saturating_sub(self.asked) >= ASK_EVERY {
            self.asked = now;
            let partitions: Vec<_> = self.slots.iter().map(|slot| slot.partition.clone()).collect();
            match self.broker.end_offsets(&partitions, Isolation::ReadCommitted) {
                Ok(ends) => {
                    for (slot, end) in self.slots.iter_mut().zip(ends) {
                        slot.end = slot.end.max(end);
                    }
                }
                Err(error) => tracing::debug!("how much waits is not known: {error}"),
            }
        }
        let lag: u64 =
            self.slots.iter().map(|slot| slot.end.saturating_sub(slot.delivered).max(0).unsigned_abs()).sum();
        self.metrics.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }

    /// Of a run that is to come to its end: fixes where that is, and gives up where nothing gets on.
    fn look_at_end(&mut self, now: Duration) -> Result<()> {
        if !self.shared.finishing() {
            self.moved = now;
            return Ok(());
        }
        if self.assigned && self.slots.iter().any(|slot| slot.bound.is_none()) {
            let partitions: Vec<_> = self.slots.iter().map(|slot| slot.partition.clone()).collect();
            let ends = patiently("looking where the topic ends", || {
                self.broker.end_offsets(&partitions, Isolation::ReadUncommitted)
            })?;
            for (slot, end) in self.slots.iter_mut().zip(ends) {
                slot.bound.get_or_insert(end);
                slot.end = slot.end.max(end);
            }
        }
        if self.is_done() || now.saturating_sub(self.moved) < FINISH_WITHIN {
            return Ok(());
        }
        let why = self.delivery.failing().map_or_else(String::new, |failure| format!(": {failure}"));
        let message = format!("{} records of {} were not delivered to Redis{why}", self.metrics.lag.get(), self.topic);
        Err(Error::new(ErrorKind::Output, message).remedy("the next run delivers them"))
    }

    /// True once a run that is to come to its end has delivered all up to it.
    fn is_done(&self) -> bool {
        let reached = |slot: &Slot| slot.bound.is_some_and(|bound| slot.delivered >= bound);
        self.shared.finishing() && self.assigned && self.slots.iter().all(reached)
    }
}

fn options(config: &Config, group: String) -> MemberOptions {
    let made_up = || format!("{:016x}", rand::rng().random::<u64>());
    let instance = format!("{group}-{}", config.instance.clone().unwrap_or_else(made_up));
    MemberOptions {
        transactional_id: instance.clone(),
        client_id: instance.clone(),
        instance,
        group,
        guarantee: Guarantee::AtLeastOnce,
        session_timeout: config.session_timeout,
        transaction_timeout: config.transaction_timeout,
    }
}
