//! What is known of a click when it is read: who sent it, its second, and which windows it came too late for.

use std::time::Duration;

use millstream::operators::DropReason;
use millstream::operators::processor::{Context, Processor};
use millstream::{Data, Json, NoKey, Record, Reject, Timestamp};
use serde::{Deserialize, Serialize};

use super::name::name_of;
use super::tally::Tally;

/// A click, as far as it is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click {
    /// What was looked at.
    pub resource: Option<String>,
    /// The address of the page that led there, if there was one.
    pub referrer: Option<String>,
}

impl Data for Click {
    type Codec = Json;
}

/// Makes tallies of clicks, by resource, each with the referrer's name. This is where a click is late or not: by the
/// watermark of its own partition, before clicks of several partitions are added up.
pub struct Arrivals {
    /// The length of the window, in seconds.
    pub window: i64,
}

impl Processor<NoKey, Click> for Arrivals {
    type Key = String;
    type Value = (String, Tally);

    fn process(
        &self,
        record: Record<NoKey, Click>,
        cx: &mut Context<'_, String, (String, Tally)>,
    ) -> Result<(), Reject> {
        let Record { value: Click { resource, referrer }, timestamp, behind, .. } = record;
        let resource = resource.ok_or_else(Reject::null_key)?;
        let second = second_of(timestamp);
        // Windows that end at the partition's watermark or before it have been told.
        let missed = match behind {
            0 => 0,
            behind => second_of(timestamp.plus(Duration::from_millis(behind))) - second,
        };
        if missed > 0 {
            cx.count_dropped(DropReason::Late, missed.min(self.window).unsigned_abs());
        }
        if missed < self.window {
            cx.forward(resource, (name_of(referrer.as_deref()), Tally::one(second, missed)));
        }
        Ok(())
    }
}

/// The whole seconds since 1970 of a time.
pub fn second_of(time: Timestamp) -> i64 {
    time.millis().div_euclid(1_000)
}
