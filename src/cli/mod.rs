//! The command line. A binary hands over its [`Catalog`] of topologies and gets all commands.

mod args;
mod catalog;
mod connect;
mod demo;
mod describe;
mod failure;
mod fleet;
mod generate;
mod health;
mod json;
mod left_out;
mod line;
mod local;
mod lock;
mod logging;
mod output;
mod own_settings;
mod parse;
mod plan;
mod progress;
mod redis;
mod report;
mod reset;
mod run;
mod security;
mod settings;
mod signals;
mod token;
mod topologies;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{FromArgMatches, Parser};

pub use catalog::{Build, BuildWith, Catalog, Demo, GeneratorEntry, RedisOutput, Report, TopologyEntry};
pub use own_settings::{Declared, Setting, SettingValue, Settings};

use crate::broker::kafka::share_memory_arenas;

use args::{Arguments, Command, DemoCommand, ServeArguments};
use failure::Failure;

/// Reads the command line and does what it says. The exit code is 0 after success and after a stop that was asked for,
/// 1 after an error, 2 where the command line itself is wrong, 3 where `plan` has found something changed or left behind.
pub fn main(catalog: &Catalog) -> ExitCode {
    share_memory_arenas();
    let matches = args::command(catalog).get_matches();
    // What clap has matched is what it was made from.
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    exit(dispatch(catalog, arguments))
}

/// The `main` of a program that runs a topology of its own on Kafka: with the flags, the configuration file, the
/// environment, the logs, the HTTP listener and the graceful stop of `millstream run`. With `--plan --lock FILE` it does what
/// `millstream plan` does instead.
///
/// ```no_run
/// use millstream::{BadInput, Builder, Result, Topic, Topology};
///
/// const CLICKS: Topic<String, String> = Topic::new("clicks");
/// const COUNTS: Topic<String, u64> = Topic::new("click-counts");
///
/// fn clicks(bad_input: BadInput) -> Result<Topology> {
///     let b = Builder::new("clicks");
///     b.source(CLICKS).on_bad_input(bad_input).stream().group_by_key().count().named("counts").to(COUNTS);
///     Ok(b.build()?)
/// }
///
/// fn main() -> std::process::ExitCode {
///     millstream::cli::serve(clicks)
/// }
/// ```
pub fn serve(build: Build) -> ExitCode {
    share_memory_arenas();
    let arguments = ServeArguments::parse();
    exit(logging::start(&arguments.log, "info", false).and_then(|()| run::serve(build, &arguments)))
}

fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let what = if matches!(failure, Failure::Differs(_)) { "" } else { "error: " };
            eprintln!("{what}{failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(catalog: &Catalog, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { command, demo, log } = arguments;
    let command = match command {
        // Nothing that runs by itself: what there is to ask for.
        None if catalog.demos.is_empty() => {
            return args::command(catalog).print_help().map_err(Failure::output);
        }
        None => Command::Demo(Box::new(DemoCommand { topologies: Vec::new(), demo })),
        Some(command) => {
            demo.must_be_empty()?;
            command
        }
    };
    let screen = matches!(command, Command::Demo(_)) && io::stdout().is_terminal();
    // What runs for a moment beside its own output says only what is wrong.
    let level = if matches!(command, Command::Demo(_) | Command::Local(_) | Command::Plan(_) | Command::Reset(_)) {
        "warn"
    } else {
        "info"
    };
    logging::start(&log, level, screen)?;
    match command {
        Command::Demo(arguments) => demo::demo(catalog, &arguments.topologies, &arguments.demo, screen),
        Command::Run(arguments) => run::run(catalog, &arguments),
        Command::Local(arguments) => local::local(catalog, &arguments),
        Command::Describe(arguments) => describe::describe(catalog, &arguments),
        Command::Plan(arguments) => plan::plan(catalog, &arguments),
        Command::Reset(arguments) => reset::reset(catalog, &arguments),
        Command::Health(arguments) => health::health(&arguments),
        Command::Topologies => topologies::topologies(catalog),
        Command::Generate(arguments) => generate::generate(catalog, &arguments),
    }
}
