//! The demo without a screen: a line a second.

use super::view::Snapshot;
use crate::metrics::Totals;

/// How many rows a line has room for.
const ROWS: usize = 3;

/// A snapshot as one line.
pub(super) fn line(snapshot: &Snapshot<'_>) -> String {
    let Totals { records_in, lag, committed, dropped, dead_letters, .. } = snapshot.totals;
    let best: Vec<_> = snapshot.rows.iter().take(ROWS).map(|row| format!("{} {}", row.key, row.ranked)).collect();
    format!(
        "{:>4}s  {records_in} records, {:.1}/s, lag {lag}, {committed} commits, {dropped} dropped, {dead_letters} dead letters; {}\n",
        snapshot.elapsed.as_secs(),
        snapshot.records_a_second,
        if best.is_empty() {
            "no totals yet".to_owned()
        } else {
            format!("best by {}: {}", snapshot.rank_by, best.join(", "))
        },
    )
}
