//! The program as a child process: started, asked to stop, killed; what it logs is kept and can be waited for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use millstream::{Clock, SystemClock};

/// How many of the last log lines a failed test shows of each process.
const LINES: usize = 60;

/// A command of the program, without the settings of whoever runs the tests.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MILLSTREAM_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command of the program to its end.
pub fn output(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program starts")
}

/// A running child. Killed when it is dropped; where the test has failed, the end of its log is shown.
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the program; `name` is for the test's output.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        let kept = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self { name: name.to_owned(), child, log, reading: Some(reading) }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of its log lines hold `text`.
    pub fn count(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until a log line holds `text`, and gives the line. Fails where the process ends before.
    pub fn logged(&mut self, text: &str) -> String {
        let what = format!("{} to log {text:?}", self.name);
        within(Duration::from_mins(1), &what, || {
            let ended = self.ended();
            let line = self.log().lines().find(|line| line.contains(text)).map(str::to_owned);
            assert!(line.is_some() || !ended, "{} ended before it logged {text:?}:\n{}", self.name, self.log());
            line
        })
    }

    /// True once it has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Kills it at once, as a crash does.
    pub fn kill(&mut self) {
        // A process that has ended by itself is dead enough.
        let _ = self.child.kill();
        self.child.wait().expect("a child");
        self.finish();
    }

    /// Asks it to stop, as a supervisor does.
    pub fn terminate(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.expect("kill starts").success(), "{} had ended already:\n{}", self.name, self.log());
    }

    /// Sends it two signals at once, as a Ctrl-C does that comes from the terminal and is passed on as well.
    pub fn interrupt_twice(&self) {
        let id = self.child.id();
        let script = format!("kill -TERM {id} && kill -INT {id}");
        let sent = Command::new("sh").args(["-c", &script]).status();
        assert!(sent.expect("sh starts").success(), "{} had ended already:\n{}", self.name, self.log());
    }

    /// Waits for its end. Fails after `longest`.
    pub fn wait(&mut self, longest: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let status = within(longest, &what, || self.child.try_wait().expect("a child"));
        self.finish();
        status
    }

    /// Waits for its end, which must be a good one.
    pub fn succeeds(&mut self, longest: Duration) {
        let status = self.wait(longest);
        assert!(status.success(), "{} ended with {status}:\n{}", self.name, self.log());
    }

    /// The CPU time that it has used so far, in user and in kernel mode; nothing where the system does not say.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // What follows the name, which may hold anything: the 14th and 15th field, in hundredths of a second.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The page at `path` of its HTTP listener.
    pub fn get(&mut self, path: &str) -> String {
        let line = self.logged("listening at http://");
        let address = line.split("http://").nth(1).expect("an address").trim().to_owned();
        let mut stream = TcpStream::connect(&address).expect("the listener listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// The sum of the samples of a metric whose labels hold all of `labels`.
    pub fn metric(&mut self, name: &str, labels: &[&str]) -> u64 {
        let page = self.get("/metrics");
        let samples = page.lines().filter(|line| line.starts_with(name) && labels.iter().all(|l| line.contains(l)));
        samples.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)).sum()
    }

    fn finish(&mut self) {
        if let Some(reading) = self.reading.take() {
            reading.join().expect("the log is read");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(LINES);
            println!("--- the end of the log of {}\n{}", self.name, lines[from..].join("\n"));
        }
    }
}

/// Asks `what` every few milliseconds until it gives something; fails after `longest`.
pub fn within<T>(longest: Duration, waiting_for: &str, mut what: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock::new();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(clock.elapsed() < longest, "waited {longest:?} in vain for {waiting_for}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
