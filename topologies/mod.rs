//! The workloads that the binary runs, one a file or folder.

pub mod running_totals;
pub mod sales;
