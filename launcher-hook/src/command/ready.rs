//! `ready`: whether somebody answers on the sockets. The image has no shell to look with.

use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::Context;
use contract::helper::SOCKET_NAME;

use crate::cli::{ReadyArguments, SocketArguments};

pub(super) fn run(arguments: &ReadyArguments) -> anyhow::Result<ExitCode> {
    let ReadyArguments { sockets: SocketArguments { socket_dir } } = arguments;
    for directory in socket_dir {
        let socket = directory.join(SOCKET_NAME);
        UnixStream::connect(&socket).with_context(|| format!("nobody answers on {}", socket.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
