//! `serve`.

use std::process::ExitCode;

use crate::cli::{HookArguments, ServeArguments};
use crate::definer::Definer;
use crate::network_info::filler::Filler;
use crate::sidecar::server;
use crate::sysfs::Roots;

pub(super) fn run(arguments: ServeArguments, roots: Roots) -> anyhow::Result<ExitCode> {
    let ServeArguments { socket_dir, hook, end_with } = arguments;
    let HookArguments { verify, definition, fill } = hook;
    let filler = Filler::new(fill, definition.sources.clone(), definition.assign);
    let definer = Definer { arguments: definition, verification: verify, roots };
    server::run(definer, filler, &socket_dir, end_with)?;
    Ok(ExitCode::SUCCESS)
}
