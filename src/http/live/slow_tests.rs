//! Many who watch, and slowly: what it costs the topology, and what it leaves behind.
//!
//! The long ones are run by hand, in a release build for figures that mean something:
//! `cargo test --release --lib slow_readers -- --ignored --nocapture` and
//! `cargo test --release --lib ten_minutes -- --ignored --nocapture` (or `WATCH_SECONDS=60`, for less).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::tests::Events;
use crate::http::events::{Event, Hub};
use crate::http::state::tests::{Process, new_broker, start, until, write};
use crate::{AppState, Clock as _, MemoryBroker, SystemClock};

/// Kilobytes of memory that the process has.
fn memory() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// How much of a processor the threads of these names have used, in hundredths of a second.
fn used(names: &[&str]) -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let used = threads.filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        let (head, rest) = stat.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
        names.iter().any(|wanted| name.starts_with(wanted)).then(|| Some(ticks(11)? + ticks(12)?))?
    });
    used.sum()
}

/// True where there is a thread of this name.
fn runs(name: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let mut names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.any(|known| known.trim() == name)
}

/// The threads that process records, and those that serve who watches.
const STREAMS: &[&str] = &["stream-"];
const SERVES: &[&str] = &["http", "tap", "tokio"];

/// One who reads a byte now and then, with as small a window as the kernel gives.
fn slow(addr: SocketAddr, path: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect(&addr.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut byte = [0; 12];
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"HTTP/1.1 200", "it is let in");
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Half of them watch the status, half a topic; of each half one half reads nothing at all.
struct Crowd {
    stop: Arc<AtomicBool>,
    reading: Option<JoinHandle<usize>>,
}

impl Crowd {
    fn gather(addr: SocketAddr, many: usize) -> Self {
        let mut streams: Vec<TcpStream> = (0..many)
            .map(|n| slow(addr, if n % 2 == 0 { "/live/events" } else { "/live/events/topic/counted" }))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reading = std::thread::spawn(move || {
            let mut read = 0;
            while !stopped.load(Ordering::SeqCst) {
                for stream in streams.iter_mut().enumerate().filter(|(n, _)| n / 2 % 2 == 0).map(|(_, stream)| stream) {
                    read += stream.read(&mut [0]).unwrap_or(0);
                }
                std::thread::park_timeout(Duration::from_millis(200));
            }
            read
        });
        Self { stop, reading: Some(reading) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
    }
}

/// How long it takes to count so many words.
fn count(broker: &MemoryBroker, process: &Process, words: usize, first: &mut i64) -> Run {
    process.running.pause();
    until("the pause", || match process.running.status().state {
        AppState::Paused => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let names: Vec<String> = (0..1_000).map(|n| format!("word {n}")).collect();
    for chunk in 0..words / 1_000 {
        let partition = u32::try_from(chunk % 4).unwrap();
        let records: Vec<_> = names.iter().map(|name| (partition, "", name.as_bytes(), *first)).collect();
        write(broker, "words", &records);
    }
    // Behind the shuffle: what is read is counted with the step that it is in.
    let read = process.metrics.topology("words").records_in("test-words-by-word-repartition");
    let end = read.get() + words as u64;
    let (streams, serves) = (used(STREAMS), used(SERVES));
    let clock = SystemClock::new();
    process.running.resume();
    while read.get() < end {
        assert!(clock.elapsed() < Duration::from_mins(10), "{} left", end - read.get());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    *first += 1;
    Run { time: clock.elapsed().as_secs_f64(), streams: used(STREAMS) - streams, serves: used(SERVES) - serves }
}

/// What it took to count some words.
struct Run {
    /// Seconds.
    time: f64,
    /// What the stream threads used of a processor, and what those that serve did.
    streams: f64,
    serves: f64,
}

#[test]
#[ignore = "it measures, for minutes, and wants the machine for itself"]
#[cfg(unix)]
fn a_thousand_slow_readers_cost_the_topology_next_to_nothing() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const READERS: usize = 1_000;
    let words: usize = std::env::var("WORDS").map_or(200_000, |words| words.parse().unwrap());
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let broker = new_broker();
    let one = start(&broker, "one", None, true);
    until("it to run", || match one.running.status().state {
        AppState::Running => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let mut first = 1;
    count(&broker, &one, words, &mut first);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..7 {
        without.push(count(&broker, &one, words, &mut first));
        let before = memory();
        let crowd = Crowd::gather(one.http.addr(), READERS);
        with.push(count(&broker, &one, words, &mut first));
        let grown = memory() - before;
        drop(crowd);
        until("the tap to end", || if runs("tap") { Err("it runs") } else { Ok(()) }.map_err(str::to_owned));
        for (what, runs) in [("alone", &without), ("watched", &with)] {
            let Run { time, streams, serves } = runs.last().unwrap();
            eprintln!("round {round}, {what}: {time:.2} s, {streams} of stream threads, {serves} of the listener's");
        }
        eprintln!("round {round}: {grown} kB more");
    }
    let middle = |runs: &[Run]| {
        let mut times: Vec<f64> = runs.iter().map(|run| run.time).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let share = |runs: &[Run]| {
        let (serves, time) = runs.iter().fold((0.0, 0.0), |sum, run| (sum.0 + run.serves, sum.1 + run.time));
        serves / time / 100.0
    };
    let (longer, cost) = (middle(&with) / middle(&without) - 1.0, share(&with) - share(&without));
    eprintln!("with {READERS} slow readers it takes {:.1} % longer", longer * 100.0);
    eprintln!("the listener and its taps use {:.1} % of one core more", cost * 100.0);
    // The time says it on a machine of one's own only; what was used of a processor says it on any: what the readers cost is
    // as much a second, however much the topology gets done in it.
    assert!(cost < 0.05, "{cost}");
}

#[test]
#[ignore = "it watches for ten minutes"]
fn ten_minutes_of_watching_do_not_grow_the_process() {
    let seconds: u64 = std::env::var("WATCH_SECONDS").map_or(600, |seconds| seconds.parse().unwrap());
    let broker = new_broker();
    let one = start(&broker, "one", None, true);
    let mut streams =
        ["/live/events", "/live/events/topic/counted"].map(|path| Events::open(one.http.addr(), path, ""));
    let clock = SystemClock::new();
    let mut warm = None;
    let mut n = 0;
    while clock.elapsed() < Duration::from_secs(seconds) {
        let name = format!("word {}", n % 100);
        write(&broker, "words", &[(u32::try_from(n % 4).unwrap(), "", name.as_bytes(), n)]);
        n += 1;
        for stream in &mut streams {
            assert!(stream.next().is_some());
        }
        if clock.elapsed() > Duration::from_secs(seconds / 10) {
            warm.get_or_insert_with(memory);
        }
    }
    let grown = memory() - warm.unwrap();
    eprintln!("{grown} kB more after {seconds} s");
    assert!(grown < 8 * 1024, "{grown} kB");
}

/// What a leak of a few bytes an event would show as, without waiting for as many: some hours of events to watchers who come,
/// go, and do not read.
#[test]
#[cfg(target_os = "linux")]
fn hours_of_events_leave_nothing_behind() {
    let hub = Hub::default();
    let mut feeds = Vec::new();
    let mut publish = |from: u64, to: u64| {
        for tick in from..to {
            if tick % 100 == 0 {
                feeds.clear();
                feeds.extend((0..20).map(|_| hub.join(Duration::ZERO)));
            }
            let event = Event::new("status", &"x".repeat(8 * 1024));
            hub.publish(Duration::from_millis(tick * 500), |_| Some((event.clone(), tick)));
        }
        assert_eq!(hub.len(), 20);
        memory()
    };
    let before = publish(0, 1_000);
    // Four hours: 250 MB of events.
    let grown = publish(1_000, 30_000) - before;
    // Other tests run meanwhile.
    assert!(grown < 100 * 1024, "{grown} kB");
}
