//! `define`, and `onDefineDomain` of KubeVirt's sidecar shim.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::cli::DefineArguments;
use crate::definer::Definer;
use crate::sysfs::Roots;

pub(super) fn run(arguments: DefineArguments, roots: Roots) -> anyhow::Result<ExitCode> {
    let DefineArguments { vmi, domain, write, verify, definition } = arguments;
    if vmi == "-" && domain == "-" {
        bail!("--vmi - and --domain - would share one standard input: put one of them into a file");
    }
    let definer = Definer { arguments: definition, verification: verify, roots };
    let vmi = content("--vmi", vmi, b'{')?;
    let domain = content("--domain", domain, b'<')?;
    let xml = definer.define(&vmi, &domain, false)?;
    if write.as_os_str() == "-" {
        io::stdout().write_all(xml.as_bytes()).context("standard output")?;
    } else {
        fs::write(&write, xml).with_context(|| format!("--write: cannot write {}", write.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The argument itself where it starts like the thing it stands for, otherwise what is in the file it names.
pub(super) fn content(option: &str, argument: OsString, first: u8) -> anyhow::Result<Vec<u8>> {
    let text = argument.as_bytes();
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    if text.trim_ascii_start().first() == Some(&first) {
        Ok(argument.into_vec())
    } else if argument == OsStr::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).context("standard input")?;
        Ok(bytes)
    } else {
        let path = Path::new(&argument);
        fs::read(path).with_context(|| format!("{option}: cannot read {}", path.display()))
    }
}
