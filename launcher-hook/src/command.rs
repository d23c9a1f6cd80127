//! The commands, one file each.

mod check;
mod define;
mod exec;
mod install;
mod libvirt_hook;
mod serve;

use std::process::ExitCode;

use crate::cli::{Cli, Command};

/// Does what was asked for.
///
/// # Errors
/// Whatever keeps it from being done, in a sentence.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { command, log, roots } = cli;
    match command {
        Command::Serve(arguments) => serve::run(arguments, roots),
        Command::Exec(arguments) => exec::run(arguments, &log, roots),
        Command::Install(arguments) => install::run(&arguments),
        Command::Define(arguments) => define::run(arguments, roots),
        Command::LibvirtHook(arguments) => libvirt_hook::run(arguments, roots),
        Command::Check(arguments) => check::run(arguments, &roots),
    }
}
