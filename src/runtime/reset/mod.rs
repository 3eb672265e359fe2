//! Starting an application anew: its group's offsets, its internal topics, its local state.
//!
//! [`Reset::plan`] looks and changes nothing; [`Reset::execute`] does what was planned, step by step:
//!
//! 1. a **mark** beside the offsets of the sources: from here on no process starts, until the last step is done;
//! 2. the internal topics are deleted;
//! 3. the local state of this machine is deleted;
//! 4. the repartition topics are created anew, empty;
//! 5. the offsets are committed: those of the sources where reading is to begin, those of the repartition topics at 0.
//!
//! A reset that fails half-way can be run again: the mark says that it has begun. The last step begins a new **life** of the
//! application, which is written into its commit sequences: local state that another machine still has belongs to the old
//! life, is recognized by that, and is thrown away when a process starts there.
//!
//! The topics that the application writes for others are never touched.

mod start;
mod steps;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

pub use start::Start;
pub use steps::{Seek, Step};

use super::survey::{Survey, TopicFound, Whose, survey};
use crate::broker::{Broker, CommittedOffset, GroupMember, NewTopic};
use crate::codec::position::{Position, life, resetting, was_resetting};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Offset, TopicPartition};
use crate::state::Home;
use crate::topology::{InternalKind, InternalTopic, Layout, Topology};

/// What to reset, and to where.
#[derive(Clone, Debug, Default)]
pub struct ResetOptions {
    /// Whose topics.
    pub whose: Whose,
    /// Where the sources are to be read from.
    pub start: Start,
    /// Move the offsets of the sources only. Internal topics, state and time stay: a record that is read again counts
    /// again, and is late where its window has closed.
    pub keep_internal: bool,
    /// Delete internal topics as well that an older version of the topology has left behind.
    pub orphans: bool,
    /// The directory with the local state of this machine, as in [`StateOptions::Directory`](crate::state::StateOptions).
    pub state: Option<PathBuf>,
}

/// A reset that has been planned.
///
/// ```
/// # use std::sync::Arc;
/// # use millstream::broker::NewTopic;
/// # use millstream::runtime::reset::{Reset, ResetOptions};
/// # use millstream::runtime::survey::Whose;
/// # use millstream::{Broker, Builder, MemoryBroker, SystemClock, Topic};
/// # const VISITS: Topic<String, String> = Topic::new("visits");
/// # let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
/// # broker.create_topics(&[NewTopic { name: "visits".into(), partitions: 1, settings: Default::default() }])?;
/// let b = Builder::new("counts");
/// b.source(VISITS).stream().group_by_key().count();
/// let whose = Whose { application: "shop".into(), ..Whose::default() };
/// let reset = Reset::plan(&b.build()?, &broker, &ResetOptions { whose, ..ResetOptions::default() })?;
/// for step in reset.steps() {
///     println!("{step}");
/// }
/// reset.execute(&broker, &mut |done| println!("done: {done}"))?;
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Debug)]
pub struct Reset {
    group: String,
    state: Option<PathBuf>,
    survey: Survey,
    steps: Vec<Step>,
    notes: Vec<String>,
}

impl Reset {
    /// Looks at what there is, and plans what to do.
    ///
    /// # Errors
    /// When a source is missing, an offset is asked for that cannot be, the group's offsets are another program's and
    /// shall be kept, or the broker cannot be reached.
    pub fn plan(topology: &Topology, broker: &dyn Broker, options: &ResetOptions) -> Result<Self> {
        let survey = survey(topology, broker, &options.whose)?;
        let layout = layout(topology, broker, options)?;
        let sources = super::placement::source_partitions(&layout);
        let known = Known::of(broker, &survey, &sources)?;
        let (seeks, notes) = options.start.resolve(broker, &sources, &known.committed)?;
        let mut reset =
            Self { group: survey.group.clone(), state: options.state.clone(), survey, steps: Vec::new(), notes };
        if options.keep_internal {
            reset.move_only(&known, seeks)?;
        } else {
            reset.start_anew(&layout, options, &known, seeks);
        }
        Ok(reset)
    }

