//! A website that is clicked on, and a generator of the clicks.

pub mod generator;

pub use generator::ClickGenerator;

/// The clicks, by resource.
pub const CLICKSTREAM_TOPIC: &str = "demo.clickstream";
