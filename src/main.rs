//! The binary.

#[path = "../topologies/mod.rs"]
mod topologies;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
