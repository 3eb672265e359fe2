//! How often each product was bought: the program of docs/guide/first-topology.md.
//!
//! `cargo run --example shop -- local bought --input purchases=FILE`

use std::process::ExitCode;

use millstream::cli::{self, Catalog, TopologyEntry};
use millstream::codec::Text;
use millstream::{BadInput, Builder, Data, Json, NoKey, Result, Topic, Topology};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Purchase {
    product: String,
}

impl Data for Purchase {
    type Codec = Json;
}

const PURCHASES: Topic<NoKey, Purchase> = Topic::new("purchases");
/// The key is text and the value JSON: `3`.
const BOUGHT: Topic<String, u64, Text, Json> = Topic::new("bought");

fn bought(bad_input: BadInput) -> Result<Topology> {
    let b = Builder::new("bought");
    b.source(PURCHASES)
        .on_bad_input(bad_input)
        .stream()
        .group_by(|_, purchase| purchase.product.clone())
        .named("by-product")
        .count()
        .named("bought")
        .to(BOUGHT);
    Ok(b.build()?)
}

fn main() -> ExitCode {
    let bought = TopologyEntry::new("bought", "How often each product was bought", |bad_input, _| bought(bad_input));
    cli::main(&Catalog::of([bought]))
}
