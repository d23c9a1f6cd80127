//! What is in a program: a bill of materials in CycloneDX 1.6.
//!
//! It lists the crates that the program links as cargo resolves them for this very package and target, those that
//! only took part in the build (scope `excluded`), and what the linker added: Rust's standard library and the C library.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::crates::{Built, Crate, Tree};
use crate::digest;
use crate::purl::{self, Purl};

mod lock;

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// Options of `sbom`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    built: Built,
    /// The built program
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// The commit that was built
    #[arg(long, value_name = "COMMIT")]
    revision: String,
    /// When the commit was made, in seconds since 1970
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    epoch: i64,
    /// A library of the system that the program contains
    #[arg(long = "linked", value_name = "PURL")]
    linked: Vec<Purl>,
}

/// Asks cargo what the program is made of and prints it.
pub(crate) fn print(arguments: &Arguments) -> anyhow::Result<()> {
    let linked = Tree::of(&arguments.built, "normal,no-proc-macro")?;
    let all = Tree::of(&arguments.built, "normal,build")?;
    let lock =
        fs::read_to_string("Cargo.lock").context("cannot read Cargo.lock; start this in the sources")?;
    let bill = Bill {
        arguments,
        sha256: digest::of_file(&arguments.program)?,
        linked,
        all,
        checksums: lock::checksums(&lock),
        created: Timestamp::from_second(arguments.epoch).context("--epoch is not a time")?.to_string(),
    };
    println!("{:#}", bill.document()?);
    Ok(())
}

/// All that a bill says.
#[derive(Debug)]
struct Bill<'a> {
    arguments: &'a Arguments,
    sha256: String,
    linked: Tree,
    all: Tree,
    checksums: BTreeMap<(String, String), String>,
    created: String,
}

impl Bill<'_> {
    /// The package URL of a crate: one of crates.io's, or of our own sources.
    fn reference(&self, package: &Crate) -> String {
        let (name, version) = (purl::encode(&package.name), purl::encode(&package.version));
        if package.own {
            let source = purl::encode(&format!("git+{REPOSITORY}@{}", self.arguments.revision));
            return format!("pkg:cargo/{name}@{version}?vcs_url={source}");
        }
        format!("pkg:cargo/{name}@{version}")
    }

    fn component(&self, package: &Crate, licence: &str) -> anyhow::Result<Value> {
        let reference = self.reference(package);
        let scope = if self.linked.crates.contains_key(package) { "required" } else { "excluded" };
        let mut component = json!({
            "type": "library",
            "bom-ref": reference,
            "name": package.name,
            "version": package.version,
            "scope": scope,
            "licenses": [{"expression": licence.replace('/', " OR ")}],
            "purl": reference,
        });
        if !package.own {
            let known = self.checksums.get(&(package.name.clone(), package.version.clone()));
            let sha256 = known
                .with_context(|| format!("{} {} is not in Cargo.lock", package.name, package.version))?;
            if let Some(fields) = component.as_object_mut() {
                fields.insert("hashes".to_owned(), json!([{"alg": "SHA-256", "content": sha256}]));
            }
        }
        Ok(component)
    }

    fn document(&self) -> anyhow::Result<Value> {
        let Arguments { built: Built { target, .. }, revision, linked, .. } = self.arguments;
        let root = &self.all.root;
        let mut components = Vec::new();
        for (package, licence) in self.all.crates.iter().filter(|(package, _)| *package != root) {
            components.push(self.component(package, licence)?);
        }
        components.extend(linked.iter().map(|library| {
            json!({
                "type": "library",
                "bom-ref": library.text,
                "name": library.name,
                "version": library.version,
                "scope": "required",
                "purl": library.text,
            })
        }));
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in self.all.crates.keys() {
            edges.entry(self.reference(package)).or_default();
        }
        for (from, to) in &self.all.edges {
            edges.entry(self.reference(from)).or_default().insert(self.reference(to));
        }
        let libraries = linked.iter().map(|library| library.text.clone());
        edges.entry(self.reference(root)).or_default().extend(libraries.clone());
        edges.extend(libraries.map(|library| (library, BTreeSet::new())));
        let dependencies: Vec<Value> =
            edges.iter().map(|(from, to)| json!({"ref": from, "dependsOn": to})).collect();
        let licence = self.all.crates.get(root).map(String::as_str).unwrap_or_default();
        Ok(json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": serial_number(&self.sha256)?,
            "version": 1,
            "metadata": {
                "timestamp": self.created,
                "lifecycles": [{"phase": "build"}],
                "tools": {"components": [{
                    "type": "application", "name": "kubevirt-sriov-release", "version": env!("CARGO_PKG_VERSION"),
                }]},
                "component": {
                    "type": "application",
                    "bom-ref": self.reference(root),
                    "name": root.name,
                    "version": root.version,
                    "licenses": [{"expression": licence}],
                    "purl": self.reference(root),
                    "hashes": [{"alg": "SHA-256", "content": self.sha256}],
                    "externalReferences": [{"type": "vcs", "url": REPOSITORY, "comment": revision}],
                },
                "properties": [{"name": "kubevirt-sriov:target", "value": target}],
            },
            "components": components,
            "dependencies": dependencies,
        }))
    }
}

/// A number that is the same for the same program: a UUID of version 8, whose bits are the application's to choose.
fn serial_number(sha256: &str) -> anyhow::Result<String> {
    let digits: Vec<&str> = [0..8, 8..12, 13..16, 17..20, 20..32]
        .into_iter()
        .map(|range| sha256.get(range))
        .collect::<Option<_>>()
        .context("a SHA-256 has 64 digits")?;
    let [first, second, third, fourth, fifth] = digits[..] else { bail!("a UUID has five parts") };
    Ok(format!("urn:uuid:{first}-{second}-8{third}-8{fourth}-{fifth}"))
}

#[cfg(test)]
mod tests;
