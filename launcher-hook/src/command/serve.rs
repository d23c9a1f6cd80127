//! `serve`.

use std::process::ExitCode;

use crate::cli::ServeArguments;
use crate::definer::Definer;
use crate::sidecar::server;
use crate::sysfs::Roots;

pub(super) fn run(arguments: ServeArguments, roots: Roots) -> anyhow::Result<ExitCode> {
    let ServeArguments { socket_dir, verify, definition, end_with } = arguments;
    let definer = Definer { arguments: definition, verification: verify, roots };
    server::run(definer, &socket_dir, end_with)?;
    Ok(ExitCode::SUCCESS)
}
