//! launcher-hook's part of a virtual machine's start, as the kernel counts it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::api_server::Process;
use crate::hooks::Hook;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../launcher-hook/tests/fixtures");

/// Where Linux has the groups that limit a processor's time: version 2, and version 1.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu"];

/// Of each 100 ms, as a container with a limit of 100m has.
const LIMITED: [(&str, &[(&str, &str)]); 2] = [
    ("cgroup.controllers", &[("cpu.max", "10000 100000")]),
    ("cpu.cfs_quota_us", &[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "10000")]),
];

/// A control group with a tenth of a processor; it goes with this value.
#[derive(Debug)]
pub struct Tenth(PathBuf);

impl Tenth {
    /// Makes one, or says why it cannot.
    ///
    /// # Errors
    /// This machine has no groups, or this user may not make any.
    pub fn new() -> Result<Self, String> {
        for (root, (sign, limits)) in GROUPS.iter().zip(LIMITED) {
            if !Path::new(root).join(sign).exists() {
                continue;
            }
            let group = Path::new(root).join(format!("kubevirt-sriov-bench-{}", std::process::id()));
            fs::create_dir(&group).map_err(|error| format!("{}: {error}", group.display()))?;
            let group = Self(group);
            for (file, value) in limits {
                let file = group.0.join(file);
                fs::write(&file, value).map_err(|error| format!("{}: {error}", file.display()))?;
            }
            return Ok(group);
        }
        Err(format!("no control groups for processors under {}", GROUPS.join(" or ")))
    }
}

impl Drop for Tenth {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// What one start took.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// From its execution until `launcher-hook ready` has ended.
    pub ready: Duration,
    /// virt-launcher's connection and `Info`.
    pub info: Duration,
    /// `OnDefineDomain`, for the first time.
    pub define: Duration,
    /// Processor time of the program for all of that.
    pub cpu: Duration,
    /// What is resident then, in bytes.
    pub resident: u64,
}

/// Starts the program as the container of mode `sidecar`, has it define the example's domain, and ends it.
pub async fn start(program: &Path, folder: &Path, group: Option<&Tenth>) -> Start {
    let input = |name: &str| format!("{FIXTURES}/{name}");
    let sockets = folder.join("sockets");
    fs::create_dir(&sockets).unwrap();
    let socket_dir = format!("--socket-dir={}", sockets.display());
    // The shell goes into the group, and then becomes the program.
    let script = match group {
        Some(group) => format!("echo $$ >{}/cgroup.procs && exec \"$@\"", group.0.display()),
        None => "exec \"$@\"".to_owned(),
    };
    let arguments = [
        "-c".to_owned(),
        script,
        "sh".to_owned(),
        program.display().to_string(),
        "serve".to_owned(),
        socket_dir.clone(),
        format!("--network-info={}", input("network-info.json")),
        format!("--environ={}", input("compute.env")),
        // The VFs of the example do not exist here.
        "--verify=off".to_owned(),
    ];
    let begin = Instant::now();
    let mut process = Process::start(&folder.join("log"), Path::new("/bin/sh"), arguments);
    let ready = Command::new(program)
        .args(["ready", &socket_dir, "--patience=30"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(ready.success(), "launcher-hook ready: {ready}\n{}", process.last_lines(20));
    let ready = begin.elapsed();

    let begin = Instant::now();
    let socket = fs::read_dir(&sockets).unwrap().next().unwrap().unwrap().path();
    let mut hook = Hook::connect(&socket).await.unwrap();
    let info = begin.elapsed();

    let begin = Instant::now();
    let read = |name: &str| fs::read(input(name)).unwrap();
    let domain = hook.define_domain(read("vmi.json"), read("domain.no-hostdev.xml")).await;
    let domain = domain.unwrap_or_else(|error| panic!("{error:#}\n{}", process.last_lines(20)));
    assert!(String::from_utf8_lossy(&domain).contains("<hostdev"), "no hostdev in the answer");
    let define = begin.elapsed();

    let id = process.id();
    let start =
        Start { ready, info, define, cpu: super::server::cpu(id), resident: super::server::memory(id).0 };
    process.signal("KILL");
    process.wait(Duration::from_secs(10));
    start
}

/// How long the program takes that only says its version: its execution, and nothing else.
pub fn execution(program: &Path) -> Duration {
    let begin = Instant::now();
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{} --version: {status}", program.display());
    begin.elapsed()
}
