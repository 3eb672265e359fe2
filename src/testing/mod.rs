//! Testing topologies: with the production engine, not beside it.
//!
//! - [`Driver`]: one process, a clock that stands still, records in, records out.
//! - [`simulation`]: a whole cluster's life with all that can go wrong in it, from one seed.

pub mod driver;
#[cfg(test)]
mod foreign_cost;
#[cfg(test)]
mod foreign_simulation;
#[cfg(test)]
mod global_simulation;
#[cfg(test)]
mod join_as_of;
#[cfg(test)]
mod join_order;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod restored;
pub mod simulation;
#[cfg(test)]
mod simulation_tests;
#[cfg(test)]
mod time_cost;
#[cfg(test)]
mod time_scenarios;

pub use driver::{Driver, DriverBuilder, OutputRecord};
