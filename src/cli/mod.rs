//! The command line. A binary hands over its [`Catalog`] of topologies and gets all commands.

mod args;
mod catalog;
mod connect;
mod demo;
mod describe;
mod failure;
mod fleet;
mod generate;
mod local;
mod logging;
mod parse;
mod run;
mod settings;
mod signals;
mod token;
mod topologies;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;

pub use catalog::{Catalog, Demo, GeneratorEntry, TopologyEntry};

use args::{Arguments, Command};
use failure::Failure;

/// Reads the command line and does what it says. The exit code is 0 after success and after a stop that was asked for,
/// 1 after an error, 2 where the command line itself is wrong.
pub fn main(catalog: &Catalog) -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(catalog, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(catalog: &Catalog, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { command, demo, log } = arguments;
    let screen = command.is_none() && io::stdout().is_terminal();
    // What runs for a moment beside its own output says only what is wrong.
    let level = if matches!(command, None | Some(Command::Local(_))) { "warn" } else { "info" };
    logging::start(&log, level, screen)?;
    let Some(command) = command else { return demo::demo(catalog, &demo, screen) };
    demo.must_be_empty()?;
    match command {
        Command::Run(arguments) => run::run(catalog, &arguments),
        Command::Local(arguments) => local::local(catalog, &arguments),
        Command::Describe(arguments) => describe::describe(catalog, &arguments),
        Command::Topologies => topologies::topologies(catalog),
        Command::Generate(arguments) => generate::generate(catalog, &arguments),
    }
}
