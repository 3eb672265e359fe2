//! `topologies`: lists what there is to run.

use std::fmt::Write as _;

use super::catalog::Catalog;
use super::failure::{Failure, print};
use super::own_settings::Declared;

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
        for sink in entry.redis.iter().filter_map(|output| output().ok()) {
            let _ = writeln!(text, "{:width$}  --redis URL: {} → {}", "", sink.topic(), sink.outputs().join(", "));
        }
        let settings: Vec<(String, &str)> = entry.settings.iter().map(|setting| written(*setting)).collect();
        let longest = settings.iter().map(|(setting, _)| setting.len()).max().unwrap_or(0);
        for (setting, about) in settings {
            let _ = writeln!(text, "{:width$}  {setting:longest$}  {about}", "");
        }
    }
    text
}

/// A setting as it is given, with its default, and what it is for.
fn written(setting: &dyn Declared) -> (String, &'static str) {
    (format!("--set {}={}", setting.name(), setting.default()), setting.about())
}
