//! Reading of assigned partitions: what members and readers have in common.
//!
//! Each partition has a queue of its own. One that is not fetched fills up to `queued.max.messages.kbytes` and then holds
//! its broker back, without a pause (which would throw away what has arrived) and without slowing the others.
//!
//! **Where reading stands.** The position is ours: the offset after the last record handed over, or the end of partition
//! that came after it, which takes it past the control records there. `rd_kafka_position` is not asked: it goes on with
//! every control record, also with those of a queue that a rebalance has made outdated, whose records librdkafka throws
//! away. It would pass records that nobody has seen.
//!
//! **What can be read.** The position of a committed reader never passes the last stable offset, which never passes the
//! high watermark. So where the position is the high watermark, it is the last stable offset too, and this is known with
//! the very answer that brought the last record. Elsewhere (control records are last, as behind every transaction;
//! someone's transaction is open; compaction took the last records) the end of partition tells, which comes one empty
//! fetch later (`fetch.wait.max.ms`) and once per end.
//!
//! A commit is answered before its markers are written. So for some milliseconds a reader that has everything it can
//! read has not everything that is committed: whoever needs the latter reads up to the high watermark.

use std::sync::Arc;
use std::time::Duration;

use super::errors::{error, error_at};
use super::native::consumer::Stray;
use super::native::queue::{Drained, Probe, Queue};
use super::native::{Client, Code, Failure, is_transient};
use super::signal::Signal;
use crate::broker::{Batch, Fetched};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};

/// How long a seek may take.
const SEEK: Duration = Duration::from_secs(10);

/// The settings of everything that reads. Small waits and small queues: what is late is worse than what is small.
pub(super) fn settings(user_sets: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    let fixed = [
        ("isolation.level", "read_committed"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("enable.partition.eof", "true"),
        ("check.crcs", "true"),
    ];
    let defaults = [
        ("fetch.queue.backoff.ms", "5"),
        ("fetch.wait.max.ms", "10"),
        ("queued.max.messages.kbytes", "512"),
        ("fetch.message.max.bytes", "262144"),
        ("topic.metadata.refresh.interval.ms", "30000"),
    ];
    let defaults = defaults.into_iter().filter(|(name, _)| !user_sets(name));
    fixed.into_iter().chain(defaults).map(|(name, value)| (name, value.to_owned())).collect()
}

/// The assigned partitions of one client.
#[derive(Debug)]
pub(super) struct Reading {
    /// Before the client: a queue goes before what it was made from.
    slots: Vec<Slot>,
    client: Arc<Client>,
    signal: Arc<Signal>,
}

#[derive(Debug)]
struct Slot {
    at: TopicPartition,
    queue: Queue,
    probe: Probe,
    position: Offset,
    /// A record or an end of partition has come since the last assign or seek.
    settled: bool,
    /// The last end of partition since then.
    end: Option<Offset>,
    /// Records went to the group's queue and are to be fetched again: nothing is read before that.
    strayed: bool,
    failed: Option<Error>,
}

impl Reading {
    pub(super) fn new(client: Arc<Client>, signal: Arc<Signal>) -> Self {
        Self { slots: Vec::new(), client, signal }
    }

    /// Reads these partitions from these offsets on, instead of what was read before.
    pub(super) fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> Result<()> {
        self.slots.clear();
        self.client.assign(from).map_err(|failure| error("taking the assigned partitions", &failure))?;
        for (at, offset) in from {
            let queue = Queue::of_partition(&self.client, at, &self.signal).ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("librdkafka has no queue for {at}, which is assigned"))
            })?;
            self.slots.push(Slot::new(at.clone(), queue, *offset));
        }
        // What arrived before the queues were cut loose lies in the group's queue: it is fetched again.
        self.serve().map(|_| ())
    }

    /// Reads nothing any more.
    pub(super) fn unassign(&mut self) -> Result<()> {
        self.slots.clear();
        self.client.unassign().map_err(|failure| error("giving the partitions up", &failure))
    }

    /// Goes on from these offsets.
    pub(super) fn seek(&mut self, to: &[(TopicPartition, Offset)]) -> Result<()> {
        if to.is_empty() {
            return Ok(());
        }
        for (at, _) in to {
            if !self.slots.iter().any(|slot| slot.at == *at) {
                return Err(Error::new(ErrorKind::Internal, format!("a seek in {at}, which is not assigned")));
            }
        }
        let doing = "going back to the committed offsets";
        let moved = self.client.seek(to, SEEK).map_err(|failure| error(doing, &failure))?;
        if let Some(refused) = moved.iter().find(|element| element.code != Code::NoError) {
            return Err(error_at(doing, &Failure::of(refused.code), &refused.partition, Some(refused.offset)));
        }
        for (at, offset) in to {
            for slot in self.slots.iter_mut().filter(|slot| slot.at == *at) {
                slot.start(*offset);
            }
        }
        Ok(())
    }

    /// Serves what is not a record; callbacks run in here. Gives the errors that belong to no assigned partition.
    pub(super) fn serve(&mut self) -> Result<Vec<(Failure, Option<TopicPartition>)>> {
        let mut errors = Vec::new();
        for stray in self.client.serve_group() {
            match stray {
                Stray::Record(at) => {
                    self.slots.iter_mut().filter(|slot| slot.at == at).for_each(Slot::stray);
                }
                Stray::Failed(failure, at) => {
                    let slot = at.as_ref().and_then(|at| self.slots.iter_mut().find(|slot| slot.at == *at));
                    match slot {
                        Some(slot) => slot.fail(&failure, None),
                        None => errors.push((failure, at)),
                    }
                }
            }
        }
        self.collect_strays()?;
        Ok(errors)
    }

    /// Has strayed records fetched again. Where that fails they stay strayed, and are not read past.
    fn collect_strays(&mut self) -> Result<()> {
        let strayed = self.slots.iter().filter(|slot| slot.strayed);
        let again: Vec<(TopicPartition, Offset)> = strayed.map(|slot| (slot.at.clone(), slot.position)).collect();
        for slot in self.slots.iter().filter(|slot| slot.strayed) {
            slot.queue.cut_loose();
        }
        self.seek(&again)
    }

    pub(super) fn fetch(&mut self, partition: usize, max: usize, into: &mut Batch) -> Result<Fetched> {
        let assigned = self.slots.len();
        if self.slots.get(partition).is_some_and(|slot| slot.strayed) {
            self.collect_strays()?;
        }
        let slot = self.slots.get_mut(partition).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("a fetch of partition {partition} of {assigned} assigned ones"))
        })?;
        let (fetched, strays) = slot.fetch(&self.client, max, into)?;
        if !strays.is_empty() {
            // This one's queue is joined to the group's as well, or they would not have come out of it.
            slot.stray();
            self.slots.iter_mut().filter(|slot| strays.contains(&slot.at)).for_each(Slot::stray);
        }
        Ok(fetched)
    }
}

