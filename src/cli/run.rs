//! `run`: runs topologies on Kafka until they are stopped.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::args::{PlanFormat, RunArguments, ServeArguments, SettingArguments};
use super::catalog::{Build, Catalog, Report};
use super::failure::Failure;
use super::fleet::Fleet;
use super::own_settings::{Settings, assign};
use super::redis::Outputs;
use super::settings::Layer;
use super::{connect, describe, left_out, lock, plan, redis, report, security, signals, token};
use crate::broker::Broker;
use crate::http::Bound;
use crate::metrics::Metrics;
use crate::runtime::{App, Config};
use crate::state::StateOptions;
use crate::topology::Topology;

pub(super) fn run(catalog: &Catalog, arguments: &RunArguments) -> Result<(), Failure> {
    let mut settings = settings(&arguments.settings)?;
    settings.set.0.extend(arguments.own.set.iter().cloned());
    let reports = reports(catalog, arguments, settings.until_end == Some(true))?;
    let topologies = build(catalog, &arguments.topologies, &settings)?;
    let bad_input = settings.bad_input.clone().unwrap_or_default();
    let redis = redis::outputs(catalog, &arguments.topologies, settings.redis_place().as_ref(), &bad_input)?;
    run_all(topologies, &settings, &reports, redis)
}

/// The tables to be printed at the end.
fn reports(catalog: &Catalog, arguments: &RunArguments, until_end: bool) -> Result<Vec<Report>, Failure> {
    if arguments.report && !until_end {
        return Err(Failure::Usage("--report goes with --until-end: the table is printed at the end".into()));
    }
    let entries = arguments.topologies.iter().map(|name| catalog.topology(name));
    let reports = entries.map(|entry| report::of(entry?, arguments.report, until_end));
    reports.filter_map(Result::transpose).collect()
}

/// Runs the topology of a program of the user's own, or shows its plan.
pub(super) fn serve(build: Build, arguments: &ServeArguments) -> Result<(), Failure> {
    let settings = settings(&arguments.settings)?;
    if let Some(name) = settings.set.0.keys().next() {
        return Err(Failure::Usage(format!("the setting {name} is given, and this program has none of its own")));
    }
    if settings.redis_place().is_some() {
        return Err(redis::none(&[]));
    }
    let topology = build(settings.bad_input.clone().unwrap_or_default())?;
    if arguments.plan {
        return plan::show(&[topology], &settings, arguments.write, PlanFormat::Text, &[]);
    }
    run_all(vec![topology], &settings, &[], None)
}

fn run_all(
    topologies: Vec<Topology>,
    settings: &Layer,
    reports: &[Report],
    redis: Option<Outputs>,
) -> Result<(), Failure> {
    if let Some(file) = &settings.lock {
        lock::check(file, &topologies)?;
    }
    let token = token::find(settings.http_token_file.as_deref())?;
    // Before the group is joined: a process that fails after that takes partitions with it for a while.
    let http = settings.http.map(|addr| Bound::at(addr, token.as_ref())).transpose()?;
    let Some(bootstrap_servers) = &settings.bootstrap_servers else {
        return Err(Failure::Usage(
            "no Kafka is named; give --bootstrap-servers HOST:PORT, or try `millstream local`".into(),
        ));
    };
    let broker = connect::kafka(bootstrap_servers, settings)?;
    let stop = signals::listen(|| {})?;
    tell(settings);
    let descriptions = describe::all(&topologies);
    let metrics = Metrics::new();
    let names: Vec<String> = topologies.iter().map(|topology| topology.name().to_owned()).collect();
    let advertise = advertised(settings, http.as_ref().map(Bound::addr));
    let config = Config { advertise: advertise.clone(), ..config(settings) };
    let mut fleet = start(topologies, &broker, &config, &metrics)?;
    redis.map_or(Ok(()), |redis| redis.start(&mut fleet, &broker, &config, &metrics))?;
    // Whether anybody can ask or not: it says in the log what is stuck.
    let observer = fleet.observe(&metrics, advertise.clone());
    let http =
        http.map(|http| http.serve(fleet.sources(&metrics, descriptions, token, advertise, &observer))).transpose()?;
    if let Some(http) = &http {
        tracing::info!("listening at http://{}", http.addr());
    }
    fleet.wait(&stop)?;
    left_out::tell(&metrics, names.iter().map(String::as_str));
    tracing::info!("stopped in good order");
    if stop.asked() {
        // What has not come to its end is no result.
        return Ok(());
    }
    let actual = |topic| settings.topic.get(topic).map_or(topic, String::as_str);
    reports.iter().try_for_each(|of| report::print(&*broker, *of, actual(of.topic)))
}

