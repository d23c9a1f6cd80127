//! The metadata files of claimed devices, in the container that holds the claims.
//!
//! The folders are listed, and a network's claim is looked for among what was found: no name that a user wrote becomes
//! part of a path.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use contract::{ClaimContent, ClaimKind, ClaimMetadata, ClaimRequest, check_subdomain};

use super::parse;

/// Where Kubernetes puts them.
pub const FOLDER: &str = "/var/run/kubernetes.io/dra-device-attributes";

const SUFFIX: &str = "-metadata.json";

/// The most bytes that are read of a file. One has a few kilobytes.
pub const LARGEST: u64 = 1 << 20;

/// The most files that are read. A pod has a handful.
const MOST: usize = 256;

/// Reads all files below `folder`, in the order of their names. Nothing is there unless the container holds a claim
/// whose driver writes metadata.
#[must_use]
pub fn read(folder: &Path) -> Vec<ClaimMetadata> {
    let mut found = Vec::new();
    for kind in ClaimKind::ALL {
        for (claim, folder) in entries(&folder.join(kind.folder())) {
            for (request, folder) in entries(&folder) {
                let Ok(of) = ClaimRequest::new(kind, &claim, &request) else { continue };
                for (_, file) in entries(&folder).into_iter().filter(|(name, _)| is_of_driver(name)) {
                    if found.len() >= MOST {
                        tracing::warn!(
                            folder = %folder.display(),
                            "more than {MOST} metadata files of claimed devices: the others are not read"
                        );
                        return found;
                    }
                    let content = match read_file(&file) {
                        Ok(text) => parse(&text, of.request()),
                        Err(error) => {
                            Err(format!("cannot be read: {error}; look at the DRA driver that wrote it"))
                        }
                    };
                    let content = content.map_or_else(ClaimContent::Problem, ClaimContent::Devices);
                    found.push(ClaimMetadata { of: of.clone(), file: file.display().to_string(), content });
                }
            }
        }
    }
    found
}

/// Whether a file is named after a driver.
fn is_of_driver(name: &str) -> bool {
    name.strip_suffix(SUFFIX).is_some_and(|driver| check_subdomain(driver).is_ok())
}

/// The names in a folder, sorted; none if it is not there. One that cannot be listed is logged: the networks of its
/// claims then lack a device, and say so.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::warn!(folder = %folder.display(), "cannot list the metadata of claimed devices: {error}");
            }
            return Vec::new();
        }
    };
    let entries = listed.filter_map(|entry| {
        let entry = entry.ok()?;
        Some((entry.file_name().into_string().ok()?, entry.path()))
    });
    let mut entries: Vec<_> = entries.take(MOST).collect();
    entries.sort();
    entries
}

fn read_file(file: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is not a file"));
    }
    let mut text = Vec::new();
    File::open(file)?.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        let problem = format!("it has more than {LARGEST} bytes");
        return Err(io::Error::new(ErrorKind::InvalidData, problem));
    }
    Ok(text)
}
