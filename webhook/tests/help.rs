//! What a person at a terminal meets first: help, and colours.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::path::Path;
use std::process::Command;

use rstest::rstest;

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sriov-webhook"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    let output = command.args(arguments).envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[rstest]
#[case::serve(&["serve"], 80)]
#[case::review(&["review"], 42)]
#[case::doctor(&["doctor"], 46)]
#[case::dump(&["dump"], 40)]
#[case::inspect(&["certs", "inspect"], 30)]
#[case::renew(&["certs", "renew"], 30)]
#[case::roll(&["certs", "roll-ca"], 30)]
fn short_help_fits_and_long_help_has_examples_and_exit_status(
    #[case] command: &[&str],
    #[case] lines: usize,
) {
    let short = run(&[command, &["-h"]].concat(), &[]);
    let long = run(&[command, &["--help"]].concat(), &[]);
    assert!(short.lines().count() <= lines, "{} lines:\n{short}", short.lines().count());
    for part in ["\nExamples:\n", "\nExit status:\n  0  "] {
        assert!(long.contains(part), "no {part:?} in\n{long}");
        assert!(!short.contains(part), "{part:?} in\n{short}");
    }
}

/// Forty lines about an image and its CPU are not what somebody with a broken virtual machine looks for.
#[rstest]
#[case::review("review")]
#[case::doctor("doctor")]
#[case::dump("dump")]
fn the_flags_of_launcher_hook_are_left_to_the_long_help(#[case] command: &str) {
    assert!(!run(&[command, "-h"], &[]).contains("--launcher-hook"));
    assert!(run(&[command, "--help"], &[]).contains("--launcher-hook-cpu-request"));
}

/// A heading of a group of flags would otherwise go on to the arguments behind the group.
#[test]
fn pods_are_among_the_arguments() {
    assert!(run(&["review", "-h"], &[]).contains("\nArguments:\n  [POD]..."));
}

const REVIEW: [&str; 4] = ["review", "--networks", "examples", "examples/pod.yaml"];

#[rstest]
#[case::pipe(&REVIEW, &[], false)]
#[case::asked_for(&REVIEW, &[("CLICOLOR_FORCE", "1")], true)]
#[case::unwanted(&REVIEW, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false)]
#[case::for_programs(&["review", "--networks", "examples", "examples/pod.yaml", "--output", "json"], &[("CLICOLOR_FORCE", "1")], false)]
#[case::help(&["review", "-h"], &[("CLICOLOR_FORCE", "1")], true)]
fn colours(#[case] arguments: &[&str], #[case] environment: &[(&str, &str)], #[case] coloured: bool) {
    let printed = run(arguments, environment);
    assert_eq!(printed.contains("\u{1b}["), coloured, "{printed:?}");
}
