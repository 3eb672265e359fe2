//! What a record does when it comes: it meets those of the other side, then waits for more, or goes out alone.

use std::time::Duration;

use super::side::Side;
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::operators::DropReason;
use crate::operators::window::Arrival;
use crate::record::Record;
use crate::time::Timestamp;
use crate::window::millis;

/// A record of one side (`X`) between the two.
pub(super) struct Meeting<'a, K: Key, X: Data, Y: Data, O, J> {
    pub(super) own: &'a mut Side<K, X>,
    pub(super) other: &'a mut Side<K, Y>,
    pub(super) join: J,
    pub(super) hold: Duration,
    pub(super) results: &'a mut Vec<Record<K, O>>,
}

impl<K: Key, X: Data, Y: Data, O, J: Fn(&K, &X, Option<&Y>) -> Option<O>> Meeting<'_, K, X, Y, O, J> {
    /// Gives why the record was dropped, if it was.
    pub(super) fn run(self, key: K, value: X, arrival: &Arrival) -> Result<Option<DropReason>> {
        let Self { own, other, join, hold, results } = self;
        if key.is_null() && !own.pads {
            return Ok(Some(DropReason::NullKey));
        }
        let (time, reach) = (arrival.timestamp, own.reach);
        if let Some(reason) = arrival.refused(reach.out_of_reach(), time) {
            return Ok(Some(reason));
        }
        let result = |value: O, timestamp: Timestamp| {
            let Arrival { stamp: watermark, input, headers, .. } = arrival.clone();
            let behind = arrival.behind_at(timestamp, millis(hold));
            Record { key: key.clone(), value, timestamp, behind, watermark, input, headers }
        };
        let mut matched = false;
        if !key.is_null() {
            other.meet(&key, arrival, reach, |of, partner| {
                matched = true;
                results.extend(join(&key, &value, Some(partner)).map(|value| result(value, time.max(of))));
            })?;
        }
        let is_over = key.is_null() || arrival.watermark >= reach.over().at(time);
        if !is_over {
            own.keep(key, value, arrival, matched)?;
        } else if !matched && own.pads {
            results.extend(join(&key, &value, None).map(|value| result(value, time)));
        } else if !matched {
            return Ok(Some(DropReason::JoinMiss));
        }
        Ok(None)
    }
}
