//! The licence texts of the crates that a program links, which their authors want to go with every copy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::crates::{Built, Crate, Tree};

/// Options of `notices`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    built: Built,
}

/// Finds the texts in the sources of the crates and prints them.
pub(crate) fn print(arguments: &Arguments) -> anyhow::Result<()> {
    let tree = Tree::of(&arguments.built, "normal,no-proc-macro")?;
    let folders = folders(&arguments.built.target)?;
    // Crates of one project share their texts, word for word.
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in tree.crates.keys().filter(|package| !package.own) {
        let folder = folders
            .get(package)
            .with_context(|| format!("cargo does not know where {} {} is", package.name, package.version))?;
        for text in licence_texts(folder)? {
            texts.entry(text).or_default().insert(format!("{} {}", package.name, package.version));
        }
    }
    print!("{}", document(&arguments.built.package, &tree, &texts));
    Ok(())
}

/// The folder of each crate, as cargo has it.
fn folders(target: &str) -> anyhow::Result<BTreeMap<Crate, PathBuf>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", target])
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata wrote other than JSON")?;
    let packages =
        metadata.get("packages").and_then(Value::as_array).context("cargo metadata has no packages")?;
    let folder = |package: &Value| {
        let field = |name: &str| package.get(name).and_then(Value::as_str).map(str::to_owned);
        let manifest = PathBuf::from(field("manifest_path")?);
        let own = package.get("source").is_some_and(Value::is_null);
        Some((Crate { name: field("name")?, version: field("version")?, own }, manifest.parent()?.to_owned()))
    };
    Ok(packages.iter().filter_map(folder).collect())
}

/// The files in a crate's folder, or in one that it brings along, whose names say that they are about its licence.
fn licence_texts(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let unreadable = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(unreadable)? {
            let entry = entry.with_context(unreadable)?;
            let path = entry.path();
            // Other people's code lies no deeper than aws-lc's: aws-lc/third_party/NAME.
            if path.is_dir() && depth < 3 {
                folders.push((path, depth + 1));
            } else if is_licence(&entry.file_name().to_string_lossy()) && path.is_file() {
                let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                texts.insert(String::from_utf8_lossy(&text).replace('\r', "").trim().to_owned());
            }
        }
    }
    Ok(texts)
}

/// `LICENSE`, `LICENSE-MIT`, `license.txt`, `COPYING`, `NOTICE`; not `license_check.rs`.
fn is_licence(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let stem = name.trim_end_matches(".TXT").trim_end_matches(".MD");
    ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"].iter().any(|start| {
        stem.strip_prefix(start).is_some_and(|rest| {
            rest.is_empty()
                || rest.starts_with(['-', '_', '.']) && !rest.ends_with(".RS") && !rest.ends_with(".PY")
        })
    })
}

fn document(program: &str, tree: &Tree, texts: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut document = format!(
        "{program} is under the Apache License 2.0; see LICENSE. It contains the following crates, and the standard\n\
         libraries of Rust (MIT OR Apache-2.0) and of C (GNU C library, LGPL-2.1-or-later; the sources and the build\n\
         script of this program are what relinking it takes).\n\n"
    );
    // Writing to a string cannot fail.
    for (package, licence) in tree.crates.iter().filter(|(package, _)| !package.own) {
        let _ = writeln!(document, "{} {}: {licence}", package.name, package.version);
    }
    let mut sections: Vec<(String, &String)> = texts
        .iter()
        .map(|(text, packages)| (packages.iter().map(String::as_str).collect::<Vec<_>>().join(", "), text))
        .collect();
    sections.sort();
    for (packages, text) in sections {
        let _ = write!(document, "\n{}\n{packages}\n\n{text}\n", "=".repeat(80));
    }
    document
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("LICENSE", true)]
    #[case::one_of_two("LICENSE-MIT", true)]
    #[case::british("licence.md", true)]
    #[case::of_a_part("LICENSE.third-party", true)]
    #[case::a_notice("NOTICE", true)]
    #[case::copying("COPYING.txt", true)]
    #[case::code("license.rs", false)]
    #[case::another_word("licensing.md", false)]
    #[case::a_reading("README.md", false)]
    fn names_of_licences(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_licence(name), expected);
    }

    #[test]
    fn equal_texts_are_printed_once_with_all_their_crates() {
        let tree = Tree::read(
            "0program v0.1.0 (/sources/program)|Apache-2.0|\n1a v1.0.0|MIT|\n1b v2.0.0|MIT OR Apache-2.0|\n",
        )
        .unwrap();
        let texts = BTreeMap::from([(
            "Permission is granted.".to_owned(),
            BTreeSet::from(["a 1.0.0".to_owned(), "b 2.0.0".to_owned()]),
        )]);
        insta::assert_snapshot!(document("program", &tree, &texts), @r"
        program is under the Apache License 2.0; see LICENSE. It contains the following crates, and the standard
        libraries of Rust (MIT OR Apache-2.0) and of C (GNU C library, LGPL-2.1-or-later; the sources and the build
        script of this program are what relinking it takes).

        a 1.0.0: MIT
        b 2.0.0: MIT OR Apache-2.0

        ================================================================================
        a 1.0.0, b 2.0.0

        Permission is granted.
        ");
    }

    #[test]
    fn texts_are_found_in_the_folder_and_in_what_it_brings_along() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("library/third_party/fiat");
        fs::create_dir_all(&inner).unwrap();
        for (path, text) in [
            (folder.path().join("LICENSE-MIT"), "one\r\n"),
            (folder.path().join("lib.rs"), "code"),
            (inner.join("LICENSE"), "two"),
        ] {
            fs::write(path, text).unwrap();
        }
        assert_eq!(
            licence_texts(folder.path()).unwrap(),
            BTreeSet::from(["one".to_owned(), "two".to_owned()])
        );
    }
}
