//! The steps of a reset. Each can be taken again.

use std::fmt;
use std::path::PathBuf;

use crate::broker::{Broker, CommittedOffset, NewTopic};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};
use crate::runtime::survey::{TopicFound, kind_of};
use crate::state::Home;
use crate::topology::InternalKind;

/// How often the offsets are committed: a broker may still be forgetting those of a topic of the same name that was deleted
/// a moment ago, and the new ones with them.
const ATTEMPTS: u32 = 5;

/// One step of a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Notes beside the offsets of the sources that a reset is under way, so that no process starts on half of one.
    Mark {
        /// The group.
        group: String,
        /// The offsets, with the note.
        offsets: Vec<CommittedOffset>,
    },
    /// Deletes an internal topic.
    DeleteTopic {
        /// The topic.
        topic: TopicFound,
    },
    /// Deletes the local state of this machine.
    ClearState {
        /// Its directory.
        path: PathBuf,
    },
    /// Creates a repartition topic anew.
    CreateTopic {
        /// The topic.
        topic: NewTopic,
    },
    /// Commits where reading is to begin, with the text that goes beside each offset.
    Commit {
        /// The offsets.
        offsets: Vec<(Seek, String)>,
    },
}

/// Where a partition is to be read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seek {
    /// The partition.
    pub partition: TopicPartition,
    /// What was committed; `None` where nothing was.
    pub from: Option<Offset>,
    /// The first offset that the partition still holds.
    pub start: Offset,
    /// What is to be committed.
    pub to: Offset,
    /// The end of what can be read.
    pub end: Offset,
}

impl Step {
    pub(super) fn take(&self, broker: &dyn Broker, group: &str, home: Option<&Home>) -> Result<()> {
        match self {
            Self::Mark { offsets, .. } => broker.commit_for(group, offsets),
            Self::DeleteTopic { topic } => broker.delete_topics(&[&topic.name]),
            Self::ClearState { .. } => home.map_or(Ok(()), Home::clear),
            Self::CreateTopic { topic } => broker.create_topics(std::slice::from_ref(topic)),
            Self::Commit { offsets } => commit(broker, group, offsets),
        }
    }

    /// A few words.
    pub(super) fn in_short(&self) -> String {
        match self {
            Self::Commit { offsets } => format!("commit {} offsets", offsets.len()),
            step => step.to_string(),
        }
    }
}

fn commit(broker: &dyn Broker, group: &str, offsets: &[(Seek, String)]) -> Result<()> {
    let wanted: Vec<CommittedOffset> = offsets
        .iter()
        .map(|(seek, text)| CommittedOffset {
            partition: seek.partition.clone(),
            offset: seek.to,
            metadata: text.clone(),
        })
        .collect();
    let partitions: Vec<TopicPartition> = wanted.iter().map(|offset| offset.partition.clone()).collect();
    for _ in 0..ATTEMPTS {
        broker.commit_for(group, &wanted)?;
        let found = broker.committed(group, &partitions)?;
        if found.iter().zip(&wanted).all(|(found, wanted)| found.as_ref() == Some(wanted)) {
            return Ok(());
        }
    }
    let message = format!("group {group} does not show the offsets that were committed for it");
    Err(Error::new(ErrorKind::Broker, message).remedy("somebody else commits for it as well: stop them"))
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark { group, .. } => write!(f, "mark group {group} as being reset"),
            Self::DeleteTopic { topic } => {
                let what = match topic.kind {
                    InternalKind::Repartition => "repartition topic",
                    InternalKind::Changelog => "changelog",
                };
                write!(f, "delete {what} {} ", topic.name)?;
                write!(f, "({} partitions, {} offsets)", topic.partitions.unwrap_or(0), topic.offsets)
            }
            Self::ClearState { path } => write!(f, "delete the local state in {}", path.display()),
            Self::CreateTopic { topic } => {
                write!(f, "create repartition topic {} anew ({} partitions)", topic.name, topic.partitions)
            }
            Self::Commit { offsets } => {
                f.write_str("commit where to begin:")?;
                // Of a repartition topic that was made anew there is nothing to say but that.
                let (fresh, moved): (Vec<_>, Vec<_>) =
                    offsets.iter().map(|(seek, _)| seek).partition(|seek| kind_of(&seek.partition.topic).is_some());
                moved.iter().try_for_each(|seek| write!(f, "\n    {seek}"))?;
                match fresh.len() {
                    0 => Ok(()),
                    count => write!(f, "\n    and the {count} partitions of the repartition topics at 0"),
                }
            }
        }
    }
}

impl fmt::Display for Seek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, from, to, end, .. } = self;
        write!(f, "{partition}: ")?;
        match from {
            Some(from) => write!(f, "{from} → {to}")?,
            None => write!(f, "{to}")?,
        }
        write!(f, " of {end}")
    }
}
