//! Reads one topic for all who watch it.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;

use super::LINGER;
use super::board::{Board, Selection};
use crate::broker::Batch;
use crate::error::Result;
use crate::http::events::{Event, Hub};
use crate::record::Offset;
use crate::runtime::Topics;
use crate::runtime::topics::{AppTopic, Following};

/// How often records go out.
const TICK: Duration = Duration::from_millis(500);
/// How often is looked for records.
const LOOK: Duration = Duration::from_millis(100);
/// With how many records before the end watching begins, over all partitions, and where it goes on after a jump.
const FIRST: u32 = 500;
/// How many records are read between two looks, whatever there is: the topology's own work goes first.
const PORTION: usize = 250;
/// With so many still to be read it jumps to the end.
const BEHIND: i64 = 2_000;
/// How often it jumps at most: the broker is asked for the end.
const JUMPS: Duration = Duration::from_secs(1);
/// What a watcher has seen who was told of a failure last.
const FAILED: u64 = u64::MAX;
/// How long to wait after a failure.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) struct Tap {
    topics: Topics,
    topic: AppTopic,
    hub: Arc<Hub>,
    board: Board,
    batch: Batch,
    /// Up to where the last tick went.
    told: u64,
    failed: Option<String>,
    jumped: Option<Duration>,
}

impl Tap {
    pub(super) fn new(topics: Topics, topic: AppTopic, hub: Arc<Hub>) -> Self {
        let board = Board::new(topic.of.clone());
        Self { topics, topic, hub, board, batch: Batch::default(), told: 0, failed: None, jumped: None }
    }

    /// Reads until nobody has watched for a while and `ends` agrees.
    pub(super) fn run(mut self, ends: impl Fn() -> bool) {
        let clock = Arc::clone(self.topics.clock());
        let begun = clock.elapsed();
        let (mut watched, mut ticked, mut resume) = (begun, begun, begun);
        let mut following = None;
        loop {
            let now = clock.elapsed();
            if self.hub.len() > 0 {
                watched = now;
            }
            let left_alone = now.saturating_sub(watched) >= LINGER;
            if (left_alone || self.hub.is_closed()) && ends() {
                return;
            }
            if now >= resume {
                self.failed = self.look(&mut following, now).err().map(|error| error.to_string());
                if let Some(why) = &self.failed {
                    tracing::debug!(topic = self.topic.name, "a topic that is watched cannot be read: {why}");
                    following = None;
                    resume = now + AGAIN;
                }
            }
            if now.saturating_sub(ticked) >= TICK {
                ticked = now;
                self.tick(now);
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// Reads what has come, up to a portion.
    fn look(&mut self, following: &mut Option<Following>, now: Duration) -> Result<()> {
        if following.is_none() {
            self.board.clear();
        }
        let following = match following {
            Some(following) => following,
            None => following.insert(self.topics.follow(&self.topic.name, FIRST)?),
        };
        let (mut left, mut behind, partitions) = (PORTION, 0, following.from.len());
        for number in 0..partitions {
            self.batch.clear();
            let share = left.div_ceil(partitions - number);
            let fetched = following.reader.fetch(number, share, &mut self.batch)?;
            left -= fetched.records.min(left);
            let end = if fetched.stable_end >= 0 { fetched.stable_end } else { fetched.high_watermark };
            behind += (end - fetched.position).max(0);
            let (at, position) = &mut following.from[number];
            *position = fetched.position;
            for record in self.batch.iter() {
                self.board.take(at.partition, &record);
            }
        }
        let jumps = behind > BEHIND && self.jumped.is_none_or(|at| now.saturating_sub(at) >= JUMPS);
        if jumps { self.jump(following, now) } else { Ok(()) }
    }

    /// Goes on near the end.
    fn jump(&mut self, following: &mut Following, now: Duration) -> Result<()> {
        self.jumped = Some(now);
        let partitions: Vec<_> = following.from.iter().map(|(at, _)| at.clone()).collect();
        let to = self.topics.before_the_end(&partitions, FIRST)?;
        let ahead = |((_, from), (_, to)): (&(_, Offset), &(_, Offset))| (to - from).max(0);
        let over: i64 = following.from.iter().zip(&to).map(ahead).sum();
        let seeks: Vec<_> = following.from.iter().zip(to).filter(|((_, from), (_, to))| to > from).collect();
        let seeks: Vec<_> = seeks.into_iter().map(|(_, to)| to).collect();
        following.reader.seek(&seeks)?;
        self.board.jump(u64::try_from(over).unwrap_or(0));
        Ok(())
    }

    /// Gives those who have seen all up to the last tick what is new, and the others the whole. A failure is told once.
    fn tick(&mut self, now: Duration) {
        let (told, read) = (self.told, self.board.read());
        let (news, whole) = (OnceCell::new(), OnceCell::new());
        let problem = self.failed.as_deref().map(problem);
        self.hub.publish(now, |seen| {
            let event = match (seen, &problem) {
                (Some(FAILED), Some(_)) => return None,
                (_, Some(problem)) => return Some((problem.clone(), FAILED)),
                (Some(seen), None) if seen == read => return None,
                (Some(seen), None) if seen == told => event(false, seen, read, news.get_or_init(|| self.select(told))),
                // Nothing that came before somebody watched is missing.
                (None | Some(FAILED), None) => event(true, read, read, whole.get_or_init(|| self.select(0))),
                (Some(seen), None) => event(true, seen, read, whole.get_or_init(|| self.select(0))),
            };
            Some((event, read))
        });
        self.told = read;
    }

    fn select(&self, seen: u64) -> (Selection, Bytes) {
        let selection = self.board.since(seen);
        let tail = Bytes::from(format!(",\"records\":{}}}\n\n", selection.json));
        (selection, tail)
    }
}

fn event(snapshot: bool, seen: u64, read: u64, (selection, tail): &(Selection, Bytes)) -> Event {
    let skipped = selection.skipped(seen, read);
    let head = format!("event: records\ndata: {{\"snapshot\":{snapshot},\"skipped\":{skipped}");
    Event { head: Bytes::from(head), tail: tail.clone() }
}

fn problem(why: &str) -> Event {
    Event::new("problem", &serde_json::json!({ "error": why }).to_string())
}
