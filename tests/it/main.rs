//! The integration tests: one program, so that the expensive things are linked and started once.

mod broker;
mod kafka_groups;
mod kafka_port;
mod kafka_speed;
