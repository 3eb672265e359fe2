//! How a table that has a store lets its updates go: each by itself, or the newest of each key once before a commit.
//!
//! - Every change is written to the changelog before each commit, in the same transaction.
//! - What is held back holds time back as well: the watermark goes on after the updates that it could make late.

use std::sync::Arc;

use super::repartition::broker_timestamp;
use super::stores::SharedStore;
use super::{Change, Cx, Emission, Out, Signal};
use crate::broker::{OutgoingRecord, Partitioning};
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::record::{Headers, Record};
use crate::state::Origin;
use crate::time::Timestamp;

/// Where a table stands: its store, and how it lets updates go.
pub struct Standing<K: Key, A: Data> {
    /// The operator's and the store's name.
    pub name: Arc<str>,
    /// The store.
    pub store: SharedStore<K, A>,
    /// The actual name of the store's changelog.
    pub changelog: Arc<str>,
    /// The task's partition, which is the changelog's as well.
    pub partition: u32,
    /// When updates go out.
    pub emission: Emission,
    /// True where something downstream needs the value before.
    pub keeps_before: bool,
}

impl<K: Key, A: Data> Clone for Standing<K, A> {
    fn clone(&self) -> Self {
        let Self { name, store, changelog, partition, emission, keeps_before } = self;
        Self {
            name: Arc::clone(name),
            store: store.clone(),
            changelog: Arc::clone(changelog),
            partition: *partition,
            emission: *emission,
            keeps_before: *keeps_before,
        }
    }
}

/// A table's updates on their way out.
pub struct TableOut<K: Key, A: Data> {
    at: Standing<K, A>,
    updates: Vec<Record<K, Change<A>>>,
    seen: Timestamp,
    told: Timestamp,
    out: Out<K, Change<A>>,
}

impl<K: Key, A: Data> TableOut<K, A> {
    /// The updates of the table that stands `at`.
    #[must_use]
    pub const fn new(at: Standing<K, A>, out: Out<K, Change<A>>) -> Self {
        Self { at, updates: Vec::new(), seen: Timestamp::MIN, told: Timestamp::MIN, out }
    }

    /// The table's store. Must be let go before [`push`](Self::push): what is downstream may read it.
    #[must_use]
    pub fn store(&self) -> SharedStore<K, A> {
        self.at.store.clone()
    }

    /// The operator's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.at.name
    }

    /// True where every update goes out by itself: [`update`](Self::update) is then to be called for each.
    #[must_use]
    pub fn each(&self) -> bool {
        self.at.emission == Emission::EachUpdate
    }

    /// True where an update that goes out by itself must tell the value before.
    #[must_use]
    pub fn tells_before(&self) -> bool {
        self.each() && self.at.keeps_before
    }

    /// The watermark has come to this.
    pub fn saw(&mut self, watermark: Timestamp) {
        self.seen = self.seen.max(watermark);
    }

    /// An update that goes out by itself.
    pub fn update(&mut self, key: K, value: Change<A>, origin: &Origin) {
        let Origin { timestamp, behind, watermark, input, ref headers } = *origin;
        self.updates.push(Record { key, value, timestamp, behind, watermark, input, headers: headers.clone() });
    }

    /// Lets go of what goes out by itself.
    pub fn push(&mut self, cx: &mut Cx) {
        self.out.push(&mut self.updates, cx);
    }

    /// Passes a signal on, after what it releases.
    pub fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        let flush = signal == Signal::Flush;
        match signal {
            Signal::Watermark(watermark) => self.saw(watermark),
            Signal::Idle => return self.out.signal(signal, cx),
            Signal::Flush => {
                if let Err(error) = self.flush(cx) {
                    return cx.stop(error);
                }
                self.out.push(&mut self.updates, cx);
            }
        }
        if (flush || self.each()) && self.seen > self.told {
            self.told = self.seen;
            self.out.signal(Signal::Watermark(self.told), cx);
        }
        if flush {
            self.out.signal(Signal::Flush, cx);
        }
    }

    /// Writes the changelog, and lets go of what was held back.
    fn flush(&mut self, cx: &mut Cx) -> Result<()> {
        let topic = cx.out.topic(&self.at.changelog);
        let each_commit = !self.each();
        let (partitioning, watermark) = (Partitioning::Fixed(self.at.partition), self.told);
        let updates = &mut self.updates;
        self.at.store.lock().flush(|changed| {
            let origin = changed.origin;
            cx.out.push(&OutgoingRecord {
                topic,
                partitioning,
                key: Some(changed.key_bytes),
                value: changed.row_bytes,
                timestamp: broker_timestamp(origin.timestamp, cx.wall),
                headers: &Headers::NONE,
                input: origin.input,
            });
            // A row that came and went between two commits was never there for anybody else.
            if each_commit && (changed.existed || changed.row.is_some()) {
                let old = changed.before.map(|row| row.value.clone());
                let value = Change { old, new: changed.row.map(|row| row.value.clone()) };
                let (key, headers) = (changed.key.clone(), origin.headers.clone());
                let (timestamp, behind, input) = (origin.timestamp, origin.behind, origin.input);
                updates.push(Record { key, value, timestamp, behind, watermark, input, headers });
            }
            Ok(())
        })
    }
}
