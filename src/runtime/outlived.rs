//! Whether rows on this machine may have outlived their tombstones.
//!
//! A changelog is compacted, and a tombstone is taken out of it some time later (`delete.retention.ms`). Local state that was
//! away for longer may hold rows whose deletion is in no log any more: brought up to the changelog's end they would come back.

use std::sync::Arc;
use std::time::Duration;

use super::patience::patiently;
use crate::broker::{Broker, TopicDescription};
use crate::error::Result;
use crate::time::Timestamp;

/// Kafka's default for `delete.retention.ms`.
const KEPT: Duration = Duration::from_hours(24);

/// True where one of the changelogs, from which more is to be read, may have lost tombstones since the state was written.
pub(crate) fn outlived(
    broker: &Arc<dyn Broker>,
    changelogs: &[&str],
    written: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let Some(written) = written.filter(|_| !changelogs.is_empty()) else { return Ok(false) };
    let away = Duration::from_millis(now.millis_since(written));
    let described = patiently("looking up how long changelogs keep tombstones", || broker.describe_topics(changelogs))?;
    Ok(described.values().any(|topic| keeps_tombstones_for(topic).is_some_and(|kept| away > kept)))
}

/// `None` where tombstones go with all other records, as in a topic that is not compacted.
fn keeps_tombstones_for(topic: &TopicDescription) -> Option<Duration> {
    let setting = |name: &str| topic.settings.get(name);
    if setting("cleanup.policy").is_some_and(|policy| !policy.contains("compact")) {
        return None;
    }
    let told = setting("delete.retention.ms").and_then(|text| text.parse().ok());
    Some(told.map_or(KEPT, Duration::from_millis))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::broker::memory::MemoryBroker;
    use crate::broker::{NewTopic, Outgoing, OutgoingRecord, Partitioning};
    use crate::metrics::Metrics;
    use crate::record::{Headers, InputNumber};
    use crate::runtime::{App, Config};
    use crate::state::StateOptions;
    use crate::time::SystemClock;
    use crate::{Builder, Topic};

    const WORDS: Topic<String, String> = Topic::new("words");
    const CHANGELOG: &str = "shop-words-newest-changelog";

    /// A broker with the words' topic, and a changelog that keeps tombstones for so long.
    fn broker(kept: &str) -> Arc<MemoryBroker> {
        let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
        let topic = |name: &str, settings: &[(&str, &str)]| NewTopic {
            name: name.into(),
            partitions: 1,
            settings: settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        };
        let compacted = [("cleanup.policy", "compact"), ("delete.retention.ms", kept)];
        broker.create_topics(&[topic("words", &[]), topic(CHANGELOG, &compacted)]).expect("they are made");
        Arc::new(broker)
    }

    fn write(broker: &MemoryBroker, keys: &[&str]) {
        let mut out = Outgoing::default();
        let topic = out.topic("words");
        for key in keys {
            out.push(&OutgoingRecord {
                topic,
                partitioning: Partitioning::ByKey,
                key: Some(key.as_bytes()),
                value: Some(b"word"),
                timestamp: Timestamp::from_millis(1_000),
                headers: &Headers::NONE,
                input: InputNumber(0),
            });
        }
        let mut writer = broker.writer().expect("it connects");
        writer.send(&out).expect("it is sent");
        writer.flush().expect("it is written");
    }

    /// Runs to the end of what there is, and gives how many changelog records were read before.
    fn run(broker: &Arc<MemoryBroker>, instance: &str, state: Option<&Path>) -> u64 {
        let b = Builder::new("words");
        let _ = b.source(WORDS).stream().group_by_key().count().named("newest");
        let mut config = Config::new("shop");
        config.instance = Some(instance.into());
        config.until_end = true;
        config.state = state.map_or(StateOptions::Memory, |state| StateOptions::Directory(state.into()));
        let metrics = Metrics::new();
        let broker = Arc::clone(broker) as Arc<dyn Broker>;
        let running = App::new(b.build().expect("it is sound"), broker, config).metrics(&metrics).start();
        running.expect("it starts").join().expect("it ends in good order");
        metrics.topology("words").restored_records().get()
    }

    #[test]
    fn state_that_was_away_for_longer_than_tombstones_are_kept_is_made_anew() {
        for (kept, read) in [("86400000", 1), ("0", 4)] {
            let (broker, directory) = (broker(kept), tempfile::tempdir().expect("a directory"));
            write(&broker, &["a", "b", "c"]);
            assert_eq!(run(&broker, "one", Some(directory.path())), 0);
            write(&broker, &["d"]);
            assert_eq!(run(&broker, "two", None), 3);
            write(&broker, &["e"]);
            assert_eq!(run(&broker, "one", Some(directory.path())), read, "tombstones are kept for {kept} ms");
        }
    }

    #[test]
    fn a_changelog_that_is_not_compacted_loses_no_tombstone_before_other_records() {
        let topic = |policy: &str| TopicDescription {
            partitions: 1,
            settings: [("cleanup.policy".to_owned(), policy.to_owned())].into(),
        };
        assert_eq!(keeps_tombstones_for(&topic("delete")), None);
        assert_eq!(keeps_tombstones_for(&topic("compact,delete")), Some(KEPT));
        assert_eq!(keeps_tombstones_for(&TopicDescription { settings: [].into(), ..topic("") }), Some(KEPT));
    }
}
