//! The commands, one file each.

mod check;
mod define;
mod install;
mod libvirt_hook;
mod ready;
mod report_devices;
mod serve;

use std::process::ExitCode;

use crate::cli::{Cli, Command};

/// Does what was asked for.
///
/// # Errors
/// Whatever keeps it from being done, in a sentence.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { command, log: _, roots } = cli;
    match command {
        Command::Serve(arguments) => serve::run(arguments, roots),
        Command::Ready(arguments) => ready::run(&arguments),
        Command::ReportDevices(arguments) => Ok(report_devices::run(&arguments, &roots)),
        Command::Install(arguments) => install::run(&arguments),
        Command::Define(arguments) => define::run(arguments, roots),
        Command::LibvirtHook(arguments) => libvirt_hook::run(arguments, roots),
        Command::Check(arguments) => check::run(arguments, &roots),
    }
}
