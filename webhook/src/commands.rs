//! The command line: one module for each command.

use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::Context as _;
use clap::{CommandFactory, Parser, Subcommand};

mod admission_options;
mod certs;
mod cluster_look;
mod cluster_options;
mod doctor;
mod dump;
mod launcher_hook_options;
mod managed_options;
mod map;
#[cfg(feature = "plugin")]
pub mod plugin;
mod progress;
mod release_flags;
mod review;
#[cfg(feature = "server")]
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
    #[cfg(feature = "server")]
    Serve(Box<serve::Arguments>),
    #[command(flatten)]
    Tool(Tool),
}

/// The commands for people.
#[derive(Debug, Subcommand)]
enum Tool {
    Review(Box<review::Arguments>),
    Doctor(Box<doctor::Arguments>),
    Map(Box<map::Arguments>),
    Dump(Box<dump::Arguments>),
    Certs(Box<certs::Arguments>),
}

impl Tool {
    /// Runs it, if its flags, which are fine one by one, can work together.
    fn run(self) -> ExitCode {
        let checked = match &self {
            Self::Review(arguments) => arguments.admission.check(),
            Self::Doctor(arguments) => arguments.admission.check(),
            Self::Map(arguments) => arguments.admission.check(),
            Self::Dump(arguments) => arguments.admission.check(),
            Self::Certs(_) => Ok(()),
        };
        if let Err(problem) = checked {
            return cannot_work(&problem);
        }
        match self {
            Self::Review(arguments) => review::run(&arguments),
            Self::Doctor(arguments) => doctor::run(*arguments),
            Self::Map(arguments) => map::run(*arguments),
            Self::Dump(arguments) => dump::run(&arguments),
            Self::Certs(arguments) => certs::run(&arguments),
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
    match CommandLine::parse().command {
        #[cfg(feature = "server")]
        Command::Serve(arguments) => match arguments.admission.check() {
            Ok(()) => serve::run(*arguments),
            Err(problem) => cannot_work(&problem),
        },
        Command::Tool(tool) => tool.run(),
    }
}

fn cannot_work(problem: &str) -> ExitCode {
    eprintln!("{}: {problem}", program());
    ExitCode::from(2)
}

/// Says why a command for people could not do its work.
fn failed(command: &str, error: &anyhow::Error) -> ExitCode {
    eprintln!("{} {command}: {}", program(), apiserver::chain(&**error));
    ExitCode::from(2)
}

/// Runs the work of a command for people, which waits for one thing at a time.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(work)
}

/// What a person typed to start this program, if it is not its name.
static TYPED: OnceLock<&str> = OnceLock::new();

/// The program as a person calls it, for messages.
fn program() -> &'static str {
    TYPED.get().copied().unwrap_or("sriov-webhook")
}
