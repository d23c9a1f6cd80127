//! What the tests start does not outlive them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;
use tests::api_server::Process;

fn shell(folder: &Path, script: &str) -> Process {
    Process::start(&folder.join("log"), Path::new("/bin/sh"), ["-c", script])
}

#[test]
fn a_program_ends_with_the_one_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let process = shell(folder.path(), "trap '' TERM; while :; do sleep 1; done");
    let entry = format!("/proc/{}", process.id());
    assert!(Path::new(&entry).exists());
    // What the kernel does to our end of the pipe when this program is killed, and nothing more.
    drop(process);
    assert!(!Path::new(&entry).exists(), "{entry} is still there");
}

#[test]
fn exit_code_and_output_are_the_programs_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = shell(folder.path(), "echo out; echo err >&2; exit 7");
    let status = process.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(7));
    assert_eq!(process.log(), "out\nerr\n");
}

#[test]
fn signals_reach_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = shell(folder.path(), "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done");
    while process.log().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    process.signal("TERM");
    assert_eq!(process.wait(Duration::from_secs(10)).code(), Some(3));
}
