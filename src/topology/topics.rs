//! The users' topics of a topology, as whoever watches them from outside sees them.

use serde::Serialize;

use super::Topology;
use super::describe::short_type;
use super::graph::NodeKind;
use crate::codec::{Codec, CodecError, Data, NoKey, Shown};

/// What bytes say, by a codec.
type Show = fn(&[u8]) -> Result<Shown, CodecError>;

/// The codecs of a topic, without their types: what its bytes say as JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shows {
    key: Show,
    value: Show,
    keyed: bool,
}

impl Shows {
    /// Of a topic of `K` and `V`, written with these codecs.
    pub(crate) fn of<K: Data, V: Data, KC, VC>() -> Self
    where
        KC: Codec<K> + Default,
        VC: Codec<V> + Default,
    {
        Self {
            key: |bytes| KC::default().show(bytes),
            value: |bytes| VC::default().show(bytes),
            keyed: std::any::type_name::<K>() != std::any::type_name::<NoKey>(),
        }
    }
}

/// What a topic is to a topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicRole {
    /// It is read.
    Source,
    /// It is read whole by every process.
    Global,
    /// It is written.
    Output,
    /// It gets what could not be used.
    DeadLetter,
}

/// A topic of a topology.
#[derive(Clone, Debug)]
pub struct TopicDescription {
    /// Its name as declared.
    pub topic: String,
    /// What it is to the topology.
    pub role: TopicRole,
    /// The type of its keys, without paths; empty where it is not known, as of dead letters.
    pub key: String,
    /// The type of its values, without paths; empty where it is not known.
    pub value: String,
    /// True where the newest record of a key is all there is to know of it.
    pub updates: bool,
    shows: Option<Shows>,
}

impl TopicDescription {
    /// True where its keys have windows.
    #[must_use]
    pub fn windowed(&self) -> bool {
        self.key.starts_with("Windowed<")
    }

    /// True where its keys mean something.
    #[must_use]
    pub fn keyed(&self) -> bool {
        self.shows.is_some_and(|shows| shows.keyed)
    }

    /// What the bytes of a key say. What the codec cannot show is shown without it.
    #[must_use]
    pub fn show_key(&self, bytes: &[u8]) -> Option<Shown> {
        shown(self.shows.filter(|shows| shows.keyed).map(|shows| shows.key), bytes)
    }

    /// What the bytes of a value say. What the codec cannot show is shown without it.
    #[must_use]
    pub fn show_value(&self, bytes: &[u8]) -> Option<Shown> {
        shown(self.shows.map(|shows| shows.value), bytes)
    }
}

/// By the codec; else as JSON, as text or as they are, whichever is the first that they can be.
fn shown(show: Option<Show>, bytes: &[u8]) -> Option<Shown> {
    let by_codec = show.and_then(|show| show(bytes).ok());
    let json = || Shown::json(bytes).ok();
    let text = || std::str::from_utf8(bytes).ok().and_then(|text| Shown::of(text).ok());
    by_codec.or_else(json).or_else(text).or_else(|| Shown::bytes(bytes).ok())
}

impl Topology {
    /// The users' topics that it reads and writes, those of global tables and of dead letters among them, each once; without
    /// those that are chosen record by record.
    #[must_use]
    pub fn described_topics(&self) -> Vec<TopicDescription> {
        let mut found: Vec<TopicDescription> = Vec::new();
        for (_, node) in self.graph.iter() {
            let (topic, role) = match &node.kind {
                NodeKind::Source { topic, .. } => (topic, TopicRole::Source),
                NodeKind::GlobalSource { topic, .. } => (topic, TopicRole::Global),
                NodeKind::Sink { topic: Some(topic), .. } => (topic, TopicRole::Output),
                _ => continue,
            };
            let updates = match role {
                TopicRole::Source => self.graph.read_as_table(topic),
                TopicRole::Global => true,
                TopicRole::Output | TopicRole::DeadLetter => self.writes_updates(topic),
            };
            let described = TopicDescription {
                topic: topic.clone(),
                role,
                key: short_type(node.key_type),
                value: short_type(node.value_type),
                updates,
                shows: self.graph.shows(topic),
            };
            add(&mut found, described);
        }
        for (_, node) in self.graph.iter() {
            if let NodeKind::Source { policy, .. } = &node.kind
                && let Some(topic) = policy.dead_letters()
            {
                let (topic, role) = (topic.to_owned(), TopicRole::DeadLetter);
                let (key, value) = (String::new(), String::new());
                add(&mut found, TopicDescription { topic, role, key, value, updates: false, shows: None });
            }
        }
        found
    }
}

fn add(found: &mut Vec<TopicDescription>, described: TopicDescription) {
    if !found.iter().any(|known| known.topic == described.topic) {
        found.push(described);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::OrderedInt;
    use crate::operators::source::BadInput;
    use crate::{Builder, Topic};

    const WORDS: Topic<NoKey, String> = Topic::new("words");
    const PRICES: Topic<String, i64> = Topic::new("prices");
    const LENGTHS: Topic<String, i64, crate::codec::Text, OrderedInt> = Topic::new("lengths");

    fn topics() -> Vec<TopicDescription> {
        let b = Builder::new("t");
        b.source(WORDS).on_bad_input(BadInput::dead_letter("dead")).stream().map(|_, word| (word, 1_i64)).to(LENGTHS);
        b.table(PRICES).to(Topic::<String, i64>::new("now"));
        b.build().unwrap().described_topics()
    }

    #[test]
    fn every_topic_is_described_with_its_role_and_its_types() {
        let topics = topics();
        let told: Vec<_> = topics.iter().map(|t| (t.topic.as_str(), t.role, t.keyed(), t.updates)).collect();
        assert_eq!(
            told,
            [
                ("words", TopicRole::Source, false, false),
                ("lengths", TopicRole::Output, true, false),
                ("prices", TopicRole::Source, true, true),
                ("now", TopicRole::Output, true, true),
                ("dead", TopicRole::DeadLetter, false, false),
            ]
        );
        assert_eq!((topics[1].key.as_str(), topics[1].value.as_str()), ("String", "i64"));
    }

    #[test]
    fn bytes_are_shown_by_the_codecs_that_the_topic_was_declared_with() {
        let topics = topics();
        let mut bytes = Vec::new();
        OrderedInt.encode(&-7_i64, &mut bytes).unwrap();
        assert_eq!(topics[1].show_value(&bytes).unwrap().text(), "-7");
        assert_eq!(topics[1].show_key(b"7").unwrap().text(), "\"7\"", "the key is a text");
    }

    #[test]
    fn what_no_codec_shows_is_json_or_text_or_base64() {
        let topics = topics();
        let dead = &topics[4];
        for (bytes, text) in
            [(&br#"{"a":1}"#[..], r#"{"a":1}"#), (b"{broken", "\"{broken\""), (&[0xff, 0], r#"{"base64":"/wA="}"#)]
        {
            assert_eq!(dead.show_value(bytes).unwrap().text(), text);
        }
        assert_eq!(topics[1].show_value(&[1, 2]).unwrap().text(), "\"\\u0001\\u0002\"", "no number by its codec");
    }
}
