//! The command line: one module for each command.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod admission_options;
mod certs;
mod cluster_options;
mod doctor;
mod launcher_hook_options;
mod managed_options;
mod progress;
mod review;
mod serve;

pub use admission_options::AdmissionOptions;

/// Requests the SR-IOV resources that the networks of KubeVirt's virtual machines need, in their pods.
#[derive(Debug, Parser)]
#[command(name = "sriov-webhook", version, about, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Arguments>),
    Review(Box<review::Arguments>),
    Doctor(Box<doctor::Arguments>),
    Certs(certs::Arguments),
}

impl Command {
    /// Flags that are fine one by one, and together cannot work.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Serve(arguments) => arguments.admission.check(),
            Self::Review(arguments) => arguments.admission.check(),
            Self::Doctor(arguments) => arguments.admission.check(),
            Self::Certs(_) => Ok(()),
        }
    }
}

/// Returns the definition of the command line, for manual pages and completions.
#[must_use]
pub fn definition() -> clap::Command {
    CommandLine::command()
}

/// Runs what the command line asks for.
#[must_use]
pub fn run() -> ExitCode {
    let command = CommandLine::parse().command;
    if let Err(problem) = command.check() {
        eprintln!("sriov-webhook: {problem}");
        return ExitCode::from(2);
    }
    match command {
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Review(arguments) => review::run(&arguments),
        Command::Doctor(arguments) => doctor::run(*arguments),
        Command::Certs(arguments) => certs::run(&arguments),
    }
}
