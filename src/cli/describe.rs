//! `describe`: shows how a topology is put together.

use super::args::DescribeArguments;
use super::catalog::Catalog;
use super::failure::{Failure, print};
use crate::http::Format;
use crate::operators::source::BadInput;
use crate::topology::Topology;

pub(super) fn describe(catalog: &Catalog, arguments: &DescribeArguments) -> Result<(), Failure> {
    let entry = catalog.topology(&arguments.topology)?;
    let topology = (entry.build)(BadInput::Fail, &arguments.own.assign(entry)?)?;
    print(&render(&topology, arguments.format))
}

/// A topology in a format.
pub(super) fn render(topology: &Topology, format: Format) -> String {
    match format {
        Format::Text => topology.describe(),
        Format::Mermaid => topology.mermaid(),
        // Plain data of our own: it always has a text.
        Format::Json => serde_json::to_string_pretty(&topology.description()).unwrap_or_default(),
    }
}

/// Several topologies in each format, for the HTTP listener, which outlives them.
pub(super) fn all(topologies: &[Topology]) -> impl Fn(Format) -> String + Send + Sync + use<> {
    let texts = [Format::Text, Format::Mermaid, Format::Json].map(|format| {
        let each: Vec<_> = topologies.iter().map(|topology| render(topology, format)).collect();
        match format {
            Format::Json => format!("[{}]", each.join(",")),
            Format::Text | Format::Mermaid => each.join("\n"),
        }
    });
    move |format| texts[format as usize].clone()
}
