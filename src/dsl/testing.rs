//! Drives a topology without a broker and a runtime, for the tests of this crate: all tasks in one thread, repartition
//! topics in memory, commits where the test says.

use std::collections::BTreeMap;

use crate::broker::partitioner::partition_of;
use crate::broker::{Batch, Partitioning, RawRecord};
use crate::operators::source::{Bad, Inputs, SourcePort, Verdict};
use crate::operators::{Cx, Drops, Failure, Signal};
use crate::record::{Headers, Offset};
use crate::state::TaskState;
use crate::time::Timestamp;
use crate::topology::{Layout, Renames, TaskContext, TaskId, TaskOptions, Topology, WiredTask};

/// A record as a test writes and reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: i64,
    pub(crate) headers: Headers,
}

/// A text value with a text key, at a time.
pub(crate) fn text(key: &str, value: &str, timestamp: i64) -> Message {
    Message { key: Some(key.into()), value: Some(value.into()), timestamp, headers: Headers::NONE }
}

struct RunningTask {
    id: TaskId,
    wired: WiredTask,
    cx: Cx,
    inputs: Inputs,
}

/// Runs a topology.
pub(crate) struct Driver {
    pub(crate) layout: Layout,
    tasks: Vec<RunningTask>,
    /// By topic and partition.
    logs: BTreeMap<(String, u32), Vec<Message>>,
    read: BTreeMap<(String, u32), usize>,
    pub(crate) drops: Drops,
    pub(crate) bad: Vec<Bad>,
    pub(crate) failures: Vec<Failure>,
    poisoned: Vec<(Offset, u32, Verdict)>,
    /// How many records go at once.
    pub(crate) batch: usize,
    partitions: u32,
}

impl Driver {
    pub(crate) fn new(topology: &Topology) -> Self {
        Self::with(topology, 1, &TaskOptions::default())
    }

    pub(crate) fn with(topology: &Topology, partitions: u32, options: &TaskOptions) -> Self {
        let counts = topology.sources().into_iter().map(|topic| (topic.to_owned(), partitions)).collect();
        let layout = topology.layout("app", &Renames::default(), &counts).unwrap();
        let mut tasks = Vec::new();
        for (sub, of) in layout.subs.iter().enumerate() {
            for partition in 0..of.partitions {
                let id = TaskId { sub, partition };
                let state = TaskState::in_memory("test");
                let wired = topology.task(&TaskContext { layout: &layout, task: id, state: &state, options });
                let mut cx = Cx::default();
                cx.wall = Timestamp::from_millis(1_000_000);
                tasks.push(RunningTask { id, wired, cx, inputs: Inputs::default() });
            }
        }
        Self {
            layout,
            tasks,
            logs: BTreeMap::new(),
            read: BTreeMap::new(),
            drops: Drops::default(),
            bad: Vec::new(),
            failures: Vec::new(),
            poisoned: Vec::new(),
            batch: usize::MAX,
            partitions,
        }
    }

    /// Treats a record as refused downstream.
    pub(crate) fn poison(&mut self, offset: Offset, index: u32, verdict: Verdict) {
        self.poisoned.push((offset, index, verdict));
    }

    /// Appends to a topic, by key.
    pub(crate) fn send(&mut self, topic: &str, message: Message) {
        let partition = message.key.as_deref().map_or(0, |key| partition_of(key, self.partitions));
        self.logs.entry((topic.into(), partition)).or_default().push(message);
    }

    /// Appends to a topic, in order.
    pub(crate) fn send_all(&mut self, topic: &str, messages: &[Message]) {
        for message in messages {
            self.send(topic, message.clone());
        }
    }

    /// Processes all there is, and commits; again, until nothing is left between the tasks.
    pub(crate) fn run(&mut self) -> &mut Self {
        while self.step(true) {}
        self
    }

    /// Processes what there is, once; commits only if `commit`. Gives whether anything was read.
    pub(crate) fn step(&mut self, commit: bool) -> bool {
        let mut any = false;
        for place in 0..self.tasks.len() {
            any |= self.fill(place);
            self.advance(place, commit);
            self.collect(place);
        }
        any
    }

