//! `process`: a user's own operator with its stores and timers.
//!
//! - A timer by event time goes off when the watermark comes to a multiple of its interval, right after the record that
//!   brought it there, and once at the very beginning; multiples that were jumped over count as one. When it is due next
//!   is in a store, so that a task that starts again goes on with it.
//! - A timer by the time of day goes off an interval after the task has started, and so on; it works in silence as well.
//! - A timer that asks for it goes off again with the next step, and time stands still downstream until it is done.
//! - Results come first, then the time that led to them, less what the processor holds time back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::changelog::Changelog;
use super::processor::{Context, Processor, Schedule, Timer, TimerKind};
use super::stores::SharedStore;
use super::{ClockPort, Cx, Failure, Out, Push, Reject, Signal};
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::record::{Headers, InputNumber, Record};
use crate::state::{Origin, Row};
use crate::time::Timestamp;
use crate::window::millis;

/// A store of a processor, when it is flushed.
pub trait Owned: Send {
    /// Writes what has changed.
    fn flush(&self, cx: &mut Cx);
}

impl<K: Key, V: Data> Owned for (SharedStore<K, V>, Changelog) {
    fn flush(&self, cx: &mut Cx) {
        self.1.flush(&mut self.0.lock(), cx, |_| ());
    }
}

/// What a processor asked for.
pub struct Asked {
    /// Its timers; a [`Timer`] is a place in them.
    pub timers: Vec<Schedule>,
    /// When each timer by event time is due next.
    pub due: Option<(SharedStore<u32, i64>, Changelog)>,
    /// Its stores.
    pub stores: Vec<Box<dyn Owned>>,
    /// How far behind the watermark it may forward.
    pub hold: Duration,
}

/// A processor with what it asked for.
pub struct Process<K, V, P: Processor<K, V>> {
    name: Arc<str>,
    processor: P,
    asked: Asked,
    /// When each timer by the time of day is due; not known before the first look at the clock.
    wall_due: Vec<Timestamp>,
    /// A timer by event time has more to do than it did at once. A task that starts again finds it due in the store.
    pending: bool,
    seen: Timestamp,
    told: Timestamp,
    forwarded: Vec<Record<P::Key, P::Value>>,
    out: Out<P::Key, P::Value>,
}

impl<K: Send + 'static, V: Send + 'static, P: Processor<K, V>> Process<K, V, P> {
    /// The end that takes records, and the one that looks at the clock if there is a timer that needs it.
    #[must_use]
    pub fn ports(
        name: Arc<str>,
        processor: P,
        asked: Asked,
        out: Out<P::Key, P::Value>,
    ) -> (ProcessPort<K, V, P>, Option<Box<dyn ClockPort>>) {
        let (seen, told) = (Timestamp::MIN, Timestamp::MIN);
        let by_clock = asked.timers.iter().any(|timer| timer.kind == TimerKind::WallClock);
        let (wall_due, pending, forwarded) = (Vec::new(), false, Vec::new());
        let process = Self { name, processor, asked, wall_due, pending, seen, told, forwarded, out };
        let shared = Arc::new(Mutex::new(process));
        let clock = by_clock.then(|| Box::new(ProcessPort(Arc::clone(&shared))) as Box<dyn ClockPort>);
        (ProcessPort(shared), clock)
    }

    fn run(
        &mut self,
        (timestamp, reference, input, headers): (Timestamp, Timestamp, InputNumber, Headers),
        cx: &mut Cx,
        call: impl FnOnce(&P, &mut Context<'_, P::Key, P::Value>) -> Result<(), Reject>,
    ) -> Ran {
        let (before, mut error, mut again) = (self.forwarded.len(), None, false);
        let (seen, wall) = (self.seen, cx.wall);
        let stamp = if self.pending { self.told } else { self.seen.minus(self.asked.hold) };
        let reference = reference.minus(self.asked.hold);
        let mut context = Context {
            forwarded: &mut self.forwarded,
            error: &mut error,
            drops: &mut cx.drops,
            again: &mut again,
            timestamp,
            reference,
            seen,
            stamp,
            wall,
            input,
            headers,
        };
        let called = call(&self.processor, &mut context);
        if again {
            // Time must not get ahead of what is still to be forwarded.
            self.forwarded[before..].iter_mut().for_each(|record| record.watermark = self.told);
        }
        if let Some(error) = error {
            cx.stop(error);
        } else if let Err(Reject { reason, message }) = called {
            let input = (input != InputNumber::UNKNOWN).then_some(input);
            cx.fail(Failure { input, reason, message, operator: self.name.to_string() });
        }
        match (cx.failed(), again) {
            (true, _) => Ran::Failed,
            (false, true) => Ran::Again,
            (false, false) => Ran::Done,
        }
    }

    fn record(&mut self, record: Record<K, V>, cx: &mut Cx) -> bool {
        self.seen = self.seen.max(record.watermark);
        let reference = match record.behind {
            0 => Timestamp::MIN,
            behind => record.timestamp.plus(Duration::from_millis(behind)),
        };
        let of = (record.timestamp, reference, record.input, record.headers.clone());
        let ran = self.run(of, cx, |processor, context| processor.process(record, context));
        // A timer that has more to do goes on with the next step, not with every record.
        ran != Ran::Failed && (self.pending || self.fire(cx))
    }

    fn timer(&mut self, timer: u32, at: Timestamp, cx: &mut Cx) -> Ran {
        let of = (at, Timestamp::MIN, InputNumber::UNKNOWN, Headers::NONE);
        self.run(of, cx, |processor, context| processor.punctuate(Timer(timer), at, context))
    }

    /// Timers that the watermark has come to. False where something failed.
    fn fire(&mut self, cx: &mut Cx) -> bool {
        let Some((store, _)) = self.asked.due.clone().filter(|_| self.seen > Timestamp::MIN) else { return true };
        self.pending = false;
        for (timer, schedule) in (0_u32..).zip(self.asked.timers.clone()) {
            if schedule.kind != TimerKind::EventTime {
                continue;
            }
            match self.fire_one((timer, millis(schedule.every).max(1)), &store, cx) {
                Ok(Ran::Done) => {}
                Ok(Ran::Again) => {
                    self.pending = true;
                    cx.more_to_do();
                }
                Ok(Ran::Failed) => return false,
                Err(error) => {
                    cx.stop(error);
                    return false;
                }
            }
        }
        true
    }

    fn fire_one(&mut self, (timer, every): (u32, i64), store: &SharedStore<u32, i64>, cx: &mut Cx) -> Result<Ran> {
        if store.lock().get(&timer)?.is_some_and(|row| row.value > self.seen.millis()) {
            return Ok(Ran::Done);
        }
        let ran = self.timer(timer, self.seen, cx);
        let next = match ran {
            Ran::Again => self.seen.millis(),
            Ran::Done | Ran::Failed => (self.seen.millis().div_euclid(every) + 1).saturating_mul(every),
        };
        set_due(store, timer, next, self.seen).map(|()| ran)
    }

    fn pass_on(&mut self, cx: &mut Cx) {
        if !cx.failed() {
            self.out.push(&mut self.forwarded, cx);
        }
    }
}

/// What came of calling the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ran {
    Done,
    /// The timer has more to do.
    Again,
    Failed,
}

