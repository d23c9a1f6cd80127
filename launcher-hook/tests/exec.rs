//! `exec` with real commands: whose process id, whose signals, whose status, and what is left afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions around the tests fail as the tests do"
)]

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{PROGRAM, Process, SOCKET, answers, program, succeed, text, wait_until};
use rstest::rstest;
use tempfile::TempDir;

struct Pod {
    folder: TempDir,
}

impl Pod {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("hooks/sriov")
    }

    fn socket(&self) -> PathBuf {
        self.directory().join(SOCKET)
    }

    fn exec(&self, script: &str) -> Command {
        let mut command = program();
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .args(["exec", "--log-level", "warn", "--socket-dir"])
            .arg(self.directory())
            .args(["--", "sh", "-c", script]);
        command
    }

    /// Ids of the servers that were started for this pod.
    fn servers(&self) -> Vec<u32> {
        let directory = self.directory();
        let directory = directory.to_str().unwrap();
        processes()
            .into_iter()
            .filter(|(_, arguments)| {
                arguments.get(1).is_some_and(|word| word == "serve")
                    && arguments.iter().any(|argument| argument.contains(directory))
            })
            .map(|(id, _)| id)
            .collect()
    }
}

/// All processes that have not ended, with their arguments.
fn processes() -> Vec<(u32, Vec<String>)> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let id = path.file_name()?.to_str()?.parse().ok()?;
            let arguments = fs::read(path.join("cmdline")).ok()?;
            let arguments = arguments.split(|byte| *byte == 0);
            Some((id, arguments.map(|part| String::from_utf8_lossy(part).into_owned()).collect()))
        })
        .collect()
}

#[test]
fn the_command_has_the_process_id_and_the_socket_answers_before_it_starts() {
    let pod = Pod::new();
    // The command itself looks for the socket, as virt-launcher does.
    let script = format!("echo $$; test -S {} && echo socket", pod.socket().display());
    let child = pod.exec(&script).stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), format!("{id}\nsocket\n"));
}

#[rstest]
#[case::success("exit 0", Some(0))]
#[case::failure("exit 7", Some(7))]
#[case::signal("kill -KILL $$", None)]
fn the_status_is_the_commands_own(#[case] script: &str, #[case] code: Option<i32>) {
    let pod = Pod::new();
    let status = pod.exec(script).status().unwrap();
    assert_eq!(status.code(), code);
}

#[test]
fn a_wait_that_outlasts_the_clock_is_one() {
    let pod = Pod::new();
    let wait = u64::MAX.to_string();
    let output = succeed(
        program()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .args(["exec", "--wait", &wait, "--socket-dir"])
            .arg(pod.directory())
            .args(["--", "echo", "started"]),
    );
    assert_eq!(text(&output.stdout), "started\n");
}

#[test]
fn arguments_and_environment_reach_the_command_as_they_are() {
    let pod = Pod::new();
    let output = succeed(
        program()
            .env("PCIDEVICE_A_B", "0000:01:10.0")
            .env("PATH", std::env::var_os("PATH").unwrap())
            .args(["exec", "--socket-dir"])
            .arg(pod.directory())
            .args(["--", "sh", "-c", r#"echo "$PCIDEVICE_A_B" "$@""#, "name", "--", "-x", "two words"]),
    );
    assert_eq!(text(&output.stdout), "0000:01:10.0 -- -x two words\n");
}

#[test]
fn sigterm_goes_to_the_command_and_the_server_outlives_its_answer() {
    let pod = Pod::new();
    let script = format!(
        "trap 'test -S {} && exit 42' TERM; touch {}/ready; while :; do sleep 0.01; done",
        pod.socket().display(),
        pod.folder.path().display()
    );
    let mut process = Process::start(&mut pod.exec(&script));
    wait_until("the command runs", || pod.folder.path().join("ready").exists());
    assert_eq!(pod.servers().len(), 1);
    process.signal("-TERM");
    assert_eq!(process.wait().code(), Some(42));
    wait_until("the server has ended", || pod.servers().is_empty());
    assert!(!pod.socket().exists());
}

#[rstest]
#[case::ends("exit 0")]
#[case::is_killed("kill -KILL $$")]
fn the_server_ends_when_the_command(#[case] script: &str) {
    let pod = Pod::new();
    pod.exec(script).status().unwrap();
    wait_until("the server has ended", || pod.servers().is_empty());
    assert!(!pod.socket().exists());
}

#[test]
fn the_server_answers_while_the_command_runs() {
    let pod = Pod::new();
    let _process = Process::start(&mut pod.exec("exec sleep 60"));
    wait_until("the socket answers", || answers(&pod.socket()));
    let servers = pod.servers();
    assert_eq!(servers.len(), 1);
    // What stays in the pod's memory is one process with one thread.
    let tasks = fs::read_dir(format!("/proc/{}/task", servers[0])).unwrap().count();
    assert_eq!(tasks, 1);
}

#[test]
fn a_command_that_is_not_there_leaves_nothing_behind() {
    let pod = Pod::new();
    let message = harness::fail(
        program()
            .args(["exec", "--socket-dir"])
            .arg(pod.directory())
            .args(["--", "/nonexistent/virt-launcher"]),
    );
    assert!(message.contains("cannot run /nonexistent/virt-launcher"), "{message}");
    assert_eq!(pod.servers(), [0; 0]);
}

#[test]
fn where_no_socket_can_be_made_the_command_does_not_start() {
    let pod = Pod::new();
    fs::write(pod.folder.path().join("hooks"), "no folder").unwrap();
    let started = pod.folder.path().join("started");
    let message = harness::fail(&mut pod.exec(&format!("touch {}", started.display())));
    assert!(message.contains("hooks/sriov") && message.contains("ended at once"), "{message}");
    assert!(!started.exists());
}

#[test]
fn beside_another_server_the_command_does_not_start() {
    let pod = Pod::new();
    let _first = Process::start(&mut pod.exec("exec sleep 60"));
    wait_until("the socket answers", || answers(&pod.socket()));
    let message = harness::fail(&mut pod.exec("true"));
    assert!(message.contains("another program already answers on"), "{message}");
}

#[test]
fn without_a_command_it_shows_how() {
    let output = program().arg("exec").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("<CMD>"), "{output:?}");
}

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
            harness::program_at(&installed)
                .args(["serve", "--socket-dir"])
                .arg(folder.path())
                .stderr(Stdio::null()),
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
    succeed(harness::program_at(&installed).arg("--version"));
}

#[test]
fn install_says_where_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let message = harness::fail(program().arg("install").arg(Path::new(&file).join("below")));
    assert!(message.contains("cannot install in") && message.contains("file/below"), "{message}");
}
