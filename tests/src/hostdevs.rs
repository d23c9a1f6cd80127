//! The hostdevs that KubeVirt writes by itself, for the interfaces of a VMI with `sriov: {}`.
#![allow(clippy::indexing_slicing, reason = "JSON values give null for what is not there")]

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

/// As KubeVirt from 1.7 on: from network-info. An error is one start that is tried again.
///
/// # Errors
/// What virt-launcher says, if the text is empty or names no device for a network.
pub fn from_network_info(text: &str, vmi: &Value) -> anyhow::Result<String> {
    ensure!(
        !text.trim().is_empty(),
        "failed to create PCI address pool with network status from file: file is not populated with network-info"
    );
    let info: Value = serde_json::from_str(text).with_context(|| format!("network-info {text:?}"))?;
    let mut pool = BTreeMap::new();
    for interface in info["interfaces"].as_array().into_iter().flatten() {
        let address = interface["deviceInfo"]["pci"]["pci-address"].as_str();
        if let (Some(network), Some(address)) = (interface["network"].as_str(), address) {
            pool.insert(network, address);
        }
    }
    ensure!(!pool.is_empty(), "found no SR-IOV networks to PCI-Address mapping");
    let hostdevs = interfaces(vmi).map(|interface| {
        let network = interface["name"].as_str().unwrap_or_default();
        let address = pool.remove(network);
        hostdev(interface, address.with_context(|| format!("PCI-Address for network {network:?} not found"))?)
    });
    hostdevs.collect()
}

/// As KubeVirt up to 1.6: the devices of the variable in its order, which means nothing.
///
/// # Errors
/// If there are too few.
pub fn in_order(variable: &str, vmi: &Value) -> anyhow::Result<String> {
    let mut addresses = variable.split(',').filter(|address| !address.is_empty());
    let hostdevs = interfaces(vmi).map(|interface| {
        let address =
            addresses.next().with_context(|| format!("no device is left for {}", interface["name"]))?;
        hostdev(interface, address)
    });
    hostdevs.collect()
}

fn interfaces(vmi: &Value) -> impl Iterator<Item = &Value> {
    let interfaces = vmi["spec"]["domain"]["devices"]["interfaces"].as_array().into_iter().flatten();
    interfaces.filter(|interface| interface.get("sriov").is_some())
}

fn hostdev(interface: &Value, address: &str) -> anyhow::Result<String> {
    let parts: Vec<&str> = address.split([':', '.']).collect();
    let [domain, bus, slot, function] = parts.as_slice() else { bail!("{address:?} is not a PCI address") };
    let alias = format!("ua-sriov-{}", interface["name"].as_str().unwrap_or_default());
    let boot = interface["bootOrder"].as_u64().map(|order| format!(r#"<boot order="{order}"></boot>"#));
    Ok(format!(
        r#"<hostdev type="pci" managed="no"><source><address type="pci" domain="0x{domain}" bus="0x{bus}" slot="0x{slot}" function="0x{function}"></address></source><alias name="{alias}"></alias>{}</hostdev>"#,
        boot.unwrap_or_default()
    ))
}
