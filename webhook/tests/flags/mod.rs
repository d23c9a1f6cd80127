//! What `--help` prints, and the flags in it or in any other text.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::collections::BTreeSet;
use std::process::Command;

/// What the program prints about a command.
pub(crate) fn help(command: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sriov-webhook")).arg("help").args(command).output().unwrap();
    assert!(output.status.success(), "help {command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that looks like a long flag.
pub(crate) fn flags(text: &str) -> BTreeSet<String> {
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
