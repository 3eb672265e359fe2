//! Sessions, by the rules of Kafka Streams: a record makes one of all sessions that it is near to.
//!
//! - Sessions that become one go out as deleted, at their own ends, before the new one, which goes out at its end. With one
//!   update a commit only what is left of that is seen.
//! - The values of sessions that become one are merged first, in order of time; then the record is added.
//! - What is late depends on whether the records come in an order that is the same in every run: [`Order`].

use std::sync::Arc;

use super::{Add, Arrival, Emit, Made, Span, Spans, Trouble, Windows, closed};
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::operators::timed::Timed;
use crate::operators::{Change, Cx, Reject};
use crate::record::{InputNumber, Record};
use crate::state::Origin;
use crate::time::Timestamp;
use crate::window::{Closing, SessionWindows, Window, Windowed, millis};

/// Makes one value of two: adds the later one to the earlier one.
pub type Merge<K, A> = Arc<dyn Fn(&K, &mut A, A) -> Result<(), Reject> + Send + Sync>;

/// Whether the order in which records come is the same in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// That of one partition. A late record is refused when even the session that it would make is over. It does not open
    /// sessions again that are.
    Given,
    /// Of several partitions, which interleave by chance. A late record is refused when a session of it alone would be
    /// over, whatever it could join: whether that has come already is chance. A session is kept until no record that
    /// counts can join it. So the sessions are those of the records that count, in whatever order they came.
    Any,
}

impl Order {
    /// When sessions close.
    fn closing(self, windows: SessionWindows) -> Closing {
        match self {
            Self::Given => windows.over(),
            Self::Any => windows.closing(),
        }
    }
}

/// Sessions.
pub struct Session<K: Key, A: Data> {
    windows: SessionWindows,
    order: Order,
    merge: Merge<K, A>,
    rows: Timed<K, Spans<A>>,
    emit: Emit,
    keeps_before: bool,
    /// The flush that changes go out with.
    flush: u64,
}

impl<K: Key, A: Data> Session<K, A> {
    /// Sessions with their rows in `rows`, which keeps values before where results go out with the commit.
    #[must_use]
    pub fn new(
        (windows, order): (SessionWindows, Order),
        merge: Merge<K, A>,
        rows: Timed<K, Spans<A>>,
        emit: Emit,
        keeps_before: bool,
    ) -> Self {
        Self { windows, order, merge, rows, emit, keeps_before, flush: 1 }
    }
}

/// What a record does to the sessions of its key.
struct Step<'a, 'b, K, A> {
    windows: SessionWindows,
    order: Order,
    merge: &'a Merge<K, A>,
    arrival: &'a Arrival,
    add: &'a mut Add<'b, K, A>,
    made: &'a mut Made<Windowed<K>, A>,
    emit: Emit,
    keeps_before: bool,
    flush: u64,
}

impl<K: Key, A: Data> Step<'_, '_, K, A> {
    fn run(&mut self, key: &K, spans: &mut Spans<A>) -> Result<(), Reject> {
        let (arrival, over, time) = (self.arrival, self.windows.over(), self.arrival.timestamp);
        let open = |span: &Span<A>| self.order == Order::Any || arrival.reference() < over.at(span.window.end);
        let near: Vec<usize> = (0..spans.0.len())
            .filter(|place| {
                let span = &spans.0[*place];
                open(span) && self.windows.joins(time, span.window)
            })
            .collect();
        let mut window = Window { start: time, end: time };
        for place in &near {
            let other = spans.0[*place].window;
            window = Window { start: window.start.min(other.start), end: window.end.max(other.end) };
        }
        let last = if self.order == Order::Any { time } else { window.end };
        if let Some(reason) = arrival.refused(over, last) {
            // Where others do not count, they are not in the window that it missed either.
            let missed = if self.order == Order::Any { Window { start: time, end: time } } else { window };
            self.made.missed.push((missed, reason));
            return Ok(());
        }
        let mut joined: Vec<Span<A>> = near.iter().rev().map(|place| spans.0.remove(*place)).collect();
        joined.reverse();
        let each = self.emit == Emit::EachUpdate;
        // Overwritten in place, where the record adds nothing to a session of one moment.
        let in_place = window.start == window.end;
        let old =
            if each && in_place && self.keeps_before { joined.first().map(|span| span.value.clone()) } else { None };
        if each && !in_place {
            for span in &joined {
                let old = self.keeps_before.then(|| span.value.clone());
                self.update(key, span.window, Change { old, new: None });
            }
        }
        let mut values = joined.into_iter().map(|span| span.value);
        let mut value = values.next();
        if let Some(so_far) = &mut value {
            for other in values {
                (self.merge)(key, so_far, other)?;
            }
        }
        (self.add)(key, &mut value, true)?;
        if each {
            self.update(key, window, Change { old, new: value.clone() });
        }
        if let Some(value) = value {
            let behind = arrival.behind_at(window.end, millis(self.windows.gap()));
            let (newest, changed) = (window.end, self.flush);
            spans.insert(Span { window, newest, closed: false, value, changed, behind });
        }
        Ok(())
    }