    /// The group that is reset.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// What is to be done, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What else is to be known: offsets that were not there, topics that are left alone.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The topics of the application, as they were found.
    #[must_use]
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Makes sure that the group is at rest.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], with its members.
    pub fn check_members(&self, broker: &dyn Broker) -> Result<()> {
        let members = broker.group_members(&self.group)?;
        if members.is_empty() {
            return Ok(());
        }
        let place = |member: &GroupMember| format!("{} at {}", member.member_id, member.host);
        let names: Vec<String> = members.iter().map(place).collect();
        let plural = if members.len() == 1 { "" } else { "s" };
        let message = format!("group {} has {} member{plural}: {}", self.group, members.len(), names.join(", "));
        Err(Error::new(ErrorKind::Config, message).remedy(
            "stop all processes of the application; one that has stopped is expected back, and stays a member for its \
             session timeout (10s, where it was not told otherwise)",
        ))
    }

    /// Does it. `done` is told of each step after it.
    ///
    /// # Errors
    /// When the group has members, another process uses the state directory, or a step fails: the error then says which
    /// steps are done and which are not. It can be planned and executed again.
    pub fn execute(&self, broker: &dyn Broker, done: &mut dyn FnMut(&Step)) -> Result<()> {
        self.check_members(broker)?;
        let clears = self.steps.iter().any(|step| matches!(step, Step::ClearState { .. }));
        // Held to the end, so that no process starts on it meanwhile.
        let home = match &self.state {
            Some(directory) if clears => Some(Home::take(directory, &self.group)?),
            _ => None,
        };
        for (number, step) in self.steps.iter().enumerate() {
            if let Err(error) = step.take(broker, &self.group, home.as_ref()) {
                return Err(self.stopped(number, error));
            }
            done(step);
        }
        Ok(())
    }

    fn stopped(&self, number: usize, error: Error) -> Error {
        let left: Vec<String> = self.steps[number..].iter().map(Step::in_short).collect();
        let message = format!(
            "the reset of group {} stopped after {number} of {} steps; not done: {}",
            self.group,
            self.steps.len(),
            left.join("; ")
        );
        let remedy = if number == 0 {
            "nothing has changed; see to the cause and run it again"
        } else {
            "see to the cause and run it again; processes refuse to start until it has come to its end"
        };
        Error::new(error.kind(), message).caused_by(error).remedy(remedy)
    }

    fn move_only(&mut self, known: &Known, seeks: Vec<Seek>) -> Result<()> {
        let positions = seeks.into_iter().map(|seek| {
            let committed = known.committed_at(&seek.partition);
            let position = committed.map_or_else(
                || Ok(Position::reborn(known.life)),
                |committed| {
                    Position::decode(&committed.metadata).map_err(|error| unkeepable(&committed.partition, &error))
                },
            );
            position.map(|position| (seek, Position { index: 0, ..position }.encode()))
        });
        self.steps = vec![Step::Commit { offsets: positions.collect::<Result<_>>()? }];
        self.notes.push(
            "internal topics, state and time stay as they are: records that are read again count again, and are late where \
             their windows have closed"
                .into(),
        );
        Ok(())
    }

    fn start_anew(&mut self, layout: &Layout, options: &ResetOptions, known: &Known, seeks: Vec<Seek>) {
        let life = known.next_life();
        let mark = resetting(life);
        let marked = seeks.iter().map(|seek| committed(&seek.partition, seek.from.unwrap_or(seek.start), mark.clone()));
        self.steps.push(Step::Mark { group: self.group.clone(), offsets: marked.collect() });
        let orphans = self.survey.orphans.iter().filter(|_| options.orphans);
        let there = self.survey.internal.iter().chain(orphans).filter(|topic| topic.partitions.is_some());
        let topics: Vec<TopicFound> = there.cloned().collect();
        self.steps.extend(topics.into_iter().map(|topic| Step::DeleteTopic { topic }));
        if let Some(directory) = &options.state {
            let path = Home::path_for(directory, &self.group);
            if path.exists() {
                self.steps.push(Step::ClearState { path });
            } else {
                self.notes.push(format!("there is no local state in {}", path.display()));
            }
        } else {
            self.notes.push(
                "no state directory is named: local state of this application is recognized as of before the reset, and moved \
                 aside, when a process starts on it"
                    .into(),
            );
        }
        let repartitions: Vec<&InternalTopic> =
            layout.internal.iter().filter(|topic| topic.kind == InternalKind::Repartition).collect();
        self.steps.extend(repartitions.iter().map(|topic| Step::CreateTopic { topic: new_topic(topic) }));
        let text = Position::reborn(life).encode();
        let fresh = repartitions.iter().flat_map(|topic| {
            let at = |number| TopicPartition::new(Arc::clone(&topic.name), number);
            (0..topic.partitions).map(move |number| Seek { partition: at(number), from: None, start: 0, to: 0, end: 0 })
        });
        let offsets = seeks.into_iter().chain(fresh).map(|seek| (seek, text.clone())).collect();
        self.steps.push(Step::Commit { offsets });
        if !options.orphans && !self.survey.orphans.is_empty() {
            let names: Vec<&str> = self.survey.orphans.iter().map(|topic| topic.name.as_str()).collect();
            self.notes.push(format!("left alone, though the topology does not need them: {}", names.join(", ")));
        }
    }
}

