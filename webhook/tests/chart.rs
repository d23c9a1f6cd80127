//! What the chart's templates call, the program has.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

mod flags;

use std::collections::BTreeSet;
use std::fs;

use flags::{flags, help};
use rstest::rstest;

#[rstest]
#[case("templates/deployment.yaml", "serve", 20)]
#[case("templates/_helpers.tpl", "doctor", 3)]
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
    let known = flags(&help(&[command]));
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{template} uses flags that {command} does not have: {unknown:?}");
}
