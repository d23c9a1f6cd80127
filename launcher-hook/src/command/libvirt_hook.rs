//! `libvirt-hook`: what libvirt runs as `/etc/libvirt/hooks/qemu`.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use contract::Quoted;

use crate::cli::LibvirtHookArguments;
use crate::definer::Definer;
use crate::sysfs::Roots;

pub(super) fn run(arguments: LibvirtHookArguments, roots: Roots) -> anyhow::Result<ExitCode> {
    let LibvirtHookArguments { guest, operation, sub_operation, extra: _, verify, definition } = arguments;
    let definer = Definer { arguments: definition, verification: verify, roots };
    let about = || format!("domain {} ({operation} {sub_operation})", Quoted(&guest));
    match (operation.as_str(), sub_operation.as_str()) {
        ("migrate" | "restore", _) => {
            let xml = definer.readdress(&domain()?).with_context(about)?;
            io::stdout().write_all(xml.as_bytes()).context("standard output")?;
        }
        ("prepare", "begin") => definer.check(&domain()?).with_context(about)?,
        // libvirt goes on whatever these say, and waits for them.
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn domain() -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).context("standard input")?;
    Ok(bytes)
}
