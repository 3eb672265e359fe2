//! What is counted, second by second: the state of the topology's two counters.

use millstream::operators::DropReason;
use millstream::operators::processor::{Context, Stored};
use millstream::{Key, Timestamp};

use super::arrivals::second_of;
use super::tally::{Span, Tally};

/// So many counts are told at once; what is left is told with the next step.
const PORTION: usize = 10_000;

/// The tallies by key, and up to which second they have been told.
pub struct Counts<K: Key> {
    /// A row a key, until it has been silent for long enough.
    pub tallies: Stored<K, Tally>,
    /// One row: the last second that has been told.
    pub told: Stored<u32, i64>,
    /// How long clicks count and are remembered.
    pub span: Span,
}

/// One look at all tallies.
struct Look<K> {
    /// What is to be told, in order of the keys' bytes.
    told: Vec<(K, u64)>,
    /// What has been silent for too long.
    gone: Vec<K>,
    /// When there is something more to tell, where there is nothing now.
    next: Option<i64>,
}

impl<K: Key> Counts<K> {
    /// Adds clicks. What they are too late for, as the partition that they come from was left out of the watermark, is
    /// counted as expired.
    pub fn add<OK, OV>(&self, key: &K, mut more: Tally, cx: &mut Context<'_, OK, OV>) {
        if let Some(told) = cx.get(&self.told, &0) {
            cx.count_dropped(DropReason::Expired, more.miss(told, self.span));
            cx.update(&self.tallies, key, |tally| {
                let tally = tally.get_or_insert_default();
                tally.forget(told, self.span);
                tally.add(more);
            });
        } else {
            cx.update(&self.tallies, key, |tally| tally.get_or_insert_default().add(more));
        }
    }

    /// Tells the counts of each second up to `watermark` that have not been told yet, one second after the other.
    pub fn tell<OK, OV>(
        &self,
        watermark: Timestamp,
        cx: &mut Context<'_, OK, OV>,
        tell: impl Fn(&mut Context<'_, OK, OV>, i64, Vec<(K, u64)>),
    ) {
        let now = second_of(watermark);
        // Before anything has been told, time begins with the first click.
        let first = || i64::MIN;
        let mut told = cx.get(&self.told, &0).unwrap_or_else(first);
        let mut left = PORTION;
        while told < now {
            let time = told.saturating_add(1);
            let Look { told: counts, gone, next } = self.look(time, cx);
            for key in &gone {
                cx.remove(&self.tallies, key);
            }
            if counts.is_empty() {
                told = next.map_or(now, |next| now.min(next - 1));
                continue;
            }
            if left == 0 {
                cx.again();
                break;
            }
            left = left.saturating_sub(counts.len());
            tell(cx, time, counts);
            told = time;
        }
        cx.put(&self.told, &0, told);
    }

    fn look<OK, OV>(&self, time: i64, cx: &mut Context<'_, OK, OV>) -> Look<K> {
        let mut look = Look { told: Vec::new(), gone: Vec::new(), next: None };
        cx.each_row(&self.tallies, |key, tally| match (tally.count_at(time, self.span), tally.next_after(time)) {
            (Some(count), _) => look.told.push((key.clone(), count)),
            (None, None) => look.gone.push(key.clone()),
            (None, next) => look.next = look.next.into_iter().chain(next).min(),
        });
        look
    }
}

/// The end of second `time`, as event time.
pub fn end_of(time: i64) -> Timestamp {
    Timestamp::from_millis(time.saturating_mul(1_000))
}
