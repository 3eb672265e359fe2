//! The integration tests: one program, so that the expensive things are linked and started once.

mod broker;
mod cli;
mod conformance;
mod kafka_groups;
mod kafka_port;
mod kills;
mod layers;
mod murmur2;
mod process;
mod sums;
mod totals;
