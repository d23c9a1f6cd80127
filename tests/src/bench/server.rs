//! A server under measurement, and what the kernel says of its process.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Processors;
use crate::cluster::Process;

/// Reading 100,000 networks on a busy machine.
const START: Duration = Duration::from_secs(300);

/// A server and its process.
#[derive(Debug)]
pub struct Server {
    /// What it is called in tables.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// The path that takes reviews.
    pub path: String,
    id: u32,
    /// Ended with this; a peer was there before and stays.
    _process: Option<Process>,
}

impl Server {
    /// Starts a program that logs where it listens, as the webhook does.
    pub fn start<A: Into<OsString>>(
        name: &str,
        log: &Path,
        processors: &Processors,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let (program, mut all) = processors.start(program);
        all.extend(arguments.into_iter().map(Into::into));
        let mut process = Process::start(log, Path::new(&program), all);
        let start = Instant::now();
        let address = loop {
            if let Some(address) = address(&process.log()) {
                break address;
            }
            let ended = process.ended();
            assert!(
                ended.is_none() && start.elapsed() < START,
                "{name} does not listen ({ended:?}):\n{}",
                process.last_lines(20)
            );
            thread::sleep(Duration::from_millis(20));
        };
        let id = process.id();
        Self { name: name.to_owned(), address, path: "/mutate".to_owned(), id, _process: Some(process) }
    }

    /// A server that runs already, at `https://HOST:PORT/PATH`.
    pub fn running(url: &str, id: u32) -> Self {
        let rest = url.strip_prefix("https://").unwrap_or_else(|| panic!("{url} is not an https:// URL"));
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address = if address.contains(':') { address.to_owned() } else { format!("{address}:443") };
        Self { name: "peer".to_owned(), address, path: format!("/{path}"), id, _process: None }
    }

    /// The same, put on the processors that the others have, too.
    pub fn peer(url: &str, id: u32, processors: &Processors) -> Self {
        processors.put(id);
        Self::running(url, id)
    }

    /// The CPU time that all threads of the process have taken so far.
    pub fn cpu(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id)).unwrap();
        let nanoseconds = threads.filter_map(|thread| {
            // A thread may end between the listing and the reading.
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Memory that is resident now, in bytes, and the most that ever was.
    pub fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

fn address(log: &str) -> Option<String> {
    let line: Value = log.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "listening").then_some(line)
    })?;
    Some(line["https"].as_str()?.to_owned())
}
