//! The crates of a program, as cargo resolves them for this very package and target.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::Command;

use anyhow::{Context as _, bail};

/// A crate of one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Whether it is one of this repository's own.
    pub(crate) own: bool,
}

/// What a program was built from.
#[derive(Debug, clap::Args)]
pub(crate) struct Built {
    /// The package whose program it is
    #[arg(long)]
    pub(crate) package: String,
    /// What the program was built for, as rustc calls it
    #[arg(long, value_name = "TRIPLE")]
    pub(crate) target: String,
    /// The features that it was built with, and no default ones; without this the default ones
    #[arg(long)]
    pub(crate) features: Option<String>,
}

/// A program's crates and which of them uses which.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) root: Crate,
    /// Each crate with its licence.
    pub(crate) crates: BTreeMap<Crate, String>,
    pub(crate) edges: BTreeSet<(Crate, Crate)>,
}

impl Tree {
    /// Asks cargo for the crates of a program, along edges as `cargo tree --edges` takes them.
    pub(crate) fn of(built: &Built, edges: &str) -> anyhow::Result<Self> {
        let Built { package, target, features } = built;
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["tree", "--locked", "--package", package, "--target", target]);
        if let Some(features) = features {
            command.args(["--no-default-features", "--features", features]);
        }
        let output = command
            .args(["--edges", edges, "--prefix", "depth", "--format", "{p}|{l}|"])
            .output()
            .context("cannot run cargo")?;
        if !output.status.success() {
            bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Self::read(&String::from_utf8(output.stdout).context("cargo tree wrote other than UTF-8")?)
    }

    /// Reads what cargo wrote: a line for each crate, its depth first.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let (mut crates, mut edges) = (BTreeMap::new(), BTreeSet::new());
        // The crates between the root and the present line.
        let mut path: Vec<Crate> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (depth, package, licence) =
                parts(line).with_context(|| format!("cargo tree wrote '{line}', which is not a crate"))?;
            path.truncate(depth);
            if let Some(parent) = path.last() {
                edges.insert((parent.clone(), package.clone()));
            }
            crates.insert(package.clone(), licence.to_owned());
            path.push(package);
        }
        let root = path.into_iter().next().context("cargo tree wrote nothing")?;
        Ok(Self { root, crates, edges })
    }
}

/// Depth, crate and licence of a line such as `2serde v1.0.229 (proc-macro)|MIT OR Apache-2.0| (*)`.
fn parts(line: &str) -> Option<(usize, Crate, &str)> {
    let name = line.find(|c: char| !c.is_ascii_digit())?;
    let (depth, rest) = line.split_at_checked(name)?;
    let (package, rest) = rest.split_once('|')?;
    let (licence, _) = rest.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    // The crates of a registry have nothing here but what kind they are; ours have their folder.
    let own = words.any(|word| word.starts_with("(/"));
    Some((depth.parse().ok()?, Crate { name: name.to_owned(), version: version.to_owned(), own }, licence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, own: bool) -> Crate {
        Crate { name: name.to_owned(), version: version.to_owned(), own }
    }

    #[test]
    fn depth_says_who_uses_whom() {
        let tree = Tree::read(
            "0program v0.1.0 (/sources/program)|Apache-2.0|\n\
             1shared v0.1.0 (/sources/shared)|Apache-2.0|\n\
             2serde v1.0.229|MIT OR Apache-2.0|\n\
             1derive v4.6.9 (proc-macro)|MIT/Apache-2.0|\n\
             1serde v1.0.229|MIT OR Apache-2.0| (*)\n",
        )
        .unwrap();
        let (program, shared) = (package("program", "0.1.0", true), package("shared", "0.1.0", true));
        let (serde, derive) = (package("serde", "1.0.229", false), package("derive", "4.6.9", false));
        assert_eq!(tree.root, program);
        assert_eq!(
            tree.edges,
            BTreeSet::from([
                (program.clone(), shared.clone()),
                (program.clone(), derive.clone()),
                (program.clone(), serde.clone()),
                (shared.clone(), serde.clone()),
            ])
        );
        assert_eq!(tree.crates.get(&derive).map(String::as_str), Some("MIT/Apache-2.0"));
        assert_eq!(tree.crates.len(), 4);
    }

    #[test]
    fn a_line_that_is_not_a_crate_is_named() {
        assert_eq!(
            Tree::read("error: no such package").unwrap_err().to_string(),
            "cargo tree wrote 'error: no such package', which is not a crate"
        );
        assert_eq!(Tree::read("").unwrap_err().to_string(), "cargo tree wrote nothing");
    }
}
