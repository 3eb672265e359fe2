//! The newest row of each key of the output topic, ranked.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::broker::{Batch, Broker, Reader};
use crate::cli::catalog::Demo;
use crate::error::Result;
use crate::record::TopicPartition;

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The record's key.
    pub(super) key: String,
    /// What it is ranked by, for the length of its bar only.
    pub(super) weight: f64,
    /// The same, as it was written.
    pub(super) ranked: String,
    /// The other fields.
    pub(super) columns: Vec<String>,
}

/// Reads the output topic as it grows.
pub(super) struct Board {
    reader: Box<dyn Reader>,
    partitions: usize,
    rank_by: &'static str,
    columns: &'static [&'static str],
    rows: BTreeMap<String, Row>,
    batch: Batch,
}

impl Board {
    pub(super) fn new(broker: &dyn Broker, demo: &Demo) -> Result<Self> {
        let partitions = broker.describe_topics(&[demo.topic])?.get(demo.topic).map_or(0, |topic| topic.partitions);
        let from: Vec<_> = (0..partitions).map(|number| (TopicPartition::new(demo.topic, number), 0)).collect();
        let reader = broker.reader(&from)?;
        let (rows, batch) = (BTreeMap::new(), Batch::default());
        Ok(Self { reader, partitions: from.len(), rank_by: demo.rank_by, columns: demo.columns, rows, batch })
    }

    /// Takes in what has been committed since the last look.
    pub(super) fn update(&mut self) -> Result<()> {
        for partition in 0..self.partitions {
            self.batch.clear();
            self.reader.fetch(partition, 10_000, &mut self.batch)?;
            for record in self.batch.iter() {
                let key = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
                match record.value.and_then(|value| serde_json::from_slice(value).ok()) {
                    Some(value) => self.rows.insert(key.clone(), row(key, &value, self.rank_by, self.columns)),
                    None => self.rows.remove(&key),
                };
            }
        }
        Ok(())
    }

    /// The rows, largest first.
    pub(super) fn ranked(&self) -> Vec<Row> {
        let mut rows: Vec<_> = self.rows.values().cloned().collect();
        rows.sort_by(|left, right| right.weight.total_cmp(&left.weight));
        rows
    }
}

fn row(key: String, value: &Value, rank_by: &str, columns: &[&str]) -> Row {
    let text = |field: &str| match value.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let ranked = text(rank_by);
    let weight = ranked.parse().unwrap_or(0.0);
    Row { key, weight, ranked, columns: columns.iter().map(|column| text(column)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_its_numbers_as_they_were_written() {
        let value = serde_json::from_str(r#"{"sales":204.70,"transactions":3,"product_id":"CS01"}"#).unwrap();
        let row = row("CS01".into(), &value, "sales", &["transactions", "missing"]);
        assert_eq!(row.ranked, "204.70");
        assert_eq!(row.columns, ["3", ""]);
    }
}
