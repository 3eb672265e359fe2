//! Results of the program against what a tool in Python works out by itself from the same input.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::process::output;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Where Python is missing, says so and gives false; in CI that is a failure instead.
pub fn python_is_there() -> bool {
    let version = Command::new("python3").arg("--version").output();
    match version {
        Ok(version) if version.status.success() => true,
        _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("python3 is missing"),
        _ => {
            println!("skipped: python3 is missing, which works out what the results must be");
            false
        }
    }
}

/// Runs a command of the program and keeps what it prints in a file.
pub fn printed(directory: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let run = output(arguments);
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    let path = directory.join(name);
    std::fs::write(&path, run.stdout).unwrap();
    path
}

/// Has Python compare what was printed with what `tool` works out of the input.
pub fn compare(tool: &str, options: &[&str], input: &Path, output: &Path) -> Output {
    let tool = Path::new(ROOT).join("tests/tools").join(tool);
    Command::new("python3").arg(tool).args(options).args([input, output]).output().unwrap()
}

/// The same, and nothing may differ. Gives how much there was to compare.
pub fn compared(tool: &str, options: &[&str], input: &Path, output: &Path, what: &str) -> Value {
    let run = compare(tool, options, input, output);
    let (counts, wrong) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{what}: {counts}{wrong}");
    println!("{what}: {}", counts.trim());
    serde_json::from_str(&counts).unwrap()
}

/// There must be so much of it.
pub fn at_least(counts: &Value, name: &str, least: i64) {
    assert!(counts[name].as_i64().is_some_and(|count| count >= least), "too few {name}: {counts}");
}
