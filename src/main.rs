//! The binary: hands the topologies to the command line.

use std::process::ExitCode;

#[path = "../topologies/mod.rs"]
mod topologies;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    millstream::cli::main(&topologies::catalog())
}
