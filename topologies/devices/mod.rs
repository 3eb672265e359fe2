//! Devices that send lines of text: who it is, how hot it runs, and when.

pub mod counts;
pub mod generator;
pub mod measurement;

pub use generator::DevicesGenerator;
pub use measurement::{Measurement, MeasurementTime};

/// What the devices send.
pub const DEVICES_TOPIC: &str = "demo.devices";
/// How often each was hot, every five seconds.
pub const COUNTS_TOPIC: &str = "demo.device.counts";
