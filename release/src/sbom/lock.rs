//! The checksums in a `Cargo.lock`.

use std::collections::BTreeMap;

/// Returns the SHA-256 of each crate that comes from a registry, by name and version.
pub(super) fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let (Some(name), Some(version), Some(sha256)) =
            (field("name"), field("version"), field("checksum"))
        {
            found.insert((name.to_owned(), version.to_owned()), sha256.to_owned());
        }
    }
    found
}
