//! Kafka's own tools, one call after the other in one Java machine.
#![cfg(feature = "cli")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::totals::jars;

/// What changes users (`kafka-configs.sh`).
pub const CONFIGS: &str = "kafka.admin.ConfigCommand";
/// What changes ACLs (`kafka-acls.sh`).
pub const ACLS: &str = "org.apache.kafka.tools.AclCommand";

/// A Java machine that runs tools; it ends with this.
pub struct Tools {
    machine: Child,
    calls: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Tools {
    pub fn start() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/java/tools/Tools.java");
        let mut machine = Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-cp", &format!("{}/*", jars().display())])
            .arg(source)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("java starts");
        let calls = machine.stdin.take().expect("piped");
        let answers = BufReader::new(machine.stdout.take().expect("piped"));
        Self { machine, calls, answers }
    }

    /// Runs a tool, which must succeed.
    pub fn run(&mut self, class: &str, arguments: &[&str]) {
        writeln!(self.calls, "{class}\t{}", arguments.join("\t")).expect("asked");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("answered");
        assert_eq!(answer.trim(), "done", "{class} {arguments:?}");
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}
