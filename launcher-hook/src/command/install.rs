//! `install`: the image has no shell to copy with.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::InstallArguments;

/// The running program, whatever became of its file.
pub(super) const SELF: &str = "/proc/self/exe";

const NAME: &str = "launcher-hook";

pub(super) fn run(arguments: &InstallArguments) -> anyhow::Result<ExitCode> {
    let InstallArguments { directory } = arguments;
    let installed = directory.join(NAME);
    install(directory, &installed).with_context(|| {
        format!(
            "cannot install in {}; it has to be a folder that this user can write to",
            directory.display()
        )
    })?;
    writeln!(io::stdout(), "{}", installed.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Copies beside the target and renames, so that nobody ever runs half a program and a running one can be
/// replaced.
fn install(directory: &Path, installed: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let new = directory.join(format!(".{NAME}.{}", std::process::id()));
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
