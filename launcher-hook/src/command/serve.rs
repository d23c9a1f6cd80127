//! `serve`.

use std::process::ExitCode;

use super::install::install;
use crate::cli::{ServeArguments, SocketArguments};
use crate::definer::Definer;
use crate::network_info::filler::Filler;
use crate::sidecar::server;
use crate::sidecar::services::AfterShutdown;
use crate::sysfs::Roots;

pub(super) fn run(arguments: ServeArguments, roots: Roots) -> anyhow::Result<ExitCode> {
    let ServeArguments { sockets, keep_serving, install: directory, verify, definition, fill } = arguments;
    let SocketArguments { socket_dir } = sockets;
    if let Some(directory) = directory {
        install(&directory)?;
    }
    let filler = Filler::new(fill, definition.sources.clone(), definition.assign);
    let definer = Definer { arguments: definition, verification: verify, roots };
    let after = if keep_serving { AfterShutdown::GoOn } else { AfterShutdown::End };
    server::run(definer, filler, &socket_dir, after)?;
    Ok(ExitCode::SUCCESS)
}
