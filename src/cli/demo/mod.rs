//! The demo: a generator and a topology on a broker inside the process, and a screen that shows what comes out.

mod board;
mod plain;
mod screen;
mod view;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::args::DemoArguments;
use super::catalog::{Catalog, Demo};
use super::failure::{Failure, print};
use super::fleet::Fleet;
use super::own_settings::Settings;
use super::signals::{self, Stop};
use super::{connect, describe, token};
use crate::broker::{Broker, NewTopic};
use crate::error::{Error, ErrorKind, Result};
use crate::generate::{Faults, Generator, Options, Pace, Watch, drive};
use crate::http::{HttpServer, Sources};
use crate::metrics::{Metrics, Totals};
use crate::operators::source::BadInput;
use crate::runtime::{App, Config};
use crate::time::{Clock, SystemClock};
use board::Board;
use view::Snapshot;

const RATE: f64 = 50.0;
const SEED: u64 = 1;
const PARTITIONS: u32 = 4;
/// Where the demo sends records that it cannot use.
const DEAD_LETTERS: &str = "demo.dead-letters";
const THREADS: usize = 2;
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// What runs while the screen shows it.
struct Market {
    inputs: &'static [&'static str],
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    fleet: Fleet,
    generator: JoinHandle<Result<u64>>,
    http: HttpServer,
    stop: Stop,
}

pub(super) fn demo(catalog: &Catalog, arguments: &DemoArguments, screen: bool) -> Result<(), Failure> {
    let stop = signals::listen(move || {
        if screen {
            ratatui::restore();
        }
    })?;
    let (market, board) = open(catalog, arguments, stop)?;
    let shown = show(&market, board, &catalog.demo, arguments.duration, screen);
    close(market, shown)
}

fn open(catalog: &Catalog, arguments: &DemoArguments, stop: Stop) -> Result<(Market, Board), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let rate = arguments.rate.unwrap_or(RATE);
    let options = Options { seed: arguments.seed.unwrap_or(SEED), start: clock.wall(), rate, faults: Faults::NONE };
    let generator = (catalog.generator(catalog.demo.generator)?.make)(options)?;
    let entry = catalog.topology(catalog.demo.topology)?;
    let broker = connect::memory(Arc::clone(&clock));
    let topology = (entry.build)(BadInput::dead_letter(DEAD_LETTERS), &Settings::default())?;
    let topics = generator.topics().iter().copied().chain(topology.sources()).chain(topology.sinks());
    let new = |name: &str| NewTopic { name: name.to_owned(), partitions: PARTITIONS, settings: [].into() };
    broker.create_topics(&topics.map(new).collect::<Vec<_>>())?;
    let descriptions = describe::all(std::slice::from_ref(&topology));
    let metrics = Metrics::new();
    let mut config = Config::new("demo");
    config.threads = THREADS;
    let mut fleet = Fleet::default();
    fleet.start(entry.name, App::new(topology, Arc::clone(&broker), config).metrics(&metrics))?;
    let http = listen(arguments.http, &fleet.sources(&metrics, descriptions, token::find(None)?))?;
    let board = Board::new(&*broker, &catalog.demo)?;
    let generator = sell(generator, &broker, &clock, rate, &stop)?;
    Ok((Market { inputs: entry.inputs, clock, metrics, fleet, generator, http, stop }, board))
}

/// Listens at the address that was asked for, or else at the usual one, or else anywhere.
fn listen(asked: Option<SocketAddr>, sources: &Sources) -> Result<HttpServer> {
    match asked {
        Some(addr) => HttpServer::start(addr, sources.clone()),
        None => HttpServer::start(HTTP, sources.clone())
            .or_else(|_| HttpServer::start((Ipv4Addr::LOCALHOST, 0).into(), sources.clone())),
    }
}

impl Watch for Stop {
    fn stopped(&self) -> bool {
        self.asked()
    }

    fn written(&self, _: u64) {}

    fn wait(&self, duration: Duration) {
        Stop::wait(self, duration);
    }
}

fn sell(
    mut generator: Box<dyn Generator>,
    broker: &Arc<dyn Broker>,
    clock: &Arc<dyn Clock>,
    rate: f64,
    stop: &Stop,
) -> Result<JoinHandle<Result<u64>>> {
    let (mut writer, clock, stop) = (broker.writer()?, Arc::clone(clock), stop.clone());
    let pace = Pace { rate: Some(rate), count: None };
    thread::Builder::new()
        .name("generator".into())
        .spawn(move || drive(&mut *generator, &mut *writer, &*clock, pace, &stop))
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot start the generator").caused_by(error))
}

/// Shows what goes on until the time is over, somebody wants to leave, or something has ended.
fn show(
    market: &Market,
    mut board: Board,
    demo: &Demo,
    duration: Option<Duration>,
    screen: bool,
) -> Result<(), Failure> {
    let start = market.clock.elapsed();
    let mut surface = screen::Surface::new(screen, &welcome(market, demo))?;
    let mut pace = view::Pace::default();
    loop {
        board.update()?;
        let elapsed = market.clock.elapsed().saturating_sub(start);
        let totals = market.totals(demo);
        let snapshot = Snapshot {
            topology: demo.topology,
            threads: THREADS,
            http: market.http.addr(),
            elapsed,
            records_a_second: pace.of(elapsed, totals.records_in),
            totals,
            rank_by: demo.rank_by,
            columns: demo.columns,
            rows: board.ranked(),
        };
        let over = duration.is_some_and(|duration| elapsed >= duration);
        if over || market.ended() || surface.show(&snapshot, &market.stop)? {
            drop(surface);
            return print(&plain::line(&snapshot));
        }
    }
}

fn welcome(market: &Market, demo: &Demo) -> String {
    format!("millstream demo: {}, {THREADS} threads, http://{}; Ctrl-C stops\n", demo.topology, market.http.addr())
}

impl Market {
    /// What has been counted; of the records only those of the input topics, or each would count again after a shuffle.
    fn totals(&self, demo: &Demo) -> Totals {
        let metrics = self.metrics.topology(demo.topology);
        let records_in = self.inputs.iter().map(|topic| metrics.records_in(topic).get()).sum();
        Totals { records_in, ..metrics.totals() }
    }

    fn ended(&self) -> bool {
        self.stop.asked() || self.fleet.ended() || self.generator.is_finished()
    }
}

/// Stops the generator first, so that what it has written is still processed; the first error counts.
fn close(market: Market, shown: Result<(), Failure>) -> Result<(), Failure> {
    let Market { fleet, generator, http, stop, .. } = market;
    stop.ask();
    let panicked = || Error::new(ErrorKind::Internal, "the generator panicked");
    let generated = generator.join().unwrap_or_else(|_| Err(panicked()));
    let stopped = fleet.stop();
    drop(http);
    stopped.and(generated.map(drop))?;
    shown
}
