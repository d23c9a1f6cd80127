//! What `release/make` made, as somebody who downloads it finds it. `tests/release/run` names the folders.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

mod images;
mod processors;

const PROGRAMS: [&str; 3] = ["sriov-webhook", "launcher-hook", "kubectl-sriov"];
const IMAGES: [&str; 2] = ["sriov-webhook", "launcher-hook"];
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn folder() -> PathBuf {
    folder_of("RELEASE_FOLDER")
}

fn folder_of(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: start tests/release/run"))
        .into()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a command that has to succeed and returns what it printed.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Names and digests of all files.
fn listing(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), sha256(&fs::read(entry.path()).unwrap())))
        .collect()
}

/// Unpacks an archive into a folder that lives as long as what this returns.
fn unpacked(name: &str) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    printed(Command::new("tar").arg("-xf").arg(folder().join(name)).arg("-C").arg(place.path()));
    place
}

/// The folder in the archive of a program.
fn archive(program: &str, architecture: &str) -> (TempDir, PathBuf) {
    let name = format!("{program}-{VERSION}-linux-{architecture}");
    let place = unpacked(&format!("{name}.tar.gz"));
    let inside = place.path().join(name);
    (place, inside)
}

fn each_program() -> impl Iterator<Item = (&'static str, &'static str)> {
    PROGRAMS.into_iter().flat_map(|program| ARCHITECTURES.map(|architecture| (program, architecture)))
}

/// Name and digest of each image.
fn image_digests() -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder().join("images.txt")).unwrap();
    text.lines()
        .map(|line| line.split_once(&format!(":{VERSION}@")).unwrap())
        .map(|(name, digest)| (name.to_owned(), digest.to_owned()))
        .collect()
}

#[test]
fn a_second_run_elsewhere_gives_the_same_bytes() {
    assert_eq!(listing(&folder()), listing(&folder_of("RELEASE_FOLDER_AGAIN")));
}

#[test]
fn it_holds_these_files_and_their_checksums() {
    let mut expected: BTreeSet<String> = each_program()
        .flat_map(|(program, architecture)| {
            ["tar.gz", "cdx.json"].map(|kind| format!("{program}-{VERSION}-linux-{architecture}.{kind}"))
        })
        .collect();
    expected.extend(IMAGES.map(|program| format!("{program}-{VERSION}.oci.tar")));
    expected.extend(
        ["images.txt", "provenance.intoto.json", "release-notes.md", "sriov.yaml"].map(str::to_owned),
    );
    expected.insert(format!("kubevirt-sriov-{VERSION}.tgz"));
    let mut found = listing(&folder());
    found.remove("SHA256SUMS").unwrap();
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected);

    let sums = fs::read_to_string(folder().join("SHA256SUMS")).unwrap();
    let sums: BTreeMap<String, String> = sums
        .lines()
        .map(|line| line.split_once("  ").unwrap())
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect();
    assert_eq!(sums, found);
}

#[test]
fn an_archive_has_program_licence_pages_and_completions() {
    for (program, architecture) in each_program() {
        let (_place, inside) = archive(program, architecture);
        let listed = printed(Command::new("find").arg(&inside).args(["-type", "f", "-printf", "%P\n"]));
        let files: BTreeSet<&str> = listed.lines().collect();
        for file in ["LICENSE", "THIRD-PARTY-LICENSES", program] {
            assert!(files.contains(file), "{program} for {architecture} has no {file}: {files:?}");
        }
        for file in [
            format!("man/{program}.1"),
            format!("completions/{program}.bash"),
            format!("completions/_{program}"),
        ] {
            assert!(files.contains(file.as_str()), "{program} for {architecture} has no {file}: {files:?}");
        }
        let verbose = printed(
            Command::new("tar")
                .arg("-tvf")
                .arg(folder().join(format!("{program}-{VERSION}-linux-{architecture}.tar.gz")))
                .arg("--numeric-owner"),
        );
        assert!(verbose.lines().all(|line| line.contains(" 0/0 ")), "{verbose}");
    }
}

#[test]
fn krew_installs_the_plugin_out_of_its_archives() {
    let manifest = fs::read_to_string(folder().join("sriov.yaml")).unwrap();
    for architecture in ARCHITECTURES {
        let (_place, inside) = archive("kubectl-sriov", architecture);
        let name = format!("kubectl-sriov-{VERSION}-linux-{architecture}");
        let sha256 = sha256(&fs::read(folder().join(format!("{name}.tar.gz"))).unwrap());
        assert!(manifest.contains(&sha256), "no {sha256} in {manifest}");
        assert!(manifest.contains(&format!("/releases/download/v{VERSION}/{name}.tar.gz")), "{manifest}");
        for file in ["kubectl-sriov", "LICENSE"] {
            assert!(manifest.contains(&format!("{name}/{file}")), "{manifest}");
            assert!(inside.join(file).is_file(), "{name} has no {file}");
        }
        let complete = fs::read_to_string(inside.join("kubectl_complete-sriov")).unwrap();
        assert!(complete.starts_with("#!/bin/sh\n"), "{complete}");
    }
}

