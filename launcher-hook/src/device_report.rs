//! The [`DeviceReport`] as a file: made in `compute`, read in the helper's own container.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use contract::{DeviceNode, DeviceReport};

use crate::claims;
use crate::sysfs::Roots;
use crate::variables::is_ours;
use crate::verify::open;

/// Looks at what this container was given: its `variables`, of which others than ours are left out, and the nodes
/// below `/dev/vfio`.
#[must_use]
pub fn look(variables: Vec<(String, String)>, claim_metadata: &Path, roots: &Roots) -> DeviceReport {
    let mut problems = Vec::new();
    let folder = roots.dev.join("vfio");
    let mut nodes = match fs::read_dir(&folder) {
        Ok(entries) => entries.filter_map(|entry| node(&entry.ok()?.path())).collect(),
        Err(problem) => {
            problems.push(format!(
                "container compute: cannot list {}: {problem}; the kubelet puts the nodes of VFs on vfio-pci there",
                folder.display()
            ));
            Vec::new()
        }
    };
    nodes.sort_by(|one: &DeviceNode, other| one.path.cmp(&other.path));
    let variables = variables.into_iter().filter(|(name, _)| is_ours(name)).collect();
    let mut report = DeviceReport::new(variables, nodes, problems);
    report.claims = claims::files::read(claim_metadata);
    report
}

/// `None` for a folder, such as that of the newer interface.
fn node(path: &Path) -> Option<DeviceNode> {
    if path.is_dir() {
        return None;
    }
    // Opening a VFIO group changes nothing about it, and QEMU comes later.
    let errno = open(path).err().and_then(|error| error.raw_os_error());
    Some(DeviceNode { path: path.to_str()?.to_owned(), errno })
}

/// Writes the report beside `file` and renames it, so that a reader never sees half of it, and the second of two
/// calls replaces the first.
///
/// # Errors
/// If the folder cannot be written to.
pub fn write(file: &Path, report: &DeviceReport) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = file.with_file_name(name);
    let written = fs::write(&new, report.to_json())
        // compute may run as root, and the reader does not.
        .and_then(|()| fs::set_permissions(&new, Permissions::from_mode(0o644)))
        .and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&new);
    }
    written
}

/// Reads a report that `compute` wrote, which may be anything.
///
/// # Errors
/// [`ErrorKind::NotFound`] until it has been written, [`ErrorKind::InvalidData`] if it is not a report.
pub fn read(file: &Path) -> io::Result<DeviceReport> {
    let invalid = |problem: String| io::Error::new(ErrorKind::InvalidData, problem);
    match fs::symlink_metadata(file) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= DeviceReport::LARGEST => {}
        Ok(_) => return Err(invalid(format!("it is not a file of at most {} bytes", DeviceReport::LARGEST))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let problem = "container compute has not reported its devices yet; KubeVirt tries again";
            return Err(io::Error::new(ErrorKind::NotFound, problem));
        }
        Err(error) => return Err(error),
    }
    let mut text = String::new();
    File::open(file)?.take(DeviceReport::LARGEST).read_to_string(&mut text)?;
    DeviceReport::parse(&text).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests;
