//! Where a release comes from: an in-toto statement, version 1, with an SLSA provenance predicate, version 1.
//!
//! It is a statement, not yet an attestation: the publisher signs it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::digest;
use crate::purl::Purl;

/// What `release/make` does, and so how to repeat it.
const BUILD_TYPE: &str =
    "https://github.com/kubevirt-sriov/kubevirt-sriov/blob/main/release/README.md#build-type-1";

/// Options of `provenance`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the sources come from
    #[arg(long, value_name = "URL", default_value = env!("CARGO_PKG_REPOSITORY"))]
    source: String,
    /// The commit that was built
    #[arg(long, value_name = "COMMIT")]
    revision: String,
    /// The version that it is published as
    #[arg(long)]
    version: String,
    /// Cargo's profile of the programs
    #[arg(long)]
    profile: String,
    /// Who built it: the URL of a service or workflow that others trust
    #[arg(long, value_name = "URL")]
    builder: String,
    /// The lock file that names all crates
    #[arg(long, value_name = "FILE", default_value = "Cargo.lock")]
    lock: PathBuf,
    /// A compiler, linker or library of the system that the build used
    #[arg(long = "tool", value_name = "PURL")]
    tools: Vec<Purl>,
    /// An image, as NAME@sha256:DIGEST
    #[arg(long = "image", value_name = "NAME@DIGEST")]
    images: Vec<Image>,
    /// What is published
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// An image by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Image {
    name: String,
    sha256: String,
}

impl FromStr for Image {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once("@sha256:").filter(|(name, sha256)| {
            !name.is_empty() && sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        let (name, sha256) =
            parts.ok_or_else(|| format!("'{text}' is not an image; write NAME@sha256: and 64 digits"))?;
        Ok(Self { name: name.to_owned(), sha256: sha256.to_owned() })
    }
}

/// Prints the statement.
pub(crate) fn print(arguments: &Arguments) -> anyhow::Result<()> {
    let mut subjects = arguments
        .files
        .iter()
        .map(|file| Ok((file_name(file)?, digest::of_file(file)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    subjects.extend(arguments.images.iter().map(|image| (image.name.clone(), image.sha256.clone())));
    subjects.sort();
    let statement = statement(arguments, &digest::of_file(&arguments.lock)?, &subjects);
    println!("{statement:#}");
    Ok(())
}

fn file_name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} has no name that is text", path.display()))?.to_owned())
}

fn statement(arguments: &Arguments, lock: &str, subjects: &[(String, String)]) -> Value {
    let Arguments { source, revision, version, profile, builder, tools, .. } = arguments;
    let mut dependencies = vec![
        json!({"uri": format!("git+{source}"), "digest": {"gitCommit": revision}}),
        json!({"uri": format!("git+{source}#Cargo.lock"), "digest": {"sha256": lock}}),
    ];
    dependencies.extend(
        tools.iter().map(
            |tool| json!({"uri": tool.text, "name": tool.name, "annotations": {"version": tool.version}}),
        ),
    );
    let subjects: Vec<Value> =
        subjects.iter().map(|(name, sha256)| json!({"name": name, "digest": {"sha256": sha256}})).collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"source": source, "revision": revision, "version": version, "profile": profile},
                "internalParameters": {},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {"builder": {"id": builder}},
        },
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_statement_names_subjects_sources_and_tools() {
        let CommandLine { arguments } = CommandLine::parse_from([
            "provenance",
            "--revision=2f0d5c2e",
            "--version=0.1.0",
            "--profile=dist",
            "--builder=https://ci.example/release",
            "--tool=pkg:deb/debian/gcc-12@12.2.0-14",
            "a.tgz",
        ]);
        let subjects = [("a.tgz".to_owned(), digest::of(b"a"))];
        insta::assert_snapshot!(format!("{:#}", statement(&arguments, &digest::of(b"lock"), &subjects)), @r#"
        {
          "_type": "https://in-toto.io/Statement/v1",
          "predicate": {
            "buildDefinition": {
              "buildType": "https://github.com/kubevirt-sriov/kubevirt-sriov/blob/main/release/README.md#build-type-1",
              "externalParameters": {
                "profile": "dist",
                "revision": "2f0d5c2e",
                "source": "https://github.com/kubevirt-sriov/kubevirt-sriov",
                "version": "0.1.0"
              },
              "internalParameters": {},
              "resolvedDependencies": [
                {
                  "digest": {
                    "gitCommit": "2f0d5c2e"
                  },
                  "uri": "git+https://github.com/kubevirt-sriov/kubevirt-sriov"
                },
                {
                  "digest": {
                    "sha256": "0c030586945fe504b604ecc2e875c38ede400cd5cd73da9730302162e6b02c6f"
                  },
                  "uri": "git+https://github.com/kubevirt-sriov/kubevirt-sriov#Cargo.lock"
                },
                {
                  "annotations": {
                    "version": "12.2.0-14"
                  },
                  "name": "gcc-12",
                  "uri": "pkg:deb/debian/gcc-12@12.2.0-14"
                }
              ]
            },
            "runDetails": {
              "builder": {
                "id": "https://ci.example/release"
              }
            }
          },
          "predicateType": "https://slsa.dev/provenance/v1",
          "subject": [
            {
              "digest": {
                "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
              },
              "name": "a.tgz"
            }
          ]
        }
        "#);
    }

    #[rstest]
    #[case::a_tag("registry.example/image:1")]
    #[case::a_short_digest("registry.example/image@sha256:12")]
    #[case::no_name("@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    fn not_an_image_by_its_digest(#[case] text: &str) {
        assert_eq!(
            text.parse::<Image>().unwrap_err(),
            format!("'{text}' is not an image; write NAME@sha256: and 64 digits")
        );
    }
}
