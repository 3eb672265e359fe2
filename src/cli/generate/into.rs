//! The records into some partitions only: so that one partition can be made to lag behind the others.

use crate::broker::{Outgoing, OutgoingRecord, Partitioning, Writer};
use crate::error::Result;

/// Hands records on to another writer, each to the next of some partitions.
pub(super) struct Into {
    writer: Box<dyn Writer>,
    partitions: Vec<u32>,
    turn: usize,
    /// Reused from call to call.
    out: Outgoing,
}

impl Into {
    /// Writes to `partitions`, in turn; there must be at least one.
    pub(super) fn new(writer: Box<dyn Writer>, partitions: Vec<u32>) -> Self {
        Self { writer, partitions, turn: 0, out: Outgoing::default() }
    }
}

impl Writer for Into {
    fn send(&mut self, records: &Outgoing) -> Result<()> {
        self.out.clear();
        for record in records.iter() {
            let topic = self.out.topic(records.topic_name(record.topic));
            let partitioning = Partitioning::Fixed(self.partitions[self.turn]);
            self.turn = (self.turn + 1) % self.partitions.len();
            self.out.push(&OutgoingRecord { topic, partitioning, ..record });
        }
        self.writer.send(&self.out)
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::record::{Headers, InputNumber};
    use crate::time::Timestamp;

    struct Kept(Arc<Mutex<Vec<Partitioning>>>);

    impl Writer for Kept {
        fn send(&mut self, records: &Outgoing) -> Result<()> {
            self.0.lock().unwrap().extend(records.iter().map(|record| record.partitioning));
            Ok(())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn records_go_to_the_partitions_in_turn_from_call_to_call() {
        let mut out = Outgoing::default();
        let topic = out.topic("t");
        for _ in 0..3 {
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::ByKey,
                key: None,
                value: Some(b"v"),
                timestamp: Timestamp::from_millis(0),
                headers: &Headers::NONE,
                input: InputNumber(0),
            });
        }
        let kept = Arc::new(Mutex::new(Vec::new()));
        let mut writer = Into::new(Box::new(Kept(Arc::clone(&kept))), vec![0, 2]);
        writer.send(&out).unwrap();
        writer.send(&out).unwrap();
        let partitions = [0, 2, 0, 2, 0, 2].map(Partitioning::Fixed);
        assert_eq!(*kept.lock().unwrap(), partitions);
    }
}
