//! `tests/run` itself, with tiers that only say when they ran.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use rstest::rstest;
use tempfile::TempDir;

/// A folder with `tests/run`, tiers, and a build that takes no time. All of them write a line to `order`.
fn tree(tiers: &[(&str, &str)]) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let tests = tree.path().join("tests");
    let script = |path: &str, text: &str| {
        let path = tests.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    fs::create_dir_all(&tests).unwrap();
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("run"), tests.join("run")).unwrap();
    script("cluster/build", "echo \"build $*\" >>order");
    for (tier, text) in tiers {
        script(&format!("{tier}/run"), text);
    }
    tree
}

fn run(tree: &TempDir, arguments: &[&str]) -> Output {
    // A file that was just written cannot be executed while a process that another test starts has it open still.
    Command::new("bash").arg(tree.path().join("tests/run")).args(arguments).output().unwrap()
}

/// A tier that passes one test, after `wait` has come true for ten seconds at most.
fn passes(tier: &str, wait: &str) -> String {
    format!(
        "for i in $(seq 100); do if {wait}; then break; fi; sleep 0.1; done\n\
         echo {tier} >>order\n\
         echo '1 passed, 0 failed'"
    )
}

/// The order in which tiers and builds ended, where each tier waits for the build that is due beside it.
#[rstest]
#[case::all(&[], "build --with helm, fast, cluster, build --with node --with helm, vfio, node")]
#[case::up_to_cluster(&["--tier", "fast", "--tier", "cluster"], "build --with helm, fast, cluster")]
#[case::vfio_and_node(&["--tier", "vfio", "--tier", "node"], "build --with node --with helm, vfio, node")]
#[case::none_needs_it(&["--tier", "fast", "--tier", "vfio"], "fast, vfio")]
#[case::first_needs_it(&["--tier", "cluster"], "cluster")]
fn programs_are_built_beside_the_tier_before(#[case] arguments: &[&str], #[case] expected: &str) {
    let built = |number: u32| format!("[ $(grep -c ^build order || true) -ge {number} ]");
    let asks_for = |tier: &str| arguments.is_empty() || arguments.contains(&tier);
    // Each of these waits for as many builds as are due by then, so a build that never starts shows as disorder.
    let fast = if asks_for("cluster") { built(1) } else { "true".to_owned() };
    let vfio = match (asks_for("node"), asks_for("cluster")) {
        (true, true) => built(2),
        (true, false) => built(1),
        (false, _) => "true".to_owned(),
    };
    let tree = tree(&[
        ("fast", &passes("fast", &fast)),
        ("cluster", &passes("cluster", "true")),
        ("vfio", &passes("vfio", &vfio)),
        ("node", &passes("node", "true")),
    ]);
    fs::write(tree.path().join("order"), "").unwrap();
    let output = run(&tree, arguments);
    assert!(output.status.success(), "{output:?}");
    let order = fs::read_to_string(tree.path().join("order")).unwrap();
    let mut lines: Vec<&str> = order.lines().collect();
    // The second build and the cluster tier run side by side: which ends first is chance.
    if let Some(at) = lines.iter().position(|line| *line == "build --with node --with helm")
        && lines.get(at + 1) == Some(&"cluster")
    {
        lines.swap(at, at + 1);
    }
    assert_eq!(lines.join(", "), expected);
}

#[rstest]
#[case::passes("echo '2 passed, 0 failed'", 0, "2 passed, 0 failed")]
#[case::test_fails("echo '2 passed, 1 failed'; exit 1", 1, "2 passed, 1 failed")]
#[case::fails_outside_of_tests("echo '2 passed, 0 failed'; exit 1", 1, "2 passed, 1 failed")]
#[case::runs_nothing("true", 1, "0 passed, 1 failed")]
#[case::reads_its_input("cat; echo '1 passed, 0 failed'", 0, "1 passed, 0 failed")]
fn a_tier_counts(#[case] tier: &str, #[case] status: i32, #[case] last_line: &str) {
    let tree = tree(&[("fast", tier)]);
    let output = run(&tree, &["--tier", "fast"]);
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().last(), Some(last_line), "{text}");
}

#[rstest]
#[case::tier(&["--tier", "quick"], "no tier 'quick'")]
#[case::no_tier(&["--tier"], "no tier ''")]
#[case::minutes(&["--minutes", "some"], "not 'some'")]
#[case::argument(&["fast"], "unknown argument 'fast'")]
fn wrong_arguments_are_named(#[case] arguments: &[&str], #[case] expected: &str) {
    let output = run(&tree(&[]), arguments);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(expected), "{text}");
}
