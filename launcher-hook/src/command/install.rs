//! `install`: the image has no shell to copy with.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use contract::helper::INSTALLED_NAME;

use crate::cli::InstallArguments;

/// The running program, even if its file was replaced or removed.
const SELF: &str = "/proc/self/exe";

pub(super) fn run(arguments: &InstallArguments) -> anyhow::Result<ExitCode> {
    let InstallArguments { directory } = arguments;
    let installed = install(directory)?;
    writeln!(io::stdout(), "{}", installed.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Copies this program into `directory` and returns the path of the copy.
pub(super) fn install(directory: &Path) -> anyhow::Result<PathBuf> {
    let installed = directory.join(INSTALLED_NAME);
    replace(directory, &installed).with_context(|| {
        format!("cannot install in {}; it must be a folder that this user can write to", directory.display())
    })?;
    Ok(installed)
}

/// Copies beside the target and renames, so that nobody ever runs half a program and a running one can be
/// replaced.
fn replace(directory: &Path, installed: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let new = directory.join(format!(".{INSTALLED_NAME}.{}", std::process::id()));
    let copied = copy(&new).and_then(|()| fs::rename(&new, installed));
    if copied.is_err() {
        // What went wrong before is what the user has to know.
        let _ = fs::remove_file(&new);
    }
    copied
}

fn copy(new: &Path) -> io::Result<()> {
    let mut target = File::create(new)?;
    io::copy(&mut File::open(SELF)?, &mut target)?;
    target.set_permissions(Permissions::from_mode(0o755))?;
    target.sync_all()
}
