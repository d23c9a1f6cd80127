//! Stands in for the SR-IOV CNI (`sriov`), for VFs on vfio-pci: MAC and VLAN, set through the PF.

use super::cni::Call;
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which VF an interface has, for the time when it is taken away.
const STATE: &str = "/var/lib/cni/kubevirt-sriov-fakes";

/// Sets up the VF that the configuration names.
pub fn add(call: &Call) -> anyhow::Result<Value> {
    let configuration = &call.configuration;
    let vf = configuration["deviceID"].as_str().context("no deviceID: is the resource on the NAD?")?;
    let driver = fs::read_link(device(vf).join("driver")).with_context(|| format!("{vf} has no driver"))?;
    ensure!(driver.ends_with("vfio-pci"), "{vf} is bound to {}, not to vfio-pci", driver.display());
    let mac = configuration["runtimeConfig"]["mac"].as_str();
    let mac = mac.or_else(|| call.arguments.get("MAC").map(String::as_str));
    let vlan = configuration["vlan"].as_u64().unwrap_or(0);
    set(vf, mac, vlan)?;
    fs::create_dir_all(STATE)?;
    fs::write(state(call), vf)?;
    Ok(json!({
        "cniVersion": configuration["cniVersion"],
        "interfaces": [{"name": call.interface, "mac": mac.unwrap_or_default(), "sandbox": call.netns}],
    }))
}

/// Gives the VF back as it was found: without MAC and VLAN.
pub fn delete(call: &Call) -> anyhow::Result<()> {
    let Ok(vf) = fs::read_to_string(state(call)) else {
        return Ok(());
    };
    // A VF that is gone has nothing to give back.
    if device(&vf).exists() {
        set(&vf, Some("00:00:00:00:00:00"), 0)?;
    }
    Ok(fs::remove_file(state(call))?)
}

fn set(vf: &str, mac: Option<&str>, vlan: u64) -> anyhow::Result<()> {
    let pf = device(vf).join("physfn");
    let net = fs::read_dir(pf.join("net")).with_context(|| format!("{vf} is not a VF of a network card"))?;
    let interface = net.flatten().next().with_context(|| format!("the PF of {vf} has no interface"))?;
    let name = Path::new(vf);
    let number =
        (0_u32..).map_while(|number| Some((number, fs::read_link(pf.join(format!("virtfn{number}"))).ok()?)));
    let number = { number }.find(|(_, link)| link.file_name() == name.file_name());
    let (number, _) = number.with_context(|| format!("the PF does not know {vf}"))?;
    let mut command = Command::new("ip");
    command.args(["link", "set"]).arg(interface.file_name()).args(["vf", &number.to_string()]);
    if let Some(mac) = mac {
        command.args(["mac", mac]);
    }
    let output = command.args(["vlan", &vlan.to_string()]).output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn device(vf: &str) -> PathBuf {
    Path::new("/sys/bus/pci/devices").join(vf)
}

fn state(call: &Call) -> PathBuf {
    Path::new(STATE).join(format!("{}-{}", call.container, call.interface))
}
