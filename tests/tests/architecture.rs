//! The arrows of the design, checked over what cargo says.
//!
//! `launcher-hook` sits in every virtual machine's pod and is counted against its memory, so what it links
//! is a promise; and `ring` would be a second crypto provider.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use rstest::rstest;
use serde_json::Value;

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).unwrap()
}

/// Each member of the workspace and the members that it depends on, for whatever purpose.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter().map(name);
            (name(package), dependencies.filter(|dependency| members.contains(dependency)).collect())
        })
        .collect()
}

#[rstest]
#[case("contract", &[])]
#[case("apiserver", &[])]
#[case("certs", &["apiserver"])]
#[case("admission", &["contract"])]
#[case("webhook", &["admission", "apiserver", "certs", "contract"])]
#[case("launcher-hook", &["contract"])]
#[case("release", &["launcher-hook", "webhook"])]
fn arrows_between_members(#[case] member: &str, #[case] expected: &[&str]) {
    let found = arrows().remove(member).unwrap();
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn the_tests_drive_the_programs_as_processes() {
    let found = arrows().remove("tests").unwrap();
    assert!(!found.contains("webhook") && !found.contains("launcher-hook"), "{found:?}");
}

#[test]
fn every_member_is_in_a_test_above() {
    let members: Vec<String> = arrows().into_keys().collect();
    assert_eq!(
        members,
        ["admission", "apiserver", "certs", "contract", "launcher-hook", "release", "tests", "webhook"]
    );
}

/// The names of all crates that `member` links, itself included.
fn links(member: &str) -> BTreeSet<String> {
    let tree = cargo(&["tree", "-p", member, "-e", "normal", "--prefix", "none", "-f", "{p}"]);
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[rstest]
#[case("kube")]
#[case("k8s-openapi")]
#[case("rustls")]
#[case("axum")]
#[case("aws-lc-rs")]
#[case("regex")]
fn launcher_hook_does_not_link(#[case] unwanted: &str) {
    let links = links("launcher-hook");
    assert!(!links.contains(unwanted));
    assert!(links.contains("quick-xml"), "this is not launcher-hook's tree: {links:?}");
}

/// The plugin of kubectl has the commands for people, and nothing that only `serve` needs; nor has the server what only
/// the plugin needs.
#[rstest]
#[case::framework("axum", "server")]
#[case::metrics("prometheus-client", "server")]
#[case::statistics_of_the_process("procfs", "server")]
#[case::log("tracing-subscriber", "server")]
#[case::completion("clap_complete", "plugin")]
fn a_program_links_nothing_of_the_other(#[case] crate_name: &str, #[case] feature: &str) {
    for features in ["server", "plugin"] {
        let flags =
            ["tree", "-p", "webhook", "-e", "normal", "--no-default-features", "--features", features];
        let tree = cargo(&[&flags[..], &["--prefix", "none", "-f", "{p}"]].concat());
        let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(names.contains("kube"), "{tree}");
        assert_eq!(names.contains(crate_name), features == feature, "{crate_name} with {features}");
    }
}

/// Each crate that the decision links: none of them reads a clock, a file or a socket for it.
#[test]
fn the_decision_links_what_reads_and_writes_json_and_nothing_else() {
    let allowed = [
        "admission",
        "base64",
        "contract",
        "itoa",
        "json-patch",
        "jsonptr",
        "memchr",
        "proc-macro2",
        "quote",
        "serde",
        "serde_core",
        "serde_derive",
        "serde_json",
        "syn",
        "thiserror",
        "thiserror-impl",
        "unicode-ident",
        "zmij",
    ];
    assert_eq!(links("admission").iter().map(String::as_str).collect::<Vec<_>>(), allowed);
}

#[test]
fn the_tree_has_one_crypto_provider() {
    // For this platform: cargo has the packages of no other at hand.
    let tree = cargo(&["tree", "--workspace", "--prefix", "none", "-f", "{p}"]);
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("aws-lc-rs"));
    for other in ["ring", "openssl", "native-tls", "rustls-openssl", "boring"] {
        assert!(!names.contains(other), "{other}");
    }
}

#[test]
fn versions_stand_in_the_workspace_manifest_only() {
    let metadata = metadata();
    let manifests =
        metadata["packages"].as_array().unwrap().iter().map(|p| p["manifest_path"].as_str().unwrap());
    for manifest in manifests {
        let text = std::fs::read_to_string(manifest).unwrap();
        let mut in_dependencies = false;
        let own: Vec<&str> = text
            .lines()
            .filter(|line| {
                if line.starts_with('[') {
                    in_dependencies = line.ends_with("dependencies]");
                }
                in_dependencies && (line.contains("version =") || line.contains("= \""))
            })
            .collect();
        assert!(own.is_empty(), "{manifest}: {own:?}");
    }
}

/// What is stated as the oldest Rust is what everything is built and tested with: nothing older is tried.
#[test]
fn the_oldest_rust_is_the_one_in_use() {
    let toolchain = include_str!("../../rust-toolchain.toml");
    let channel =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let stated = package["rust_version"].as_str().unwrap_or_default();
        assert_eq!(channel.rsplit_once('.').unwrap().0, stated, "{}", package["name"]);
    }
}

/// Crates of which there is more than one version, with all their versions but the newest.
fn older_versions() -> BTreeSet<String> {
    let tree = cargo(&[
        "tree",
        "--workspace",
        "--edges",
        "normal,build,dev",
        "--duplicates",
        "--depth",
        "0",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (name, version) = line.split_once(" v").unwrap();
        versions.entry(name).or_default().insert(version.split(' ').next().unwrap());
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.contains_key("syn"), "this says nothing of versions: {tree}");
    // None of them goes beyond one digit where it counts, so that text has the order of numbers.
    versions
        .into_iter()
        .flat_map(|(name, versions)| {
            let older = versions.len() - 1;
            versions.into_iter().take(older).map(move |version| {
                let major = version.split('.').next().unwrap();
                let shown = if major == "0" { version.rsplit_once('.').unwrap().0 } else { major };
                format!("{name}@{shown}")
            })
        })
        .collect()
}

#[test]
fn every_doubled_crate_has_its_reason() {
    let deny = include_str!("../../deny.toml");
    let with_reason: BTreeSet<String> = deny
        .lines()
        .filter(|line| line.contains("reason = "))
        .filter_map(|line| Some(line.split_once("{ crate = \"")?.1.split_once('"')?.0.to_owned()))
        .collect();
    assert_eq!(older_versions(), with_reason);
}
