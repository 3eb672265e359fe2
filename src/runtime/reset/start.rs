//! Where the sources are to be read from.

use std::collections::BTreeMap;

use super::steps::Seek;
use crate::broker::{Broker, CommittedOffset, Isolation};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};
use crate::time::Timestamp;

/// Where the sources are to be read from. What lies outside of what a partition holds becomes its start or its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The first record that is still there.
    #[default]
    Earliest,
    /// Only what comes from now on.
    Latest,
    /// The first record with this Kafka timestamp or a later one; the end where there is none. It is the timestamp that the
    /// record has in its topic, which need not be its event time.
    Time(Timestamp),
    /// So many records on from what is committed, or back where it is negative; from the start where nothing is.
    Shift(i64),
    /// These offsets, by actual names; each partition of each source must be named.
    Offsets(BTreeMap<TopicPartition, Offset>),
}

impl Start {
    /// Where each of `sources` is to be read from, and what is to be said about it.
    pub(super) fn resolve(
        &self,
        broker: &dyn Broker,
        sources: &[TopicPartition],
        committed: &[Option<CommittedOffset>],
    ) -> Result<(Vec<Seek>, Vec<String>)> {
        let starts = broker.start_offsets(sources)?;
        let ends = broker.end_offsets(sources, Isolation::ReadCommitted)?;
        let wanted = self.wanted(broker, sources, committed, &starts, &ends)?;
        let mut notes = Vec::new();
        let mut seeks = Vec::new();
        for (number, partition) in sources.iter().enumerate() {
            let (start, end, wanted) = (starts[number], ends[number], wanted[number]);
            // An end below the start is that of a partition that was emptied under an open transaction.
            let to = wanted.clamp(start, end.max(start));
            if to != wanted {
                notes.push(format!("{partition} holds {start} to {end}: {to} instead of {wanted}"));
            }
            let from = committed[number].as_ref().map(|committed| committed.offset);
            seeks.push(Seek { partition: partition.clone(), from, start, to, end });
        }
        Ok((seeks, notes))
    }

    fn wanted(
        &self,
        broker: &dyn Broker,
        sources: &[TopicPartition],
        committed: &[Option<CommittedOffset>],
        starts: &[Offset],
        ends: &[Offset],
    ) -> Result<Vec<Offset>> {
        Ok(match self {
            Self::Earliest => starts.to_vec(),
            Self::Latest => ends.to_vec(),
            Self::Time(time) => {
                let found = broker.offsets_at(sources, *time)?;
                found.into_iter().zip(ends).map(|(found, end)| found.unwrap_or(*end)).collect()
            }
            Self::Shift(by) => {
                let from = committed.iter().zip(starts);
                from.map(|(committed, start)| committed.as_ref().map_or(*start, |at| at.offset.saturating_add(*by)))
                    .collect()
            }
            Self::Offsets(given) => given_offsets(given, sources)?,
        })
    }
}

fn given_offsets(given: &BTreeMap<TopicPartition, Offset>, sources: &[TopicPartition]) -> Result<Vec<Offset>> {
    let wrong = |message: String, remedy: &str| Err(Error::new(ErrorKind::Config, message).remedy(remedy));
    if let Some(foreign) = given.keys().find(|partition| !sources.contains(partition)) {
        return wrong(format!("the topology does not read {foreign}"), "name the partitions of its sources only");
    }
    let missing: Vec<String> =
        sources.iter().filter(|partition| !given.contains_key(partition)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        let message = format!("no offset is given for {}", missing.join(", "));
        return wrong(message, "name every partition of every source");
    }
    Ok(sources.iter().map(|partition| given[partition]).collect())
}
