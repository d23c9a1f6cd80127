//! `ready`: whether `serve` answers on its sockets. The image has no shell to look with.
//!
//! The kubelet runs it as soon as the container has started, which is before `serve` can have opened its sockets. It
//! waits for them, since the kubelet writes a Warning event on the pod for each attempt that fails.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::helper::SOCKET_NAME;

use crate::cli::{ReadyArguments, SocketArguments};

/// How often to look: the pod waits for it. A container with a tenth of a CPU has 2 ms of it in each of these, and a look
/// takes some hundredths of one.
const INTERVAL: Duration = Duration::from_millis(20);

pub(super) fn run(arguments: &ReadyArguments) -> anyhow::Result<ExitCode> {
    let ReadyArguments { sockets: SocketArguments { socket_dir }, patience } = arguments;
    let (start, patience) = (Instant::now(), Duration::from_secs(*patience));
    for directory in socket_dir {
        let socket = directory.join(SOCKET_NAME);
        wait_for(&socket, || start.elapsed() < patience)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns once the socket answers, or with the last error when there is no more time.
fn wait_for(socket: &Path, is_time_left: impl Fn() -> bool) -> anyhow::Result<()> {
    loop {
        match UnixStream::connect(socket) {
            Ok(_) => return Ok(()),
            Err(_) if is_time_left() => thread::sleep(INTERVAL),
            Err(error) => {
                return Err(error).with_context(|| format!("nobody answers on {}", socket.display()));
            }
        }
    }
}
