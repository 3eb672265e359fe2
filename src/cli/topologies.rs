//! `topologies`: lists what there is to run.

use std::fmt::Write as _;

use super::catalog::Catalog;
use super::failure::{Failure, print};

pub(super) fn topologies(catalog: &Catalog) -> Result<(), Failure> {
    print(&listed(catalog))
}

fn listed(catalog: &Catalog) -> String {
    let width = catalog.topologies.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for entry in &catalog.topologies {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:width$}  {}", entry.name, entry.about);
        let _ = writeln!(text, "{:width$}  {} → {}", "", entry.inputs.join(", "), entry.outputs.join(", "));
    }
    text
}
