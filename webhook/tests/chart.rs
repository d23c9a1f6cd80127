//! What the chart's templates call, the program has.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rstest::rstest;

fn flags_of(command: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_sriov-webhook")).args(["help", command]).output().unwrap();
    assert!(output.status.success(), "help {command}");
    flags(&String::from_utf8(output.stdout).unwrap())
}

/// Everything that looks like a long flag.
fn flags(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let mut found = BTreeSet::new();
    for (place, _) in text.match_indices("--") {
        let before = text[..place].chars().next_back().unwrap_or(' ');
        let rest = &text[place + 2..];
        let flag = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        if flag.starts_with(|c: char| c.is_ascii_lowercase()) && !is_part(before) {
            found.insert(format!("--{}", flag.trim_end_matches('-')));
        }
    }
    found
}

#[rstest]
#[case("templates/deployment.yaml", "serve", 20)]
#[case("templates/tests/doctor.yaml", "doctor", 3)]
#[case("templates/NOTES.txt", "doctor", 1)]
fn the_program_has_every_flag_of(#[case] template: &str, #[case] command: &str, #[case] at_least: usize) {
    let path = format!("{}/../charts/kubevirt-sriov/{template}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let used: BTreeSet<String> = text
        .lines()
        .filter(|line| {
            line.trim_start().starts_with("- --") || line.contains("printf \"--") || line.contains(command)
        })
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(flags)
        .collect();
    assert!(used.len() >= at_least, "only {used:?}");
    let known = flags_of(command);
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{template} uses flags that {command} does not have: {unknown:?}");
}
