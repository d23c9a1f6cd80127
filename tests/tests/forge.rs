//! What the forge reads: workflows, owners, forms, the container for development.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The workflows by their file names.
fn workflows() -> BTreeMap<String, Value> {
    let entries = fs::read_dir(root().join(".github/workflows")).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let workflow = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap());
            (name.clone(), workflow.unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect()
}

fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn actions_are_pinned_by_commit_with_their_version_beside_it() {
    let mut pinned: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in workflows().keys() {
        for line in text(&format!(".github/workflows/{name}")).lines() {
            let Some((_, used)) = line.split_once("uses: ") else { continue };
            let (action, rest) =
                used.split_once('@').unwrap_or_else(|| panic!("{name}: {used} has no commit"));
            let (commit, version) =
                rest.split_once(" # v").unwrap_or_else(|| panic!("{name}: {used} has no version"));
            assert!(is_hexadecimal(commit, 40), "{name}: {used} is not pinned by a commit");
            pinned.entry(action.to_owned()).or_default().insert(format!("{commit} {version}"));
        }
    }
    assert!(pinned.contains_key("actions/checkout"), "{pinned:?}");
    for (action, versions) in pinned {
        assert_eq!(versions.len(), 1, "{action} is used in several versions: {versions:?}");
    }
}

/// What each job may write. A permission that is not in this list has to be argued for.
#[test]
fn jobs_may_write_no_more_than_this() {
    let mut writes = BTreeSet::new();
    for (name, workflow) in workflows() {
        assert_eq!(
            workflow["permissions"],
            serde_json::json!({}),
            "{name}: permissions are for each job to name"
        );
        for (job, definition) in jobs(&workflow) {
            let permissions =
                definition["permissions"].as_object().unwrap_or_else(|| panic!("{name}: {job}"));
            for (permission, access) in permissions {
                if access != "read" {
                    writes.insert(format!("{name} {job} {permission}"));
                }
            }
        }
    }
    let expected = ["attestations", "contents", "id-token", "packages"]
        .map(|what| format!("release.yml publish {what}"));
    assert_eq!(writes, expected.into_iter().collect());
}

#[test]
fn a_checkout_leaves_no_credentials_behind() {
    for (name, workflow) in workflows() {
        for (job, definition) in jobs(&workflow) {
            for step in definition["steps"].as_array().unwrap() {
                if step["uses"].as_str().is_some_and(|action| action.starts_with("actions/checkout@")) {
                    assert_eq!(step["with"]["persist-credentials"], false, "{name}: {job}");
                }
            }
        }
    }
}

/// Every tier of `tests/run` is run by some workflow.
#[test]
fn every_tier_has_its_job() {
    let workflows: String =
        workflows().keys().map(|name| text(&format!(".github/workflows/{name}"))).collect();
    let tiers = fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path());
    let tiers: BTreeSet<String> = tiers
        .filter(|path| path.join("run").is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(tiers.contains("fast") && tiers.contains("release"), "{tiers:?}");
    let (_, matrix) = workflows.split_once("tier: [").unwrap();
    let in_matrix: BTreeSet<&str> = matrix.split(']').next().unwrap().split(", ").collect();
    for tier in &tiers {
        let named = workflows.contains(&format!("--tier {tier}"));
        assert!(named || in_matrix.contains(tier.as_str()), "no workflow runs the tier {tier}");
    }
}

#[test]
fn containers_have_the_toolchain_and_are_pinned() {
    let toolchain = text("rust-toolchain.toml");
    let channel =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let mut images = BTreeSet::new();
    for (name, workflow) in workflows() {
        images.extend(jobs(&workflow).filter_map(|(job, definition)| {
            Some((format!("{name} {job}"), definition["container"]["image"].as_str()?.to_owned()))
        }));
    }
    let development = text(".devcontainer/Dockerfile");
    let from = development.lines().find_map(|line| line.strip_prefix("FROM ")).unwrap();
    images.insert((".devcontainer".to_owned(), from.to_owned()));
    assert!(images.len() >= 3, "{images:?}");
    for (place, image) in images {
        let (name, digest) = image.split_once("@sha256:").unwrap_or_else(|| panic!("{place}: {image}"));
        assert_eq!(name, format!("docker.io/library/rust:{channel}-bookworm"), "{place}");
        assert!(is_hexadecimal(digest, 64), "{place}: {image}");
    }
}

#[test]
fn owners_are_of_places_that_exist_and_teams_that_are_described() {
    let maintainers = text("MAINTAINERS.md");
    let owners = text(".github/CODEOWNERS");
    let lines: Vec<&str> = owners.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() > 3, "{owners}");
    for line in lines {
        let mut words = line.split_whitespace();
        let place = words.next().unwrap();
        assert!(
            place == "*" || root().join(place.trim_start_matches('/')).exists(),
            "{place} does not exist"
        );
        let mut teams = words.peekable();
        assert!(teams.peek().is_some(), "{place} has no owner");
        for team in teams {
            assert!(maintainers.contains(&format!("`{team}`")), "{team} is not in MAINTAINERS.md");
        }
    }
}
