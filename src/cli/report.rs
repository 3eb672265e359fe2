//! A table for people of what an output topic holds, once a run has come to its end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use serde_json::Value;

use super::catalog::{Report, TopologyEntry};
use super::failure::{self, Failure};
use super::output;
use crate::broker::Broker;

/// The report of a topology, if it is to be printed: it was `asked` for, or somebody looks on and it is `usual` here.
pub(super) fn of(entry: &TopologyEntry, asked: bool, usual: bool) -> Result<Option<Report>, Failure> {
    match entry.report {
        None if asked => Err(Failure::Usage(format!("--report: {} has no table of its results", entry.name))),
        report => Ok(report.filter(|_| asked || (usual && io::stdout().is_terminal()))),
    }
}

/// Prints what `topic` holds, which is what the report's topic is called here: the newest record of each key.
pub(super) fn print(broker: &dyn Broker, report: Report, topic: &str) -> Result<(), Failure> {
    let newest = output::newest(output::read(broker, topic)?);
    failure::print(&table(&report, newest.iter().filter_map(|record| record.value.as_deref())))
}

/// The values of the topic, as far as they are JSON objects, as a table with a line of headings. Numbers stand to the
/// right and are shown as they were written.
fn table<'a>(report: &Report, values: impl Iterator<Item = &'a [u8]>) -> String {
    let mut objects: Vec<Value> = values.filter_map(|value| serde_json::from_slice(value).ok()).collect();
    let weight = |object: &Value| object[report.order_by].as_f64().unwrap_or(f64::INFINITY);
    objects.sort_by(|one, other| weight(one).total_cmp(&weight(other)));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let columns: Vec<Vec<String>> =
        report.columns.iter().map(|column| objects.iter().map(|object| text(&object[*column])).collect()).collect();
    let numbers: Vec<bool> =
        report.columns.iter().map(|column| objects.iter().all(|object| object[*column].is_number())).collect();
    let widths: Vec<usize> = columns
        .iter()
        .zip(report.columns)
        .map(|(cells, heading)| {
            cells.iter().map(String::as_str).chain([*heading]).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut table = String::new();
    line(&mut table, report.columns.iter().copied(), &widths, &numbers);
    for row in 0..objects.len() {
        line(&mut table, columns.iter().map(|cells| cells[row].as_str()), &widths, &numbers);
    }
    table
}

fn line<'a>(table: &mut String, cells: impl Iterator<Item = &'a str>, widths: &[usize], numbers: &[bool]) {
    let from = table.len();
    for ((cell, width), number) in cells.zip(widths).zip(numbers) {
        let gap = if table.len() == from { "" } else { "  " };
        // To a string nothing can fail to be written.
        let _ = if *number { write!(table, "{gap}{cell:>width$}") } else { write!(table, "{gap}{cell:<width$}") };
    }
    table.truncate(table.trim_end().len());
    table.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: Report = Report { topic: "t", order_by: "rank", columns: &["rank", "who", "sales"] };

    #[test]
    fn rows_stand_in_their_order_with_all_their_digits() {
        let values = [
            r#"{"rank":10,"who":"C","sales":5.50}"#,
            r#"{"rank":9,"who":"Zoé","sales":123456789012345678.10,"more":1}"#,
            "broken",
        ];
        let table = table(&REPORT, values.iter().map(|value| value.as_bytes()));
        assert_eq!(
            table,
            "rank  who                  sales\n   9  Zoé  123456789012345678.10\n  10  C                     5.50\n"
        );
    }

    #[test]
    fn without_rows_there_is_only_the_line_of_headings() {
        assert_eq!(table(&REPORT, std::iter::empty()), "rank  who  sales\n");
    }
}
