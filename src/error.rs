//! The one public error. Its text is for the person who reads it: what happened, where, and what to do.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::record::{Offset, TopicPartition};

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and what to do about it.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    place: Place,
    remedy: Option<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What sort of error it is. More may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration or the command line asks for something that cannot be.
    Config,
    /// The declared topology has mistakes.
    Topology,
    /// A topic is missing, or not as the topology needs it.
    Topic,
    /// A record cannot be used, and its source's policy is to stop.
    Record,
    /// The broker, or the way to it.
    Broker,
    /// The broker does not allow it.
    Authorization,
    /// Another owner has taken over: of the transactional id, the group membership or the partitions.
    Fenced,
    /// The local state.
    State,
    /// An output outside of Kafka, or the way to it.
    Output,
    /// A bug in millstream: please report it.
    Internal,
}

/// Where it happened, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: Option<TopicPartition>,
    /// The record's offset in it.
    pub offset: Option<Offset>,
    /// Which record of a packed message, where the message holds several.
    pub index: Option<u32>,
    /// The operator's name.
    pub operator: Option<String>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner { kind, message, place: Place::default(), remedy: None, source: None }))
    }

    /// The same error with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same error at a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place = place;
        self
    }

    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it happened.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What happened, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// True where another owner has taken over.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.0.kind == ErrorKind::Fenced
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        if let Some(partition) = &self.partition {
            write!(f, "topic {}, partition {}", partition.topic, partition.partition)?;
            gap = ", ";
        }
        if let Some(offset) = self.offset {
            write!(f, "{gap}offset {offset}")?;
            gap = ", ";
        }
        if let Some(index) = self.index {
            write!(f, "{gap}record {index} of its message")?;
            gap = ", ";
        }
        if let Some(operator) = &self.operator {
            write!(f, "{gap}operator {operator}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if self.0.place != Place::default() {
            write!(f, " (at {})", self.0.place)?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        if let Some(remedy) = &self.0.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_what_to_do() {
        let place = Place {
            partition: Some(TopicPartition::new("demo.purchases", 3)),
            offset: Some(42),
            index: None,
            operator: Some("totals".into()),
        };
        let error =
            Error::new(ErrorKind::Record, "the value is not JSON").at(place).remedy("skip it or dead-letter it");
        assert_eq!(
            error.to_string(),
            "the value is not JSON (at topic demo.purchases, partition 3, offset 42, operator totals); skip it or dead-letter it"
        );
    }
}