/// What the process runs by, in one line. Of properties only the names: there are passwords among them.
fn tell(settings: &Layer) {
    let config = config(settings);
    let properties: Vec<&str> = settings.property.as_map().keys().map(String::as_str).collect();
    tracing::info!(
        bootstrap_servers = settings.bootstrap_servers.as_deref().unwrap_or_default(),
        application_id = config.application,
        threads = config.threads,
        guarantee = ?config.guarantee,
        commit_interval = ?config.commit_interval,
        state = settings.state_dir.as_ref().map_or_else(|| "in memory".to_owned(), |path| path.display().to_string()),
        security = security::shown(settings),
        properties = properties.join(","),
        "starting"
    );
}

/// Builds the topologies, all before one starts: a mistake is told before anything has happened.
pub(super) fn build(catalog: &Catalog, names: &[String], settings: &Layer) -> Result<Vec<Topology>, Failure> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(Failure::Usage(format!("{twice} is named twice; for more threads give --threads")));
    }
    let entries = names.iter().map(|name| catalog.topology(name)).collect::<Result<Vec<_>, _>>()?;
    let bad_input = settings.bad_input.clone().unwrap_or_default();
    let mut topologies = Vec::new();
    for (entry, own) in entries.iter().zip(assign(&entries, &settings.set.0)?) {
        if own != Settings::default() {
            tracing::info!(topology = entry.name, settings = %own, "with settings of its own");
        }
        topologies.push((entry.build)(bad_input.clone(), &own).map_err(Failure::of_build)?);
    }
    Ok(topologies)
}

fn settings(arguments: &SettingArguments) -> Result<Layer, Failure> {
    Ok(arguments.layer().with_file_and_environment(arguments.config.as_deref())?)
}

fn start(
    topologies: Vec<Topology>,
    broker: &Arc<dyn Broker>,
    config: &Config,
    metrics: &Metrics,
) -> Result<Fleet, Failure> {
    let mut fleet = Fleet::default();
    for topology in topologies {
        let name = topology.name().to_owned();
        let application = App::new(topology, Arc::clone(broker), config.clone()).metrics(metrics);
        fleet.start(&name, application)?;
        tracing::info!(topology = name, "started");
    }
    Ok(fleet)
}

/// Where other processes ask for the state that is here: the address that is listened at, unless it is none in particular.
fn advertised(settings: &Layer, bound: Option<SocketAddr>) -> Option<String> {
    let bound = bound?;
    if settings.advertise.is_none() && bound.ip().is_unspecified() {
        tracing::info!(
            "other processes cannot ask for the state that is here: say with --advertise where they reach it"
        );
        return None;
    }
    Some(settings.advertise.clone().unwrap_or_else(|| bound.to_string()))
}

fn config(settings: &Layer) -> Config {
    let mut config = Config::new(settings.application());
    config.instance.clone_from(&settings.instance);
    config.threads = settings.threads.unwrap_or(config.threads);
    config.guarantee = settings.guarantee.map_or(config.guarantee, Into::into);
    config.commit_interval = settings.commit_interval.unwrap_or(config.commit_interval);
    config.session_timeout = settings.session_timeout.unwrap_or(config.session_timeout);
    config.transaction_timeout = settings.transaction_timeout.unwrap_or(config.transaction_timeout);
    config.until_end = settings.until_end.unwrap_or(config.until_end);
    config.leave_on_stop = settings.leave_on_stop.unwrap_or(config.leave_on_stop);
    config.topics.clone_from(&settings.topic);
    config.state = match &settings.state_dir {
        Some(directory) => StateOptions::Directory(directory.clone()),
        None => StateOptions::Memory,
    };
    config
}
