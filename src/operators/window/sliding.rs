//! Sliding windows, by the rules of Kafka Streams: for a record at `t` the window that ends at it, the window that begins
//! right after it once there is something in that, and the same of the record before it.
//!
//! A new window begins with the value of the one beside it that holds the same records. So closed windows are kept for
//! twice the difference longer: a late record may need what is in them.
//!
//! Where records come in any [`Order`], a record is in all its windows or in none: the windows beside a new one then hold
//! just what it must begin with, in whatever order they came.

use super::session::changes;
use super::{Add, Arrival, Emit, Made, Order, Span, Spans, Trouble, Windows, closed};
use crate::codec::{Data, Key};
use crate::error::Result;
use crate::operators::timed::Timed;
use crate::operators::{Change, Cx, Reject};
use crate::record::InputNumber;
use crate::state::Origin;
use crate::time::Timestamp;
use crate::window::{SlidingWindows, Window, Windowed, millis};

/// Sliding windows.
pub struct Sliding<K: Key, A: Data> {
    windows: SlidingWindows,
    order: Order,
    rows: Timed<K, Spans<A>>,
    emit: Emit,
    keeps_before: bool,
    /// The flush that changes go out with.
    flush: u64,
}

impl<K: Key, A: Data> Sliding<K, A> {
    /// Sliding windows with their rows in `rows`, which keeps values before where results go out with the commit.
    #[must_use]
    pub const fn new(
        (windows, order): (SlidingWindows, Order),
        rows: Timed<K, Spans<A>>,
        emit: Emit,
        keeps_before: bool,
    ) -> Self {
        Self { windows, order, rows, emit, keeps_before, flush: 1 }
    }

    /// When something is to be done about a window.
    fn due(&self) -> impl Fn(&Span<A>) -> Timestamp + use<K, A> {
        let (windows, order, emit) = (self.windows, self.order, self.emit);
        let closing = if order == Order::Any { windows.closing() } else { windows.over() };
        move |span| {
            let closes = emit == Emit::OnClose && !span.closed;
            if closes { closing } else { windows.expiring() }.at(span.window.end)
        }
    }
}

/// What a record does to the windows of its key.
struct Step<'a, 'b, K, A> {
    windows: SlidingWindows,
    order: Order,
    arrival: &'a Arrival,
    add: &'a mut Add<'b, K, A>,
    made: &'a mut Made<Windowed<K>, A>,
    emit: Emit,
    keeps_before: bool,
    flush: u64,
}

/// What a window begins with: a value, and the largest time in it.
type Seed<A> = Option<(A, Timestamp)>;

impl<K: Key, A: Data> Step<'_, '_, K, A> {
    fn run(&mut self, key: &K, spans: &mut Spans<A>) -> Result<(), Reject> {
        let (time, size) = (self.arrival.timestamp.millis(), millis(self.windows.difference()));
        // The last window that could have the record in it.
        let last = Window::of_millis(time, time.saturating_add(size));
        if let Some(reason) = self.arrival.refused(self.windows.over(), last.end) {
            self.made.missed.push((last, reason));
            return Ok(());
        }
        if time < size { self.early(key, spans, time) } else { self.usual(key, spans, time, size) }
    }

    fn usual(&mut self, key: &K, spans: &mut Spans<A>, time: i64, size: i64) -> Result<(), Reject> {
        let (mut left, mut right) = (false, false);
        let (mut before, mut beside) = (None, None);
        let mut previous = None;
        let mut changed = Vec::new();
        for span in spans.0.iter().rev() {
            let (start, end) = (span.window.start.millis(), span.window.end.millis());
            if start > time.saturating_add(1) {
                continue;
            }
            if start < time.saturating_sub(size.saturating_mul(2)) {
                break;
            }
            if start == time.saturating_add(1) {
                right = true;
            } else if end > time {
                beside = beside.or(Some(span));
                changed.push(span.window);
            } else if end == time {
                left = true;
                previous = (span.newest.millis() < time).then_some(span.newest.millis());
                changed.push(span.window);
            } else {
                before = Some(span);
                previous = Some(span.newest.millis());
                break;
            }
        }
        let seed = |span: &Span<A>| (span.value.clone(), span.newest);
        let beside = beside.filter(|span| !right && span.newest.millis() > time).map(seed);
        let before = before.filter(|_| !left && previous.is_some_and(|at| at >= time - size)).map(seed);
        for window in changed {
            self.update(key, spans, window, None)?;
        }
        if let Some(start) = previous.and_then(|previous| Self::after(spans, previous)).filter(|at| at + size >= time) {
            self.update(key, spans, Window::of_millis(start, start + size), None)?;
            // Where the record before lies just outside, the window right after it is the one that ends here.
            left |= start == time - size;
        }
        if !left {
            self.update(key, spans, Window::of_millis(time - size, time), before)?;
        }
        self.open_right(key, spans, beside);
        Ok(())
    }