    fn update(&mut self, key: &K, window: Window, change: Change<A>) {
        let hold = millis(self.windows.gap());
        let behind = self.arrival.behind_at(window.end, hold);
        let key = Windowed::new(key.clone(), window);
        self.made.updates.push(self.arrival.update(key, change, window.end, behind));
    }
}

/// When the first session of a key closes.
fn due<A>(closing: Closing, spans: &Spans<A>) -> Option<Timestamp> {
    spans.0.iter().map(|span| closing.at(span.window.end)).min()
}

impl<K: Key, A: Data> Windows<K, Windowed<K>, A> for Session<K, A> {
    fn add(
        &mut self,
        key: K,
        arrival: &Arrival,
        add: &mut Add<'_, K, A>,
        made: &mut Made<Windowed<K>, A>,
    ) -> Result<(), Trouble> {
        let Self { windows, order, merge, emit, keeps_before, flush, .. } = self;
        let (windows, order, emit, keeps_before, flush) = (*windows, *order, *emit, *keeps_before, *flush);
        let closing = order.closing(windows);
        let mut step = Step { windows, order, merge, arrival, add, made, emit, keeps_before, flush };
        let origin = arrival.origin(arrival.timestamp, arrival.behind);
        let added = self.rows.change(key, false, origin, |key, spans| {
            let added = step.run(key, spans.get_or_insert_default());
            let due = spans.as_ref().and_then(|spans| due(closing, spans));
            (added, due)
        })?;
        Ok(added?)
    }

    fn close(
        &mut self,
        watermark: Timestamp,
        stamp: Timestamp,
        budget: &mut usize,
        made: &mut Made<Windowed<K>, A>,
    ) -> Result<bool> {
        let (closing, emit) = (self.order.closing(self.windows), self.emit);
        self.rows.fire(watermark, budget, |rows, at, key| {
            let origin = Origin { timestamp: at, input: InputNumber::UNKNOWN, ..Origin::default() };
            rows.change(key, true, origin, |key, spans| {
                let Some(spans) = spans else { return ((), None) };
                for span in spans.0.extract_if(.., |span| closing.at(span.window.end) <= at) {
                    if emit == Emit::OnClose {
                        let key = Windowed::new(key.clone(), span.window);
                        made.updates.push(closed(key, span.value, span.newest, stamp));
                    }
                }
                ((), due(closing, spans))
            })
        })
    }

    fn flush(&mut self, stamp: Option<Timestamp>, made: &mut Made<Windowed<K>, A>, cx: &mut Cx) {
        changes(&self.rows, self.flush, stamp, made, cx);
        self.flush += 1;
    }
}

/// Writes the rows, and finds what has changed in each: windows that are gone, then those that are new or other.
pub(super) fn changes<K: Key, A: Data>(
    rows: &Timed<K, Spans<A>>,
    flush: u64,
    stamp: Option<Timestamp>,
    made: &mut Made<Windowed<K>, A>,
    cx: &mut Cx,
) {
    rows.flush(cx, |key, before, now, origin| {
        let Some(watermark) = stamp else { return };
        let (before, now) = (before.map_or(&[][..], |spans| &spans.0), now.map_or(&[][..], |spans| &spans.0));
        let find = |spans: &[Span<A>], window| spans.iter().position(|span| span.window == window);
        let mut send = |window: Window, newest: Timestamp, behind, value| {
            let (key, input, headers) = (Windowed::new(key.clone(), window), origin.input, origin.headers.clone());
            made.updates.push(Record { key, value, timestamp: newest, behind, watermark, input, headers });
        };
        for span in before.iter().filter(|span| !span.closed && find(now, span.window).is_none()) {
            // Any record since the last commit may have taken it away: it is as late as time has been told since.
            let behind = if watermark == Timestamp::MIN { 0 } else { watermark.millis_since(span.newest) };
            send(span.window, span.newest, behind, Change { old: Some(span.value.clone()), new: None });
        }
        for span in now.iter().filter(|span| span.changed == flush) {
            let old = find(before, span.window).map(|place| before[place].value.clone());
            send(span.window, span.newest, span.behind, Change { old, new: Some(span.value.clone()) });
        }
    });
}
