//! The record between two operators, its headers, and the names of places in Kafka.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A record on its way between two operators of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<K, V> {
    /// The key; decides the partition wherever the record is written.
    pub key: K,
    /// The value.
    pub value: V,
    /// Event time.
    pub timestamp: Timestamp,
    /// How many milliseconds the record lay behind the watermark of *its own source partition* when it was read; 0 for a
    /// record that came in order. Lateness is decided by this and nothing else, so that it does not depend on how
    /// partitions, batches and commits interleave.
    pub behind: u64,
    /// The watermark of this edge once the record has been seen. It rides in the record so that results do not depend
    /// on where a batch is cut.
    pub watermark: Timestamp,
    /// Which input of the running transaction this record comes from: an error is traced back to its place with it.
    pub input: InputNumber,
    /// The headers of the record it comes from.
    pub headers: Headers,
}

impl<K, V> Record<K, V> {
    /// The same record with another key and value.
    pub fn with<K2, V2>(self, key: K2, value: V2) -> Record<K2, V2> {
        let Self { timestamp, behind, watermark, input, headers, .. } = self;
        Record { key, value, timestamp, behind, watermark, input, headers }
    }

    /// The same record with key and value put through `f`.
    pub fn map<K2, V2>(self, f: impl FnOnce(K, V) -> (K2, V2)) -> Record<K2, V2> {
        let Self { key, value, timestamp, behind, watermark, input, headers } = self;
        let (key, value) = f(key, value);
        Record { key, value, timestamp, behind, watermark, input, headers }
    }

    /// The same record with key and value put through `f`, which may fail.
    ///
    /// # Errors
    /// Whatever `f` gives.
    pub fn try_map<K2, V2, E>(self, f: impl FnOnce(K, V) -> Result<(K2, V2), E>) -> Result<Record<K2, V2>, E> {
        let Self { key, value, timestamp, behind, watermark, input, headers } = self;
        let (key, value) = f(key, value)?;
        Ok(Record { key, value, timestamp, behind, watermark, input, headers })
    }
}

/// The number of an input record within its task's running transaction: 0 is the first that was read since the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InputNumber(pub u32);

impl InputNumber {
    /// Of what no single input led to, as the result of a window that time has closed.
    pub const UNKNOWN: Self = Self(u32::MAX);
}

/// A record's headers, in order; names may repeat. Cloning is cheap: records that come from one input share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<Vec<Header>>>);

/// One header: a name and a value that may be null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The value; `None` is Kafka's null.
    pub value: Option<Vec<u8>>,
}

impl Headers {
    /// No headers.
    pub const NONE: Self = Self(None);

    /// True where there is no header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|headers| headers.is_empty())
    }

    /// The headers, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.as_deref().map_or(&[][..], Vec::as_slice).iter()
    }

    /// The value of the last header called `name`, as Kafka's `lastHeader`.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&[u8]> {
        self.iter().rev().find(|header| header.name == name)?.value.as_deref()
    }

    /// Appends a header.
    pub fn push(&mut self, name: impl Into<String>, value: Option<Vec<u8>>) {
        let headers = self.0.get_or_insert_with(Default::default);
        Arc::make_mut(headers).push(Header { name: name.into(), value });
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        let headers: Vec<Header> = headers.into_iter().collect();
        Self((!headers.is_empty()).then(|| Arc::new(headers)))
    }
}

/// An offset in a partition.
pub type Offset = i64;

/// A partition of a topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: u32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_header_of_a_name_wins() {
        let mut headers = Headers::NONE;
        headers.push("a", Some(vec![1]));
        headers.push("a", Some(vec![2]));
        assert_eq!(headers.last("a"), Some(&[2][..]));
        assert_eq!(headers.last("b"), None);
    }
}
