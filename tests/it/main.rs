//! The integration tests: one program, so that the expensive things are linked and started once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod broker;
mod cli;
mod clicks;
mod cluster;
mod conformance;
mod demo;
mod enriched;
mod enriched_kills;
mod global_table;
mod golden;
mod idle;
mod kafka_groups;
mod kafka_port;
mod kafka_speed;
mod kills;
mod layers;
mod local_state;
mod msk;
mod murmur2;
mod outage;
mod process;
mod queries;
mod redis;
mod reset;
mod run;
mod sales_windows;
mod secure;
mod shop;
mod stream_join;
mod sums;
mod tokens;
mod tools;
mod top_products;
mod totals;
