//! `describe`: shows how a topology is put together.

use super::args::DescribeArguments;
use super::catalog::Catalog;
use super::failure::{Failure, print};
use crate::http::Format;
use crate::operators::source::BadInput;
use crate::topology::Topology;

pub(super) fn describe(catalog: &Catalog, arguments: &DescribeArguments) -> Result<(), Failure> {
    let entry = catalog.topology(&arguments.topology)?;
    let topology = (entry.build)(BadInput::Fail, &arguments.own.assign(entry)?).map_err(Failure::of_build)?;
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
    let texts = [Format::Text, Format::Mermaid, Format::Json].map(|format| together(topologies, format));
    move |format| texts[format as usize].clone()
}

/// One document of several topologies. As text each has its name above it, where there are several.
fn together(topologies: &[Topology], format: Format) -> String {
    let each = || topologies.iter().map(|topology| render(topology, format));
    let named = || topologies.iter().zip(each()).map(|(topology, text)| format!("{}\n{text}", topology.name()));
    match (format, topologies) {
        (Format::Text | Format::Mermaid, [only]) => render(only, format),
        (Format::Text, _) => named().collect::<Vec<_>>().concat(),
        (Format::Mermaid, _) => Topology::mermaid_of_all(topologies),
        (Format::Json, _) => format!("[{}]", each().collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, NoKey, Topic};

    fn topology(name: &str) -> Topology {
        let b = Builder::new(name);
        b.source(Topic::<NoKey, String>::new("lines")).stream().to(Topic::<NoKey, String>::new("copy"));
        b.build().unwrap()
    }

    #[test]
    fn several_topologies_make_one_sound_document_of_each_format() {
        let show = all(&[topology("one"), topology("two")]);
        let text = show(Format::Text);
        assert!(text.starts_with("one\nTopologies:\n") && text.contains("\ntwo\nTopologies:\n"), "{text}");
        assert_eq!(show(Format::Mermaid).matches("flowchart").count(), 1);
        let json: serde_json::Value = serde_json::from_str(&show(Format::Json)).unwrap();
        assert_eq!((&json[0]["name"], &json[1]["name"]), (&"one".into(), &"two".into()));
    }

    #[test]
    fn one_topology_is_shown_as_describe_shows_it() {
        let show = all(&[topology("one")]);
        assert_eq!(show(Format::Text), render(&topology("one"), Format::Text));
        assert_eq!(show(Format::Mermaid), render(&topology("one"), Format::Mermaid));
    }
}
