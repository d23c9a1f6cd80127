//! The program: reads the command line, starts the log, does what was asked for.

use std::process::ExitCode;

use clap::Parser;
use launcher_hook::cli::{Cli, multi_call};
use launcher_hook::{command, logging};

fn main() -> ExitCode {
    let cli = Cli::parse_from(multi_call(std::env::args_os()));
    logging::start(&cli.log);
    command::run(cli).unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}
