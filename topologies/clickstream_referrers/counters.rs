//! The two counters: of all clicks by referrer, and of each resource's.

use millstream::operators::processor::{Context, Processor, Timer};
use millstream::{Codec, CodecError, Data, Json, Key, Record, Reject, Timestamp};
use serde::{Deserialize, Serialize};

use super::counts::{Counts, end_of};
use super::tally::{ByReferrer, Tally};

/// How many clicks a referrer has led to in the window before a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferrerCount {
    /// The referrer's name.
    pub name: String,
    /// The end of the window: whole seconds since 1970.
    pub time: i64,
    /// How many clicks.
    pub count: u64,
}

impl Data for ReferrerCount {
    type Codec = Json;
}

/// Where the clicks of a resource came from in the window before a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranking {
    /// The resource.
    pub resource: String,
    /// The end of the window: whole seconds since 1970.
    pub time: i64,
    /// Who has counted. A resource is counted in one place of the whole group, and which process that is may be another
    /// one at every replay: so this is the topology's name.
    pub host: String,
    /// The referrers, the one with the most clicks first; of equal counts in order of their names. Empty where the
    /// resource has fallen silent.
    pub referrers: Vec<Share>,
}

impl Data for Ranking {
    type Codec = Json;
}

/// A referrer's share in the clicks of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The referrer's name.
    pub referrer: String,
    /// How many clicks.
    pub count: u64,
}

/// Counts by referrer.
pub struct Referrers(pub Counts<String>);

impl Processor<String, Tally> for Referrers {
    type Key = String;
    type Value = ReferrerCount;

    fn process(
        &self,
        record: Record<String, Tally>,
        cx: &mut Context<'_, String, ReferrerCount>,
    ) -> Result<(), Reject> {
        self.0.add(&record.key, record.value, cx);
        Ok(())
    }

    fn punctuate(&self, _: Timer, at: Timestamp, cx: &mut Context<'_, String, ReferrerCount>) -> Result<(), Reject> {
        self.0.tell(at, cx, |cx, time, counts| {
            for (name, count) in counts {
                cx.forward_at(name.clone(), ReferrerCount { name, time, count }, end_of(time));
            }
        });
        Ok(())
    }
}

/// Ranks the referrers of each resource.
pub struct Resources {
    /// The counts by resource and referrer.
    pub counts: Counts<Pair>,
    /// Who counts.
    pub host: &'static str,
    /// So many referrers of a resource are told at most.
    pub most: usize,
}

impl Processor<String, ByReferrer> for Resources {
    type Key = String;
    type Value = Ranking;

    fn process(&self, record: Record<String, ByReferrer>, cx: &mut Context<'_, String, Ranking>) -> Result<(), Reject> {
        let mut pair = Pair { resource: record.key, referrer: String::new() };
        for (referrer, tally) in record.value.0 {
            pair.referrer = referrer;
            self.counts.add(&pair, tally, cx);
        }
        Ok(())
    }

    fn punctuate(&self, _: Timer, at: Timestamp, cx: &mut Context<'_, String, Ranking>) -> Result<(), Reject> {
        self.counts.tell(at, cx, |cx, time, counts| {
            // The pairs of a resource lie together.
            for pairs in counts.chunk_by(|(one, _), (next, _)| one.resource == next.resource) {
                let resource = pairs[0].0.resource.clone();
                let (host, referrers) = (self.host.to_owned(), self.ranked(pairs));
                cx.forward_at(resource.clone(), Ranking { resource, time, host, referrers }, end_of(time));
            }
        });
        Ok(())
    }
}

impl Resources {
    fn ranked(&self, pairs: &[(Pair, u64)]) -> Vec<Share> {
        let mut counted: Vec<&(Pair, u64)> = pairs.iter().filter(|(_, count)| *count > 0).collect();
        counted.sort_by(|(one, most), (other, more)| more.cmp(most).then_with(|| one.referrer.cmp(&other.referrer)));
        let share = |(pair, count): &&(Pair, u64)| Share { referrer: pair.referrer.clone(), count: *count };
        counted.iter().take(self.most).map(share).collect()
    }
}

/// A resource and a referrer: the key of a row. Its bytes are such that the rows of a resource lie together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The resource.
    pub resource: String,
    /// The referrer's name.
    pub referrer: String,
}

impl Data for Pair {
    type Codec = PairCodec;
}

impl Key for Pair {}

/// The codec of [`Pair`]: the length of the resource in four bytes, the resource, the referrer.
#[derive(Clone, Copy, Debug, Default)]
pub struct PairCodec;

impl Codec<Pair> for PairCodec {
    fn encode(&self, value: &Pair, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let length = u32::try_from(value.resource.len()).map_err(|_| CodecError::new("is too long"))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value.resource.as_bytes());
        out.extend_from_slice(value.referrer.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Pair, CodecError> {
        let damaged = || CodecError::new("not a resource and a referrer");
        let (length, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
        let (resource, referrer) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| damaged());
        Ok(Pair { resource: text(resource)?, referrer: text(referrer)? })
    }
}
