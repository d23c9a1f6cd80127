//! Plays virt-launcher's side of the hook protocol, once: finds the one socket under a folder, asks what it
//! offers, has it define a domain and prints the answer.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use tests::hooks::{Hook, sockets};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, vmi, domain] = arguments.as_slice() else {
        bail!("usage: hook-client SOCKET-FOLDER VMI-FILE DOMAIN-FILE >NEW-DOMAIN");
    };
    let domain = fs::read(domain).with_context(|| format!("reading {}", domain.display()))?;
    let vmi = fs::read(vmi).with_context(|| format!("reading {}", vmi.display()))?;
    let found = sockets(folder)?;
    let [socket] = found.as_slice() else {
        bail!("there should be one socket in {}: {found:?}", folder.display());
    };
    let domain = Hook::connect(socket).await?.define_domain(vmi, domain).await?;
    io::stdout().write_all(&domain)?;
    Ok(())
}
