//! What does not change while a topology runs: what its topics are to it, and into how many pieces its work falls.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::view::TopicRole;
use crate::operators::source::BadInput;
use crate::record::TopicPartition;
use crate::topology::Layout;

/// What is known of a topology from its plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Its name.
    pub(super) name: String,
    /// What its topics are to it, by name. Changelogs are not among them.
    pub(super) topics: BTreeMap<Arc<str>, TopicRole>,
    /// The most tasks that any of its sub-topologies has: more threads than that have nothing to do.
    pub(super) pieces: u32,
    /// What each task reads, by its name.
    pub(super) inputs: BTreeMap<Arc<str>, Vec<TopicPartition>>,
    /// The topics for dead letters, by the source topic.
    pub(super) dead_letters: BTreeMap<Arc<str>, String>,
}

impl Facts {
    pub(super) fn of(name: &str, layout: &Layout) -> Self {
        let mut facts = Self { name: name.to_owned(), ..Self::default() };
        facts.pieces = layout.subs.iter().map(|sub| sub.partitions).max().unwrap_or(0);
        facts.topics.extend(layout.outputs.iter().map(|topic| (Arc::clone(topic), TopicRole::Output)));
        facts.inputs = layout.tasks().map(|id| (layout.task_name(id).into(), layout.inputs_of(id))).collect();
        let inputs = layout.subs.iter().flat_map(|sub| &sub.inputs);
        let inputs = inputs.map(|input| (&input.topic, input.upstream.is_some(), &input.policy));
        let globals = layout.globals.iter().map(|global| (&global.topic, false, &global.policy));
        for (topic, _, policy) in inputs.clone().chain(globals) {
            if let BadInput::DeadLetter(dead) = policy {
                facts.topics.insert(dead.as_str().into(), TopicRole::DeadLetter);
                facts.dead_letters.insert(Arc::clone(topic), dead.clone());
            }
        }
        // What is read is shown as that, also where it is written as well.
        facts.topics.extend(layout.globals.iter().map(|global| (Arc::clone(&global.topic), TopicRole::Global)));
        let role = |repartition| if repartition { TopicRole::Repartition } else { TopicRole::Source };
        facts.topics.extend(inputs.map(|(topic, repartition, _)| (Arc::clone(topic), role(repartition))));
        facts
    }

    /// Whether the topic has this role.
    pub(super) fn is(&self, topic: &str, role: TopicRole) -> bool {
        self.topics.get(topic) == Some(&role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::MemoryBroker;
    use crate::broker::{Broker as _, NewTopic};
    use crate::dsl::{Builder, Topic};
    use crate::runtime::{App, Config};
    use crate::time::SystemClock;

    const WORDS: Topic<String, String> = Topic::new("words");
    const NAMES: Topic<String, String> = Topic::new("names");
    const COUNTS: Topic<String, u64> = Topic::new("counts");

    #[test]
    fn the_plan_says_what_each_topic_is_for() {
        let b = Builder::new("count");
        let names = b.global_table(NAMES);
        let words = b.source(WORDS).on_bad_input(BadInput::DeadLetter("bad".into())).stream();
        words
            .left_join_global(&names, |_, word| Some(word.clone()), |_, word, _| word)
            .map(|_, word| (word.clone(), word))
            .group_by_key()
            .count()
            .to(COUNTS);
        let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
        let new = |name: &str| NewTopic { name: name.into(), partitions: 3, settings: [].into() };
        broker.create_topics(&["words", "names", "counts", "bad"].map(new)).expect("created");
        let app = App::new(b.build().expect("sound"), Arc::new(broker), Config::new("test"));
        let running = app.start().expect("it starts");
        let facts = Facts::of("count", running.watch().layout());
        assert_eq!(facts.pieces, 3);
        let mut roles: Vec<TopicRole> = facts.topics.values().copied().collect();
        roles.sort();
        let all =
            [TopicRole::Source, TopicRole::Global, TopicRole::Repartition, TopicRole::Output, TopicRole::DeadLetter];
        assert_eq!(roles, all);
        assert_eq!(facts.inputs.len(), 6);
        assert!(facts.inputs.values().flatten().any(|input| input.to_string() == "words-2"));
        assert!(facts.is("words", TopicRole::Source) && facts.is("bad", TopicRole::DeadLetter));
        assert_eq!(facts.dead_letters[&Arc::from("words")], "bad");
    }
}
