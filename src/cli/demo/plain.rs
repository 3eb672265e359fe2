//! The demos without a screen: a line a second, of each in turn.

use super::view::{Around, Snapshot};
use crate::metrics::Totals;

/// How many rows a line has room for.
const ROWS: usize = 3;

/// The first line.
pub(super) fn welcome(around: &Around<'_>) -> String {
    format!("millstream demo of {}; http://{}; Ctrl-C stops\n", around.names.join(", "), around.http)
}

/// A snapshot as one line.
pub(super) fn line(snapshot: &Snapshot<'_>) -> String {
    let Snapshot { around, rank_by, records_a_second, .. } = snapshot;
    let Totals { records_in, lag, committed, dropped, dead_letters, .. } = snapshot.totals;
    let best: Vec<_> = snapshot.rows.iter().take(ROWS).map(|row| format!("{} ({})", row.key, row.ranked)).collect();
    let width = around.names.iter().map(|name| name.len()).max().unwrap_or(0);
    format!(
        "{:>4}s  {:<width$}  {records_in} records, {records_a_second:.1}/s, lag {lag}, {committed} commits, {dropped} dropped, {dead_letters} dead letters; {}\n",
        around.elapsed.as_secs(),
        snapshot.topology(),
        if best.is_empty() { "no result yet".to_owned() } else { format!("most {rank_by}: {}", best.join(", ")) },
    )
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{around, row, snapshot};
    use super::*;

    #[test]
    fn a_line_names_the_topology_and_its_best() {
        let around = around();
        assert_eq!(
            welcome(&around),
            "millstream demo of running-totals, sensors; http://127.0.0.1:8080; Ctrl-C stops\n"
        );
        let rows = vec![row("CS01", "204.71"), row("SF07", "102.36")];
        assert_eq!(
            line(&snapshot(&around, rows)),
            "   7s  running-totals  350 records, 50.0/s, lag 3, 70 commits, 1 dropped, 0 dead letters; most sales: CS01 (204.71), SF07 (102.36)\n"
        );
        assert!(line(&snapshot(&around, Vec::new())).ends_with("; no result yet\n"));
    }
}
