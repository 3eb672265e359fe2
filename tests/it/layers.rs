//! Imports point one way. The compiler does not mind a circle between modules; this does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules, from the ground up: each may use those before it.
const LAYERS: [&str; 18] = [
    "time",
    "record",
    "error",
    "codec",
    "window",
    "broker",
    "state",
    "operators",
    "topology",
    "dsl",
    "metrics",
    "runtime",
    "watch",
    "redis",
    "generate",
    "http",
    "testing",
    "cli",
];

/// What a module must not use although it comes later.
const APART: [(&str, &str); 2] = [("runtime", "dsl"), ("metrics", "dsl")];

/// Crates that only some places may name.
const AT_HOME: [(&str, &[&str]); 4] = [
    ("rdkafka", &["broker/kafka"]),
    ("rdkafka_sys", &["broker/kafka"]),
    ("sled", &["state"]),
    ("tokio", &["http", "cli", "broker/kafka/access"]),
];

#[test]
fn every_module_uses_only_those_below_it() {
    let mut wrong = BTreeSet::new();
    for (file, code) in sources() {
        let own = module_of(&file);
        let Some(rank) = LAYERS.iter().position(|layer| *layer == own) else { continue };
        for used in LAYERS.into_iter().filter(|used| *used != own && names(&code, &format!("crate::{used}"))) {
            let above = LAYERS[rank..].contains(&used);
            if above || APART.contains(&(own.as_str(), used)) {
                wrong.insert(format!("{}: {own} must not use {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_has_its_place_among_the_layers() {
    let known: BTreeSet<String> = LAYERS.iter().chain(&["lib", "main", "guide"]).map(ToString::to_string).collect();
    let unknown: BTreeSet<String> =
        sources().iter().map(|(file, _)| module_of(file)).filter(|module| !known.contains(module)).collect();
    assert!(unknown.is_empty(), "say where these stand: {unknown:?}");
}

#[test]
fn clients_and_stores_are_named_at_home_only() {
    let mut wrong = BTreeSet::new();
    for (file, code) in sources() {
        for (name, homes) in AT_HOME {
            let at_home =
                homes.iter().any(|home| file.starts_with(home) || file == Path::new(home).with_extension("rs"));
            if !at_home && names(&code, &format!("{name}::")) {
                wrong.insert(format!("{} must not name {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The program's sources with their paths below `src`, without comments and without what only tests compile.
fn sources() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![src.clone()];
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).expect("the sources can be listed") {
            let path = entry.expect("the sources can be listed").path();
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !name.contains("test") {
                let text = std::fs::read_to_string(&path).expect("a source can be read");
                let file = path.strip_prefix(&src).expect("it lies below src").to_owned();
                found.push((file, code_of(&text)));
            }
        }
    }
    assert!(!found.is_empty(), "no sources found below {}", src.display());
    found
}

fn code_of(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = shipped.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// The module that a file below `src` belongs to.
fn module_of(file: &Path) -> String {
    let first = file.components().next().expect("a path has a part").as_os_str();
    Path::new(first).file_stem().expect("a module has a name").to_string_lossy().into_owned()
}

/// Is `path` named in `code`, as a whole?
fn names(code: &str, path: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(path).any(|(at, _)| {
        let after = &code[at + path.len()..];
        !code[..at].ends_with(part) && (path.ends_with(':') || !after.starts_with(part))
    })
}
