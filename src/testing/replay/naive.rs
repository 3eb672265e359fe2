//! What must come out, worked out from each partition's own sequence alone: no batches, no commits, no interleaving.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Data, Event, Kind};
use crate::window::Window;

/// The events of each key and window.
pub(super) type Windows = BTreeMap<(String, Window), BTreeSet<u64>>;

/// What must come out.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Every window, also those that stay open.
    pub(super) all: Windows,
    /// Those that close.
    pub(super) closed: Windows,
    /// The events of all keys in the windows that close, once the results themselves cannot be overtaken any more.
    pub(super) together: BTreeMap<Window, BTreeSet<u64>>,
    /// The events that come too late, and the window that they miss.
    pub(super) late: BTreeSet<(u64, Window)>,
}

/// An event, and the watermark of its own partition when it was read.
struct Read<'a> {
    event: &'a Event,
    reference: i64,
}

impl Expected {
    pub(super) fn of(data: &Data) -> Self {
        let (mut read, mut end) = (Vec::new(), i64::MAX);
        for events in &data.partitions {
            let mut watermark = i64::MIN;
            for event in events {
                read.push(Read { event, reference: watermark });
                watermark = watermark.max(event.time - data.bound);
            }
            end = end.min(watermark);
        }
        let (mut expected, after, hold) = match data.kind {
            Kind::Hopping { size, advance, grace } => hopping(&read, size, advance, grace),
            // In the order of a single partition, as Kafka Streams has them; else in any.
            Kind::Session { gap, grace } if data.partitions.len() == 1 => sessions_in_order(&read, gap, grace),
            Kind::Session { gap, grace } => sessions(&read, gap, grace),
            Kind::Sliding { difference, grace } => sliding(&read, difference, grace, data.partitions.len() > 1),
        };
        let over = expected.all.iter().filter(|((_, window), _)| window.end.millis() + after <= end);
        expected.closed = over.map(|(key, events)| (key.clone(), events.clone())).collect();
        for ((_, window), events) in &expected.closed {
            // The results' time follows by the hold. Those of hopping windows are together once it comes to their start,
            // others a moment after their end.
            let hopping = matches!(data.kind, Kind::Hopping { .. });
            if if hopping { window.start.millis() <= end - hold } else { window.end.millis() < end - hold } {
                expected.together.entry(*window).or_default().extend(events);
            }
        }
        expected
    }
}

/// What comes out but for when it closes; how long after their ends windows close; how long results may lie behind that.
type Made = (Expected, i64, i64);

fn hopping(read: &[Read<'_>], size: i64, advance: i64, grace: i64) -> Made {
    let mut expected = Expected::default();
    for Read { event, reference } in read {
        for start in (0..=event.time).filter(|start| start % advance == 0 && start + size > event.time) {
            let window = Window::of_millis(start, start + size);
            if *reference >= start + size + grace {
                expected.late.insert((event.id, window));
            } else {
                expected.all.entry((event.key.clone(), window)).or_default().insert(event.id);
            }
        }
    }
    (expected, grace, size + grace)
}

/// An event counts unless the session that it would be by itself has closed. Events that count and are no further apart
/// than the gap are in one session.
fn sessions(read: &[Read<'_>], gap: i64, grace: i64) -> Made {
    let mut expected = Expected::default();
    let mut counted: BTreeMap<&str, BTreeSet<(i64, u64)>> = BTreeMap::new();
    for Read { event, reference } in read {
        if *reference > event.time + gap + grace {
            expected.late.insert((event.id, Window::of_millis(event.time, event.time)));
        } else {
            counted.entry(&event.key).or_default().insert((event.time, event.id));
        }
    }
    for (key, events) in counted {
        let mut session: Option<(Window, BTreeSet<u64>)> = None;
        let mut keep = |session: Option<(Window, BTreeSet<u64>)>| {
            expected.all.extend(session.map(|(window, events)| ((key.to_owned(), window), events)));
        };
        for (time, id) in events {
            match &mut session {
                Some((window, events)) if time - window.end.millis() <= gap => {
                    *window = Window::of_millis(window.start.millis(), time);
                    events.insert(id);
                }
                _ => keep(session.replace((Window::of_millis(time, time), [id].into()))),
            }
        }
        keep(session);
    }
    (expected, 2 * gap + grace + 1, 2 * gap + grace)
}

/// An event joins the sessions that are not over by the watermark when it was read, and counts if what it makes is not over.
fn sessions_in_order(read: &[Read<'_>], gap: i64, grace: i64) -> Made {
    let mut expected = Expected::default();
    for Read { event, reference } in read {
        let over = |end: i64| *reference > end + gap + grace;
        let joins = |window: &Window| {
            let (start, end) = (window.start.millis(), window.end.millis());
            !over(end) && start - gap <= event.time && event.time <= end + gap
        };
        let of_key = expected.all.keys().filter(|(key, window)| *key == event.key && joins(window));
        let joined: Vec<(String, Window)> = of_key.cloned().collect();
        let start = joined.iter().map(|(_, window)| window.start.millis()).fold(event.time, i64::min);
        let end = joined.iter().map(|(_, window)| window.end.millis()).fold(event.time, i64::max);
        if over(end) {
            expected.late.insert((event.id, Window::of_millis(start, end)));
            continue;
        }
        let mut events: BTreeSet<u64> = joined.iter().filter_map(|of| expected.all.remove(of)).flatten().collect();
        events.insert(event.id);
        // One that has closed already may be in the way: it is another session that looks the same.
        expected.all.entry((event.key.clone(), Window::of_millis(start, end))).or_default().extend(events);
    }
    (expected, gap + grace + 1, 2 * gap + grace)
}

/// An event counts unless the last window that could have it has closed: for each that counts the window that ends at it,
/// and the one right after it, where there is anything in them. With `any` order windows close a difference later.
fn sliding(read: &[Read<'_>], size: i64, grace: i64, any: bool) -> Made {
    let mut expected = Expected::default();
    let mut counted: Vec<&Event> = Vec::new();
    for Read { event, reference } in read {
        if *reference > event.time + size + grace {
            expected.late.insert((event.id, Window::of_millis(event.time, event.time + size)));
        } else {
            counted.push(event);
        }
    }
    for event in &counted {
        for start in [(event.time - size).max(0), event.time + 1] {
            let of = |other: &&&Event| other.key == event.key && (start..=start + size).contains(&other.time);
            let inside: BTreeSet<u64> = counted.iter().filter(of).map(|other| other.id).collect();
            if !inside.is_empty() {
                expected.all.insert((event.key.clone(), Window::of_millis(start, start + size)), inside);
            }
        }
    }
    (expected, if any { size } else { 0 } + grace + 1, 2 * size + grace)
}
