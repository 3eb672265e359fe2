//! Sensors that report how warm it is around them and in them, again and again, and at times twice.

pub mod generator;
pub mod reading;
pub mod topology;
mod weather;

pub use generator::SensorsGenerator;
pub use reading::{Reading, ReadingTime};
pub use topology::topology;

/// What the sensors report.
pub const SENSORS_TOPIC: &str = "demo.sensors";
/// The same, each reading once.
pub const DISTINCT_TOPIC: &str = "demo.sensors.distinct";
/// The readings that are far from what is around them.
pub const ALERTS_TOPIC: &str = "demo.sensors.alerts";
/// The averages of each sensor, every ten seconds.
pub const AVERAGES_TOPIC: &str = "demo.sensors.averages";
