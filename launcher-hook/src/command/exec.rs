//! `exec`: the server as a child, then the command in place of this process.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::install::SELF;
use crate::cli::{ExecArguments, HookArguments, ServeArguments};
use crate::definer::DefinitionArguments;
use crate::logging::LogArguments;
use crate::network_info::filler::FillArguments;
use crate::sidecar::SOCKET_NAME;
use crate::sources::SourceArguments;
use crate::sysfs::Roots;

const POLL: Duration = Duration::from_millis(5);

pub(super) fn run(arguments: ExecArguments, log: &LogArguments, roots: Roots) -> anyhow::Result<ExitCode> {
    let ExecArguments { socket_dir, hook, wait, command } = arguments;
    let Some((program, program_arguments)) = command.split_first() else {
        bail!("no command after --");
    };
    let sockets: Vec<_> = socket_dir.iter().map(|directory| directory.join(SOCKET_NAME)).collect();
    if let Some(socket) = sockets.iter().find(|socket| answers(socket)) {
        bail!("another program already answers on {}", socket.display());
    }
    let serve = ServeArguments { socket_dir, hook, end_with: Some(std::process::id()) };
    let mut server = Command::new(SELF)
        .arg0("launcher-hook")
        .arg("serve")
        .args(serve_arguments(serve, log, roots))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Signals from a terminal are the command's to answer; the server follows it.
        .process_group(0)
        .spawn()
        .context("cannot start the server beside the command")?;
    if let Err(error) = wait_for(&mut server, &sockets, Duration::from_secs(wait)) {
        stop(server);
        return Err(error);
    }
    let error = Command::new(program).args(program_arguments).exec();
    stop(server);
    Err(error).with_context(|| format!("cannot run {}", Path::new(program).display()))
}

fn answers(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

fn wait_for(server: &mut Child, sockets: &[PathBuf], wait: Duration) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        if let Some(status) = server.try_wait()? {
            bail!("the server beside the command ended at once ({status}); its reason is above");
        }
        let Some(silent) = sockets.iter().find(|socket| !answers(socket)) else {
            return Ok(());
        };
        if started.elapsed() >= wait {
            bail!(
                "the server beside the command does not answer on {} after {} s; --wait makes it longer",
                silent.display(),
                wait.as_secs()
            );
        }
        sleep(POLL);
    }
}

fn stop(mut server: Child) {
    // It may have ended by itself.
    let _ = server.kill();
    let _ = server.wait();
}

/// The command line that parses to these arguments. Taken apart field by field, so that none is forgotten.
fn serve_arguments(serve: ServeArguments, log: &LogArguments, roots: Roots) -> Vec<OsString> {
    let ServeArguments { socket_dir, hook, end_with } = serve;
    let HookArguments { verify, definition, fill } = hook;
    let FillArguments { fill_network_info, vmi_networks, network_info_patience } = fill;
    let DefinitionArguments { assign, binding, sources } = definition;
    let SourceArguments { network_info, environ, networks_annotation, network_status } = sources;
    let LogArguments { log_format, log_level } = log;
    let Roots { sysfs, procfs, dev } = roots;
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map(|value| OsString::from(value.get_name())).unwrap_or_default()
    };
    let mut options: Vec<(&str, OsString)> = vec![
        ("--verify", name(verify.to_possible_value())),
        ("--assign", assign.to_string().into()),
        ("--binding", binding.into()),
        ("--network-info", network_info.into()),
        ("--log-format", name(log_format.to_possible_value())),
        ("--log-level", log_level.to_string().into()),
        ("--sysfs", sysfs.into()),
        ("--procfs", procfs.into()),
        ("--dev", dev.into()),
    ];
    options.extend(socket_dir.into_iter().map(|path| ("--socket-dir", path.into())));
    options.extend(environ.map(|path| ("--environ", path.into())));
    options.extend(networks_annotation.map(|path| ("--networks-annotation", path.into())));
    options.extend(network_status.map(|path| ("--network-status", path.into())));
    if let Some(path) = fill_network_info {
        options.push(("--network-info-patience", network_info_patience.to_string().into()));
        options.push(("--fill-network-info", path.into()));
    }
    options.extend(vmi_networks.map(|path| ("--vmi-networks", path.into())));
    options.extend(end_with.map(|id| ("--end-with", id.to_string().into())));
    options
        .into_iter()
        .map(|(option, value)| {
            let mut argument = OsString::from(option);
            argument.push("=");
            argument.push(value);
            argument
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command as Subcommand};
    use clap::Parser;

    #[test]
    fn the_server_gets_what_exec_was_told() {
        let options = "--socket-dir=/a --socket-dir=/b --verify=fail --assign=multus --binding=-x --network-info=/i \
                       --environ=/e --networks-annotation=/n --network-status=/s --end-with=7 --fill-network-info=/f \
                       --vmi-networks=/v --network-info-patience=5 --log-format=json \
                       --log-level=debug --sysfs=/1 --procfs=/2 --dev=/3";
        let parse = |arguments: Vec<OsString>| {
            let call = ["launcher-hook", "serve"].map(OsString::from);
            let cli = Cli::try_parse_from(call.into_iter().chain(arguments)).unwrap();
            let Subcommand::Serve(serve) = cli.command else {
                panic!("not serve");
            };
            (serve, cli.log, cli.roots)
        };
        let (serve, log, roots) = parse(options.split_whitespace().map(OsString::from).collect());
        let again = parse(serve_arguments(serve.clone(), &log, roots.clone()));
        assert_eq!(again, (serve, log, roots));
    }
}
