//! How far event time has come in a task, and who holds it back: for people and their alerts.

use std::time::Duration;

use crate::metrics::TopologyMetrics;
use crate::time::Timestamp;
use crate::topology::{Layout, TaskId};

use super::status::TaskTime;
use super::task::Task;

/// Looks at all that the task reads. With several inputs the least of them counts, as it does for what closes.
pub(crate) fn time_of(layout: &Layout, id: TaskId, task: &Task) -> TaskTime {
    let (mut last, mut first) = (None, None);
    for (number, input) in task.inputs.iter().enumerate() {
        let standing = input.port.standing();
        let of_input = standing.last.map(|(watermark, upstream)| (watermark, number, upstream));
        last = [last, of_input].into_iter().flatten().min();
        first = first.max(standing.first);
    }
    // Idle inputs are left out, unless all are: then time stands where it stood.
    let taking_part = task.inputs.iter().filter(|input| last.is_none() || input.port.standing().last.is_some());
    let watermark = taking_part.map(|input| input.port.watermark()).min();
    let held_by = last.map(|(_, number, upstream)| {
        let sub = layout.subs[id.sub].inputs[number].upstream;
        match upstream.zip(sub) {
            Some((partition, sub)) => layout.task_name(TaskId { sub, partition }),
            None => task.inputs[number].partition.to_string(),
        }
    });
    let epoch = Timestamp::from_millis(0);
    let behind = first.zip(last).map_or(0, |(first, (last, ..))| first.max(epoch).millis_since(last.max(epoch)));
    // Before the first record and after the last there is no time to show.
    let watermark = watermark.filter(|watermark| ![Timestamp::MIN, Timestamp::MAX].contains(watermark));
    TaskTime { watermark, held_by, held_back: Duration::from_millis(behind) }
}

/// Tells the metrics of it.
pub(crate) fn measure(metrics: &TopologyMetrics, name: &str, time: &TaskTime, wall: Timestamp) {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let moving = time.watermark.filter(|_| time.held_by.is_some());
    let age = moving.map(|watermark| Duration::from_millis(wall.millis_since(watermark)));
    metrics.watermark_age(name, age.map(seconds));
    metrics.held_back(name, time.held_by.as_deref().map(|by| (by, seconds(time.held_back))));
}