/// What the group has committed.
struct Known {
    committed: Vec<Option<CommittedOffset>>,
    /// The newest life of the application that is known of.
    life: u64,
    /// The life that a reset which has not come to its end was to begin.
    begun: Option<u64>,
}

impl Known {
    fn of(broker: &dyn Broker, survey: &Survey, sources: &[TopicPartition]) -> Result<Self> {
        let committed = broker.committed(&survey.group, sources)?;
        let repartitions: Vec<TopicPartition> = survey.internal.iter().flat_map(partitions).collect();
        let inner = broker.committed(&survey.group, &repartitions)?;
        let texts = || committed.iter().chain(&inner).flatten().map(|committed| committed.metadata.as_str());
        // Another program's texts know of no life.
        let lives = texts().filter_map(|text| Some(life(Position::decode(text).ok()?.sequence)));
        let (life, begun) = (lives.max().unwrap_or(0), texts().filter_map(was_resetting).max());
        Ok(Self { committed, life, begun })
    }

    fn committed_at(&self, partition: &TopicPartition) -> Option<&CommittedOffset> {
        self.committed.iter().flatten().find(|committed| committed.partition == *partition)
    }

    fn next_life(&self) -> u64 {
        self.begun.map_or(self.life + 1, |begun| begun.max(self.life))
    }
}

fn partitions(topic: &TopicFound) -> Vec<TopicPartition> {
    let count = topic.partitions.filter(|_| topic.kind == InternalKind::Repartition).unwrap_or(0);
    let name: Arc<str> = topic.name.as_str().into();
    (0..count).map(|number| TopicPartition::new(Arc::clone(&name), number)).collect()
}

/// The layout as it is when no internal topic is there.
fn layout(topology: &Topology, broker: &dyn Broker, options: &ResetOptions) -> Result<Layout> {
    let sources: Vec<&str> = topology.sources().into_iter().map(|topic| options.whose.topics.actual(topic)).collect();
    let described = broker.describe_topics(&sources)?;
    let counts = described.into_iter().map(|(name, topic)| (name, topic.partitions)).collect();
    topology.layout(&options.whose.group(topology.name()), &options.whose.topics, &counts)
}

fn new_topic(topic: &InternalTopic) -> NewTopic {
    NewTopic { name: topic.name.to_string(), partitions: topic.partitions, settings: topic.settings() }
}

fn committed(partition: &TopicPartition, offset: Offset, metadata: String) -> CommittedOffset {
    CommittedOffset { partition: partition.clone(), offset, metadata }
}

fn unkeepable(partition: &TopicPartition, error: &impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("what the group has committed for {partition} cannot be kept: {error}"))
        .remedy("reset without keeping the internal topics")
}
