//! `topologies`: lists what there is to run.

use std::fmt::Write as _;

use super::catalog::Catalog;
use super::failure::{Failure, print};
use super::own_settings::Declared;

pub(super) fn topologies(catalog: &Catalog) -> Result<(), Failure> {
    print(&listed(catalog)?)
}

fn listed(catalog: &Catalog) -> Result<String, Failure> {
    let width = catalog.topologies.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for entry in &catalog.topologies {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:width$}  {}", entry.name, entry.about);
        let (inputs, outputs) = entry.topics()?;
        let _ = writeln!(text, "{:width$}  {} → {}", "", inputs.join(", "), outputs.join(", "));
        for sink in entry.redis.iter().filter_map(|output| output().ok()) {
            let _ = writeln!(text, "{:width$}  --redis URL: {} → {}", "", sink.topic(), sink.outputs().join(", "));
        }
        let settings: Vec<(String, &str)> = entry.settings.iter().map(|setting| written(*setting)).collect();
        let longest = settings.iter().map(|(setting, _)| setting.len()).max().unwrap_or(0);
        for (setting, about) in settings {
            let _ = writeln!(text, "{:width$}  {setting:longest$}  {about}", "");
        }
    }
    Ok(text)
}

/// A setting as it is given, with its default, and what it is for.
fn written(setting: &dyn Declared) -> (String, &'static str) {
    (format!("--set {}={}", setting.name(), setting.default()), setting.about())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::TopologyEntry;
    use crate::{Builder, Topic};

    #[test]
    fn a_topology_that_does_not_say_what_it_reads_and_writes_is_listed_with_what_it_declares() {
        let entry = TopologyEntry::new("counts", "Counts clicks", |bad_input, _| {
            let b = Builder::new("counts");
            let clicks = b.source(Topic::<String, String>::new("clicks")).on_bad_input(bad_input).stream();
            clicks.group_by_key().count().to(Topic::<String, u64>::new("click-counts"));
            Ok(b.build()?)
        });
        let text = listed(&Catalog::of([entry])).expect("it is sound");
        assert_eq!(text, "counts  Counts clicks\n        clicks → click-counts\n");
    }
}
