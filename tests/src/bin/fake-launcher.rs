//! A fake of virt-launcher without libvirt: does what virt-launcher does between its start and the start of QEMU, as far as SR-IOV goes: collects as many
//! hook sockets as `--hook-sidecars` says, reads network-info as KubeVirt 1.7 does, writes the hostdevs that
//! KubeVirt would, and has every hook define the domain, three times. Then it waits for SIGTERM.
//!
//! Usage: fake-launcher [virt-launcher's own arguments] --hooks DIR --network-info FILE --vmi FILE
//! --domain FILE --work DIR --read-back PROGRAM --exit-code N
//!
//! PROGRAM is given the file of a domain and prints it as libvirt reads it back. DIR/pid, DIR/network-info and
//! DIR/defined-N.xml are written as it goes, DIR/ready once the domain stands.
#![allow(clippy::indexing_slicing, reason = "JSON values give null for what is not there")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tests::hooks::{Hook, sockets};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// How long sockets and devices may take. virt-handler tries forever, a test must end.
const LIMIT: Duration = Duration::from_secs(150);
/// KubeVirt waits this long for network-info to have content, each time it tries.
const CONTENT: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |name: &str| {
        let place = arguments.iter().rposition(|argument| argument == name);
        let value = place.and_then(|place| arguments.get(place + 1));
        value.with_context(|| format!("argument {name} is missing"))
    };
    let path = |name: &str| argument(name).map(PathBuf::from);
    let work = path("--work")?;
    let exit_code: i32 = argument("--exit-code")?.parse()?;
    let mut terminate = signal(SignalKind::terminate())?;
    fs::write(work.join("pid"), std::process::id().to_string())?;

    let mut hooks = collect(&path("--hooks")?, argument("--hook-sidecars")?.parse()?).await?;
    let vmi = fs::read(path("--vmi")?)?;
    let (text, hostdevs) = hostdevs(&path("--network-info")?, &serde_json::from_slice(&vmi)?).await?;
    fs::write(work.join("network-info"), text)?;
    let domain = fs::read_to_string(path("--domain")?)?;
    let mut domain = domain.replacen("</devices>", &format!("{hostdevs}</devices>"), 1).into_bytes();
    for number in 1..=3 {
        for hook in &mut hooks {
            domain = hook.define_domain(vmi.clone(), domain).await?;
        }
        let file = work.join(format!("defined-{number}.xml"));
        fs::write(&file, &domain)?;
        let output = Command::new(argument("--read-back")?).arg(&file).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "libvirt does not take what call {number} gave: {said}");
        domain = output.stdout;
    }
    fs::write(work.join("ready"), "")?;

    terminate.recv().await;
    for hook in &mut hooks {
        hook.shutdown().await?;
    }
    exit(exit_code);
}

/// virt-launcher panics where fewer come; more than it was told of are as wrong.
async fn collect(folder: &Path, count: usize) -> anyhow::Result<Vec<Hook>> {
    let start = Instant::now();
    let found = loop {
        let found = sockets(folder)?;
        if found.len() >= count {
            break found;
        }
        ensure!(start.elapsed() < LIMIT, "{} of {count} hook sockets in {}", found.len(), folder.display());
        sleep(Duration::from_millis(100)).await;
    };
    ensure!(found.len() == count, "more than {count} hook sockets: {found:?}");
    let mut hooks = Vec::new();
    for socket in found {
        hooks.push(Hook::connect(&socket).await?);
    }
    Ok(hooks)
}

/// network-info and the hostdevs that KubeVirt makes from it; each failure is one start that is tried again.
async fn hostdevs(file: &Path, vmi: &Value) -> anyhow::Result<(String, String)> {
    let start = Instant::now();
    loop {
        let failure = match try_hostdevs(file, vmi).await {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        if start.elapsed() > LIMIT {
            bail!("the virtual machine does not start: {failure}");
        }
        eprintln!("fake-launcher: SyncVMI: {failure:#}");
        sleep(Duration::from_secs(1)).await;
    }
}

async fn try_hostdevs(file: &Path, vmi: &Value) -> anyhow::Result<(String, String)> {
    let start = Instant::now();
    let text = loop {
        let text = fs::read_to_string(file).context("found no SR-IOV networks to PCI-Address mapping")?;
        if !text.is_empty() {
            break text;
        }
        ensure!(start.elapsed() < CONTENT, "file is not populated with network-info");
        sleep(Duration::from_millis(100)).await;
    };
    let hostdevs = tests::hostdevs::from_network_info(&text, vmi)?;
    Ok((text, hostdevs))
}
