//! What the webhook has run in a pod: the server with all that its container does, its startup probe, and the
//! report of the container that was given the devices.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions around the tests fail as the tests do"
)]

mod harness;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::{PROGRAM, Process, SOCKET, answers, fail, program, program_at, succeed, text, wait_until};
use rstest::rstest;
use tempfile::TempDir;

#[rstest]
#[case::fresh(false)]
#[case::over_a_running_one(true)]
fn install_copies_the_program(#[case] running: bool) {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("made/here");
    let installed = directory.join("launcher-hook");
    let _running = running.then(|| {
        succeed(program().arg("install").arg(&directory));
        let process = Process::start(
            program_at(&installed).args(["serve", "--socket-dir"]).arg(folder.path()).stderr(Stdio::null()),
        );
        wait_until("the socket answers", || answers(&folder.path().join(SOCKET)));
        process
    });
    let output = succeed(program().arg("install").arg(&directory));
    assert_eq!(text(&output.stdout), format!("{}\n", installed.display()));
    assert_eq!(fs::metadata(&installed).unwrap().permissions().mode() & 0o7777, 0o755);
    assert!(fs::read(&installed).unwrap() == fs::read(PROGRAM).unwrap());
    let left: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, std::slice::from_ref(&installed));
    succeed(program_at(&installed).arg("--version"));
}

#[rstest]
#[case::install(&["install"])]
#[case::serve(&["serve", "--socket-dir", "/nonexistent", "--install"])]
fn a_folder_that_cannot_be_installed_to_is_named(#[case] call: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let message = fail(program().args(call).arg(file.join("below")));
    assert!(message.contains("cannot install in") && message.contains("file/below"), "{message}");
}

/// The volumes that the two containers share.
struct Pod {
    folder: TempDir,
}

impl Pod {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn serve(&self) -> Process {
        let option = |name: &str, path: &str| format!("--{name}={}", self.path(path).display());
        let process = Process::start(
            program()
                .args([
                    "serve",
                    "--keep-serving",
                    &option("socket-dir", "hooks"),
                    &option("install", "program"),
                ])
                .args([option("device-report", "devices.json"), option("network-info", "annotation")])
                .arg(option("fill-network-info", "network-info"))
                .stderr(File::create(self.path("log")).unwrap()),
        );
        wait_until("the socket answers", || self.ready().status().unwrap().success());
        process
    }

    fn ready(&self) -> Command {
        let mut command = program();
        command.arg("ready").arg("--socket-dir").arg(self.path("hooks")).stderr(Stdio::null());
        command
    }

    fn report(&self) -> Command {
        let mut command = program_at(&self.path("program/launcher-hook"));
        command.arg("report-devices").arg(self.path("devices.json"));
        command
    }
}

#[test]
fn once_it_is_ready_all_that_compute_needs_is_there() {
    let pod = Pod::new();
    assert!(!pod.ready().status().unwrap().success());
    let server = pod.serve();
    assert_eq!(fs::read_to_string(pod.path("network-info")).unwrap(), "");
    succeed(&mut pod.report());
    drop(server);
    let message = fail(program().arg("ready").arg("--socket-dir").arg(pod.path("hooks")));
    assert!(message.contains("nobody answers on ") && message.contains(SOCKET), "{message}");
}

/// The kubelet probes at once, and each failed probe is a Warning event on a healthy pod.
#[test]
fn a_probe_that_comes_first_waits_for_the_socket() {
    let pod = Pod::new();
    let mut probe = Process::start(pod.ready().arg("--patience=60"));
    thread::sleep(Duration::from_millis(300));
    assert!(probe.0.try_wait().unwrap().is_none(), "it did not wait");
    let _server = pod.serve();
    assert!(probe.wait().success());
}

#[test]
fn a_probe_that_waits_in_vain_ends() {
    let pod = Pod::new();
    let start = Instant::now();
    let message = fail(pod.ready().arg("--patience=1").stderr(Stdio::piped()));
    assert!(message.contains("nobody answers on ") && start.elapsed() >= Duration::from_secs(1), "{message}");
}

#[test]
fn one_process_with_one_thread_stays() {
    let pod = Pod::new();
    let server = pod.serve();
    assert_eq!(fs::read_dir(format!("/proc/{}/task", server.0.id())).unwrap().count(), 1);
}

/// The kubelet starts a container again whose process was killed, with the same volumes.
#[test]
fn a_server_that_was_killed_is_followed_by_another() {
    let pod = Pod::new();
    for _ in 0..2 {
        let mut server = pod.serve();
        server.signal("-KILL");
        server.wait();
    }
    let _server = pod.serve();
}

#[test]
fn what_compute_reports_is_taken_from_its_file() {
    let pod = Pod::new();
    let _server = pod.serve();
    let log = || fs::read_to_string(pod.path("log")).unwrap();
    wait_until("it is waited for", || log().contains("container compute has not reported its devices yet"));
    fs::write(pod.path("annotation"), r#"{"interfaces":[{"network":"a"}]}"#).unwrap();
    for _ in 0..2 {
        let devices = ("PCIDEVICE_INTEL_COM_VF", "0000:01:10.0");
        succeed(pod.report().env(devices.0, devices.1).env("KUBEVIRT_RESOURCE_NAME_a", "intel.com/vf"));
    }
    wait_until("the file is filled", || {
        fs::read_to_string(pod.path("network-info")).unwrap().contains("0000:01:10.0")
    });
}

/// The kubelet ends a container whose postStart fails.
#[rstest]
#[case::no_folder("nowhere/devices.json")]
#[case::a_folder_in_its_place("hooks")]
fn a_report_that_cannot_be_written_is_no_failure(#[case] file: &str) {
    let pod = Pod::new();
    let _server = pod.serve();
    let output = succeed(program().arg("report-devices").arg(pod.path(file)));
    assert!(text(&output.stderr).contains("the devices cannot be reported: "), "{output:?}");
}

#[test]
fn a_report_of_another_version_is_refused_with_its_version() {
    let pod = Pod::new();
    let report = pod.path("devices.json");
    fs::write(&report, r#"{"version":2}"#).unwrap();
    let define = |report: &Path| {
        fail(
            program()
                .args(["define", "--vmi", harness::VMI, "--domain", harness::BARE_DOMAIN, "--device-report"])
                .arg(report),
        )
    };
    let message = define(&report);
    assert!(message.contains("devices.json: it has version 2 and not 1"), "{message}");
    let message = define(&pod.path("other.json"));
    assert!(message.contains("container compute has not reported its devices yet"), "{message}");
}
