//! A server under measurement, and what the kernel says of its process.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Processors;
use crate::api_server::{Process, http};

/// Reading 100,000 networks on a busy machine.
const START: Duration = Duration::from_secs(300);

/// A server and its process.
#[derive(Debug)]
pub struct Server {
    /// What it is called in tables.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// The path that takes reviews, or pods where it is an API server.
    pub path: String,
    /// Who asks, where that matters to it.
    pub(super) authorization: Option<String>,
    /// Whether an answer is the one that is measured.
    pub(super) is_right: fn(&Value) -> bool,
    /// Where it answers probes, if it has said so.
    admin: Option<SocketAddr>,
    started: Instant,
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
        let start = Instant::now();
        let mut process = Process::start(log, Path::new(&program), all);
        let (address, admin) = loop {
            if let Some(addresses) = addresses(&process.log()) {
                break addresses;
            }
            let ended = process.ended();
            assert!(
                ended.is_none() && start.elapsed() < START,
                "{name} does not listen ({ended:?}):\n{}",
                process.last_lines(20)
            );
            thread::sleep(Duration::from_millis(2));
        };
        let id = process.id();
        let server = Self::listening(name, address, "/mutate".to_owned(), id);
        Self { admin, started: start, _process: Some(process), ..server }
    }

    /// A server that runs already, at `https://HOST:PORT/PATH`.
    pub fn running(url: &str, id: u32) -> Self {
        let rest = url.strip_prefix("https://").unwrap_or_else(|| panic!("{url} is not an https:// URL"));
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address = if address.contains(':') { address.to_owned() } else { format!("{address}:443") };
        Self::listening("peer", address, format!("/{path}"), id)
    }

    /// A webhook that was there before.
    fn listening(name: &str, address: String, path: String, id: u32) -> Self {
        Self {
            name: name.to_owned(),
            address,
            path,
            authorization: None,
            is_right: is_patch,
            admin: None,
            started: Instant::now(),
            id,
            _process: None,
        }
    }

    /// An API server that runs already, to which `path` is posted.
    pub(super) fn api(
        name: &str,
        address: &str,
        path: &str,
        authorization: &str,
        is_right: fn(&Value) -> bool,
        id: u32,
    ) -> Self {
        let server = Self::listening(name, address.to_owned(), path.to_owned(), id);
        Self { authorization: Some(authorization.to_owned()), is_right, ..server }
    }

    /// Waits until it says that it is ready. Returns how long that took since its program was executed.
    pub fn ready(&self) -> Duration {
        let admin = self.admin.unwrap_or_else(|| panic!("{} answers no probes", self.name));
        while http::get(admin, "/readyz").is_none_or(|answer| answer.code != 200) {
            assert!(self.started.elapsed() < START, "{} is not ready after {START:?}", self.name);
            thread::sleep(Duration::from_millis(2));
        }
        self.started.elapsed()
    }

    /// Where it takes reviews.
    pub fn url(&self) -> String {
        format!("https://{}{}", self.address, self.path)
    }

    /// The same, put on the processors that the others have, too.
    pub fn peer(url: &str, id: u32, processors: &Processors) -> Self {
        processors.put(id);
        Self::running(url, id)
    }

    /// The CPU time that all threads of the process have taken so far.
    pub fn cpu(&self) -> Duration {
        cpu(self.id)
    }

    /// Memory that is resident now, in bytes, and the most that ever was.
    pub fn memory(&self) -> (u64, u64) {
        memory(self.id)
    }
}

/// The CPU time that all threads of a process have taken so far.
pub(super) fn cpu(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanoseconds = threads.filter_map(|thread| {
        // A thread may end between the listing and the reading.
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Memory of a process that is resident now, in bytes, and the most that ever was.
pub(super) fn memory(process: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn is_patch(answer: &Value) -> bool {
    let response = &answer["response"];
    response["allowed"] == true && response["patch"].is_string()
}

fn addresses(log: &str) -> Option<(String, Option<SocketAddr>)> {
    let line: Value = log.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "listening").then_some(line)
    })?;
    let admin = line["http"].as_str().and_then(|address| address.parse().ok());
    Some((line["https"].as_str()?.to_owned(), admin))
}
