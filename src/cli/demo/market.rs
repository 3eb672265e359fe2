//! What runs while the screen shows it: generators, a broker, topologies, a listener.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::board::Board;
use super::exhibit::Exhibit;
use super::feeds::{Feed, feeds};
use crate::broker::{Broker, NewTopic};
use crate::cli::args::DemoArguments;
use crate::cli::catalog::{Catalog, Demo};
use crate::cli::failure::Failure;
use crate::cli::fleet::Fleet;
use crate::cli::own_settings::Settings;
use crate::cli::redis::{self, Outputs, Place};
use crate::cli::signals::Stop;
use crate::cli::{connect, describe, token};
use crate::error::{Error, ErrorKind, Result};
use crate::generate::{Generator, Pace, Watch, drive};
use crate::http::{HttpServer, Sources};
use crate::metrics::Metrics;
use crate::operators::source::BadInput;
use crate::runtime::{App, Config};
use crate::time::{Clock, SystemClock};
use crate::topology::Topology;
use crate::watch::Observer;

const SEED: u64 = 1;
const PARTITIONS: u32 = 4;
/// Stream threads of each topology.
pub(super) const THREADS: usize = 2;
/// Where the demos send records that they cannot use.
const DEAD_LETTERS: &str = "demo.dead-letters";
const APPLICATION: &str = "demo";
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// What runs.
pub(super) struct Market {
    pub(super) exhibits: Vec<Exhibit>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) http: HttpServer,
    pub(super) stop: Stop,
    /// Says in the log and in the metrics what is stuck.
    observer: Observer,
    fleet: Fleet,
    generators: Vec<JoinHandle<Result<u64>>>,
}

impl Market {
    pub(super) fn open(
        catalog: &Catalog,
        demos: &[&Demo],
        arguments: &DemoArguments,
        stop: Stop,
    ) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let feeds = feeds(demos, arguments.rate);
        let generators = make(catalog, &feeds, arguments.seed.unwrap_or(SEED), &*clock)?;
        let topologies = build(catalog, demos)?;
        let redis = outputs(catalog, demos, arguments)?;
        let broker = connect::memory(Arc::clone(&clock));
        create_topics(&*broker, &generators, &topologies)?;
        let descriptions = describe::all(&topologies);
        // Several topologies keep a machine's cores busy enough with a thread each.
        let metrics = Metrics::new();
        let mut fleet = start(topologies, &broker, &metrics)?;
        redis.map_or(Ok(()), |redis| redis.start(&mut fleet, &broker, &Config::new(APPLICATION), &metrics))?;
        let observer = fleet.observe(&metrics, None);
        let http = listen(arguments.http, &fleet.sources(&metrics, descriptions, token::find(None)?, None, &observer))?;
        tracing::info!("listening at http://{}", http.addr());
        let exhibits = demos.iter().map(|demo| exhibit(catalog, demo, &feeds, &*broker, &metrics));
        let exhibits = exhibits.collect::<Result<_, _>>()?;
        let generators = generators.into_iter().zip(&feeds);
        let generators = generators
            .map(|(generator, feed)| feed_from(generator, *feed, &broker, &clock, &stop))
            .collect::<Result<_>>()?;
        Ok(Self { exhibits, clock, http, stop, observer, fleet, generators })
    }

    /// True once somebody has asked for it, or something has ended by itself.
    pub(super) fn ended(&self) -> bool {
        self.stop.asked() || self.fleet.ended() || self.generators.iter().any(JoinHandle::is_finished)
    }

    /// Stops the generators first, so that what they have written is still processed; the first error counts.
    pub(super) fn close(self, shown: Result<(), Failure>) -> Result<(), Failure> {
        let Self { fleet, observer, generators, http, stop, .. } = self;
        stop.ask();
        let panicked = || Error::new(ErrorKind::Internal, "a generator panicked");
        let joined: Vec<_> =
            generators.into_iter().map(|generator| generator.join().unwrap_or_else(|_| Err(panicked()))).collect();
        let stopped = fleet.stop();
        drop((http, observer));
        stopped.and(joined.into_iter().try_for_each(|generated| generated.map(drop)))?;
        shown
    }
}

fn make(catalog: &Catalog, feeds: &[Feed], seed: u64, clock: &dyn Clock) -> Result<Vec<Box<dyn Generator>>, Failure> {
    let make = |feed: &Feed| Ok((catalog.generator(feed.generator)?.make)(feed.options(seed, clock.wall()))?);
    feeds.iter().map(make).collect()
}

fn build(catalog: &Catalog, demos: &[&Demo]) -> Result<Vec<Topology>, Failure> {
    let build = |demo: &&Demo| {
        let entry = catalog.topology(demo.topology)?;
        Ok((entry.build)(BadInput::dead_letter(DEAD_LETTERS), &Settings::default())?)
    };
    demos.iter().map(build).collect()
}

/// What goes to Redis, where one is given.
fn outputs(catalog: &Catalog, demos: &[&Demo], arguments: &DemoArguments) -> Result<Option<Outputs>, Failure> {
    let names: Vec<String> = demos.iter().map(|demo| demo.topology.to_owned()).collect();
    let place = arguments.redis.as_ref().map(Place::Url);
    redis::outputs(catalog, &names, place.as_ref(), &BadInput::dead_letter(DEAD_LETTERS))
}

fn create_topics(broker: &dyn Broker, generators: &[Box<dyn Generator>], topologies: &[Topology]) -> Result<()> {
    let written = generators.iter().flat_map(|generator| generator.topics().iter().copied());
    let of_topologies = topologies.iter().flat_map(|topology| topology.sources().into_iter().chain(topology.sinks()));
    let topics: BTreeSet<&str> = written.chain(of_topologies).collect();
    let new = |name: &str| NewTopic { name: name.to_owned(), partitions: PARTITIONS, settings: [].into() };
    broker.create_topics(&topics.into_iter().map(new).collect::<Vec<_>>())
}

fn start(topologies: Vec<Topology>, broker: &Arc<dyn Broker>, metrics: &Metrics) -> Result<Fleet> {
    let mut fleet = Fleet::default();
    for topology in topologies {
        let mut config = Config::new(APPLICATION);
        config.threads = THREADS;
        let name = topology.name().to_owned();
        fleet.start(&name, App::new(topology, Arc::clone(broker), config).metrics(metrics))?;
    }
    Ok(fleet)
}

fn exhibit(
    catalog: &Catalog,
    demo: &Demo,
    feeds: &[Feed],
    broker: &dyn Broker,
    metrics: &Metrics,
) -> Result<Exhibit, Failure> {
    let entry = catalog.topology(demo.topology)?;
    let speed = feeds.iter().find(|feed| feed.generator == demo.generator).map_or(1.0, |feed| feed.speed);
    let board = Board::new(broker, demo)?;
    Ok(Exhibit::new(demo.clone(), speed, entry.inputs, metrics.topology(entry.name), board))
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

/// Writes what a generator makes, on a thread of its own, until it is stopped.
fn feed_from(
    mut generator: Box<dyn Generator>,
    feed: Feed,
    broker: &Arc<dyn Broker>,
    clock: &Arc<dyn Clock>,
    stop: &Stop,
) -> Result<JoinHandle<Result<u64>>> {
    let (mut writer, clock, stop) = (broker.writer()?, Arc::clone(clock), stop.clone());
    let pace = Pace { rate: Some(feed.rate), count: None };
    thread::Builder::new()
        .name(format!("generate-{}", feed.generator))
        .spawn(move || drive(&mut *generator, &mut *writer, &*clock, pace, &stop))
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot start a generator").caused_by(error))
}
