//! A consumer's calls.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;

use super::list::{Element, PartitionList};
use super::{Client, Code, Failure, Rebalance, checked, locked, outcome, text_of};
use crate::record::{Offset, TopicPartition};

/// What came out of the group's queue besides rebalances.
#[derive(Debug)]
pub(crate) enum Stray {
    /// A record, or the end of a partition, that came before the partition's queue was cut loose.
    Record(TopicPartition),
    /// An error, and where it belongs if it belongs somewhere.
    Failed(Failure, Option<TopicPartition>),
}

/// A membership as it was at some point: what a transaction's offsets are checked against.
#[derive(Debug)]
pub(crate) struct GroupMetadata(*mut sys::rd_kafka_consumer_group_metadata_t);

// SAFETY: a plain block of memory with one owner.
unsafe impl Send for GroupMetadata {}

impl GroupMetadata {
    pub(super) fn as_ptr(&self) -> *const sys::rd_kafka_consumer_group_metadata_t {
        self.0
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: ours, and dropped once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0) };
    }
}

pub(super) fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

impl Client {
    /// Sends what is not a record to the group's queue, so that there is one queue to listen to.
    pub(crate) fn join_queues(&self) -> Result<(), Failure> {
        // SAFETY: the handle is alive.
        checked(unsafe { sys::rd_kafka_poll_set_consumer(self.raw) })
    }

    pub(crate) fn subscribe(&self, topics: &[&str]) -> Result<(), Failure> {
        let list = PartitionList::topics(topics);
        // SAFETY: handle and list are alive; the list is copied.
        checked(unsafe { sys::rd_kafka_subscribe(self.raw, list.as_ptr()) })
    }

    pub(crate) fn unsubscribe(&self) -> Result<(), Failure> {
        // SAFETY: the handle is alive.
        checked(unsafe { sys::rd_kafka_unsubscribe(self.raw) })
    }

    /// Serves the group's queue without waiting; callbacks run in here.
    pub(crate) fn serve_group(&self) -> Vec<Stray> {
        let mut strays = Vec::new();
        loop {
            // SAFETY: the handle is alive; a message that is given is ours to destroy, and good until then.
            unsafe {
                let message = sys::rd_kafka_consumer_poll(self.raw, 0);
                if message.is_null() {
                    return strays;
                }
                let topic = (*message).rkt;
                let at = (!topic.is_null()).then(|| {
                    let partition = u32::try_from((*message).partition).unwrap_or(0);
                    TopicPartition::new(text_of(sys::rd_kafka_topic_name(topic)), partition)
                });
                let stray = match (Code::from((*message).err), at) {
                    (Code::NoError | Code::PartitionEOF, Some(at)) => Stray::Record(at),
                    (code, at) => {
                        let text = text_of(sys::rd_kafka_message_errstr(message));
                        Stray::Failed(Failure { text, ..Failure::of(code) }, at)
                    }
                };
                sys::rd_kafka_message_destroy(message);
                strays.push(stray);
            }
        }
    }

    /// The oldest rebalance that has not been taken yet.
    pub(crate) fn next_rebalance(&self) -> Option<Rebalance> {
        locked(&self.callbacks.rebalances).pop_front()
    }

    /// Replaces the assignment. Comes back when the old partitions have stopped and the new ones have started.
    pub(crate) fn assign(&self, from: &[(TopicPartition, Offset)]) -> Result<(), Failure> {
        self.unassign()?;
        let list = PartitionList::of(from.iter().map(|(partition, offset)| (partition, *offset)));
        // SAFETY: handle and list are alive; the list is copied.
        checked(unsafe { sys::rd_kafka_assign(self.raw, list.as_ptr()) })
    }

    /// Empties the assignment and waits until all fetching has stopped: partitions that start while others still stop
    /// are started later, behind our back, and their queues are then joined to the group's again.
    pub(crate) fn unassign(&self) -> Result<(), Failure> {
        // SAFETY: the handle is alive; null means "nothing is assigned".
        checked(unsafe { sys::rd_kafka_assign(self.raw, std::ptr::null()) })?;
        // Each question is answered in its turn by the thread that handles the stops: the first after the stops were
        // handled, the second after their answers were, the third for good measure.
        for _ in 0..3 {
            let mut list = std::ptr::null_mut();
            // SAFETY: the handle is alive; a list that is given is ours.
            unsafe {
                checked(sys::rd_kafka_assignment(self.raw, &raw mut list))?;
                sys::rd_kafka_topic_partition_list_destroy(list);
            }
        }
        Ok(())
    }

    /// Moves assigned partitions to other offsets; what was fetched before is dropped.
    pub(crate) fn seek(&self, to: &[(TopicPartition, Offset)], timeout: Duration) -> Result<Vec<Element>, Failure> {
        let list = PartitionList::of(to.iter().map(|(partition, offset)| (partition, *offset)));
        // SAFETY: handle and list are alive.
        unsafe { outcome(sys::rd_kafka_seek_partitions(self.raw, list.as_ptr(), millis(timeout))) }?;
        Ok(list.elements())
    }

    /// What the group has committed; a partition's offset is negative where there is nothing.
    pub(crate) fn committed(&self, of: &[TopicPartition], timeout: Duration) -> Result<Vec<Element>, Failure> {
        let list = PartitionList::of(of.iter().map(|partition| (partition, -1)));
        // SAFETY: handle and list are alive.
        checked(unsafe { sys::rd_kafka_committed(self.raw, list.as_ptr(), millis(timeout)) })?;
        Ok(list.elements())
    }

    /// Commits offsets outside of transactions and waits for the answer.
    pub(crate) fn commit_offsets(&self, offsets: &PartitionList) -> Result<(), Failure> {
        // SAFETY: handle and list are alive; 0 asks to wait.
        checked(unsafe { sys::rd_kafka_commit(self.raw, offsets.as_ptr(), 0) })?;
        let refused = offsets.elements().into_iter().find(|element| element.code != Code::NoError);
        refused.map_or(Ok(()), |element| Err(Failure::of(element.code)))
    }

    /// The membership as it is now.
    pub(crate) fn group_metadata(&self) -> Option<GroupMetadata> {
        // SAFETY: the handle is alive; what is given is ours.
        let raw = unsafe { sys::rd_kafka_consumer_group_metadata(self.raw) };
        (!raw.is_null()).then_some(GroupMetadata(raw))
    }

    /// Closes the consumer, `rounds` times 100 ms at most. True where it came to its end.
    pub(crate) fn close_consumer(self: &Arc<Self>, rounds: u32) -> bool {
        // SAFETY: the handle is alive. The queue is ours; it takes what the group's queue would get from here on, and is
        // given back after the last use.
        unsafe {
            let queue = sys::rd_kafka_queue_new(self.raw);
            let closing = outcome(sys::rd_kafka_consumer_close_queue(self.raw, queue));
            let mut closed = closing.is_err();
            for _ in 0..rounds {
                closed = closed || sys::rd_kafka_consumer_closed(self.raw) != 0;
                if closed {
                    break;
                }
                let event = sys::rd_kafka_queue_poll(queue, 100);
                if event.is_null() {
                    continue;
                }
                // A queue that is asked for events gives a revocation as one, not to the callback; closing waits for
                // its answer.
                if sys::rd_kafka_event_type(event) == sys::RD_KAFKA_EVENT_REBALANCE {
                    sys::rd_kafka_assign(self.raw, std::ptr::null());
                }
                sys::rd_kafka_event_destroy(event);
            }
            sys::rd_kafka_queue_destroy(queue);
            closed
        }
    }
}