fn set_due(store: &SharedStore<u32, i64>, timer: u32, due: i64, seen: Timestamp) -> Result<()> {
    let mut store = store.lock();
    let row = store.touch(&timer)?;
    *store.row_mut(row) = Some(Row { value: due, timestamp: seen });
    *store.origin_mut(row) = Origin { timestamp: seen, input: InputNumber::UNKNOWN, ..Origin::default() };
    Ok(())
}

/// One end of a [`Process`]. Never contended: a task runs on one thread.
pub struct ProcessPort<K, V, P: Processor<K, V>>(Arc<Mutex<Process<K, V, P>>>);

impl<K, V, P: Processor<K, V>> ProcessPort<K, V, P> {
    fn lock(&self) -> MutexGuard<'_, Process<K, V, P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Send + 'static, V: Send + 'static, P: Processor<K, V>> Push<K, V> for ProcessPort<K, V, P> {
    fn push(&mut self, batch: &mut Vec<Record<K, V>>, cx: &mut Cx) {
        let mut process = self.lock();
        for record in batch.drain(..) {
            if !process.record(record, cx) {
                return;
            }
        }
        process.pass_on(cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Cx) {
        let mut process = self.lock();
        if let Signal::Watermark(watermark) = signal {
            process.seen = process.seen.max(watermark);
        }
        // A timer that has more to do goes on with a flush as well: what lies above may not tell the same time twice.
        let goes_off = matches!(signal, Signal::Watermark(_)) || (signal == Signal::Flush && process.pending);
        if goes_off && !process.fire(cx) {
            return;
        }
        process.pass_on(cx);
        let now = process.seen.minus(process.asked.hold);
        if now > process.told && !process.pending && !cx.failed() {
            process.told = now;
            process.out.signal(Signal::Watermark(now), cx);
        }
        // Said again once the timers are done: time must not go on without what they lead to.
        if signal == Signal::Idle && !process.pending && !cx.failed() {
            process.out.signal(Signal::Idle, cx);
        }
        if signal == Signal::Flush && !cx.failed() {
            let asked = &process.asked;
            asked.stores.iter().for_each(|store| store.flush(cx));
            if let Some(due) = &asked.due {
                due.flush(cx);
            }
            process.out.signal(Signal::Flush, cx);
        }
    }
}

impl<K: Send + 'static, V: Send + 'static, P: Processor<K, V>> ClockPort for ProcessPort<K, V, P> {
    fn due(&self) -> Option<Timestamp> {
        let process = self.lock();
        let timers = process.asked.timers.iter().zip(&process.wall_due);
        timers.filter(|(timer, _)| timer.kind == TimerKind::WallClock).map(|(_, due)| *due).min()
    }

    fn tick(&mut self, cx: &mut Cx) -> bool {
        let mut process = self.lock();
        let timers = process.asked.timers.clone();
        if process.wall_due.is_empty() {
            process.wall_due = timers.iter().map(|timer| cx.wall.plus(timer.every)).collect();
        }
        let mut due: Vec<(Timestamp, u32)> = process.wall_due.iter().copied().zip(0..).collect();
        due.retain(|(at, timer)| timers[*timer as usize].kind == TimerKind::WallClock && *at <= cx.wall);
        due.sort_unstable();
        for (at, timer) in &due {
            // What was missed counts as one.
            let (every, late) = (millis(timers[*timer as usize].every).max(1), cx.wall.millis() - at.millis());
            let next = at.millis().saturating_add((late / every + 1).saturating_mul(every));
            process.wall_due[*timer as usize] = Timestamp::from_millis(next);
            match process.timer(*timer, cx.wall, cx) {
                Ran::Done => {}
                Ran::Again => process.wall_due[*timer as usize] = cx.wall,
                Ran::Failed => return true,
            }
        }
        process.pass_on(cx);
        !due.is_empty()
    }
}
