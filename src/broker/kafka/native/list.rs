//! Lists of partitions with an offset, a text and an error each.

use std::ffi::CString;

use rdkafka::bindings as sys;

use super::{Code, text_of};
use crate::record::{Offset, TopicPartition};

/// librdkafka's list of partitions.
#[derive(Debug)]
pub(crate) struct PartitionList(*mut sys::rd_kafka_topic_partition_list_t);

// SAFETY: the list is a plain block of memory with one owner.
unsafe impl Send for PartitionList {}

/// One element of a list.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) metadata: String,
    pub(crate) code: Code,
}

impl PartitionList {
    pub(crate) fn new(capacity: usize) -> Self {
        // SAFETY: allocates; freed by drop. The capacity is a hint.
        Self(unsafe { sys::rd_kafka_topic_partition_list_new(i32::try_from(capacity).unwrap_or(0)) })
    }

    /// Partitions with their offsets.
    pub(crate) fn of<'a>(offsets: impl IntoIterator<Item = (&'a TopicPartition, Offset)>) -> Self {
        let mut list = Self::new(8);
        for (partition, offset) in offsets {
            list.push(&partition.topic, i32::try_from(partition.partition).unwrap_or(i32::MAX), offset, "");
        }
        list
    }

    /// Topics, for a subscription.
    pub(crate) fn topics(topics: &[&str]) -> Self {
        let mut list = Self::new(topics.len());
        for topic in topics {
            list.push(topic, -1, -1, "");
        }
        list
    }

    /// Appends a partition. A topic's name with a NUL byte cannot exist and becomes an empty name, which the broker
    /// refuses.
    pub(crate) fn push(&mut self, topic: &str, partition: i32, offset: Offset, metadata: &str) {
        let topic = CString::new(topic).unwrap_or_default();
        // SAFETY: the list is alive and the name ends with NUL. `add` copies the name and gives a pointer that is good
        // until the next `add`. The text must lie in memory that librdkafka can free, hence its own allocator.
        unsafe {
            let element = sys::rd_kafka_topic_partition_list_add(self.0, topic.as_ptr(), partition);
            (*element).offset = offset;
            if !metadata.is_empty() {
                let copy = sys::rd_kafka_mem_malloc(std::ptr::null_mut(), metadata.len());
                std::ptr::copy_nonoverlapping(metadata.as_ptr(), copy.cast(), metadata.len());
                (*element).metadata = copy;
                (*element).metadata_size = metadata.len();
            }
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0
    }

    pub(crate) fn elements(&self) -> Vec<Element> {
        // SAFETY: the list is alive and ours.
        unsafe { Self::read(self.0) }
    }

    /// Copies the elements of a list that belongs to librdkafka.
    ///
    /// # Safety
    /// `list` is null or a list that nobody changes during the call.
    pub(crate) unsafe fn read(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<Element> {
        if list.is_null() {
            return Vec::new();
        }
        // SAFETY: by the contract above; `elems` holds `cnt` elements.
        unsafe {
            let count = usize::try_from((*list).cnt).unwrap_or(0);
            (0..count).map(|i| Self::element(&*(*list).elems.add(i))).collect()
        }
    }

    /// The partitions of a list that belongs to librdkafka.
    ///
    /// # Safety
    /// As [`PartitionList::read`].
    pub(crate) unsafe fn names(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<TopicPartition> {
        // SAFETY: by the contract above.
        unsafe { Self::read(list) }.into_iter().map(|element| element.partition).collect()
    }

    /// Copies one element.
    ///
    /// # Safety
    /// The element's pointers are librdkafka's, and nobody changes them during the call.
    pub(crate) unsafe fn element(element: &sys::rd_kafka_topic_partition_t) -> Element {
        let metadata = if element.metadata.is_null() {
            String::new()
        } else {
            // SAFETY: librdkafka says how long the text is.
            let bytes = unsafe { std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size) };
            String::from_utf8_lossy(bytes).into_owned()
        };
        // SAFETY: the topic's name is a good string.
        let topic = unsafe { text_of(element.topic) };
        Element {
            partition: TopicPartition::new(topic, u32::try_from(element.partition).unwrap_or(0)),
            offset: element.offset,
            metadata,
            code: element.err.into(),
        }
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: ours, and dropped once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0) };
    }
}