impl Slot {
    fn new(at: TopicPartition, queue: Queue, position: Offset) -> Self {
        let probe = Probe::new(&at);
        Self { at, queue, probe, position, settled: false, end: None, strayed: false, failed: None }
    }

    fn start(&mut self, offset: Offset) {
        self.position = offset;
        self.settled = false;
        self.end = None;
        self.strayed = false;
        self.failed = None;
        self.queue.ring();
    }

    fn stray(&mut self) {
        tracing::debug!(partition = %self.at, "records came before the partition's queue was split off");
        self.strayed = true;
    }

    /// Also gives the partitions whose records strayed into this one's queue.
    fn fetch(&mut self, client: &Client, max: usize, into: &mut Batch) -> Result<(Fetched, Vec<TopicPartition>)> {
        let mut records = 0;
        let mut strays = Vec::new();
        if max > 0 && self.queue.take_ring() {
            let mut drained = self.queue.drain(&self.at, max, into);
            records = drained.records;
            strays = std::mem::take(&mut drained.strays);
            if records == max {
                // There may be more: the bell rings only when an empty queue fills.
                self.queue.ring();
            }
            self.note(drained);
        }
        if records == 0
            && let Some(error) = &self.failed
        {
            return Err(error.clone());
        }
        // What librdkafka remembers of an earlier assignment is not news.
        let known = if self.settled { self.probe.high_watermark(client) } else { None };
        let high_watermark = known.unwrap_or(-1).max(if known.is_some() { self.position } else { -1 });
        let stable_end = if high_watermark == self.position {
            self.position
        } else {
            self.end.filter(|end| *end >= self.position).unwrap_or(-1)
        };
        Ok((Fetched { records, position: self.position, stable_end, high_watermark }, strays))
    }

    fn note(&mut self, drained: Drained) {
        let Drained { last, end, failed, .. } = drained;
        if let Some(last) = last {
            self.position = last + 1;
            self.settled = true;
        }
        if let Some(end) = end {
            self.position = self.position.max(end);
            self.end = Some(end);
            self.settled = true;
        }
        if let Some((failure, offset)) = failed {
            self.fail(&failure, Some(offset));
        }
    }

    fn fail(&mut self, failure: &Failure, offset: Option<Offset>) {
        if is_transient(failure.code) {
            tracing::warn!(partition = %self.at, "fetching failed and is tried again: {}", failure.text);
            return;
        }
        let offset = offset.filter(|offset| *offset >= 0).unwrap_or(self.position);
        let doing = match failure.code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange => "the next record to read is not in the topic any more",
            Code::TopicAuthorizationFailed => "the topic may not be read",
            _ => "reading the topic",
        };
        self.failed = Some(error_at(doing, failure, &self.at, Some(offset)));
    }
}