    /// Windows do not begin before 1970: records before the difference share the one that begins there.
    fn early(&mut self, key: &K, spans: &mut Spans<A>, time: i64) -> Result<(), Reject> {
        let (mut right, mut previous) = (false, None);
        let (mut beside, mut first): (Option<&Span<A>>, Option<&Span<A>>) = (None, None);
        let mut changed = Vec::new();
        for span in &spans.0 {
            match span.window.start.millis() {
                0 => {
                    first = Some(span);
                    previous = (span.newest.millis() < time).then_some(span.newest.millis());
                }
                start if start <= time => {
                    beside = Some(span);
                    changed.push(span.window);
                }
                start => right |= start == time + 1,
            }
        }
        let beside = beside.or(first).filter(|span| !right && span.newest.millis() > time);
        let beside = beside.map(|span| (span.value.clone(), span.newest));
        for window in changed {
            self.update(key, spans, window, None)?;
        }
        self.open_right(key, spans, beside);
        let size = millis(self.windows.difference());
        if let Some(start) = previous.and_then(|previous| Self::after(spans, previous)) {
            self.update(key, spans, Window::of_millis(start, start.saturating_add(size)), None)?;
        }
        self.update(key, spans, Window::of_millis(0, size), None)
    }

    /// The start of the window right after a record, if that window is not there yet.
    fn after(spans: &Spans<A>, time: i64) -> Option<i64> {
        let start = time + 1;
        (!spans.0.iter().any(|span| span.window.start.millis() == start)).then_some(start)
    }

    /// Adds the record to a window, which begins with `seed` where it is new.
    fn update(&mut self, key: &K, spans: &mut Spans<A>, window: Window, seed: Seed<A>) -> Result<(), Reject> {
        let refused = self.arrival.refused(self.windows.over(), window.end);
        if let Some(reason) = refused.filter(|_| self.order == Order::Given) {
            self.made.missed.push((window, reason));
            return Ok(());
        }
        let place = spans.0.iter().position(|span| span.window == window);
        let (mut value, newest) = match place.map(|place| spans.0.remove(place)) {
            Some(span) => (Some(span.value), span.newest),
            None => seed.map_or((None, self.arrival.timestamp), |(value, newest)| (Some(value), newest)),
        };
        let old = if self.keeps_before && place.is_some() { value.clone() } else { None };
        (self.add)(key, &mut value, false)?;
        self.put(key, spans, window, value, newest.max(self.arrival.timestamp), old);
        Ok(())
    }

    /// The window right after the record: the record is not in it.
    fn open_right(&mut self, key: &K, spans: &mut Spans<A>, seed: Seed<A>) {
        let Some((value, newest)) = seed else { return };
        let start = Timestamp::from_millis(self.arrival.timestamp.millis().saturating_add(1));
        let Some(window) = self.windows.window(start) else { return };
        self.put(key, spans, window, Some(value), newest, None);
    }

    fn put(
        &mut self,
        key: &K,
        spans: &mut Spans<A>,
        window: Window,
        value: Option<A>,
        newest: Timestamp,
        old: Option<A>,
    ) {
        let behind = self.arrival.behind_at(newest, 0);
        if self.emit == Emit::EachUpdate {
            let change = Change { old, new: value.clone() };
            let key = Windowed::new(key.clone(), window);
            self.made.updates.push(self.arrival.update(key, change, newest, behind));
        }
        if let Some(value) = value {
            spans.insert(Span { window, newest, closed: false, value, changed: self.flush, behind });
        }
    }
}

impl<K: Key, A: Data> Windows<K, Windowed<K>, A> for Sliding<K, A> {
    fn add(
        &mut self,
        key: K,
        arrival: &Arrival,
        add: &mut Add<'_, K, A>,
        made: &mut Made<Windowed<K>, A>,
    ) -> Result<(), Trouble> {
        let (windows, order, due) = (self.windows, self.order, self.due());
        let (emit, keeps_before, flush) = (self.emit, self.keeps_before, self.flush);
        let mut step = Step { windows, order, arrival, add, made, emit, keeps_before, flush };
        let origin = arrival.origin(arrival.timestamp, arrival.behind);
        let added = self.rows.change(key, false, origin, |key, spans| {
            let added = step.run(key, spans.get_or_insert_default());
            let due = spans.iter().flat_map(|spans| &spans.0).map(&due).min();
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
        let (windows, emit, due) = (self.windows, self.emit, self.due());
        self.rows.fire(watermark, budget, |rows, at, key| {
            let origin = Origin { timestamp: at, input: InputNumber::UNKNOWN, ..Origin::default() };
            rows.change(key, true, origin, |key, spans| {
                let Some(spans) = spans else { return ((), None) };
                for span in &mut spans.0 {
                    if emit == Emit::OnClose && !span.closed && due(span) <= at {
                        span.closed = true;
                        let key = Windowed::new(key.clone(), span.window);
                        made.updates.push(closed(key, span.value.clone(), span.newest, stamp));
                    }
                }
                spans.0.retain(|span| windows.expiring().at(span.window.end) > at);
                ((), spans.0.iter().map(&due).min())
            })
        })
    }

    fn flush(&mut self, stamp: Option<Timestamp>, made: &mut Made<Windowed<K>, A>, cx: &mut Cx) {
        changes(&self.rows, self.flush, stamp, made, cx);
        self.flush += 1;
    }
}