    fn fill(&mut self, place: usize) -> bool {
        let task = &mut self.tasks[place];
        let poisoned = |offset, index| {
            let found = self.poisoned.iter().find(|(at, which, _)| (*at, *which) == (offset, index));
            found.map(|(_, _, verdict)| verdict.clone())
        };
        let mut any = false;
        for (source, input) in task.wired.sources.iter_mut().zip(&self.layout.subs[task.id.sub].inputs) {
            let at = (input.topic.to_string(), task.id.partition);
            let read = self.read.entry(at.clone()).or_default();
            let mut batch = Batch::default();
            for message in self.logs.get(&at).map(|log| &log[*read..]).unwrap_or_default() {
                batch.push(&RawRecord {
                    offset: i64::try_from(*read).unwrap(),
                    timestamp: Some(Timestamp::from_millis(message.timestamp)),
                    key: message.key.as_deref(),
                    value: message.value.as_deref(),
                    headers: &message.headers,
                });
                *read += 1;
                any = true;
            }
            source.fill(&batch, task.cx.wall, &poisoned);
        }
        any
    }

    /// Takes records in order of their time, `self.batch` at once, as far as the other heads allow.
    fn advance(&mut self, place: usize, commit: bool) {
        let RunningTask { wired, cx, inputs, .. } = &mut self.tasks[place];
        let sources = &mut wired.sources;
        loop {
            for source in sources.iter_mut() {
                source.take_markers(cx);
            }
            let Some(next) = earliest(sources) else { break };
            if let Some(bad) = sources[next].take_bad() {
                self.bad.push(bad);
                continue;
            }
            let others = sources.iter().enumerate().filter(|(other, _)| *other != next);
            let limit = others.filter_map(|(_, source)| source.head()).min().unwrap_or(Timestamp::MAX);
            sources[next].advance(limit, self.batch, inputs, cx);
            assert!(cx.take_error().is_none());
            if let Some(failure) = cx.take_failure() {
                self.failures.push(failure);
                return;
            }
        }
        if commit {
            for source in sources.iter_mut() {
                let watermark = source.watermark();
                source.signal(Signal::Watermark(watermark), cx);
                source.signal(Signal::Flush, cx);
            }
            inputs.clear();
        }
    }

    fn collect(&mut self, place: usize) {
        let cx = &mut self.tasks[place].cx;
        for record in cx.out.iter() {
            let topic = cx.out.topic_name(record.topic).to_string();
            let partition = match record.partitioning {
                Partitioning::Fixed(partition) => partition,
                by_key => by_key.placed(record.key).map_or(0, |key| partition_of(key, self.partitions)),
            };
            self.logs.entry((topic, partition)).or_default().push(Message {
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                timestamp: record.timestamp.millis(),
                headers: record.headers.clone(),
            });
        }
        cx.out.clear();
        let drops = cx.drops.take();
        for reason in crate::operators::DropReason::ALL {
            (0..drops.get(reason)).for_each(|_| self.drops.count(reason));
        }
    }

    /// All that was written to a topic, partition by partition.
    pub(crate) fn log(&self, topic: &str) -> Vec<Message> {
        let of = self.logs.iter().filter(|((name, _), _)| name == topic);
        of.flat_map(|(_, log)| log.clone()).collect()
    }

    /// All that was written to a topic, as `key=value@time`; `-` is null.
    pub(crate) fn texts(&self, topic: &str) -> Vec<String> {
        let show = |bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map_or("-".to_owned(), |bytes| match <[u8; 8]>::try_from(bytes.as_slice()) {
                Ok(number) if number[0] == 0 => u64::from_be_bytes(number).to_string(),
                _ => String::from_utf8_lossy(bytes).into_owned(),
            })
        };
        let log = self.log(topic);
        log.iter()
            .map(|message| format!("{}={}@{}", show(&message.key), show(&message.value), message.timestamp))
            .collect()
    }

    /// The position and the watermark of each source of a task.
    pub(crate) fn positions(&self, place: usize) -> Vec<((Offset, u32), Timestamp)> {
        let sources = &self.tasks[place].wired.sources;
        sources.iter().map(|source| (source.position(), source.watermark())).collect()
    }

    /// The stores of a task.
    pub(crate) fn stores(&self, place: usize) -> Vec<(String, String)> {
        let stores = &self.tasks[place].wired.stores;
        stores.iter().map(|store| (store.name().to_owned(), store.changelog().to_owned())).collect()
    }
}

fn earliest(sources: &[Box<dyn SourcePort>]) -> Option<usize> {
    let heads = sources.iter().enumerate().filter_map(|(place, source)| source.head().map(|head| (head, place)));
    heads.min().map(|(_, place)| place)
}
