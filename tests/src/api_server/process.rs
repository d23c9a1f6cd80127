//! A program that runs beside the tests and cannot outlive them.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running program; it is killed when this is dropped or when the test program ends.
#[derive(Debug)]
pub struct Process {
    /// `tests/cluster/attached`, whose standard input ties the program to us.
    attached: Child,
    id: u32,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints is appended to `log`.
    pub fn start<A: AsRef<OsStr>>(
        log: &Path,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let attached = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/attached");
        let mut attached = Command::new(attached)
            .arg(log)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal must reach the tests, not cut the ground from under them.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(attached.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let id = line.trim().parse().unwrap();
        Self { attached, id, log: log.to_owned() }
    }

    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal by its name: `TERM`, `KILL`, `STOP`.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name])
            .arg(self.id.to_string())
            .status()
            .unwrap();
        assert!(kill.success(), "signal {name} to {}: {kill}", self.id);
    }

    /// How the program ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.attached.try_wait().unwrap()
    }

    /// Waits for the program's end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {limit:?}:\n{}", self.last_lines(40));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that the program has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines that the program has printed.
    pub fn last_lines(&self, count: usize) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.attached.stdin.take());
        let _ = self.attached.wait();
    }
}
