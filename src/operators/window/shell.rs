//! What all windowed aggregations have in common: the inputs' clocks, when results go out, and how time goes on after
//! them.

use std::sync::Arc;
use std::time::Duration;

use super::{Emit, Made, Windows};
use crate::operators::clocks::Clocks;
use crate::operators::{Change, Cx, Out, Signal};
use crate::time::Timestamp;

/// How many windows are closed at once.
pub const PORTION: usize = 4096;

/// Windows, with what they owe to those downstream. Its inputs share one clock: the least of theirs.
pub struct Shell<K, O, A> {
    pub(super) name: Arc<str>,
    pub(super) windows: Box<dyn Windows<K, O, A>>,
    pub(super) made: Made<O, A>,
    emit: Emit,
    hold: Duration,
    portion: usize,
    clocks: Clocks,
    told: Timestamp,
    out: Out<O, Change<A>>,
}

impl<K, O: Clone, A: Clone> Shell<K, O, A> {
    /// `windows` with `inputs` inputs, whose results may lie `hold` behind the watermark that releases them.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        windows: Box<dyn Windows<K, O, A>>,
        inputs: usize,
        emit: Emit,
        hold: Duration,
        out: Out<O, Change<A>>,
    ) -> Self {
        Self {
            name,
            windows,
            made: Made { updates: Vec::new(), missed: Vec::new() },
            emit,
            hold,
            portion: PORTION,
            clocks: Clocks::of(inputs),
            told: Timestamp::MIN,
            out,
        }
    }

    /// Closes so many windows at once.
    #[must_use]
    pub const fn portion(mut self, portion: usize) -> Self {
        self.portion = portion;
        self
    }

    /// An input's clock has come to `watermark`; gives that of all.
    pub(super) fn advance(&mut self, input: usize, watermark: Timestamp) -> Timestamp {
        self.clocks.advance(input, watermark);
        self.clocks.seen()
    }

    /// The watermark that the results of a record carry.
    pub(super) fn stamp(&self) -> Timestamp {
        match self.emit {
            Emit::EachUpdate => self.clocks.seen().minus(self.hold),
            Emit::EachCommit | Emit::OnClose => self.told,
        }
    }

    /// A batch has been added.
    pub(super) fn after_batch(&mut self, cx: &mut Cx) {
        match self.emit {
            Emit::EachUpdate => self.out.push(&mut self.made.updates, cx),
            Emit::EachCommit => {}
            Emit::OnClose => self.close_and_tell(cx),
        }
    }

    /// A signal has come on an input.
    pub(super) fn signal(&mut self, input: usize, signal: Signal, cx: &mut Cx) {
        match signal {
            Signal::Watermark(watermark) => {
                self.clocks.advance(input, watermark);
                self.after_time(cx);
            }
            Signal::Idle if self.clocks.rest(input) => self.out.signal(Signal::Idle, cx),
            Signal::Idle => self.after_time(cx),
            Signal::Flush if self.clocks.flush(input) => self.flush(cx),
            Signal::Flush => {}
        }
    }

    fn after_time(&mut self, cx: &mut Cx) {
        match self.emit {
            Emit::EachUpdate => self.tell(cx),
            Emit::EachCommit => {}
            Emit::OnClose => self.close_and_tell(cx),
        }
    }

    fn flush(&mut self, cx: &mut Cx) {
        match self.emit {
            Emit::OnClose => {
                self.close_and_tell(cx);
                self.windows.flush(None, &mut self.made, cx);
            }
            Emit::EachUpdate => {
                self.close(cx);
                self.windows.flush(None, &mut self.made, cx);
                self.tell(cx);
            }
            Emit::EachCommit => {
                // What has changed goes out before its row is deleted, and before the time that deletes it.
                self.windows.flush(Some(self.told), &mut self.made, cx);
                if cx.failed() {
                    return;
                }
                self.out.push(&mut self.made.updates, cx);
                self.close(cx);
                self.windows.flush(None, &mut self.made, cx);
                self.tell(cx);
            }
        }
        if !cx.failed() {
            self.out.signal(Signal::Flush, cx);
        }
    }

    fn close(&mut self, cx: &mut Cx) -> bool {
        let mut budget = self.portion;
        match self.windows.close(self.clocks.seen(), self.told, &mut budget, &mut self.made) {
            Ok(true) => true,
            Ok(false) => {
                cx.more_to_do();
                false
            }
            Err(error) => {
                cx.stop(error);
                false
            }
        }
    }

    /// First the results, then the time that released them: all of it, or none.
    fn close_and_tell(&mut self, cx: &mut Cx) {
        let done = self.close(cx);
        self.out.push(&mut self.made.updates, cx);
        if done {
            self.tell(cx);
        }
    }

    fn tell(&mut self, cx: &mut Cx) {
        let now = self.clocks.seen().minus(self.hold);
        if now > self.told && !cx.failed() {
            self.told = now;
            self.out.signal(Signal::Watermark(now), cx);
        }
    }
}
