//! `vpsie-autoscaler`: one binary for the controller and for everything around it.
//!
//! Data goes to standard output, talk to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod arguments;
mod commands;
mod logging;

use arguments::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            // Help and version are messages too; they go to standard output and are no failure.
            let _ = message.print();
            return u8::try_from(message.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    // Fails only where a provider was chosen before; then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match arguments.command {
        Command::Run(options) => commands::run::run(options),
        Command::Demo(options) => commands::demo::run(&options),
        Command::Simulate(options) => commands::simulate::run(&options),
        Command::FakeVpsie(options) => commands::fake_vpsie::run(&options),
        Command::Explain(options) => commands::explain::run(&options),
        Command::Fit(options) => commands::fit::run(&options),
        Command::Orphans(options) => commands::orphans::run(&options),
        Command::Rollback(options) => commands::rollback::run(&options),
        Command::Crds => commands::crds::run(),
        Command::Policy(command) => commands::policy::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vpsie-autoscaler: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes, each said once.
fn chain(error: &anyhow::Error) -> String {
    autoscaler_controllers::runtime::chain(error.as_ref())
}