#[test]
fn the_chart_takes_both_images_by_digest() {
    let helm = std::env::var_os("HELM").expect("tests/release/run sets HELM");
    let rendered = printed(
        Command::new(helm)
            .args(["template", "release"])
            .arg(folder().join(format!("kubevirt-sriov-{VERSION}.tgz")))
            .args(["--kube-version", "1.30.0", "--set", "launcherHook.mode=compute"]),
    );
    let images = image_digests();
    assert_eq!(images.len(), 2);
    for (name, digest) in images {
        assert!(rendered.contains(&format!("{name}@{digest}")), "no {name}@{digest} in:\n{rendered}");
        assert!(!rendered.contains(&format!("{name}:")), "{name} by its tag in:\n{rendered}");
    }
}

#[test]
fn a_bill_of_materials_is_that_of_the_program_beside_it() {
    for (program, architecture) in each_program() {
        let (_place, inside) = archive(program, architecture);
        let bill = json(&folder().join(format!("{program}-{VERSION}-linux-{architecture}.cdx.json")));
        let hash = &bill["metadata"]["component"]["hashes"][0]["content"];
        assert_eq!(
            *hash,
            sha256(&fs::read(inside.join(program)).unwrap()).as_str(),
            "{program} for {architecture}"
        );

        let components = bill["components"].as_array().unwrap();
        let required: BTreeSet<&str> = components
            .iter()
            .filter(|component| component["scope"] == "required")
            .map(|component| component["name"].as_str().unwrap())
            .collect();
        for (crate_name, expected) in [
            ("serde_json", true),
            ("contract", true),
            ("rust", true),
            ("kube", program != "launcher-hook"),
            ("axum", program == "sriov-webhook"),
            ("prometheus-client", program == "sriov-webhook"),
            ("clap_complete", program == "kubectl-sriov"),
            ("tonic", program == "launcher-hook"),
            ("protox", false),
            ("rstest", false),
        ] {
            assert_eq!(required.contains(crate_name), expected, "{program} for {architecture}: {crate_name}");
        }
        let references: BTreeSet<&str> =
            components.iter().map(|component| component["bom-ref"].as_str().unwrap()).collect();
        assert_eq!(references.len(), components.len(), "a reference is used twice");
        for dependency in bill["dependencies"].as_array().unwrap() {
            for used in dependency["dependsOn"].as_array().unwrap() {
                assert!(references.contains(used.as_str().unwrap()), "{program}: {used} is not a component");
            }
        }
    }
}

#[test]
fn provenance_is_about_all_files_and_images_and_names_the_commit() {
    let statement = json(&folder().join("provenance.intoto.json"));
    let subjects: BTreeMap<String, String> = statement["subject"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subject| {
            (
                subject["name"].as_str().unwrap().to_owned(),
                subject["digest"]["sha256"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let mut expected = listing(&folder());
    expected.remove("SHA256SUMS");
    expected.remove("provenance.intoto.json");
    expected.extend(
        image_digests()
            .into_iter()
            .map(|(name, digest)| (name, digest.trim_start_matches("sha256:").to_owned())),
    );
    assert_eq!(subjects, expected);

    let head = printed(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(sources()));
    let built = &statement["predicate"]["buildDefinition"];
    assert_eq!(built["externalParameters"]["revision"], head.trim());
    assert_eq!(built["resolvedDependencies"][0]["digest"]["gitCommit"], head.trim());
}

#[test]
fn release_notes_are_the_section_of_the_changelog() {
    let notes = fs::read_to_string(folder().join("release-notes.md")).unwrap();
    let changelog = fs::read_to_string(sources().join("CHANGELOG.md")).unwrap();
    let sections = changelog.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap().1.trim());
    // What is not released yet, or if that is nothing the last release.
    let section = sections.into_iter().find(|section| !section.is_empty()).unwrap();
    assert!(section.len() > 100, "{section}");
    for line in section.lines().filter(|line| !line.contains("](")) {
        assert!(notes.contains(line), "no {line:?} in: {notes}");
    }
    let links: Vec<&str> = notes.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert_eq!(links.len(), section.matches("](").count(), "{links:?}");
    assert!(links.iter().all(|link| link.starts_with("https://")), "{links:?}");
    for (name, digest) in image_digests() {
        assert!(notes.contains(&format!("{name}:{VERSION}@{digest}")), "{name}: {notes}");
    }
}
