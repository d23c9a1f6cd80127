//! virt-launcher's side of the hook protocol, once: finds the one socket under a folder, asks what it
//! offers, has it define a domain and prints the answer. Or prints the hostdevs that virt-launcher itself writes.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use tests::hooks::{Hook, sockets};
use tests::hostdevs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["hostdevs", network_info, vmi] => {
            let text = fs::read_to_string(network_info)
                .context("found no SR-IOV networks to PCI-Address mapping")?;
            let vmi = serde_json::from_str(&fs::read_to_string(vmi)?)?;
            print!("{}", hostdevs::from_network_info(&text, &vmi)?);
            return Ok(());
        }
        ["hostdevs-in-order", variable, vmi] => {
            let vmi = serde_json::from_str(&fs::read_to_string(vmi)?)?;
            print!("{}", hostdevs::in_order(variable, &vmi)?);
            return Ok(());
        }
        _ => {}
    }
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
